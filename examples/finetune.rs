//! Step 3, fine-tuning on the pseudo labels of a run, as a program of one's own.

use std::process::ExitCode;

use clap::Parser;
use luss::{RankedArguments, outcome, tell_weights};
use pass_train::{Step, step::finetune::finetune};

/// Step 3, the weights of step 1 and a 1x1 head learn the pseudo labels.
///
/// Needs step 2.4 in the same --run directory. Leaves finetune/weights.safetensors.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    run: RankedArguments,
}

fn main() -> ExitCode {
    outcome(|| {
        Cli::parse().run.on_all_ranks_of_begun(|context| {
            finetune(context)?;
            tell_weights(context, Step::Finetune)?;
            Ok(())
        })
    })
}
