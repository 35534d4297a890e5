//! Step 2.2: clustering.

use std::process::ExitCode;

use clap::Parser;
use imagenet_s::terminal::show;
use luss_examples::{RankedArguments, outcome};
use pass_train::{
    Context,
    step::cluster::{ClusterSummary, cluster},
};

/// Step 2.2, k-means of the attention-pooled embeddings.
///
/// Needs step 2.1 in the same --run directory. Takes seconds on the embedded data. Leaves
/// cluster/centroids.npy and cluster/report.json; prints how balanced and how stable the clusters are
/// and, for pictures in folders, the agreement with them.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    run: RankedArguments,
}

fn main() -> ExitCode {
    outcome(|| {
        Cli::parse().run.on_all_ranks_of_begun(|context| {
            let summary = cluster(context)?;
            if context.speaks() {
                tell(context, &summary)?;
            }
            Ok(())
        })
    })
}

fn tell(context: &Context, summary: &ClusterSummary) -> anyhow::Result<()> {
    let sizes = &summary.sizes;
    show(format_args!(
        "inertia {:.3}; {} clusters of {} to {} pictures, imbalance {:.3}",
        summary.inertia,
        sizes.len(),
        sizes.iter().min().unwrap_or(&0),
        sizes.iter().max().unwrap_or(&0),
        summary.imbalance
    ))?;
    if let Some(stability) = summary.stability {
        show(format_args!(
            "mean NMI of the other restarts with the best: {stability:.4}"
        ))?;
    }
    if let (Some(nmi), Some(accuracy)) = (summary.nmi, summary.accuracy) {
        show(format_args!(
            "against the folders: NMI {nmi:.4}, accuracy {accuracy:.4}"
        ))?;
    }
    show(format_args!(
        "centroids: {}",
        context.run.centroids().display()
    ))?;
    Ok(())
}
