//! Step 2.2: clustering.

use clap::Parser;
use luss_examples::Arguments;
use pass_train::step::cluster::cluster;

/// Step 2.2, k-means of the attention-pooled embeddings.
///
/// Needs step 2.1 in the same --run directory. Takes seconds on the embedded data. Leaves
/// cluster/centroids.npy and prints sizes and, for pictures in folders, the agreement with them.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> anyhow::Result<()> {
    let context = Cli::parse().arguments.open()?;
    let summary = cluster(&context)?;
    println!(
        "inertia {:.3}, cluster sizes {:?}",
        summary.inertia, summary.sizes
    );
    if let (Some(nmi), Some(accuracy)) = (summary.nmi, summary.accuracy) {
        println!("against the folders: NMI {nmi:.4}, accuracy {accuracy:.4}");
    }
    println!("centroids: {}", context.run.centroids().display());
    Ok(())
}
