//! Scores and threshold curves as CSV, in ratios.

use std::fmt::Write as _;

use luss_metrics::{ClassScore, Confusion, Interval, ThresholdPoint};

use super::rows::{name, per_class, rows};
use crate::{evaluation::Evaluation, settings::Settings};

/// One line for each number: `metric,id,name,value,low,high`. Empty where there is none.
pub(super) fn scores(evaluation: &Evaluation, settings: &Settings) -> String {
    let mut text = String::from("metric,id,name,value,low,high\n");
    let report = &evaluation.scored.report;
    push(&mut text, "images,,,", Some(report.images as f64), None);
    for row in rows(evaluation) {
        push(
            &mut text,
            &format!("{},,,", row.score),
            row.value,
            row.interval,
        );
    }
    for class in per_class(report, settings) {
        let label = format!("{},{},", class.class, quoted(name(settings, class.class)));
        for (metric, value) in numbers(class) {
            push(&mut text, &format!("{metric},{label}"), value, None);
        }
    }
    text
}

fn numbers(class: &ClassScore) -> [(&'static str, Option<f64>); 8] {
    [
        ("iou", class.iou),
        ("boundary_iou", class.boundary_iou),
        ("precision", class.precision),
        ("recall", class.recall),
        ("dice", class.dice),
        ("truth_pixels", Some(class.truth_pixels as f64)),
        ("prediction_pixels", Some(class.prediction_pixels as f64)),
        (
            "intersection_pixels",
            Some(class.intersection_pixels as f64),
        ),
    ]
}

fn push(text: &mut String, start: &str, value: Option<f64>, interval: Option<Interval>) {
    let number = |number: Option<f64>| number.map(|n| n.to_string()).unwrap_or_default();
    let [low, high] = [interval.map(|i| i.low), interval.map(|i| i.high)].map(number);
    writeln!(text, "{start}{},{low},{high}", number(value)).expect("a String takes any text");
}

/// A field that may hold commas and quotes.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

/// One line for each threshold: `threshold,miou,matching_total`; no mIoU where nothing is counted.
pub(super) fn curve(points: &[ThresholdPoint]) -> String {
    let mut text = String::from("threshold,miou,matching_total\n");
    for point in points {
        let total = point.matching.total().unwrap_or_default();
        let miou = point.miou.map(|miou| miou.to_string()).unwrap_or_default();
        writeln!(text, "{},{miou},{total}", point.threshold).expect("a String takes any text");
    }
    text
}

/// Pixels: a line for each true label, a column for each predicted one, 0 to C.
pub(super) fn confusion(confusion: &Confusion) -> String {
    let labels = || 0..=confusion.classes();
    let mut text = String::from("truth\\prediction");
    labels().for_each(|label| write!(text, ",{label}").expect("a String takes any text"));
    for truth in labels() {
        write!(text, "\n{truth}").expect("a String takes any text");
        for prediction in labels() {
            let pixels = confusion.of(truth, prediction);
            write!(text, ",{pixels}").expect("a String takes any text");
        }
    }
    text + "\n"
}
