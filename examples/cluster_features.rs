//! A `.npy` of anybody's features, one row a picture, through the k-means of pixel-attention. `luss features`
//! goes on from there to masks and scores.

use std::path::PathBuf;

use clap::Parser;
use imagenet_s::terminal::show;
use pass_model::group::Group;
use pixel_attention::{
    centroids::write_centroids,
    kmeans::{KMeans, KMeansConfig, normalize_rows},
    row_file::RowFile,
    rows::Rows,
};

/// Clusters the rows of a file; prints how many rows each cluster has.
#[derive(Parser)]
struct Cli {
    /// Rows of features: float32 or float16, `[pictures, channels]`.
    features: PathBuf,
    /// How many clusters to find.
    clusters: usize,
    /// Where the centroids go.
    #[arg(long, default_value = "centroids.npy")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // A file of rows is clustered as it lies on the disk, too: `KMeans::new(&file, …)`.
    let file = RowFile::open(&cli.features)?;
    let mut rows = ndarray::Array2::zeros((file.count(), file.columns()));
    file.read(0, rows.as_slice_mut().expect("standard layout"))?;
    normalize_rows(&mut rows); // so that directions count, not lengths

    let config = KMeansConfig::new(cli.clusters);
    let run = KMeans::new(&rows.view(), &config, &Group::default())?.best(|_| ())?;
    let mut sizes = vec![0; cli.clusters];
    for &cluster in &run.assignments {
        sizes[cluster as usize] += 1;
    }
    show(format_args!("inertia {:.6}", run.inertia))?;
    show(format_args!("rows of each cluster: {sizes:?}"))?;
    write_centroids(&cli.out, run.centroids.view())?;
    show(format_args!("centroids: {}", cli.out.display()))?;
    Ok(())
}
