//! Step 2.2: clustering.

use std::process::ExitCode;

use clap::Parser;
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
        Cli::parse().run.on_all_ranks(|context| {
            let summary = cluster(context)?;
            if context.speaks() {
                tell(context, &summary);
            }
            Ok(())
        })
    })
}

fn tell(context: &Context, summary: &ClusterSummary) {
    let sizes = &summary.sizes;
    println!(
        "inertia {:.3}; {} clusters of {} to {} pictures, imbalance {:.3}",
        summary.inertia,
        sizes.len(),
        sizes.iter().min().unwrap_or(&0),
        sizes.iter().max().unwrap_or(&0),
        summary.imbalance
    );
    if let Some(stability) = summary.stability {
        println!("mean NMI of the other restarts with the best: {stability:.4}");
    }
    if let (Some(nmi), Some(accuracy)) = (summary.nmi, summary.accuracy) {
        println!("against the folders: NMI {nmi:.4}, accuracy {accuracy:.4}");
    }
    println!("centroids: {}", context.run.centroids().display());
}
