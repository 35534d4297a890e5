//! Which folders are walked: each real one once, and none of results.

#![cfg(unix)]

use std::{fs, os::unix::fs::symlink, path::Path};

use imagenet_s::{Dataset, Error, LeftOut, Selection, Split};
use tempfile::TempDir;

/// A folder with these files. Opening a dataset opens no file, so they may be empty.
fn tree(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    add(folder.path(), files);
    folder
}

fn add(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
}

fn keys(data: &Dataset) -> Vec<&str> {
    let samples = data.samples(Split::Train).iter();
    samples.map(|sample| sample.key.as_str()).collect()
}

fn selection(run: Option<&Path>) -> Selection {
    run.map(Selection::of_run).unwrap_or_default()
}

/// The pictures of a folder, and how often each reason left out a folder: results, doubles.
#[track_caller]
fn check_pictures(root: &Path, run: Option<&Path>, expected: &[&str], left_out: [usize; 2]) {
    let data = Dataset::open_selected_pictures(&selection(run), root, 3).unwrap();
    assert_eq!(keys(&data), expected, "{:?}", data.left_out());
    let is_results = |folder: &&LeftOut| matches!(folder, LeftOut::Results { .. });
    let results = data.left_out().iter().filter(is_results).count();
    assert_eq!([results, data.left_out().len() - results], left_out);
}

/// What a run leaves in its folder.
const RUN: [&str; 4] = [
    "run.toml",
    "data/train/a/1.png",
    "fine_tuned/train/1.png",
    "controls/x/fine_tuned/train/1.png",
];

fn add_run(folder: &Path) {
    add(folder, &RUN);
}

#[test]
fn the_files_of_runs_are_no_pictures() {
    let folder = tree(&["1.jpg", "a/2.jpg", "a/deep/3.jpg", "z.png"]);
    let root = folder.path();
    for run in ["runs/one", "runs/two", "a/deep/run", "b"] {
        add_run(&root.join(run));
    }
    let clustered = [
        "out/centroids.npy",
        "out/assignments.json",
        "out/masks/c/1.png",
    ];
    add(root, &clustered);
    add(root, &["masks/.exported", "masks/a/2.png"]);
    let pictures = ["1", "a/2", "a/deep/3", "z"];
    check_pictures(root, None, &pictures, [6, 0]);
    symlink(root.join("runs/one/fine_tuned"), root.join("best")).unwrap();
    check_pictures(root, None, &pictures, [7, 0]);
}

#[test]
fn masks_may_lie_in_folders_of_results() {
    let folder = tree(&[
        "1.jpg",
        "masks/run/.exported",
        "masks/run/a/2.png",
        "val/run/a/2.jpg",
    ]);
    let root = folder.path();
    // `masks` lies among the pictures of `root`, where its PNGs are none.
    let data = Dataset::open_pictures(root, 3).unwrap();
    assert_eq!(keys(&data), ["1", "val/run/a/2"]);
    let paired = data.with_pairs(Split::Validation, &root.join("val"), &root.join("masks"));
    assert!(paired.unwrap().has_masks(Split::Validation));
}

#[test]
fn a_run_that_has_not_started_has_no_pictures_either() {
    let folder = tree(&["1.jpg", "runs/new/data/train/a/2.png", "runs/3.jpg"]);
    let (root, run) = (folder.path(), folder.path().join("runs/new"));
    check_pictures(root, Some(&run), &["1", "runs/3"], [1, 0]);
    check_pictures(
        root,
        Some(&root.join("runs/../runs/new")),
        &["1", "runs/3"],
        [1, 0],
    );
    check_pictures(
        root,
        Some(&root.join("gone")),
        &["1", "runs/3", "runs/new/data/train/a/2"],
        [0, 0],
    );
}

#[test]
fn pictures_in_a_run_are_read_where_the_user_names_their_folder() {
    let folder = tree(&[]);
    add_run(folder.path());
    let root = folder.path().join("data");
    check_pictures(&root.join("train"), Some(folder.path()), &["a/1"], [0, 0]);
    let data = Dataset::open_selected(&Selection::of_run(folder.path()), &root).unwrap();
    assert_eq!(keys(&data), ["a/1"]);
}

#[test]
fn the_folder_of_a_run_is_refused_as_one_of_pictures() {
    let folder = tree(&["1.jpg"]);
    let root = folder.path();
    let refused = |run| Dataset::open_selected_pictures(&selection(run), root, 3).unwrap_err();
    assert!(matches!(refused(Some(root)), Error::RunNotPictures { .. }));
    add_run(root);
    let message = refused(None).to_string();
    assert!(message.contains("--run"), "{message}");
}

#[test]
fn a_folder_that_holds_nothing_but_runs_is_no_class() {
    let folder = tree(&["train/a/1.jpg", "train/b/2.jpg", "validation/a/3.jpg"]);
    add_run(&folder.path().join("train/runs/one"));
    add_run(&folder.path().join("train/b/run"));
    let data = Dataset::open(folder.path()).unwrap();
    assert_eq!(data.class_names(), ["a", "b"]);
    assert_eq!(keys(&data), ["a/1", "b/2"]);
}

#[test]
fn loops_of_links_count_no_picture_twice() {
    let folder = tree(&["pictures/1.jpg", "pictures/a/b/2.jpg", "beside/3.jpg"]);
    let root = folder.path().join("pictures");
    for (target, link) in [
        (".", "loop"),
        ("..", "above"),
        ("../..", "a/b/up"),
        ("../b", "a/b/self"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    check_pictures(&root, None, &["1", "a/b/2"], [0, 4]);
    let message = Dataset::open_pictures(&root, 2).unwrap().left_out()[0].to_string();
    assert!(
        message.starts_with(root.join("a/b/self").to_str().unwrap()),
        "{message}"
    );
}

#[test]
fn a_folder_keeps_its_own_name_where_a_link_leads_to_it_too() {
    let folder = tree(&["b/real/1.jpg", ".hidden/2.jpg"]);
    let root = folder.path();
    symlink("b/real", root.join("a")).unwrap();
    symlink(".hidden", root.join("c")).unwrap();
    check_pictures(root, None, &["b/real/1", "c/2"], [0, 1]);
}

#[test]
fn links_to_folders_elsewhere_are_followed_once_each() {
    let folder = tree(&["pictures/1.jpg", "x/2.jpg", "x/deep/3.jpg", "y/4.jpg"]);
    let root = folder.path().join("pictures");
    for (target, link) in [("../x", "a"), ("../y", "b")] {
        symlink(target, root.join(link)).unwrap();
    }
    check_pictures(&root, None, &["1", "a/2", "a/deep/3", "b/4"], [0, 0]);
    symlink("../x", root.join("c")).unwrap();
    symlink("../x/deep", root.join("d")).unwrap();
    symlink("../pictures", folder.path().join("y/back")).unwrap();
    check_pictures(&root, None, &["1", "a/2", "a/deep/3", "b/4"], [0, 3]);
}

#[test]
fn all_pairs_of_one_stem_in_a_tree_are_named() {
    let folder = tree(&[
        "train/a/1.jpg",
        "train/a/1.png",
        "train/a/1.webp",
        "train/b/2.jpg",
        "train/b/2.png",
        "train/b/3.png",
    ]);
    let message = Dataset::open(folder.path()).unwrap_err().to_string();
    for name in ["a/1.jpg and ", "a/1.webp", "b/2.jpg and "] {
        assert!(message.contains(name), "{message}");
    }
    assert!(
        !message.contains("b/3") && !message.contains("remove"),
        "{message}"
    );
}
