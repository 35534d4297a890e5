//! `luss data`: what each of its commands says, leaves and refuses.

#[path = "../../../imagenet-s/tests/miniature/mod.rs"]
mod miniature;
mod prepare;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use imagenet_s::{
    Dataset, LabelMask, Split,
    synthetic::{SyntheticConfig, write_synthetic},
    write_mask,
};
use tempfile::TempDir;

/// A tree with masks in every split that may have them.
fn tree() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = SyntheticConfig {
        classes: 3,
        train: 6,
        train_semi_per_class: 1,
        validation: 3,
        test: 2,
        side_px: 32,
        ..SyntheticConfig::default()
    };
    write_synthetic(&folder.path().join("tree"), &config).unwrap();
    folder
}

fn data(words: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
    command.arg("data").args(words).current_dir(folder);
    command
}

/// The exit code, and what was said.
fn ended(mut command: Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code(), said)
}

#[track_caller]
fn check(words: &[&str], folder: &TempDir, code: i32, fragment: &str) {
    let (ended, said) = ended(data(words, folder.path()));
    assert_eq!(ended, Some(code), "{said}");
    assert!(said.contains(fragment), "no {fragment:?} in {said}");
}

fn first_picture(folder: &TempDir, split: Split) -> PathBuf {
    let data = Dataset::open(&folder.path().join("tree")).unwrap();
    data.samples(split)[0].picture.clone()
}

#[test]
fn pack_packs_compares_and_takes_plain_folders() {
    let folder = tree();
    check(
        &["pack", "tree", "--out", "all.pack"],
        &folder,
        0,
        "14 pictures are packed",
    );
    let compare = ["pack", "tree", "--out", "all.pack", "--verify"];
    check(&compare, &folder, 0, "14 pictures are those of the files");
    let plain = ["pack", "--pictures", "tree/train", "--out", "full.pack"];
    check(&plain, &folder, 0, "6 pictures are packed");
    let train = Dataset::open_pictures(&folder.path().join("tree/train"), 3).unwrap();
    assert!(train.with_pack(&folder.path().join("full.pack")).is_ok());
    check(&["pack", "nowhere", "--out", "a"], &folder, 2, "nowhere");
    fs::write(first_picture(&folder, Split::Train), "another").unwrap();
    check(&compare, &folder, 2, "differs from the one in all.pack");
}

#[test]
fn statistics_describes_a_tree_and_compares_annotators() {
    let folder = tree();
    let words = ["statistics", "tree", "--out", "new/out"];
    check(&words, &folder, 0, "validation           3         3");
    for file in ["statistics.html", "statistics.json"] {
        assert!(folder.path().join("new/out").join(file).is_file());
    }
    let masks = "tree/validation-segmentation";
    let words = [
        "statistics",
        "--annotators",
        masks,
        masks,
        masks,
        "--out",
        "new",
    ];
    check(&words, &folder, 0, "3 pictures, mean over 3 pairs");
    assert!(folder.path().join("new/agreement.json").is_file());
    check(&["statistics", "nowhere"], &folder, 2, "nowhere");
}

/// A prediction for each picture of a split, all of it class 1.
fn predict(folder: &TempDir, split: Split) -> PathBuf {
    let predictions = folder.path().join("predictions");
    let data = Dataset::open(&folder.path().join("tree")).unwrap();
    for sample in data.samples(split) {
        let (width, height) = sample.picture_size().unwrap();
        let mask = LabelMask::new(width, height, vec![1; width * height]).unwrap();
        write_mask(&predictions.join(format!("{}.png", sample.key)), &mask).unwrap();
    }
    predictions
}

#[test]
fn submit_writes_the_archive_and_refuses_what_the_server_would() {
    let folder = tree();
    let predictions = predict(&folder, Split::Test);
    let words = ["submit", "tree", "predictions", "--name", "PASS"];
    check(&words, &folder, 0, "test.zip: 2 predictions");
    let archive = fs::File::open(folder.path().join("test.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let method = io::read_to_string(archive.by_name("method.txt").unwrap()).unwrap();
    assert!(method.starts_with("Method name: PASS\n"), "{method}");
    fs::remove_dir_all(predictions).unwrap();
    fs::create_dir(folder.path().join("predictions")).unwrap();
    check(&words, &folder, 2, "there is no prediction");
}
