//! Opening datasets: what is a sample, and what is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use imagenet_s::{Dataset, Error, LabelMask, Split};
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

fn opened(files: &[&str]) -> Dataset {
    Dataset::open(tree(files).path()).unwrap()
}

fn pictures(files: &[&str]) -> Dataset {
    Dataset::open_pictures(tree(files).path(), 7).unwrap()
}

fn refused(files: &[&str]) -> Error {
    Dataset::open(tree(files).path()).unwrap_err()
}

fn keys(dataset: &Dataset, split: Split) -> Vec<&str> {
    dataset
        .samples(split)
        .iter()
        .map(|sample| sample.key.as_str())
        .collect()
}

fn folders(dataset: &Dataset, split: Split) -> Vec<Option<u32>> {
    dataset
        .samples(split)
        .iter()
        .map(|sample| sample.folder)
        .collect()
}

#[track_caller]
fn check_message(error: &Error, mentioned: &[&str]) {
    for words in mentioned {
        assert!(
            error.to_string().contains(words),
            "{words:?} is not in: {error}"
        );
    }
}

// Samples and classes

#[test]
fn samples_come_in_the_order_of_their_names() {
    let dataset = opened(&[
        "train/b/2.jpg",
        "train/b/10.jpg",
        "train/a-b/7.jpg",
        "train/a/x.jpg",
    ]);
    assert_eq!(
        keys(&dataset, Split::Train),
        ["a/x", "a-b/7", "b/10", "b/2"]
    );
    assert_eq!(
        folders(&dataset, Split::Train),
        [Some(0), Some(1), Some(2), Some(2)]
    );
}

#[test]
fn classes_are_the_folders_of_all_splits() {
    let dataset = opened(&["train/cat/1.jpg", "train/ant/1.jpg", "validation/bee/1.jpg"]);
    assert_eq!(dataset.class_names(), ["ant", "bee", "cat"]);
    assert_eq!(dataset.classes(), 3);
    assert_eq!(folders(&dataset, Split::Train), [Some(0), Some(2)]);
    assert_eq!(folders(&dataset, Split::Validation), [Some(1)]);
}

#[test]
fn a_class_list_may_name_classes_without_a_folder() {
    let folder = tree(&["train/cat/1.jpg"]);
    fs::write(folder.path().join("categories.txt"), "ant\nbee\ncat").unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(dataset.class_names(), ["ant", "bee", "cat"]);
    assert_eq!(folders(&dataset, Split::Train), [Some(2)]);
}

#[test]
fn an_absent_split_has_no_samples_and_no_masks() {
    let dataset = opened(&["train/ant/1.jpg"]);
    assert!(dataset.samples(Split::Test).is_empty());
    assert!(!dataset.has_masks(Split::Test));
}

#[test]
fn pictures_and_masks_pair_by_stem() {
    let dataset = opened(&[
        "train/ant/1.jpg",
        "validation/ant/8.v2.JPEG",
        "validation/bee/9.webp",
        "validation-segmentation/ant/8.v2.png",
        "validation-segmentation/bee/9.PNG",
        "test/ant/5.png",
    ]);
    let masks = dataset
        .samples(Split::Validation)
        .iter()
        .map(|sample| sample.mask.as_deref());
    let masks: Vec<&Path> = masks.map(|mask| mask.unwrap()).collect();
    assert!(masks[0].ends_with("validation-segmentation/ant/8.v2.png"));
    assert!(masks[1].ends_with("validation-segmentation/bee/9.PNG"));
    assert!(dataset.has_masks(Split::Validation));
    assert!(
        !dataset.has_masks(Split::Test),
        "the masks of a test split may be kept secret"
    );
    assert!(!dataset.has_masks(Split::Train));
}

#[test]
fn other_files_are_ignored_but_counted_and_hidden_ones_skipped() {
    let dataset = opened(&[
        "train/ant/1.JpG",
        "train/ant/notes.txt",
        "train/ant/no_extension",
        "train/README.md",
        "train/ant/._1.jpg",
        "train/.cache/2.jpg",
    ]);
    assert_eq!(keys(&dataset, Split::Train), ["ant/1"]);
    assert_eq!(dataset.class_names(), ["ant"]);
    let others = dataset.other_files().to_string();
    assert_eq!(others, "1 without extension, 1 md, 1 txt");
}

