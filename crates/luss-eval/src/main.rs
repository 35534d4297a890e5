//! `luss-eval`: scores a folder of predicted masks against a folder of true ones.
//!
//! `docs/EVALUATE.md` is its guide, `luss-eval --help` its reference.

use std::{fmt, process::ExitCode};

use anyhow::Result;
use clap::Parser as _;

use crate::{
    arguments::Arguments, evaluation::Evaluation, scoring::shards::Shard, settings::Settings,
    terminal::tell,
};

mod arguments;
mod comparison;
mod conventions;
mod evaluation;
mod evidence;
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

/// What ended a run whose settings and folders are right.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn main() -> ExitCode {
    let Err(error) = run(&Arguments::parse()) else {
        return ExitCode::SUCCESS;
    };
    let (code, how) = match error.is::<Failed>() {
        true => (1, "failed"),
        false => (2, "refused"),
    };
    tell(format_args!("luss-eval: {how}: {error:#}"));
    ExitCode::from(code)
}

fn run(arguments: &Arguments) -> Result<()> {
    let shard = arguments.shards()?.map(Shard::merged).transpose()?;
    let settings = Settings::new(arguments, shard.as_ref())?;
    let evaluation = match shard {
        Some(shard) => Evaluation::of_shards(shard, &settings)?,
        None => Evaluation::new(&settings)?,
    };
    output::write(&evaluation, &settings)
}
