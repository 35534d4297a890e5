//! Scores as Markdown, in percent.

use std::fmt::{Error, Write as _};

use luss_metrics::{Comparison, Report};

use super::rows::{name, notes, per_class, percent, rows, span, title};
use crate::{evaluation::Evaluation, settings::Settings};

pub(super) fn document(evaluation: &Evaluation, settings: &Settings) -> String {
    let mut text = String::new();
    write(&mut text, evaluation, settings).expect("a String takes any text");
    text
}

fn write(text: &mut String, evaluation: &Evaluation, settings: &Settings) -> Result<(), Error> {
    notes(evaluation, settings)
        .iter()
        .try_for_each(|note| writeln!(text, "- {note}"))?;
    writeln!(
        text,
        "\n| score | percent | 95 % interval |\n|---|---:|---:|"
    )?;
    for row in rows(evaluation) {
        let span = row.interval.as_ref().map(span).unwrap_or_default();
        writeln!(
            text,
            "| {} | {} | {span} |",
            title(row.score),
            percent(row.value)
        )?;
    }
    write_classes(text, &evaluation.scored.report, settings)?;
    match &evaluation.other {
        Some(other) => write_comparison(text, &other.comparison),
        None => Ok(()),
    }
}

fn write_classes(text: &mut String, report: &Report, settings: &Settings) -> Result<(), Error> {
    let classes = per_class(report, settings);
    if !classes.is_empty() {
        writeln!(
            text,
            "\n| id | name | IoU | boundary IoU | precision | recall | Dice | true pixels | predicted pixels |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|"
        )?;
    }
    for class in classes {
        let name = name(settings, class.class).replace('|', "\\|");
        let (iou, boundary) = (percent(class.iou), percent(class.boundary_iou));
        let of_pixels = [class.precision, class.recall, class.dice];
        let [precision, recall, dice] = of_pixels.map(percent);
        let (truth, prediction) = (class.truth_pixels, class.prediction_pixels);
        writeln!(
            text,
            "| {} | {name} | {iou} | {boundary} | {precision} | {recall} | {dice} | {truth} | {prediction} |",
            class.class
        )?;
    }
    Ok(())
}

fn write_comparison(text: &mut String, comparison: &Comparison) -> Result<(), Error> {
    let (images, n) = (comparison.images, comparison.bootstrap.resamples);
    writeln!(text, "\nA against B on {images} pictures, {n} resamples.\n")?;
    writeln!(
        text,
        "| score | A | B | A - B | 95 % of A - B | A higher |\n|---|---:|---:|---:|---:|---:|"
    )?;
    for row in &comparison.scores {
        let [a, b, difference] = [row.a, row.b, row.difference].map(percent);
        let span = row.interval.as_ref().map(span).unwrap_or_default();
        writeln!(
            text,
            "| {} | {a} | {b} | {difference} | {span} | {:.0} % |",
            title(row.score),
            100.0 * row.a_higher
        )?;
    }
    Ok(())
}