#[cfg(unix)]
#[test]
fn symbolic_links_to_folders_and_files_are_followed() {
    use std::os::unix::fs::symlink;
    let (elsewhere, folder) = (tree(&["n1/1.jpg"]), tree(&["train/n2/2.jpg"]));
    let train = folder.path().join("train");
    symlink(elsewhere.path().join("n1"), train.join("n1")).unwrap();
    symlink(elsewhere.path().join("n1/1.jpg"), train.join("n2/1.jpg")).unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(keys(&dataset, Split::Train), ["n1/1", "n2/1", "n2/2"]);
}

// Refusals

#[test]
fn a_missing_training_split_is_named_with_a_remedy() {
    let error = refused(&["validation/ant/1.jpg"]);
    check_message(
        &error,
        &["/train: folder is missing", "Dataset::open_pictures"],
    );
}

#[test]
fn a_root_that_does_not_exist_is_named() {
    let error = Dataset::open(Path::new("nowhere/at-all")).unwrap_err();
    check_message(
        &error,
        &["nowhere/at-all: folder is missing", "check the path"],
    );
}

#[test]
fn a_split_without_pictures_is_refused() {
    let error = refused(&["train/ant/notes.txt"]);
    check_message(&error, &["/train: no JPEG, PNG, WebP, TIFF or BMP picture"]);
    let error = refused(&["train/ant/1.jpg", "validation/ant/1.gif"]);
    check_message(&error, &["/validation: no JPEG", "(left out: 1 gif)"]);
}

#[test]
fn a_picture_beside_the_class_folders_is_refused() {
    check_message(
        &refused(&["train/ant/1.jpg", "train/2.jpg"]),
        &["/train/2.jpg"],
    );
}

#[test]
fn two_files_with_one_stem_are_refused_by_both_names() {
    let error = refused(&["train/ant/1.jpg", "train/ant/1.png"]);
    check_message(
        &error,
        &["train/ant/1.jpg and ", "train/ant/1.png: two files"],
    );
}

#[test]
fn missing_masks_are_counted_and_the_first_named() {
    let error = refused(&[
        "train/ant/1.jpg",
        "validation/ant/1.jpg",
        "validation/ant/2.jpg",
        "validation/bee/3.jpg",
        "validation-segmentation/ant/1.png",
    ]);
    check_message(&error, &["2 pictures have no mask", "validation/ant/2.jpg"]);
}

#[test]
fn masks_without_a_picture_are_counted_and_the_first_named() {
    let error = refused(&[
        "train/ant/1.jpg",
        "test/ant/1.jpg",
        "test-segmentation/ant/1.png",
        "test-segmentation/ant/3.png",
        "test-segmentation/ant/2.png",
    ]);
    check_message(
        &error,
        &["2 masks have no picture", "test-segmentation/ant/2.png"],
    );
}

#[test]
fn a_folder_that_the_class_list_lacks_is_refused() {
    let folder = tree(&["train/ant/1.jpg", "validation/wasp/1.jpg"]);
    fs::write(folder.path().join("categories.txt"), "ant\nbee\n").unwrap();
    let error = Dataset::open(folder.path()).unwrap_err();
    check_message(
        &error,
        &[
            "validation/wasp",
            "not one of the 2 classes",
            "categories.txt",
        ],
    );
}

