//! The doctor finds each planted fault, names it, and says whether to train.

mod leaks;
#[path = "../miniature/mod.rs"]
mod miniature;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use image::{ImageFormat, RgbImage};
use imagenet_s::{
    Manifest, Split, Subset,
    doctor::{FaultKind, Options, Report, examine},
    prepare::{Config, ImageNet, Placing, Plan, prepare},
};
use miniature::{miniature, picture};
use tempfile::TempDir;

/// Prepared copies of the three subsets, made once, to be copied and damaged.
fn prepared() -> &'static Path {
    static PREPARED: OnceLock<TempDir> = OnceLock::new();
    let folder = PREPARED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            imagenet: ImageNet::open(&miniature().imagenet()).unwrap(),
            annotations: miniature().annotations(),
            test_mappings: Some(miniature().mappings()),
            output: folder.path().to_owned(),
            placing: Placing::Copy,
            train_full: false,
        };
        for subset in Subset::ALL {
            let plan = Plan::new(&config, &manifest(), subset).unwrap();
            prepare(&plan, &|_| ()).unwrap();
        }
        folder
    });
    folder.path()
}

fn manifest() -> Manifest {
    Manifest::read(&miniature().manifest).unwrap()
}

fn options() -> Options {
    Options {
        manifest: manifest(),
        ..Options::default()
    }
}

/// A tree of 50 classes of one's own, by copies, to be damaged.
fn tree() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("ImageNetS50");
    copy(&prepared().join("ImageNetS50"), &root);
    (folder, root)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

fn examined(root: &Path) -> Report {
    examine(&[root.to_owned()], &options(), &|_| ()).unwrap()
}

/// The first file of the folder `goldfish` of a split, or of its masks.
fn first(root: &Path, folder: &str) -> PathBuf {
    let class = root.join(folder).join("n01443537");
    let files = fs::read_dir(class).unwrap();
    files.map(|file| file.unwrap().path()).min().unwrap()
}

/// Damages a clean tree, and expects this fault at that path, with a remedy.
#[track_caller]
fn check_found(kind: FaultKind, damage: impl FnOnce(&Path) -> PathBuf) {
    let (_folder, root) = tree();
    let path = damage(&root);
    let report = examined(&root);
    let found = report
        .faults
        .iter()
        .find(|fault| fault.kind == kind && fault.path == path);
    let found = found.unwrap_or_else(|| panic!("{} not found in\n{report}", kind.name()));
    let (what, remedy) = found.message.split_once(';').expect("a remedy");
    assert!(!what.is_empty() && remedy.len() > 10, "{}", found.message);
    assert_eq!(report.may_train(), kind.is_warning(), "{report}");
    // One cause may show in several ways, but nothing else is blamed.
    assert!(report.faults.len() <= 4, "{report}");
}

#[test]
fn prepared_trees_are_clean() {
    for subset in ["ImageNetS50", "ImageNetS300", "ImageNetS919"] {
        let report = examined(&prepared().join(subset));
        assert_eq!(report.faults, [], "{report}");
    }
}

#[test]
fn trees_of_links_are_clean_wherever_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    for (placing, subset) in [
        (Placing::Symlink, Subset::S50),
        (Placing::Hardlink, Subset::S50),
        (Placing::Symlink, Subset::S919),
    ] {
        let config = Config {
            imagenet: ImageNet::open(&miniature().imagenet()).unwrap(),
            annotations: miniature().annotations(),
            test_mappings: Some(miniature().mappings()),
            output: folder.path().join(format!("mein Ördner 数据 {placing:?}")),
            placing,
            train_full: true,
        };
        let plan = Plan::new(&config, &manifest(), subset).unwrap();
        prepare(&plan, &|_| ()).unwrap();
        let report = examined(&plan.root);
        assert_eq!(report.faults, [], "{report}");
    }
}

// Fifteen faults and more, each planted alone.

#[test]
fn an_interrupted_preparation_is_found() {
    check_found(FaultKind::Unfinished, |root| {
        let staging = root.join(".prepare");
        fs::create_dir(&staging).unwrap();
        staging
    });
}

#[test]
fn a_missing_folder_of_masks_is_found() {
    let (_folder, root) = tree();
    let masks = Split::Validation.masks(&root).unwrap();
    fs::remove_dir_all(&masks).unwrap();
    let report = examined(&root);
    let kinds = |kind| report.faults.iter().filter(move |fault| fault.kind == kind);
    assert_eq!(kinds(FaultKind::MissingFolder).next().unwrap().path, masks);
    assert_eq!(kinds(FaultKind::MissingFile).count(), 50);
}

#[test]
fn a_class_list_of_another_subset_is_found() {
    check_found(FaultKind::ClassList, |root| {
        let list = root.join("categories.txt");
        fs::write(&list, "n01443537\nn01491361").unwrap();
        list
    });
}

