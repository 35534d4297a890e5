//! The table of the terminal, in percent.

use std::fmt::{Error, Write as _};

use luss_metrics::{Comparison, Report, Score, SizeGroup};

use super::rows::{name, notes, per_class, percent, rows, span, title};
use crate::{evaluation::Evaluation, settings::Settings};

pub(super) fn text(evaluation: &Evaluation, settings: &Settings) -> String {
    let mut text = String::new();
    write(&mut text, evaluation, settings).expect("a String takes any text");
    text
}

fn write(text: &mut String, evaluation: &Evaluation, settings: &Settings) -> Result<(), Error> {
    notes(evaluation, settings)
        .iter()
        .try_for_each(|note| writeln!(text, "{note}"))?;
    writeln!(text)?;
    for row in rows(evaluation).iter().filter(|row| !is_of_size(row.score)) {
        let (title, value) = (title(row.score), percent(row.value));
        let span = row.interval.as_ref().map(span).unwrap_or_default();
        let line = format!("{title:<20}{value:>8}   {span}");
        writeln!(text, "{}", line.trim_end())?;
    }
    write_sizes(text, &evaluation.scored.report)?;
    write_classes(text, &evaluation.scored.report, settings)?;
    match &evaluation.other {
        Some(other) => write_comparison(text, &other.comparison),
        None => Ok(()),
    }
}

fn is_of_size(score: Score) -> bool {
    matches!(score, Score::SizeMiou(_) | Score::SizeBoundaryMiou(_))
}

fn write_sizes(text: &mut String, report: &Report) -> Result<(), Error> {
    let line = |text: &mut String, name: &str, cell: &dyn Fn(usize) -> String| {
        let cells: String = (0..4).map(|size| format!("{:>8}", cell(size))).collect();
        writeln!(text, "{name:<20}{cells}")
    };
    writeln!(text)?;
    line(text, "object size", &|size| {
        SizeGroup::ALL[size].to_string()
    })?;
    line(text, "mIoU", &|size| percent(report.sizes[size].miou))?;
    line(text, "boundary mIoU", &|size| {
        percent(report.sizes[size].boundary_miou)
    })
}

fn write_classes(text: &mut String, report: &Report, settings: &Settings) -> Result<(), Error> {
    let classes = per_class(report, settings);
    if !classes.is_empty() {
        writeln!(
            text,
            "\n{:>5} {:>8} {:>9} {:>10} {:>8} {:>8} {:>12} {:>12}  name",
            "id", "IoU", "boundary", "precision", "recall", "Dice", "true px", "predicted px"
        )?;
    }
    for class in classes {
        let (iou, boundary) = (percent(class.iou), percent(class.boundary_iou));
        let of_pixels = [class.precision, class.recall, class.dice];
        let [precision, recall, dice] = of_pixels.map(percent);
        let (truth, prediction) = (class.truth_pixels, class.prediction_pixels);
        let name = name(settings, class.class);
        writeln!(
            text,
            "{:>5} {iou:>8} {boundary:>9} {precision:>10} {recall:>8} {dice:>8} {truth:>12} {prediction:>12}  {name}",
            class.class
        )?;
    }
    Ok(())
}

fn write_comparison(text: &mut String, comparison: &Comparison) -> Result<(), Error> {
    let (images, n, seed) = (
        comparison.images,
        comparison.bootstrap.resamples,
        comparison.bootstrap.seed,
    );
    writeln!(
        text,
        "\nA against B on {images} pictures, {n} resamples, seed {seed}"
    )?;
    writeln!(
        text,
        "{:<24}{:>8}{:>8}{:>8}   95 % of A - B       A higher",
        "", "A", "B", "A - B"
    )?;
    for row in &comparison.scores {
        let [a, b, difference] = [row.a, row.b, row.difference].map(percent);
        let span = row.interval.as_ref().map(span).unwrap_or_default();
        let higher = format!("{:.0} %", 100.0 * row.a_higher);
        writeln!(
            text,
            "{:<24}{a:>8}{b:>8}{difference:>8}   {span:<18}{higher:>10}",
            title(row.score)
        )?;
    }
    Ok(())
}
