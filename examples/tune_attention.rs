//! Step 2.1: pixel attention.

use std::process::ExitCode;

use clap::Parser;
use luss_examples::{RankedArguments, outcome, tell_weights};
use pass_train::{Step, step::attention::tune_attention};

/// Step 2.1, pixel attention on the frozen backbone.
///
/// Needs step 1 in the same --run directory. Takes a fraction of its time. Leaves
/// tune_attention/weights.safetensors.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    run: RankedArguments,
}

fn main() -> ExitCode {
    outcome(|| {
        Cli::parse().run.on_all_ranks_of_begun(|context| {
            tune_attention(context)?;
            tell_weights(context, Step::TuneAttention)?;
            Ok(())
        })
    })
}
