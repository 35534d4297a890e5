//! k-means on small random batches (Sculley 2010), for a first look at very many points.
//!
//! Each update assigns one batch of points and moves every centroid towards the mean of those that
//! it won, with a step that shrinks as it wins more: after all updates a centroid is the mean of
//! all points that it ever won. At the end all points are assigned once.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::{
    KMeans, Metric, Run,
    assign::{Assigner, centroid_table},
    init::{below, initial_centroids, stream},
    run::{Lloyd, scale_rows},
    sums::ClusterSums,
};
use crate::error::{Result, at_least_one, setting};

/// Settings of [`fit`] beside those of [`KMeansConfig`](super::KMeansConfig).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MiniBatch {
    /// Points of a batch, drawn with replacement, at least 1.
    pub points: usize,
    /// Batches of a restart, at least 1.
    pub batches: usize,
}

impl Default for MiniBatch {
    fn default() -> Self {
        let (points, batches) = (8192, 200);
        Self { points, batches }
    }
}

/// Apart from the streams of the restarts.
const BATCH_STREAM: usize = 1 << 32;

/// Runs all restarts of `kmeans` on batches and returns the one with the lowest inertia over all
/// points; of equal ones the earliest.
///
/// `tolerance`, `iterations` and the policy for empty clusters are not used: a centroid
/// that wins nothing stays where it is. [`Run::iterations`] is 0 and [`Run::history`] holds the
/// final inertia alone, since no other is known.
///
/// # Errors
///
/// Settings of zero; weights, which batches do not heed; a file that cannot be read.
pub fn fit(kmeans: &KMeans, batch: MiniBatch) -> Result<Run> {
    at_least_one("mini_batch.points", batch.points)?;
    at_least_one("mini_batch.batches", batch.batches)?;
    let fits = kmeans.problem.weights.is_none();
    setting("weights", "given", fits, "left out with batches")?;
    let mut best: Option<Run> = None;
    for restart in 0..kmeans.problem.config.restarts {
        let centroids = learn(kmeans, batch, restart)?;
        let run = Lloyd::start(&kmeans.problem, &*kmeans.engine, centroids, restart)?.finish();
        if best.as_ref().is_none_or(|best| run.inertia < best.inertia) {
            best = Some(run);
        }
    }
    Ok(best.expect("at least one restart ran"))
}

fn learn(kmeans: &KMeans, batch: MiniBatch, restart: usize) -> Result<Array2<f32>> {
    let mut centroids = initial_centroids(&kmeans.problem.deal, kmeans.problem.config, restart)?;
    let (clusters, dim) = centroids.dim();
    let mut stream = stream(kmeans.problem.config.seed, BATCH_STREAM + restart);
    let mut won = ClusterSums::new(clusters, dim, None);
    for _ in 0..batch.batches {
        if kmeans.problem.config.metric == Metric::Spherical {
            scale_rows(&mut centroids);
        }
        let draw = |_| below(kmeans.problem.deal.count(), &mut stream);
        let chosen: Vec<usize> = (0..batch.points).map(draw).collect();
        let points = kmeans.problem.deal.fetch(&chosen)?;
        let labels = nearest(kmeans, points.view(), centroids.view());
        won.add(0, points.as_slice().expect("standard layout"), &labels);
        move_centroids(&mut centroids, &won);
    }
    Ok(centroids)
}

fn nearest(kmeans: &KMeans, points: ArrayView2<f32>, centroids: ArrayView2<f32>) -> Vec<u32> {
    let table = centroid_table(centroids, kmeans.problem.config.metric);
    let mut labels = vec![0; points.nrows()];
    let rows = points.to_slice().expect("standard layout");
    Assigner::new(points.ncols()).nearest(0, rows, &table, &mut labels);
    labels
}

/// Centroids that have won points become the mean of all of them.
fn move_centroids(centroids: &mut Array2<f32>, won: &ClusterSums) {
    let means = won.means();
    for (cluster, &count) in won.counts().iter().enumerate() {
        if count > 0 {
            centroids.row_mut(cluster).assign(&means.row(cluster));
        }
    }
}
