//! A generated ImageNet-1k in miniature: 1000 class folders with two tiny pictures each, validation
//! in both layouts, archives of masks with their sums in a manifest, and mapping files.
//!
//! As in the published data, one picture in seven was assigned to another class than its ImageNet
//! folder says, some train-semi pictures come from a merged folder, the small subsets' validation
//! pictures are those of 919, and 4 and 19 of their test pictures are in the validation of 919.

#![allow(dead_code, reason = "each test binary uses another part")]

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
    sync::{LazyLock, OnceLock},
};

use image::{ImageFormat, Rgb, RgbImage};
use imagenet_s::{
    Manifest, Split, Subset,
    categories::{Class, categories, class_of, classes},
    checksums::md5_of,
    layout::{subset_folder, test_mapping_file},
};
use tempfile::TempDir;

/// Width and height of every picture.
const SIDES: (u32, u32) = (9, 7);

/// The miniature on disk.
pub(crate) struct Miniature {
    folder: TempDir,
    pub(crate) manifest: PathBuf,
}

impl Miniature {
    /// Validation flat.
    pub(crate) fn imagenet(&self) -> PathBuf {
        self.folder.path().join("imagenet")
    }

    /// Validation in class folders, under the other usual name.
    pub(crate) fn sorted_validation(&self) -> PathBuf {
        self.folder.path().join("sorted/validation")
    }

    pub(crate) fn annotations(&self) -> PathBuf {
        self.folder.path().join("annotations")
    }

    pub(crate) fn mappings(&self) -> PathBuf {
        self.folder.path().join("mapping")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The miniature of this test binary, made once.
pub(crate) fn miniature() -> &'static Miniature {
    static MINIATURE: OnceLock<Miniature> = OnceLock::new();
    MINIATURE.get_or_init(generate)
}

/// A picture in smooth colours.
pub(crate) fn picture() -> RgbImage {
    RgbImage::from_fn(SIDES.0, SIDES.1, |x, y| {
        Rgb([90, 20 * x as u8, 30 * y as u8])
    })
}

/// A JPEG of its own bytes: the picture with `number` in a comment.
pub(crate) fn jpeg(number: u32) -> Vec<u8> {
    static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut bytes = Cursor::new(Vec::new());
        picture().write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    });
    let (start, rest) = PLAIN.split_at(2);
    let comment = [0xFF, 0xFE, 0, 6];
    [start, &comment, &number.to_be_bytes(), rest].concat()
}

/// A mask with its class, "other" and "ignore".
fn mask(class: u16) -> Vec<u8> {
    let labels = (0..SIDES.0 * SIDES.1).map(|at| [0, class, class, 1000][at as usize % 4]);
    let rgb: Vec<u8> = labels
        .flat_map(|id| [id.to_le_bytes().as_slice(), &[0]].concat())
        .collect();
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_raw(SIDES.0, SIDES.1, rgb)
        .unwrap()
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

fn generate() -> Miniature {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_train(root);
    let numbers = write_validation(root);
    let mut manifest = embedded_head();
    for subset in Subset::ALL {
        write_subset(root, subset, &numbers, &mut manifest);
    }
    let path = root.join("manifest.toml");
    fs::write(&path, manifest).unwrap();
    Manifest::read(&path).unwrap();
    Miniature {
        manifest: path,
        folder,
    }
}

/// The numbers that training pictures of each folder have.
const TRAIN_NUMBERS: [u32; 2] = [38, 10026];

fn write_train(root: &Path) {
    for (rank, category) in categories().iter().enumerate() {
        let class = root.join("imagenet/train").join(category.wnid);
        fs::create_dir_all(&class).unwrap();
        for (at, number) in TRAIN_NUMBERS.iter().enumerate() {
            let name = format!("{}_{number}.JPEG", category.wnid);
            fs::write(class.join(name), jpeg((2 * rank + at) as u32)).unwrap();
        }
    }
}

fn validation_name(number: usize) -> String {
    format!("ILSVRC2012_val_{number:08}")
}

/// Three pictures of each of the 919 classes and one of each dropped category, in both layouts.
/// Returns the numbers of each class: two for validation, one for test.
fn write_validation(root: &Path) -> BTreeMap<&'static str, Vec<usize>> {
    let flat = root.join("imagenet/val");
    fs::create_dir_all(&flat).unwrap();
    let (mut numbers, mut number) = (BTreeMap::new(), 0);
    for (rank, category) in categories().iter().enumerate() {
        let kept = category.is_kept_in(Subset::S919);
        for _ in 0..if kept { 3 } else { 1 } {
            number += 1;
            let bytes = jpeg(10_000 + number as u32);
            let name = format!("{}.JPEG", validation_name(number));
            fs::write(flat.join(&name), &bytes).unwrap();
            let relabelled = number.is_multiple_of(7);
            let was = categories()[(rank + usize::from(relabelled)) % 1000].wnid;
            let sorted = root.join("sorted/validation").join(was);
            fs::create_dir_all(&sorted).unwrap();
            fs::write(sorted.join(name), bytes).unwrap();
            if kept {
                let of_class: &mut Vec<usize> = numbers.entry(category.wnid).or_default();
                of_class.push(number);
            }
        }
    }
    numbers
}

