//! Datasets of one's own: class folders from anywhere, and pictures with masks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use imagenet_s::{Dataset, Error, Split};
use tempfile::TempDir;

/// A folder with these files. Opening a dataset opens no file, so they may be empty.
fn tree(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

fn keys(dataset: &Dataset, split: Split) -> Vec<(&str, Option<u32>)> {
    let samples = dataset.samples(split).iter();
    samples
        .map(|sample| (sample.key.as_str(), sample.folder))
        .collect()
}

fn folders(root: &Path, names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| root.join(name)).collect()
}

#[test]
fn class_folders_from_anywhere_have_the_ids_of_their_order() {
    let folder = tree(&[
        "here/pears/2.jpg",
        "there/apples/1.png",
        "there/apples/deep/3.JPEG",
        "there/apples/note.txt",
    ]);
    let data =
        Dataset::open_folders(&folders(folder.path(), &["here/pears", "there/apples"])).unwrap();
    assert_eq!(data.classes(), 2);
    assert_eq!(data.class_names(), ["pears", "apples"]);
    let expected = [
        ("pears/2", Some(0)),
        ("apples/1", Some(1)),
        ("apples/deep/3", Some(1)),
    ];
    assert_eq!(keys(&data, Split::Train), expected);
    assert_eq!(data.ignored_files(), 1);
}

#[test]
fn class_folders_that_share_a_name_or_hold_nothing_are_refused() {
    let folder = tree(&["a/x/1.jpg", "b/x/1.jpg", "c/notes.txt"]);
    let open = |names: &[&str]| Dataset::open_folders(&folders(folder.path(), names)).unwrap_err();
    assert!(matches!(open(&["a/x", "b/x"]), Error::DuplicateStem { .. }));
    assert!(matches!(
        open(&["a/x", "a/../a/x"]),
        Error::DuplicateStem { .. }
    ));
    assert!(matches!(
        open(&["a/x", "c"]),
        Error::NoPictures { ignored: 1, .. }
    ));
    assert!(matches!(open(&["a/x", "gone"]), Error::Io { .. }));
    assert!(matches!(open(&[]), Error::ClassCount { classes: 0, .. }));
}

#[test]
fn pictures_with_masks_become_a_split_of_any_dataset() {
    let folder = tree(&[
        "pictures/1.jpg",
        "val/a.jpg",
        "val/more/b.png",
        "masks/a.png",
        "masks/more/b.png",
    ]);
    let root = folder.path();
    let data = Dataset::open_pictures(&root.join("pictures"), 5).unwrap();
    assert!(!data.has_masks(Split::Validation));
    let data = data
        .with_pairs(Split::Validation, &root.join("val"), &root.join("masks"))
        .unwrap();
    assert_eq!(keys(&data, Split::Train), [("1", None)]);
    assert_eq!(
        keys(&data, Split::Validation),
        [("a", None), ("more/b", None)]
    );
    assert!(data.has_masks(Split::Validation) && !data.has_masks(Split::Train));
    let sample = &data.samples(Split::Validation)[1];
    assert_eq!(
        sample.mask.as_deref(),
        Some(root.join("masks/more/b.png").as_path())
    );
}

#[test]
fn pictures_and_masks_that_do_not_pair_are_refused() {
    let folder = tree(&[
        "pictures/1.jpg",
        "val/a.jpg",
        "val/b.jpg",
        "masks/a.png",
        "masks/c.png",
    ]);
    let root = folder.path();
    let paired = || {
        let data = Dataset::open_pictures(&root.join("pictures"), 5).unwrap();
        data.with_pairs(Split::Test, &root.join("val"), &root.join("masks"))
    };
    let message = paired().unwrap_err().to_string();
    assert!(
        message.contains("1 pictures have no mask") && message.contains("b.jpg"),
        "{message}"
    );
    fs::remove_file(root.join("val/b.jpg")).unwrap();
    let message = paired().unwrap_err().to_string();
    assert!(
        message.contains("1 masks have no picture") && message.contains("c.png"),
        "{message}"
    );
    fs::remove_file(root.join("masks/c.png")).unwrap();
    assert_eq!(paired().unwrap().samples(Split::Test).len(), 1);
}
