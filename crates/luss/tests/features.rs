//! `luss features` on features whose right labels are known.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use imagenet_s::{LabelMask, write_mask};
use ndarray::{Array2, Array3, Array4, ArrayView};
use ndarray_npy::WriteNpyExt;
use tempfile::TempDir;

const CLASSES: usize = 3;
const PICTURES: usize = 12;
/// Height and width of the maps; a mask is twice as large.
const SIZE: [usize; 2] = [4, 5];

struct Place(TempDir);

impl Place {
    /// Features, attention, keys and masks: the object of class `picture % 3` fills the left half
    /// of its picture, its direction is a unit vector, and the attention is high there alone.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let is_object = |column: usize| column < 2;
        let shape = (PICTURES, SIZE[0], SIZE[1], CLASSES + 1);
        let features = Array4::from_shape_fn(shape, |(n, row, column, channel)| {
            let noise = ((n * 31 + row * 17 + column * 7 + channel * 3) % 11) as f32 / 100.0;
            let own = if is_object(column) {
                n % CLASSES
            } else {
                CLASSES
            };
            noise + f32::from(channel == own)
        });
        let attention = Array3::from_shape_fn((PICTURES, SIZE[0], SIZE[1]), |(_, _, column)| {
            if is_object(column) { 0.9 } else { 0.1f32 }
        });
        place.save("features.npy", &features);
        place.save("attention.npy", &attention);
        let keys: Vec<String> = (0..PICTURES).map(|n| format!("c{}/n{n}", n % 3)).collect();
        fs::write(place.path("keys.txt"), keys.join("\n")).unwrap();
        for (n, key) in keys.iter().enumerate() {
            let [height, width] = SIZE.map(|side| 2 * side);
            let label = |pixel: usize| match is_object(pixel % width / 2) {
                true => 1 + (n % CLASSES) as u16,
                false => 0,
            };
            let labels = (0..height * width).map(label).collect();
            let mask = LabelMask::new(width, height, labels).unwrap();
            write_mask(&place.path("masks").join(format!("{key}.png")), &mask).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn save(&self, name: &str, array: &impl WriteNpyExt) {
        array
            .write_npy(fs::File::create(self.path(name)).unwrap())
            .unwrap();
    }

    fn start(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
        command
            .arg("features")
            .current_dir(self.0.path())
            .args(["--classes", "3", "--out", "out"]);
        command
            .args(["--keys", "keys.txt"])
            .args(arguments)
            .output()
            .unwrap()
    }

    #[track_caller]
    fn miou(&self, arguments: &[&str]) -> f64 {
        let output = self.start(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let metrics = fs::read_to_string(self.path("out/metrics.json")).unwrap();
        let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
        metrics["scores"]["miou"].as_f64().unwrap()
    }

    #[track_caller]
    fn check_is_refused(&self, arguments: &[&str], facts: &[&str]) {
        let output = self.start(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for fact in facts {
            assert!(said.contains(fact), "no {fact:?} in {said}");
        }
    }
}

const DENSE: [&str; 6] = [
    "--features",
    "features.npy",
    "--attention",
    "attention.npy",
    "--masks",
    "masks",
];

#[test]
fn features_that_point_to_their_classes_score_one_hundred() {
    let place = Place::new();
    assert_eq!(place.miou(&[&DENSE[..], &["--png"]].concat()), 1.0);
    // Attention is 0.9 and 0.1: 0.7 and 0.3 between the cells.
    let exact = place.miou(&[&DENSE[..], &["--threshold", "0.5", "--png"]].concat());
    assert_eq!(exact, 1.0);
    for file in [
        "centroids.npy",
        "embeddings.npy",
        "match.json",
        "masks/clustered/c0/n0.png",
    ] {
        assert!(place.path("out").join(file).is_file(), "{file}");
    }
    let streamed = place.miou(&[&DENSE[..], &["--threshold", "0.5", "--memory-mib", "0"]].concat());
    assert_eq!(streamed, exact);
}

#[test]
fn keys_in_another_order_score_low() {
    let place = Place::new();
    let keys = fs::read_to_string(place.path("keys.txt")).unwrap();
    let mut keys: Vec<&str> = keys.lines().collect();
    // Features go round the classes, names do not: each class has pictures of all names.
    keys.sort();
    fs::write(place.path("keys.txt"), keys.join("\n")).unwrap();
    // OTHER is right everywhere, the classes for a third of their pictures.
    let score = place.miou(&DENSE);
    assert!((0.25..0.6).contains(&score), "{score}");
}

#[test]
fn other_pictures_are_labelled_by_the_centroids() {
    let place = Place::new();
    let evaluated = ["--eval-features", "features.npy", "--eval-keys", "keys.txt"];
    let attention = ["--eval-attention", "attention.npy"];
    let score = place.miou(&[&DENSE[..], &evaluated, &attention].concat());
    assert_eq!(score, 1.0);
    assert!(place.path("out/labels/evaluated.labels").is_file());
}

#[test]
fn embeddings_name_their_whole_pictures_where_the_attention_is_high() {
    let place = Place::new();
    let embeddings = Array2::from_shape_fn((PICTURES, CLASSES), |(n, channel)| {
        f32::from(n % CLASSES == channel) + (n * 3 + channel) as f32 / 500.0
    });
    place.save("embeddings.npy", &embeddings);
    let score = place.miou(&[&["--features", "embeddings.npy"], &DENSE[2..]].concat());
    assert_eq!(score, 1.0);
}

#[test]
fn pixels_can_be_clustered_too() {
    let place = Place::new();
    let score = place.miou(&[&DENSE[..], &["--level", "pixels", "--threshold", "0.5"]].concat());
    // Four directions in three clusters: two of them share one.
    assert!((0.2..1.0).contains(&score), "{score}");
}

/// One direction cannot form three clusters, whatever its lengths; a few zeros are told.
#[test]
fn features_without_directions_are_refused_or_told() {
    let place = Place::new();
    let facts = ["same.npy", "12 rows", "only 1 different", "3 clusters"];
    let mut same = Array2::<f32>::zeros((PICTURES, 3));
    place.save("same.npy", &same);
    place.check_is_refused(&["--features", "same.npy"], &facts);
    same.indexed_iter_mut()
        .for_each(|((row, _), value)| *value = 1e-3 * 7f32.powi(row as i32));
    place.save("same.npy", &same);
    place.check_is_refused(&["--features", "same.npy"], &facts);

    let some = Array2::from_shape_fn((PICTURES, 3), |(n, channel)| {
        f32::from(n > 1 && n % 3 == channel)
    });
    place.save("some.npy", &some);
    let output = place.start(&["--features", "some.npy"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("12 rows 2 are zero"), "{said}");
}

#[test]
fn what_a_former_call_left_is_gone_and_a_folder_of_others_is_refused() {
    let place = Place::new();
    place.miou(&[&DENSE[..], &["--png"]].concat());
    assert!(place.path("out/masks/clustered/c0/n0.png").is_file());
    let output = place.start(&DENSE[..4]);
    assert!(output.status.success());
    assert!(!place.path("out/masks").exists() && !place.path("out/metrics.json").exists());
    let again = ["--features", "out/embeddings.npy"];
    place.check_is_refused(&again, &["out/embeddings.npy", "--out"]);
    fs::remove_file(place.path("out/contents.json")).unwrap();
    place.check_is_refused(&DENSE, &["files of others", "--out"]);
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let place = Place::new();
    place.save("flat.npy", &ArrayView::from(&[1.0f32; 6]));
    place.check_is_refused(&["--features", "flat.npy"], &["flat.npy", "[6]"]);
    place.save("three.npy", &Array3::<f32>::ones((PICTURES, 2, 3)));
    place.check_is_refused(
        &["--features", "three.npy"],
        &["[12, 2, 3]", "height, width"],
    );
    place.save("few.npy", &Array2::<f32>::ones((5, 3)));
    let facts = ["keys.txt", "12 keys", "5 pictures"];
    place.check_is_refused(&["--features", "few.npy"], &facts);
    let wrong = ["--features", "features.npy", "--attention", "three.npy"];
    place.check_is_refused(&wrong, &["three.npy", "[12, 4, 5]"]);

    let mut embeddings = Array2::<f32>::ones((PICTURES, 3));
    embeddings[[7, 2]] = f32::NAN;
    place.save("nan.npy", &embeddings);
    let facts = ["nan.npy", "picture 7", "c1/n7", "channel 2"];
    place.check_is_refused(&["--features", "nan.npy"], &facts);

    fs::remove_file(place.path("masks/c1/n4.png")).unwrap();
    place.check_is_refused(&DENSE, &["1 of 12 masks are missing", "c1/n4.png"]);
    let keys = fs::read_to_string(place.path("keys.txt")).unwrap();
    fs::write(place.path("keys.txt"), keys.replace("c1/n4", "../n4")).unwrap();
    place.check_is_refused(&DENSE, &["key 4", "../n4"]);
    fs::write(place.path("keys.txt"), keys.replace("c1/n4", "c0/n3")).unwrap();
    place.check_is_refused(&DENSE, &["c0/n3", "twice"]);
}
