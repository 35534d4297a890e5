//! Packs: the same bits as from the files, whole or refused, and completed after an interruption.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use image::{ImageFormat, Rgb, RgbImage};
use imagenet_s::{
    Dataset, Error, LabelMask, OddPictures, Split,
    pack::{Pack, PackSummary, verify_pack, write_pack},
    write_mask,
};
use tempfile::TempDir;

fn picture(number: u32) -> RgbImage {
    RgbImage::from_fn(9 + number, 7, |x, y| {
        Rgb([(29 * x) as u8, (31 * y) as u8, (17 * number) as u8])
    })
}

fn save(path: &Path, number: u32, format: ImageFormat) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture(number).save_with_format(path, format).unwrap();
}

/// Pictures of several formats, one misnamed and one in CMYK; validation has a mask.
fn tree() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (name, number, format) in [
        ("train/a/1.JPEG", 1, ImageFormat::Jpeg),
        ("train/a/2.png", 2, ImageFormat::Png),
        ("train/b c/misnamed.JPEG", 3, ImageFormat::Png),
        ("train/b c/ü.webp", 4, ImageFormat::WebP),
        ("validation/a/5.png", 5, ImageFormat::Png),
    ] {
        save(&root.join(name), number, format);
    }
    let cmyk = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cmyk.jpg");
    fs::copy(cmyk, root.join("train/b c/cmyk.jpg")).unwrap();
    let mask = LabelMask::new(14, 7, vec![1; 98]).unwrap();
    write_mask(&root.join("validation-segmentation/a/5.png"), &mask).unwrap();
    folder
}

fn open(root: &Path) -> Dataset {
    Dataset::open(root).unwrap()
}

fn pack(root: &Path, output: &Path) -> Result<PackSummary, Error> {
    write_pack(&open(root), &Split::ALL, output, &|_| ())
}

/// What a reader sees of every picture: pixels or a refusal, and the size.
fn seen(data: &Dataset) -> Vec<String> {
    let samples = Split::ALL.into_iter().flat_map(|split| data.samples(split));
    let told = |sample: &imagenet_s::Sample| {
        [OddPictures::Refuse, OddPictures::Decode].map(|odd| match sample.read_picture(odd) {
            Ok(picture) => format!("{:?} {:?}", sample.picture_size(), picture.into_raw()),
            Err(error) => error.to_string(),
        })
    };
    samples.flat_map(told).collect()
}

/// The tree with its pictures gone: only a pack can tell what they were.
fn emptied(root: &Path) {
    for sample in Split::ALL
        .into_iter()
        .flat_map(|split| open(root).samples(split).to_vec())
    {
        fs::write(&sample.picture, "").unwrap();
    }
}

#[test]
fn a_picture_has_the_same_bits_from_the_pack_and_from_its_file() {
    let folder = tree();
    let path = folder.path().join("packs/all.pack");
    let summary = pack(folder.path(), &path).unwrap();
    assert_eq!((summary.pictures, summary.kept), (6, 0));
    let from_files = seen(&open(folder.path()));
    assert!(
        from_files
            .iter()
            .any(|text| text.contains("content is PNG but the name says JPEG"))
    );
    assert!(from_files.iter().any(|text| text.contains("CMYK")));
    emptied(folder.path());
    assert_eq!(
        seen(&open(folder.path()).with_pack(&path).unwrap()),
        from_files
    );
}

#[test]
fn splits_that_are_not_packed_are_read_from_their_files() {
    let folder = tree();
    let path = folder.path().join("train.pack");
    write_pack(&open(folder.path()), &[Split::Train], &path, &|_| ()).unwrap();
    assert!(Pack::open(&path).unwrap().holds(Split::Train));
    assert!(!Pack::open(&path).unwrap().holds(Split::Validation));
    let from_files = seen(&open(folder.path()));
    assert_eq!(
        seen(&open(folder.path()).with_pack(&path).unwrap()),
        from_files
    );
}

fn partial(path: &Path) -> PathBuf {
    path.with_file_name(".all.pack.part")
}

#[test]
fn a_packing_that_stopped_anywhere_goes_on_and_ends_in_the_same_file() {
    let folder = tree();
    let path = folder.path().join("all.pack");
    pack(folder.path(), &path).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut most_kept = 0;
    for length in (0..whole.len()).step_by(7) {
        fs::remove_file(&path).unwrap();
        fs::write(partial(&path), &whole[..length]).unwrap();
        let summary = pack(folder.path(), &path).unwrap();
        assert!(summary.kept >= most_kept, "{length}");
        most_kept = summary.kept;
        assert!(fs::read(&path).unwrap() == whole, "{length}");
        assert!(!partial(&path).exists());
    }
    assert_eq!(most_kept, 6);
}

