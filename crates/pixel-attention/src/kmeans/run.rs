//! One run of Lloyd's algorithm.

use ndarray::{Array2, ArrayView2};

use super::{
    KMeansConfig,
    assign::Points,
    empty::{EmptyPolicy, split_empty},
    sums::ClusterSums,
};
use crate::error::{Error, Result};

/// The outcome of one run: everything in it belongs together.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Cluster centres `[clusters, D]`, plain means (length below 1 for unit rows).
    pub centroids: Array2<f32>,
    /// For each point the index of its nearest centroid *among these centroids*.
    pub assignments: Vec<u32>,
    /// Sum over the points of the squared distance to their centroid.
    pub inertia: f64,
    /// Updates of the centroids that were made; fewer than set when the assignments repeated.
    pub iterations: usize,
    /// Which restart this was, from 0.
    pub restart: usize,
    /// Inertia of the first centroids and after each update; the last is `inertia`.
    pub history: Vec<f64>,
}

/// Updates and assigns until the assignments repeat or the iterations are used up.
pub(super) fn lloyd(
    points: &Points,
    rows: ArrayView2<f32>,
    mut centroids: Array2<f32>,
    config: &KMeansConfig,
    restart: usize,
) -> Result<Run> {
    let labels = points.nearest(centroids.view());
    let mut sums = ClusterSums::new(rows, labels, config.clusters);
    let mut history = vec![sums.inertia(centroids.view())];
    for iteration in 0..config.iterations {
        let (mut means, mut counts) = sums.means();
        fill_empty(&mut means, &mut counts, config.empty, restart, iteration)?;
        centroids = means;
        let repeated = sums.reassign(points.nearest(centroids.view()));
        history.push(sums.inertia(centroids.view()));
        if repeated {
            break;
        }
    }
    Ok(Run {
        centroids,
        assignments: sums.into_labels(),
        inertia: history[history.len() - 1],
        iterations: history.len() - 1,
        restart,
        history,
    })
}

fn fill_empty(
    centroids: &mut Array2<f32>,
    counts: &mut [usize],
    policy: EmptyPolicy,
    restart: usize,
    iteration: usize,
) -> Result<()> {
    let Some(cluster) = counts.iter().position(|&count| count == 0) else {
        return Ok(());
    };
    match policy {
        EmptyPolicy::Split => {
            split_empty(centroids, counts);
            Ok(())
        }
        EmptyPolicy::Error => Err(Error::EmptyCluster {
            cluster,
            restart,
            iteration,
        }),
    }
}
