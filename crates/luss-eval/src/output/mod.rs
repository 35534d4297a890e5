//! What is printed and written.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{Failed, evaluation::Evaluation, scoring::shards, settings::Settings, terminal::show};

mod csv;
mod html;
mod json;
mod markdown;
mod rows;
mod table;

pub(crate) use json::policies;

/// Writes the files that were asked for, then prints the table.
pub(crate) fn write(evaluation: &Evaluation, settings: &Settings) -> Result<()> {
    let arguments = settings.arguments;
    let scored = &evaluation.scored;
    if let (Some(file), Some(matching)) = (&arguments.save_match, &scored.matching) {
        write_file(file, &(matching.to_json() + "\n"))?;
    }
    if let (Some(file), Some(curve)) = (&arguments.threshold_curve, &scored.curve) {
        write_file(file, &csv::curve(curve))?;
    }
    if let Some(file) = &arguments.save_counts {
        shards::save(file, scored, settings)?;
    }
    if let (Some(file), Some(confusion)) = (&arguments.confusion, &scored.confusion) {
        write_file(file, &csv::confusion(confusion))?;
    }
    if let Some(file) = &arguments.csv {
        write_file(file, &csv::scores(evaluation, settings))?;
    }
    if let Some(file) = &arguments.markdown {
        write_file(file, &markdown::document(evaluation, settings))?;
    }
    if let Some(file) = &arguments.html {
        write_file(file, &html::document(evaluation, settings)?)?;
    }
    if let Some(file) = &arguments.json {
        write_file(file, &json::document(evaluation, settings)?)?;
    }
    let taken = arguments.outputs().any(is_standard_output);
    match arguments.quiet || taken {
        true => Ok(()),
        false => show(&table::text(evaluation, settings)),
    }
}

fn is_standard_output(file: &Path) -> bool {
    file == Path::new("-")
}

/// Writes a whole file or nothing; `-` is the standard output.
pub(crate) fn write_file(file: &Path, text: &str) -> Result<()> {
    if is_standard_output(file) {
        return show(text);
    }
    let written = whole_file::write_bytes(file, text.as_bytes());
    written.with_context(|| Failed(format!("{} cannot be written", file.display())))
}