#[test]
fn what_a_stopped_packing_left_is_kept_only_where_it_is_right() {
    let folder = tree();
    let path = folder.path().join("all.pack");
    pack(folder.path(), &path).unwrap();
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(11) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        fs::remove_file(&path).unwrap();
        fs::write(partial(&path), damaged).unwrap();
        pack(folder.path(), &path).unwrap();
        assert!(fs::read(&path).unwrap() == whole, "{at}");
    }
}

#[test]
fn a_complete_pack_is_left_alone_and_another_one_replaced() {
    let folder = tree();
    let path = folder.path().join("all.pack");
    pack(folder.path(), &path).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(pack(folder.path(), &path).unwrap().kept, 6);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
    save(&folder.path().join("train/a/3.png"), 7, ImageFormat::Png);
    let summary = pack(folder.path(), &path).unwrap();
    assert_eq!((summary.pictures, summary.kept), (7, 0));
    fs::write(&path, "not a pack").unwrap();
    assert_eq!(pack(folder.path(), &path).unwrap().pictures, 7);
}

/// No flipped bit and no missing end gives other pictures: they are refused, or right.
#[test]
fn a_damaged_pack_never_gives_a_wrong_picture() {
    let folder = tree();
    let root = folder.path();
    let path = root.join("all.pack");
    pack(root, &path).unwrap();
    let (whole, data) = (fs::read(&path).unwrap(), open(root));
    let right = seen(&data);
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, damaged).unwrap();
        match data.clone().with_pack(&path) {
            Err(error) => {
                assert!(error.to_string().contains("pack again"), "{error}");
                refused += 1;
            }
            Ok(data) => {
                let told = seen(&data);
                let wrong = told
                    .iter()
                    .zip(&right)
                    .filter(|(told, right)| told != right);
                wrong.for_each(|(told, _)| assert!(told.contains("pack again"), "{at}: {told}"));
            }
        }
    }
    assert!(refused > 6 * 24, "{refused} of {} refused", whole.len());
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = data.clone().with_pack(&path).unwrap_err();
        assert!(
            matches!(error, Error::PackFormat { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_pack_without_a_new_picture_is_refused_with_its_name() {
    let folder = tree();
    let path = folder.path().join("all.pack");
    pack(folder.path(), &path).unwrap();
    fs::remove_file(folder.path().join("train/a/1.JPEG")).unwrap();
    assert!(open(folder.path()).with_pack(&path).is_ok());
    save(&folder.path().join("train/a/9.png"), 9, ImageFormat::Png);
    let message = open(folder.path())
        .with_pack(&path)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("1 pictures are not in this pack") && message.contains("a/9.png"),
        "{message}"
    );
    // A picture of another format is another picture.
    fs::remove_file(folder.path().join("train/a/9.png")).unwrap();
    fs::rename(
        folder.path().join("train/a/2.png"),
        folder.path().join("train/a/2.jpg"),
    )
    .unwrap();
    assert!(open(folder.path()).with_pack(&path).is_err());
}

#[test]
fn a_picture_that_changed_after_the_packing_is_found_by_comparing() {
    let folder = tree();
    let path = folder.path().join("all.pack");
    pack(folder.path(), &path).unwrap();
    let compared = || verify_pack(&open(folder.path()), &path, &|_| ());
    assert_eq!(compared().unwrap().pictures, 6);
    let changed = folder.path().join("train/a/2.png");
    let mut bytes = fs::read(&changed).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&changed, bytes).unwrap();
    let error = compared().unwrap_err();
    assert!(
        matches!(&error, Error::PackStale { picture, .. } if *picture == changed),
        "{error}"
    );
}

#[test]
fn of_two_processes_one_packs_and_the_other_is_told() {
    let folder = tree();
    let path = folder.path().join("all.pack");
    let lock = File::create(folder.path().join(".all.pack.lock")).unwrap();
    lock.lock().unwrap();
    let error = pack(folder.path(), &path).unwrap_err();
    assert!(matches!(error, Error::PackBusy { .. }), "{error}");
    drop(lock);
    assert!(pack(folder.path(), &path).is_ok());
}

#[test]
fn a_picture_that_cannot_be_read_stops_the_packing_and_leaves_no_pack() {
    let folder = tree();
    let path = folder.path().join("all.pack");
    let data = open(folder.path());
    let gone = folder.path().join("train/b c/ü.webp");
    fs::rename(&gone, folder.path().join("elsewhere")).unwrap();
    let error = write_pack(&data, &Split::ALL, &path, &|_| ()).unwrap_err();
    assert!(error.to_string().contains("ü.webp"), "{error}");
    assert!(!path.exists());
    fs::rename(folder.path().join("elsewhere"), gone).unwrap();
    assert!(pack(folder.path(), &path).unwrap().pictures == 6);
}
