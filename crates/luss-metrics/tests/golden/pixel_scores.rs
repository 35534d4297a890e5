//! Accuracies, precision, recall, Dice and the confusion matrix against NumPy, on the label sets
//! (`fixtures/pixel_scores.py`).

use luss_metrics::{ClassScore, Confusion, Evaluator, ImageCounts, OutOfRange, Protocol, Report};
use serde_json::Value;

use super::set::GoldenSet;

/// Two float64 computations of the same rational numbers.
const EXACT: f64 = 1e-12;

/// The report and a checksum of the confusion matrix, each cell weighted by a number of its own.
fn scored(set: &GoldenSet) -> (Report, u64) {
    let protocol = Protocol {
        out_of_range: OutOfRange::Drop,
        ..Protocol::new(set.classes)
    };
    let mut evaluator = Evaluator::new(protocol);
    let mut confusion = Confusion::new(set.classes);
    for (prediction, truth) in set.pairs() {
        let image = ImageCounts::new(&prediction, &truth, set.classes, &protocol).unwrap();
        evaluator.add_counts(&image).unwrap();
        confusion.add(&image).unwrap();
    }
    let labels = u64::from(set.classes) + 1;
    let weight =
        |truth: u16, prediction: u16| 1 + u64::from(truth) * labels + u64::from(prediction);
    let cells = confusion.cells();
    let sum = cells.map(|(truth, prediction, pixels)| weight(truth, prediction) * pixels);
    (evaluator.report(), sum.sum())
}

#[track_caller]
fn assert_close(ours: Option<f64>, expected: &Value, what: &str) {
    match (ours, expected.as_f64()) {
        (Some(ours), Some(theirs)) => assert!((ours - theirs).abs() < EXACT, "{what}: {ours}"),
        (ours, theirs) => assert_eq!(ours, theirs, "{what}"),
    }
}

#[test]
fn pixel_scores_are_those_of_numpy() {
    let fixture = include_str!("../fixtures/pixel_scores.json");
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    for name in ["a_basic50", "b_edge50", "e_curve50"] {
        let expected = &fixture[name];
        let (report, confusion) = scored(&GoldenSet::open(name));
        assert_close(report.aacc, &expected["aacc"], name);
        assert_close(report.macc, &expected["macc"], name);
        assert_close(report.fwiou, &expected["fwiou"], name);
        assert_eq!(
            Some(confusion),
            expected["confusion_sum"].as_u64(),
            "{name}"
        );
        for class in &report.per_class {
            assert_class(class, expected, name);
        }
    }
}

#[track_caller]
fn assert_class(class: &ClassScore, expected: &Value, set: &str) {
    let label = usize::from(class.class);
    for (score, ours) in [
        ("precision", class.precision),
        ("recall", class.recall),
        ("dice", class.dice),
    ] {
        let what = format!("{score} of {label} in {set}");
        assert_close(ours, &expected[score][label], &what);
    }
}
