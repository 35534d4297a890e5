//! The numbers.

use clap::Parser;
use imagenet_s::terminal::show;
use luss_examples::{Arguments, metrics_table};
use pass_train::step::evaluate::evaluate;

/// Scores what the run predicted against the validation masks.
///
/// Needs step 4 in the same --run directory. Leaves metrics.json, match.json and evaluation/ with
/// the scores of every class; prints the table.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> anyhow::Result<()> {
    let context = Cli::parse().arguments.open_begun()?;
    show(format_args!("{}", metrics_table(&evaluate(&context)?)))?;
    Ok(())
}