#[test]
fn an_unknown_class_folder_is_found() {
    check_found(FaultKind::UnknownClass, |root| {
        let class = root.join("train/n99999999");
        fs::create_dir(&class).unwrap();
        class
    });
}

#[test]
fn an_empty_class_and_its_wrong_count_are_found() {
    let damage = |root: &Path| {
        let class = root.join("train/n01443537");
        fs::remove_dir_all(&class).unwrap();
        class
    };
    check_found(FaultKind::EmptyClass, damage);
    check_found(FaultKind::WrongCount, |root| {
        damage(root);
        root.join("train")
    });
}

#[test]
fn a_name_that_imagenet_does_not_give_is_found() {
    check_found(FaultKind::WrongName, |root| {
        let picture = first(root, "train");
        let renamed = picture.with_file_name("holiday.JPEG");
        fs::rename(picture, &renamed).unwrap();
        renamed
    });
}

#[test]
fn a_picture_outside_the_class_folders_is_found() {
    check_found(FaultKind::LooseFile, |root| {
        let loose = root.join("test/ILSVRC2012_val_99999999.JPEG");
        fs::write(&loose, miniature::jpeg(7)).unwrap();
        loose
    });
}

#[test]
fn two_files_of_one_stem_are_found() {
    check_found(FaultKind::DuplicateStem, |root| {
        let picture = first(root, "train");
        let second = picture.with_extension("png");
        RgbImage::new(3, 2).save(&second).unwrap();
        second
    });
}

#[cfg(unix)]
#[test]
fn a_dangling_link_is_found() {
    check_found(FaultKind::DanglingLink, |root| {
        let picture = first(root, "train");
        fs::remove_file(&picture).unwrap();
        std::os::unix::fs::symlink("../gone.JPEG", &picture).unwrap();
        picture
    });
}

#[test]
fn an_empty_file_is_found() {
    check_found(FaultKind::EmptyFile, |root| {
        let picture = first(root, "train");
        fs::write(&picture, "").unwrap();
        picture
    });
}

#[test]
fn a_truncated_picture_is_found() {
    check_found(FaultKind::TruncatedPicture, |root| {
        let picture = first(root, "validation");
        let bytes = fs::read(&picture).unwrap();
        fs::write(&picture, &bytes[..bytes.len() - 9]).unwrap();
        picture
    });
}

#[test]
fn a_web_page_in_place_of_a_picture_is_found() {
    check_found(FaultKind::PictureFormat, |root| {
        let picture = first(root, "train");
        fs::write(&picture, "<html>404</html>").unwrap();
        picture
    });
}

#[test]
fn a_picture_of_another_format_than_its_name_is_found() {
    check_found(FaultKind::OddPicture, |root| {
        let file = first(root, "train");
        picture().save_with_format(&file, ImageFormat::Png).unwrap();
        file
    });
}

#[test]
fn a_picture_without_mask_is_found() {
    check_found(FaultKind::MissingMask, |root| {
        fs::remove_file(first(root, "validation-segmentation")).unwrap();
        first(root, "validation")
    });
}

#[test]
fn a_mask_without_picture_is_found() {
    check_found(FaultKind::MaskWithoutPicture, |root| {
        fs::remove_file(first(root, "train-semi")).unwrap();
        first(root, "train-semi-segmentation")
    });
}

/// Replaces the first validation mask.
fn replaced_mask(root: &Path, mask: RgbImage) -> PathBuf {
    let path = first(root, "validation-segmentation");
    mask.save(&path).unwrap();
    path
}

#[test]
fn a_mask_of_another_size_is_found() {
    check_found(FaultKind::MaskSize, |root| {
        replaced_mask(root, RgbImage::from_pixel(7, 9, image::Rgb([1, 0, 0])))
    });
}

#[test]
fn an_id_out_of_range_is_found() {
    check_found(FaultKind::IdOutOfRange, |root| {
        let mut mask = RgbImage::from_pixel(9, 7, image::Rgb([1, 0, 0]));
        mask.put_pixel(3, 2, image::Rgb([51, 0, 0]));
        replaced_mask(root, mask)
    });
}

#[test]
fn a_mask_with_blue_is_found() {
    check_found(FaultKind::MaskFormat, |root| {
        replaced_mask(root, RgbImage::from_pixel(9, 7, image::Rgb([1, 0, 9])))
    });
}

#[test]
fn a_torn_mask_is_found() {
    check_found(FaultKind::UndecodableMask, |root| {
        let mask = first(root, "validation-segmentation");
        let bytes = fs::read(&mask).unwrap();
        fs::write(&mask, &bytes[..bytes.len() - 20]).unwrap();
        mask
    });
}

#[test]
fn a_mask_that_was_changed_is_found_by_its_sum() {
    check_found(FaultKind::WrongChecksum, |root| {
        replaced_mask(root, RgbImage::from_pixel(9, 7, image::Rgb([1, 0, 0])))
    });
}

