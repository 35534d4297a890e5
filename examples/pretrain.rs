//! Step 1, representation learning, as a program of one's own: the command line of `luss step`, one call of
//! the trainer, the exit code of a training that stopped with a checkpoint.

use std::process::ExitCode;

use clap::Parser;
use luss::{RankedArguments, outcome, tell_weights};
use pass_train::{Step, step::pretrain::pretrain};

/// Step 1, representation learning: SwAV with P2P and D2S.
///
/// Needs pictures. About 3 minutes on two cores with the embedded data, days on a
/// GPU for ImageNet-S. Leaves pretrain/weights.safetensors; the loss starts near ln K of the
/// prototypes and must fall clearly below it.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    run: RankedArguments,
}

fn main() -> ExitCode {
    outcome(|| {
        Cli::parse().run.on_all_ranks(|context| {
            pretrain(context)?;
            tell_weights(context, Step::Pretrain)?;
            Ok(())
        })
    })
}
