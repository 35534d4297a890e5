//! Datasets of one's own: pictures with masks.

use std::fs;

use imagenet_s::{Dataset, Split};
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
