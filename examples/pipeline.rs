//! Everything: pictures in, a category for every pixel and the numbers out.

use std::process::ExitCode;

use clap::Parser;
use imagenet_s::terminal::show;
use luss_examples::{RankedArguments, metrics_table, outcome};
use pass_train::pipeline::{self, Control};

/// Runs all steps of PASS and writes a report.
///
/// Needs nothing: without --data or --images it makes its own pictures. Takes about 7 minutes on two
/// cores with the embedded data; a second start of the same command skips the steps that have
/// finished, and a killed one goes on from its last checkpoint. Prints a table of mIoU, boundary
/// mIoU, image accuracy and F-beta, and where report.html lies.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    run: RankedArguments,

    /// Results to compare with, comma-separated: single_cluster, random_cluster, colour_clusters,
    /// untrained, swav_only, or all. The last two train again.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    controls: Vec<String>,
}

fn main() -> ExitCode {
    outcome(|| {
        let cli = Cli::parse();
        let controls = controls(&cli.controls)?;
        cli.run.on_all_ranks(|context| {
            let metrics = pipeline::run(context, &controls)?;
            if context.speaks() {
                show(format_args!("{}", metrics_table(&metrics)))?;
                show(format_args!(
                    "report: {}",
                    context.run.file("report.html").display()
                ))?;
            }
            Ok(())
        })
    })
}

fn controls(names: &[String]) -> anyhow::Result<Vec<Control>> {
    if names.iter().any(|name| name == "all") {
        return Ok(Control::ALL.to_vec());
    }
    names
        .iter()
        .map(|name| {
            Control::named(name).ok_or_else(|| {
                let known = Control::ALL.map(Control::name).join(", ");
                anyhow::anyhow!("--controls {name}: unknown; the controls are {known}, or all")
            })
        })
        .collect()
}