#[test]
fn a_mask_without_its_class_is_a_warning() {
    let (_folder, root) = tree();
    let path = replaced_mask(&root, RgbImage::from_pixel(9, 7, image::Rgb([2, 0, 0])));
    let report = examined(&root);
    let mut faults = report.faults.iter();
    assert!(faults.any(|fault| fault.kind == FaultKind::ClassNotInMask && fault.path == path));
}

#[test]
fn results_among_the_pictures_are_a_warning() {
    check_found(FaultKind::Results, |root| {
        let run = root.join("train/runs/one");
        fs::create_dir_all(run.join("fine_tuned")).unwrap();
        fs::write(run.join("run.toml"), "").unwrap();
        fs::copy(first(root, "train"), run.join("fine_tuned/1.JPEG")).unwrap();
        run
    });
}

#[cfg(unix)]
#[test]
fn a_loop_of_links_is_a_warning() {
    check_found(FaultKind::LinkAgain, |root| {
        let link = root.join("train/n01443537/loop");
        std::os::unix::fs::symlink("..", &link).unwrap();
        link
    });
}

#[test]
fn a_picture_that_lacks_only_its_end_marker_is_a_warning() {
    check_found(FaultKind::MissingEnd, |root| {
        let picture = first(root, "train");
        let bytes = fs::read(&picture).unwrap();
        fs::write(&picture, &bytes[..bytes.len() - 2]).unwrap();
        picture
    });
}

#[test]
fn a_picture_that_viewers_turn_is_a_warning() {
    check_found(FaultKind::Orientation, |root| {
        let picture = first(root, "train");
        let bytes = fs::read(&picture).unwrap();
        // One entry of a TIFF directory: the orientation, a number of 16 bits, "turn by 90 degrees".
        let entry = [0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0];
        let exif = [
            b"Exif\0\0II*\0".as_slice(),
            &[8, 0, 0, 0, 1, 0],
            &entry,
            &[0; 4],
        ]
        .concat();
        let segment = [&[0xFF, 0xE1, 0, exif.len() as u8 + 2], exif.as_slice()].concat();
        fs::write(&picture, [&bytes[..2], &segment, &bytes[2..]].concat()).unwrap();
        picture
    });
}

#[test]
fn a_picture_that_uses_a_small_part_of_16_bits_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("train/lemon");
    fs::create_dir_all(&class).unwrap();
    let deep = image::ImageBuffer::from_fn(9, 7, |x, y| image::Luma([(500 * x + y) as u16]));
    deep.save(class.join("deep.png")).unwrap();
    let report = examined(folder.path());
    assert_eq!(report.faults.len(), 1, "{report}");
    assert_eq!(report.faults[0].kind, FaultKind::NarrowRange);
    assert!(report.faults[0].message.contains("0 to 4006"), "{report}");
}

#[test]
fn a_file_that_nothing_reads_is_a_warning() {
    check_found(FaultKind::StrayFile, |root| {
        let stray = root.join("train/n01443537/Thumbs.db");
        fs::write(&stray, "x").unwrap();
        stray
    });
}

#[test]
fn test_pictures_in_the_validation_of_919_are_counted() {
    let roots = ["ImageNetS50", "ImageNetS300", "ImageNetS919"].map(|name| prepared().join(name));
    let quick = Options {
        open_files: false,
        ..options()
    };
    let report = examine(&roots, &quick, &|_| ()).unwrap();
    assert!(report.may_train(), "{report}");
    let shared = |root: &PathBuf| {
        let in_919 = format!("validation pictures of {}", roots[2].display());
        let of_root = |fault: &&imagenet_s::doctor::Fault| {
            fault.path == root.join("test") && fault.message.contains(&in_919)
        };
        let fault = report.faults.iter().find(of_root).unwrap();
        fault.message.split(' ').next().unwrap().to_owned()
    };
    assert_eq!([shared(&roots[0]), shared(&roots[1])], ["4", "19"]);
}

#[test]
fn recorded_sums_find_a_picture_that_changes_later() {
    let (_folder, root) = tree();
    let record = Options {
        record: true,
        ..options()
    };
    examine(std::slice::from_ref(&root), &record, &|_| ()).unwrap();
    assert_eq!(examined(&root).faults, []);
    let picture = first(&root, "train");
    fs::write(&picture, miniature::jpeg(77_777)).unwrap();
    let report = examined(&root);
    assert_eq!(report.faults.len(), 1, "{report}");
    assert_eq!(report.faults[0].kind, FaultKind::WrongChecksum);
    assert_eq!(report.faults[0].path, picture);
}

#[test]
fn a_data_set_of_ones_own_is_examined_without_the_rules_of_imagenet() {
    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("train/lemon");
    fs::create_dir_all(&class).unwrap();
    picture().save(class.join("holiday.jpg")).unwrap();
    assert_eq!(examined(folder.path()).faults, []);
}
