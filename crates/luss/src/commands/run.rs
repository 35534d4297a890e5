//! All steps of a run.

use clap::Args;
use luss::PipelineArguments;

/// Runs all steps of the method and writes a report.
///
/// Example: luss run --images ~/pictures --classes 12 --run runs/mine
///
/// Without --data or --images it makes its own pictures; that takes about 7 minutes on two cores. A
/// second start of the same command skips the steps that have finished, and a killed one goes on from
/// its last checkpoint. Prints a table of mIoU, boundary mIoU, image accuracy and F-beta.
///
/// Leaves in the run directory what each step does (luss step --help), and report.html.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    run: PipelineArguments,
}

impl Run {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.run.run()
    }
}
