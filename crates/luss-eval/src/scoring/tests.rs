//! How often files are decoded.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Mutex,
};

use clap::Parser as _;

use super::*;
use crate::{arguments::Arguments, evaluation::Evaluation};

/// The masks that were read, of all tests.
static READS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Called before a mask is read.
pub(crate) fn note_read(mask: &Path) {
    READS.lock().unwrap().push(mask.to_owned());
}

/// Writes a grey mask of 4 by 2 pixels.
fn mask(file: &Path, ids: [u8; 8]) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(File::create(file).unwrap(), 4, 2);
    encoder.set_color(png::ColorType::Grayscale);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&ids)
        .unwrap();
}

/// Three pictures of two classes. The last holds clusters 2 and 3, both on class 2.
fn folder() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for (name, truth, prediction) in [
        ("a.png", [0, 1, 1, 0, 0, 1, 1, 0], [0, 1, 1, 0, 0, 1, 0, 0]),
        ("b.png", [2, 2, 0, 0, 2, 2, 0, 0], [2, 2, 0, 0, 2, 2, 0, 0]),
        ("c.png", [2, 2, 2, 0, 2, 2, 2, 0], [2, 2, 3, 0, 2, 2, 3, 0]),
    ] {
        mask(&place.path().join("truth").join(name), truth);
        mask(&place.path().join("pred").join(name), prediction);
    }
    place
}

/// How often each mask was read by a run, of `pred` and of `truth`.
fn reads(options: &[&str]) -> BTreeMap<String, usize> {
    let place = folder();
    let [pred, truth] = ["pred", "truth"].map(|name| place.path().join(name));
    let folders = ["luss-eval".as_ref(), "--pred".as_ref(), pred.as_os_str()];
    let truth = ["--truth".as_ref(), truth.as_os_str()];
    let all = folders.into_iter().chain(truth);
    let options = options.iter().map(|option| option.as_ref());
    let quiet = ["--quiet", "--classes", "2"].map(std::ffi::OsStr::new);
    let arguments = Arguments::parse_from(all.chain(quiet).chain(options));
    Evaluation::new(&Settings::new(&arguments, None).unwrap()).unwrap();
    let mut counts = BTreeMap::new();
    for read in READS.lock().unwrap().iter() {
        if let Ok(name) = read.strip_prefix(place.path()) {
            *counts.entry(name.display().to_string()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn each_file_is_decoded_once() {
    let once = ["a.png", "b.png", "c.png"];
    let once = ["pred", "truth"].map(|folder| once.map(|name| (format!("{folder}/{name}"), 1)));
    let once: BTreeMap<_, _> = once.concat().into_iter().collect();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("match.json");
    fs::write(&file, r#"{"1": 1, "2": 2, "3": 2}"#).unwrap();
    let file = file.to_str().unwrap();
    for options in [
        &["--out-of-range", "reference"][..],
        &["--match", "image", "--out-of-range", "reference"],
        &["--match", file, "--bootstrap", "3"],
    ] {
        assert_eq!(reads(options), once, "{options:?}");
    }
}

#[test]
fn only_pictures_whose_clusters_are_joined_are_read_again() {
    let counts = reads(&["--match", "many-to-one", "--clusters", "3"]);
    let counts: Vec<usize> = counts.into_values().collect();
    assert_eq!(counts, [1, 1, 2, 1, 1, 2]); // predictions, true masks
}
