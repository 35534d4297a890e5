//! One run of Lloyd's algorithm.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{
    KMeansConfig,
    assign::nearest,
    empty::{EmptyPolicy, split_empty},
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
    points: ArrayView2<f32>,
    mut centroids: Array2<f32>,
    config: &KMeansConfig,
    restart: usize,
) -> Result<Run> {
    let mut assignment = nearest(points, centroids.view());
    let mut history = vec![assignment.inertia];
    for iteration in 0..config.iterations {
        let (mut means, mut counts) = cluster_means(points, &assignment.labels, config.clusters);
        fill_empty(&mut means, &mut counts, config.empty, restart, iteration)?;
        centroids = means;
        let next = nearest(points, centroids.view());
        let repeated = next.labels == assignment.labels;
        assignment = next;
        history.push(assignment.inertia);
        if repeated {
            break;
        }
    }
    let (assignments, inertia) = (assignment.labels, assignment.inertia);
    let iterations = history.len() - 1;
    Ok(Run {
        centroids,
        assignments,
        inertia,
        iterations,
        restart,
        history,
    })
}

/// The mean `[clusters, D]` and the number of the points of each cluster.
///
/// Each cluster adds its points up in their order, so the sums are the same for any number of
/// threads; the clusters share the work.
fn cluster_means(
    points: ArrayView2<f32>,
    labels: &[u32],
    clusters: usize,
) -> (Array2<f32>, Vec<usize>) {
    let dim = points.ncols();
    let data = points.as_slice().expect("standard layout");
    let (members, starts) = members_by_cluster(labels, clusters);
    let mut means = vec![0.0f32; clusters * dim];
    means.par_chunks_mut(dim).enumerate().for_each_init(
        || vec![0.0f64; dim],
        |sums, (cluster, mean)| {
            mean_of(
                data,
                &members[starts[cluster]..starts[cluster + 1]],
                sums,
                mean,
            );
        },
    );
    let counts = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    (
        Array2::from_shape_vec((clusters, dim), means).expect("clusters x dim"),
        counts,
    )
}

/// Point indices sorted by cluster (a stable counting sort) and where each cluster starts.
fn members_by_cluster(labels: &[u32], clusters: usize) -> (Vec<u32>, Vec<usize>) {
    let mut starts = vec![0usize; clusters + 1];
    for &label in labels {
        starts[label as usize + 1] += 1;
    }
    for cluster in 0..clusters {
        starts[cluster + 1] += starts[cluster];
    }
    let mut next = starts.clone();
    let mut members = vec![0u32; labels.len()];
    for (point, &label) in labels.iter().enumerate() {
        members[next[label as usize]] = point as u32;
        next[label as usize] += 1;
    }
    (members, starts)
}

fn mean_of(data: &[f32], members: &[u32], sums: &mut [f64], mean: &mut [f32]) {
    if members.is_empty() {
        return;
    }
    let dim = mean.len();
    sums.fill(0.0);
    for &member in members {
        let start = member as usize * dim;
        for (sum, &value) in sums.iter_mut().zip(&data[start..start + dim]) {
            *sum += f64::from(value);
        }
    }
    for (mean, &sum) in mean.iter_mut().zip(&*sums) {
        *mean = (sum / members.len() as f64) as f32;
    }
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
