//! Step 2.1: pixel attention.

use std::process::ExitCode;

use clap::Parser;
use luss_examples::{Arguments, RankArguments, outcome, tell_weights};
use pass_train::{Step, step::attention::tune_attention};

/// Step 2.1, pixel attention on the frozen backbone.
///
/// Needs step 1 in the same --run directory. Takes a fraction of its time. Leaves
/// tune_attention/weights.safetensors.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,

    #[command(flatten)]
    ranks: RankArguments,
}

fn main() -> ExitCode {
    outcome(|| {
        let cli = Cli::parse();
        cli.arguments.with_ranks(cli.ranks, |context| {
            tune_attention(context)?;
            tell_weights(context, Step::TuneAttention);
            Ok(())
        })
    })
}
