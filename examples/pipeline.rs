//! Everything: pictures in, a category for every pixel and the numbers out. `luss run` does the same.

use std::process::ExitCode;

use clap::Parser;
use luss::{PipelineArguments, outcome};

/// Runs all steps of PASS and writes a report.
///
/// Needs nothing: without --data or --images it makes its own pictures. Takes about 7 minutes on two
/// cores with the embedded data; a second start of the same command skips the steps that have
/// finished, and a killed one goes on from its last checkpoint. Prints a table of mIoU, boundary
/// mIoU, image accuracy and F-beta, and where report.html lies.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    run: PipelineArguments,
}

fn main() -> ExitCode {
    outcome(|| Cli::parse().run.run())
}