#[test]
fn a_class_list_out_of_order_is_refused_by_its_line() {
    let folder = tree(&["train/ant/1.jpg"]);
    for list in ["ant\ncat\nbee\n", "ant\nbee\nbee\n"] {
        fs::write(folder.path().join("categories.txt"), list).unwrap();
        let error = Dataset::open(folder.path()).unwrap_err();
        check_message(&error, &["categories.txt: line 3 (\"bee\")"]);
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_refused_with_its_target() {
    let folder = tree(&["train/ant/1.jpg"]);
    let link = folder.path().join("train/bee");
    std::os::unix::fs::symlink("imagenet/train/bee", link).unwrap();
    let error = Dataset::open(folder.path()).unwrap_err();
    check_message(
        &error,
        &[
            "train/bee: symbolic link leads nowhere",
            "imagenet/train/bee",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_cycle_of_links_is_named_and_walked_once() {
    let folder = tree(&["train/ant/1.jpg"]);
    let link = folder.path().join("train/ant/up");
    std::os::unix::fs::symlink("..", &link).unwrap();
    let data = Dataset::open(folder.path()).unwrap();
    assert_eq!(data.samples(Split::Train).len(), 1);
    assert_eq!(data.left_out()[0].path(), link);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tree(&["train/ant/1.jpg"]);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.jpg");
    fs::write(folder.path().join("train/ant").join(name), "").unwrap();
    let error = Dataset::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NameNotUtf8 { .. }), "{error}");
}

// Plain folders of pictures

#[test]
fn a_flat_folder_of_pictures_has_no_folder_ranks() {
    let dataset = pictures(&["b.jpg", "a.webp", "notes.txt"]);
    assert_eq!(keys(&dataset, Split::Train), ["a", "b"]);
    assert_eq!(folders(&dataset, Split::Train), [None, None]);
    assert_eq!((dataset.classes(), dataset.other_files().count()), (7, 1));
    assert!(dataset.class_names().is_empty());
}

#[test]
fn a_nested_folder_counts_by_its_top_level() {
    let dataset = pictures(&["y/2019/may/1.jpg", "x/1.jpg", "y/1.png", "loose.jpg"]);
    assert_eq!(
        keys(&dataset, Split::Train),
        ["loose", "x/1", "y/1", "y/2019/may/1"]
    );
    assert_eq!(
        folders(&dataset, Split::Train),
        [None, Some(0), Some(1), Some(1)]
    );
}

#[test]
fn a_stem_may_come_back_in_another_folder() {
    assert_eq!(
        keys(&pictures(&["a/1.jpg", "b/1.png"]), Split::Train),
        ["a/1", "b/1"]
    );
}

#[test]
fn files_of_one_stem_are_kept_apart_in_a_plain_folder() {
    let data = pictures(&["1.v2.jpg", "1.v2.x.jpg", "1.v2.PNG", "b/1.v2.jpg"]);
    assert_eq!(
        keys(&data, Split::Train),
        ["1.v2.PNG", "1.v2.jpg", "1.v2.x", "b/1.v2"]
    );
    assert_eq!(data.same_stems().len(), 1);
}

#[test]
fn a_stem_that_is_the_name_of_another_file_is_kept_apart_too() {
    let data = pictures(&["a.jpg", "a.png", "a.jpg.png", "b.jpg"]);
    assert_eq!(
        keys(&data, Split::Train),
        ["a.jpg", "a.jpg.png", "a.png", "b"]
    );
}

#[test]
fn the_masks_of_a_tree_are_not_taken_for_pictures() {
    let folder = tree(&["train/ant/1.jpg", "validation-segmentation/ant/1.png"]);
    let error = Dataset::open_pictures(folder.path(), 7).unwrap_err();
    assert!(matches!(error, Error::TreeNotFolder { .. }), "{error}");
    let train = folder.path().join("train");
    assert_eq!(
        keys(&Dataset::open_pictures(&train, 7).unwrap(), Split::Train),
        ["ant/1"]
    );
}

#[test]
fn an_empty_or_absent_folder_of_pictures_is_refused() {
    let error = Dataset::open_pictures(tree(&["notes.txt"]).path(), 7).unwrap_err();
    check_message(&error, &["left out: 1 txt"]);
    let error = Dataset::open_pictures(Path::new("nowhere/at-all"), 7).unwrap_err();
    check_message(&error, &["nowhere/at-all"]);
}

#[test]
fn ids_stay_below_the_ignore_label() {
    let folder = tree(&["a.jpg"]);
    for (classes, allowed) in [(0, false), (1, true), (999, true), (1000, false)] {
        let opened = Dataset::open_pictures(folder.path(), classes);
        assert_eq!(opened.is_ok(), allowed, "{classes} classes");
    }
}

// Masks against a dataset

#[track_caller]
fn checked(labels: [u16; 6], picture_px: (usize, usize)) -> Result<(), Error> {
    let mask = LabelMask::new(3, 2, labels.into()).unwrap();
    pictures(&["a.jpg"]).check_mask(&mask, &PathBuf::from("ant/1.png"), picture_px)
}

#[test]
fn other_ignore_and_every_class_are_allowed() {
    checked([0, 1, 2, 7, 1000, 0], (3, 2)).unwrap();
}

#[test]
fn an_id_above_the_class_count_is_refused_with_both_numbers() {
    let error = checked([0, 1, 9, 8, 1000, 0], (3, 2)).unwrap_err();
    check_message(&error, &["ant/1.png", "id 9", "1 to 7"]);
    assert!(checked([1001; 6], (3, 2)).is_err());
}

#[test]
fn a_mask_of_another_size_than_its_picture_is_refused_with_both_sizes() {
    let error = checked([0; 6], (2, 3)).unwrap_err();
    check_message(&error, &["ant/1.png", "3 x 2", "2 x 3", "resize"]);
}
