//! `luss-eval`: scores a folder of predicted masks against a folder of true ones.
//!
//! `docs/EVALUATE.md` is its guide, `luss-eval --help` its reference.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::{arguments::Arguments, evaluation::Evaluation, settings::Settings, terminal::tell};

mod arguments;
mod comparison;
mod evaluation;
mod names;
mod output;
mod pairs;
mod pass;
mod picture;
mod problems;
mod progress;
mod scoring;
mod settings;
mod terminal;
mod thresholding;

/// The exit code of everything that is not scored.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("luss-eval: refused: {error:#}"));
            ExitCode::from(REFUSED)
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let settings = Settings::new(arguments)?;
    let evaluation = Evaluation::new(&settings)?;
    output::write(&evaluation, &settings)
}
