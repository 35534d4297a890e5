//! The golden sets through the program: integers and float64 of an independent program, and the
//! published toolbox's numbers.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::workplace::Workplace;

/// Of an independent float64 program, in percentage points.
const EXACT: f64 = 1e-9;
/// Of the toolbox, which sums in single precision.
const TOOLBOX: f64 = 1e-4;

struct Golden {
    root: PathBuf,
    place: Workplace,
}

impl Golden {
    fn open(name: &str) -> Self {
        Self {
            root: ::golden::path(name),
            place: Workplace::new(),
        }
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.root.join(file)).unwrap()).unwrap()
    }

    #[track_caller]
    fn eval(&self, arguments: &[&str]) -> Value {
        let (pred, truth) = (self.root.join("pred"), self.root.join("gt"));
        let folders = [
            "--pred",
            pred.to_str().unwrap(),
            "--truth",
            truth.to_str().unwrap(),
        ];
        let rest = ["--classes", "50", "--json", "out.json", "--quiet"];
        self.place
            .run(&[&folders[..], &rest, arguments].concat())
            .scored();
        self.place.read_json("out.json")
    }

    /// Writes a match file; keys count from `first`.
    fn write_match(&self, table: &Value, first: u16) {
        let plus = |n: u64| n + u64::from(1 - first);
        let entry = |(key, class): (&String, &Value)| {
            (
                plus(key.parse().unwrap()).to_string(),
                plus(class.as_u64().unwrap()).into(),
            )
        };
        let pairs = table.as_object().unwrap().iter();
        let known = pairs.filter(|(key, _)| key.parse::<u16>().unwrap() < 1000);
        let known = known.filter(|(key, _)| first == 0 || *key != "0");
        let file: Map<String, Value> = known.map(entry).collect();
        self.place
            .file("match.json", Value::Object(file).to_string());
    }
}

/// The names of the golden files and where they are in ours.
const NAMES: [(&str, &str); 13] = [
    ("mIoU", "/miou"),
    ("mBIoU", "/boundary_miou"),
    ("Acc", "/image_accuracy"),
    ("FMeasure", "/f_beta"),
    ("S", "/sizes/small/miou"),
    ("MS", "/sizes/medium_small/miou"),
    ("ML", "/sizes/medium_large/miou"),
    ("L", "/sizes/large/miou"),
    ("BS", "/sizes/small/boundary_miou"),
    ("BMS", "/sizes/medium_small/boundary_miou"),
    ("BML", "/sizes/medium_large/boundary_miou"),
    ("BL", "/sizes/large/boundary_miou"),
    ("mIoU_without_other", "/miou_without_other"),
];

/// The scores that differ by more than `tolerance` percentage points.
fn differing(ours: &Value, expected: &Value, tolerance: f64) -> Vec<String> {
    let mut names = Vec::new();
    for (name, pointer) in NAMES {
        match (
            ours.pointer(pointer).unwrap().as_f64(),
            expected[name].as_f64(),
        ) {
            (Some(ours), Some(theirs)) if (100.0 * ours - theirs).abs() <= tolerance => {}
            (None, None) => {}
            (_, None) if expected.get(name).is_none() => {}
            _ => names.push(name.to_string()),
        }
    }
    for (list, field) in [("IoUs", "iou"), ("BIoUs", "boundary_iou")] {
        for (class, theirs) in expected[list].as_array().into_iter().flatten().enumerate() {
            let ours = 100.0 * ours["per_class"][class][field].as_f64().unwrap_or_default();
            if (ours - theirs.as_f64().unwrap()).abs() > tolerance {
                names.push(format!("{list}[{class}]"));
            }
        }
    }
    names
}

#[track_caller]
fn assert_scores(ours: &Value, expected: &Value, tolerance: f64) {
    assert!(
        expected.is_object(),
        "an expectation that is none: {expected}"
    );
    assert_eq!(differing(ours, expected, tolerance), [""; 0]);
}

fn check_regular(golden: &Golden) {
    let (official, independent) = (
        golden.json("official.json"),
        golden.json("independent.json"),
    );
    let raw = golden.eval(&[]);
    assert_scores(&raw, &independent["raw"], EXACT);
    assert_scores(&raw, &official["imagenets_raw"], TOOLBOX);
    golden.write_match(&official["imagenets_match"], 1);
    let matched = golden.eval(&["--match", "match.json"]);
    assert_scores(&matched, &independent["matched"], EXACT);
    assert_scores(&matched, &official["imagenets_matched"], TOOLBOX);
    let fitted = golden.eval(&["--match", "image"]);
    assert_eq!(
        fitted["matching"]["total"],
        independent["match_square_total"]
    );
}

#[test]
fn realistic_blobs_score_as_in_the_toolbox() {
    check_regular(&Golden::open("a_basic50"));
}

#[test]
fn attention_thresholds_score_as_in_the_published_evaluator() {
    let golden = Golden::open("e_curve50");
    check_regular(&golden);
    let (official, independent) = (
        golden.json("official.json"),
        golden.json("independent.json"),
    );
    let maps = golden.root.join("pred");
    for (threshold, table) in official["pass_match"].as_object().unwrap() {
        golden.write_match(table, 0);
        let scores = ["--scores", maps.to_str().unwrap(), "--threshold", threshold];
        let json = golden.eval(&[&scores[..], &["--match", "match.json"]].concat());
        assert_scores(&json, &independent["pass"][threshold], EXACT);
        assert_scores(&json, &official["pass"][threshold], TOOLBOX);
        let fitted = golden.eval(&[&scores[..], &["--match", "image"]].concat());
        let total = &independent["pass_match_total"][threshold]["optimal"];
        assert_eq!(&fitted["matching"]["total"], total, "t = {threshold}");
    }
}

#[test]
fn every_edge_case_scores_as_in_the_toolbox() {
    let golden = Golden::open("b_edge50");
    let (official, independent) = (
        golden.json("official.json"),
        golden.json("independent.json"),
    );
    // Picture 037 is exactly 50 %, which the toolbox's single precision places above.
    let half = ["ML", "L", "BML", "BL"];
    let raw = golden.eval(&["--out-of-range", "reference"]);
    assert_scores(&raw, &independent["raw"], EXACT);
    assert_eq!(differing(&raw, &official["imagenets_raw"], TOOLBOX), half);

    let mut table = independent["rect_match"].as_object().unwrap().clone();
    for id in 1..=1000 {
        table.entry(id.to_string()).or_insert(0.into());
    }
    golden
        .place
        .file("match.json", Value::Object(table).to_string());
    let other = golden.eval(&["--match", "match.json"]);
    assert_scores(&other, &independent["rect_unmatched_to_other"], EXACT);
    assert_eq!(
        differing(&other, &official["rect_unmatched_to_other"], TOOLBOX),
        half
    );

    let fitted = golden.eval(&[
        "--match",
        "image",
        "--clusters",
        "60",
        "--out-of-range",
        "reference",
    ]);
    assert_eq!(fitted["matching"]["total"], independent["match_rect_total"]);
}
