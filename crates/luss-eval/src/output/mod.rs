//! What is printed and written.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};

use crate::{Failed, evaluation::Evaluation, settings::Settings, terminal::show};

mod csv;
mod json;
mod markdown;
mod rows;
mod table;

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
    if let Some(file) = &arguments.csv {
        write_file(file, &csv::scores(evaluation, settings))?;
    }
    if let Some(file) = &arguments.markdown {
        write_file(file, &markdown::document(evaluation, settings))?;
    }
    if let Some(file) = &arguments.json {
        write_file(file, &json::document(evaluation, settings)?)?;
    }
    let taken = [&arguments.json, &arguments.csv, &arguments.markdown];
    let taken = taken
        .into_iter()
        .flatten()
        .any(|file| is_standard_output(file));
    match arguments.quiet || taken {
        true => Ok(()),
        false => show(&table::text(evaluation, settings)),
    }
}

fn is_standard_output(file: &Path) -> bool {
    file == Path::new("-")
}

/// Writes a whole file or nothing: under a hidden name in the same folder, then renamed. `-` is the
/// standard output.
pub(crate) fn write_file(file: &Path, text: &str) -> Result<()> {
    if is_standard_output(file) {
        return show(text);
    }
    let hidden = hidden_name(file);
    let written = fs::write(&hidden, text).and_then(|()| fs::rename(&hidden, file));
    if written.is_err() {
        // Best effort: the error worth telling is the one above.
        let _ = fs::remove_file(&hidden);
    }
    written.with_context(|| Failed(format!("{} cannot be written", file.display())))
}

fn hidden_name(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}.tmp", process::id()))
}
