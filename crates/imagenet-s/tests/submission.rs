//! Submissions: what the archive holds, and what is refused.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use image::{Rgb, RgbImage};
use imagenet_s::{
    Dataset, LabelMask, Split,
    submission::{Method, Submission, SubmissionError, Summary, write_submission},
    write_mask,
};
use tempfile::TempDir;

/// Two classes, one training picture each, and three test pictures of several sizes.
const TEST: [(&str, [u32; 2]); 3] = [("n01/a", [5, 4]), ("n01/b", [7, 3]), ("n02/c", [4, 6])];

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for (key, [width, height]) in [("n01/x", [3, 3]), ("n02/y", [3, 3])] {
            place.picture("train", key, [width, height]);
        }
        for (key, sides) in TEST {
            place.picture("test", key, sides);
            place.prediction(key, sides, 2);
        }
        place
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("tree")
    }

    fn predictions(&self) -> PathBuf {
        self.0.path().join("predictions")
    }

    fn output(&self) -> PathBuf {
        self.0.path().join("out/test.zip")
    }

    fn picture(&self, split: &str, key: &str, [width, height]: [u32; 2]) {
        let path = self.root().join(format!("{split}/{key}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(width, height, Rgb([9, 8, 7]))
            .save(path)
            .unwrap();
    }

    fn prediction(&self, key: &str, [width, height]: [u32; 2], id: u16) {
        let mut labels = vec![0; (width * height) as usize];
        labels[1] = id;
        let mask = LabelMask::new(width as usize, height as usize, labels).unwrap();
        write_mask(&self.prediction_path(key), &mask).unwrap();
    }

    fn prediction_path(&self, key: &str) -> PathBuf {
        self.predictions().join(format!("{key}.png"))
    }

    fn matching(&self, text: &str) -> Option<PathBuf> {
        let path = self.0.path().join("match.json");
        fs::write(&path, text).unwrap();
        Some(path)
    }

    fn write(&self, change: impl FnOnce(&mut Submission)) -> Result<Summary, SubmissionError> {
        let mut submission = Submission {
            split: Split::Test,
            predictions: self.predictions(),
            matching: None,
            method: Method::default(),
        };
        change(&mut submission);
        let data = Dataset::open(&self.root()).unwrap();
        write_submission(&data, &submission, &self.output(), &|_| ())
    }

    /// The message of a refusal, which leaves no file behind.
    #[track_caller]
    fn refused(&self, change: impl FnOnce(&mut Submission)) -> String {
        let message = self.write(change).unwrap_err().to_string();
        let folder = self.output();
        let left = fs::read_dir(folder.parent().unwrap()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{message}");
        message
    }
}

fn content(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(File::open(archive).unwrap()).unwrap();
    let entries = (0..archive.len()).map(|at| {
        let mut entry = archive.by_index(at).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    });
    entries.collect()
}

#[test]
fn the_archive_holds_the_masks_as_they_are_the_matching_and_six_lines() {
    let place = Place::new();
    let matching = r#"{"1": 2, "2": 1, "0": 0}"#;
    let summary = place.write(|submission| {
        submission.matching = place.matching(matching);
        submission.method.name = "PASS".to_owned();
        submission.method.link = "https://arxiv.org/abs/2106.03149".to_owned();
    });
    let summary = summary.unwrap();
    assert_eq!(summary.predictions, 3);
    assert_eq!(summary.bytes, fs::metadata(place.output()).unwrap().len());
    let content = content(&place.output());
    let names: Vec<&str> = content.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "match.json",
            "method.txt",
            "n01/a.png",
            "n01/b.png",
            "n02/c.png"
        ]
    );
    for (key, _) in TEST {
        let file = fs::read(place.prediction_path(key)).unwrap();
        assert!(content[&format!("{key}.png")] == file, "{key}");
    }
    assert_eq!(content["match.json"], matching.as_bytes());
    let method = "Method name: PASS\nTraining data: null\nTraining scheme: null\nNetworks: null\n\
                  Paper/Project link: https://arxiv.org/abs/2106.03149\nMethod description: null";
    assert_eq!(String::from_utf8_lossy(&content["method.txt"]), method);
    assert_eq!(
        fs::read_dir(place.output().parent().unwrap())
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn without_a_matching_there_is_no_match_file_and_the_defaults_are_those_of_the_published_code() {
    let place = Place::new();
    place.write(|_| ()).unwrap();
    let content = content(&place.output());
    assert!(!content.contains_key("match.json"));
    assert!(content["method.txt"].starts_with(b"Method name: example submission\n"));
}

#[test]
fn the_same_predictions_give_the_same_archive() {
    let place = Place::new();
    place.write(|_| ()).unwrap();
    let first = fs::read(place.output()).unwrap();
    for (key, sides) in TEST {
        place.prediction(key, sides, 2); // written again, later
    }
    place.write(|_| ()).unwrap();
    assert!(fs::read(place.output()).unwrap() == first);
}

#[test]
fn missing_extra_and_wrong_predictions_are_all_told_at_once() {
    let place = Place::new();
    fs::remove_file(place.prediction_path("n01/a")).unwrap();
    place.prediction("n01/b", [3, 7], 1);
    place.prediction("n02/c", [4, 6], 3);
    place.prediction("n02/strange", [4, 6], 1);
    let message = place.refused(|_| ());
    for words in [
        "4 faults",
        "n01/a: there is no prediction",
        "mask is 3 x 7 pixels and its picture 7 x 3",
        "n02/c.png: id 3; predictions have 0 (other) and 1 to 2",
        "n02/strange: there is no such picture",
    ] {
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
}

#[test]
fn a_prediction_that_is_no_mask_or_ignores_pixels_is_refused() {
    let place = Place::new();
    place.prediction("n01/a", [5, 4], 1000);
    RgbImage::from_pixel(7, 3, Rgb([1, 0, 7]))
        .save(place.prediction_path("n01/b"))
        .unwrap();
    let torn = fs::read(place.prediction_path("n02/c")).unwrap();
    fs::write(place.prediction_path("n02/c"), &torn[..torn.len() - 20]).unwrap();
    let message = place.refused(|_| ());
    for words in [
        "3 faults",
        "id 1000",
        "B = 7",
        "n02/c.png: mask is not a readable PNG",
    ] {
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
}

#[test]
fn more_clusters_than_classes_are_right_with_their_matching_only() {
    let place = Place::new();
    place.prediction("n01/a", [5, 4], 3);
    place.refused(|_| ());
    let matching = place.matching(r#"{"1": 1, "2": 2, "3": 0, "0": 0}"#);
    place
        .write(|submission| submission.matching = matching)
        .unwrap();
}

#[test]
fn a_matching_that_is_none_is_refused() {
    let place = Place::new();
    for (text, words) in [
        ("{}", "names no cluster"),
        (r#"{"1": 1, "3": 2}"#, "cluster 2 has no class"),
        (r#"{"1": 1, "2": 9}"#, "class 9, of 1 to 2"),
        ("[1, 2]", "match.json"),
    ] {
        let matching = place.matching(text);
        let message = place.refused(|submission| submission.matching = matching);
        assert!(
            message.contains(words) && message.contains("match.json"),
            "{message}"
        );
    }
}

#[test]
fn a_line_break_in_the_description_and_a_split_without_pictures_are_refused() {
    let place = Place::new();
    let message = place.refused(|submission| submission.method.description = "a\nb".to_owned());
    assert!(message.contains("Method description"), "{message}");
    let message = place.refused(|submission| submission.split = Split::Validation);
    assert!(
        message.contains("no picture in the split validation"),
        "{message}"
    );
}