/// The folder a class takes its train-semi picture from: the merged one where there is one.
fn semi_source(class: &Class) -> &'static str {
    let merged = categories()
        .iter()
        .find(|category| category.merged_into() == Some(class.wnid));
    merged.map_or(class.wnid, |category| category.wnid)
}

fn write_subset(
    root: &Path,
    subset: Subset,
    numbers: &BTreeMap<&'static str, Vec<usize>>,
    manifest: &mut String,
) {
    let (mut masks, mut mapping) = (Vec::new(), String::new());
    let leaked = match subset {
        Subset::S50 => 4,
        Subset::S300 => 19,
        Subset::S919 => 0,
    };
    let (mut validation, mut train) = (0, 0);
    for (at, class) in classes(subset).iter().enumerate() {
        let folder = |split: Split| {
            let masks = split.mask_folder().unwrap();
            format!("{}/{masks}/{}", subset_folder(subset), class.wnid)
        };
        let png = mask(class.id);
        let source = semi_source(class);
        let semi = format!(
            "{}/{source}_{}.png",
            folder(Split::TrainSemi),
            TRAIN_NUMBERS[1]
        );
        masks.push((semi, png.clone()));
        let numbers = &numbers[class.wnid];
        let in_validation = if subset == Subset::S919 { 2 } else { 1 };
        for &number in &numbers[..in_validation] {
            let name = validation_name(number);
            masks.push((
                format!("{}/{name}.png", folder(Split::Validation)),
                png.clone(),
            ));
        }
        validation += in_validation;
        let test = numbers[if at < leaked { 1 } else { 2 }];
        let name = format!("{}.JPEG", validation_name(test));
        mapping += &format!("n00000000/{name} {}/{name}\n", class.wnid);
        let sources = categories().iter();
        let sources =
            sources.filter(|c| class_of(subset, c.wnid).is_some_and(|c| c.id == class.id));
        train += TRAIN_NUMBERS.len() * sources.count();
    }
    fs::create_dir_all(root.join("mapping")).unwrap();
    let file = root.join("mapping").join(test_mapping_file(subset));
    fs::write(file, mapping.trim_end()).unwrap();
    let archive = write_archive(root, subset, &masks);
    let classes = subset.classes();
    *manifest += &format!(
        "[[source.masks.archive]]\nfile = \"{}\"\nmd5 = \"{}\"\nholds = \"masks\"\n",
        archive.0, archive.1
    );
    *manifest += &format!(
        "[subset.{subset}]\nmasks = \"{}\"\npictures = {{ train = {train}, train-semi = {classes}, \
         validation = {validation}, test = {classes} }}\n",
        archive.0
    );
}

fn write_archive(root: &Path, subset: Subset, masks: &[(String, Vec<u8>)]) -> (String, String) {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in masks {
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let name = format!("masks{subset}.zip");
    fs::create_dir_all(root.join("annotations")).unwrap();
    fs::write(root.join("annotations").join(&name), &bytes).unwrap();
    (name, md5_of(&bytes))
}

fn embedded_head() -> String {
    "[source.masks]\ntitle = \"miniature\"\nhomepage = \"\"\nlicence = \"generated\"\n".to_owned()
}

/// Every file below `root` with its content, links followed, hidden names included.
pub(crate) fn content(root: &Path) -> BTreeMap<String, String> {
    let mut content = BTreeMap::new();
    visit(root, "", &mut |key, path| {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        content.insert(key, md5_of(&bytes));
    });
    content
}

fn visit(folder: &Path, prefix: &str, take: &mut impl FnMut(String, &Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let key = format!("{prefix}{name}");
        if path.is_dir() {
            visit(&path, &format!("{key}/"), take);
        } else {
            take(key, &path);
        }
    }
}
