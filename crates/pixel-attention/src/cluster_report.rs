//! What a clustering is like, in numbers: sizes, inertia, balance, the points nearest to each
//! centroid, and how far other restarts agree with the best one.
//!
//! Nothing here looks at labels; agreement with classes is measured by
//! [`luss_metrics::normalized_mutual_information`] and [`luss_metrics::cluster_accuracy`].

use luss_metrics::normalized_mutual_information;
use ndarray::ArrayView2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    kmeans::Run,
    rows::{Rows, for_each_part},
};

/// The clusters of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Number of points N.
    pub points: usize,
    /// Sum over all points of the squared Euclidean distance to their centroid, weights left out.
    pub inertia: f64,
    /// See [`imbalance`].
    pub imbalance: f64,
    /// See [`normalized_entropy`].
    pub normalized_entropy: f64,
    /// Clusters without points.
    pub empty: usize,
    /// One for each cluster, by its index.
    pub clusters: Vec<ClusterEntry>,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClusterEntry {
    /// Points in it.
    pub size: usize,
    /// Sum of their squared distances to the centroid.
    pub inertia: f64,
    /// Those nearest to the centroid, the nearest first, the lower row first among equals.
    pub nearest: Vec<NearPoint>,
}

/// A point near its centroid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NearPoint {
    /// Its row.
    pub row: usize,
    /// Squared Euclidean distance.
    pub squared_distance: f64,
}

impl ClusterReport {
    /// Reads all rows once. `nearest` is how many of the points nearest to its centroid each
    /// cluster keeps. Distances are computed in `f64`; the result does not depend on the number of
    /// threads.
    ///
    /// Memory: 16 bytes for each kept point, 8 for each row of a part of the file.
    ///
    /// # Shapes
    ///
    /// - `rows`: `[N, D]`
    /// - `centroids`: `[K, D]`
    /// - `assignments`: N indices below K
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when these disagree or there is no row; a file that cannot be read.
    pub fn new(
        rows: &dyn Rows,
        centroids: ArrayView2<f32>,
        assignments: &[u32],
        nearest: usize,
    ) -> Result<Self> {
        check_shapes(rows, centroids, assignments)?;
        let centroids = centroids.as_standard_layout();
        let dim = rows.columns();
        let mut clusters = vec![ClusterEntry::default(); centroids.nrows()];
        for_each_part(rows, |first, part| {
            let labels = &assignments[first..][..part.len() / dim];
            let distances: Vec<f64> = part
                .par_chunks(dim)
                .zip(labels)
                .map(|(point, &label)| {
                    let centroid = centroids.row(label as usize);
                    squared_distance(point, centroid.to_slice().expect("standard layout"))
                })
                .collect();
            // In the order of the rows, whatever thread computed them.
            for (offset, (&squared_distance, &label)) in distances.iter().zip(labels).enumerate() {
                let row = first + offset;
                let point = NearPoint {
                    row,
                    squared_distance,
                };
                clusters[label as usize].add(point, nearest);
            }
            Ok(())
        })?;
        let sizes: Vec<usize> = clusters.iter().map(|cluster| cluster.size).collect();
        Ok(Self {
            points: rows.count(),
            inertia: clusters.iter().map(|cluster| cluster.inertia).sum(),
            imbalance: imbalance(&sizes),
            normalized_entropy: normalized_entropy(&sizes),
            empty: sizes.iter().filter(|&&size| size == 0).count(),
            clusters,
        })
    }
}

impl ClusterEntry {
    /// Mean squared distance of its points to the centroid; `None` without points.
    pub fn mean_squared_distance(&self) -> Option<f64> {
        (self.size > 0).then(|| self.inertia / self.size as f64)
    }

    fn add(&mut self, point: NearPoint, kept: usize) {
        self.size += 1;
        self.inertia += point.squared_distance;
        let place = self
            .nearest
            .partition_point(|other| other.squared_distance <= point.squared_distance);
        if place < kept {
            self.nearest.truncate(kept - 1);
            self.nearest.insert(place, point);
        }
    }
}

/// `K · Σ n_k² / N²` for K clusters of `n_k` points: 1 when all are equally large, K when one
/// holds everything. The imbalance factor of faiss.
///
/// # Panics
///
/// Without any point.
///
/// ```
/// use pixel_attention::cluster_report::imbalance;
///
/// assert_eq!(imbalance(&[5, 5, 5]), 1.0);
/// assert_eq!(imbalance(&[15, 0, 0]), 3.0);
/// ```
pub fn imbalance(sizes: &[usize]) -> f64 {
    let points = total(sizes);
    let squares: f64 = sizes.iter().map(|&size| (size as f64).powi(2)).sum();
    sizes.len() as f64 * squares / (points * points)
}

/// Entropy of the sizes over that of equal sizes, `−Σ p_k ln p_k / ln K` with `p_k = n_k / N`: 1
/// when all clusters are equally large, 0 when one holds everything. 1 for a single cluster.
///
/// # Panics
///
/// Without any point.
///
/// ```
/// use pixel_attention::cluster_report::normalized_entropy;
///
/// assert_eq!(normalized_entropy(&[7, 7]), 1.0);
/// assert_eq!(normalized_entropy(&[0, 7]), 0.0);
/// ```
pub fn normalized_entropy(sizes: &[usize]) -> f64 {
    let points = total(sizes);
    if sizes.len() == 1 {
        return 1.0;
    }
    let shares = sizes.iter().filter(|&&size| size > 0);
    let entropy: f64 = shares
        .map(|&size| size as f64 / points)
        .map(|share| -share * share.ln())
        .sum();
    // The sum of no surprise is -0.
    (entropy / (sizes.len() as f64).ln()).max(0.0)
}

/// One restart beside the best one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RestartEntry {
    /// Which, from 0.
    pub restart: usize,
    /// Its inertia.
    pub inertia: f64,
    /// Updates of the centroids that it made.
    pub iterations: usize,
    /// Normalised mutual information of its clusters with those of the best restart, `0..=1`; 1
    /// for the best one itself.
    pub nmi_with_best: f64,
}

impl RestartEntry {
    /// Compares a restart with the assignments of the best one. Two labellings are in memory at a
    /// time, 8 bytes for each point, besides a count for each pair of clusters that share points.
    ///
    /// # Panics
    ///
    /// If `best` has another number of points.
    pub fn new(run: &Run, best: &[u32]) -> Self {
        Self {
            restart: run.restart,
            inertia: run.inertia,
            iterations: run.iterations,
            nmi_with_best: normalized_mutual_information(&run.assignments, best),
        }
    }
}

/// Mean agreement of the other restarts with the best one, `0..=1`; `None` where there was one
/// restart. Low values say that the clusters are an accident of the first centroids.
pub fn stability(restarts: &[RestartEntry], best: usize) -> Option<f64> {
    let others = restarts.iter().filter(|entry| entry.restart != best);
    let count = others.clone().count();
    let sum: f64 = others.map(|entry| entry.nmi_with_best).sum();
    (count > 0).then(|| sum / count as f64)
}

fn check_shapes(rows: &dyn Rows, centroids: ArrayView2<f32>, assignments: &[u32]) -> Result<()> {
    let (clusters, columns) = centroids.dim();
    let wrong = |reason: String| {
        let what = "cluster report";
        Err(Error::Shape { what, reason })
    };
    if rows.count() == 0 || rows.count() != assignments.len() {
        let (rows, labels) = (rows.count(), assignments.len());
        return wrong(format!("{labels} assignments for {rows} rows"));
    }
    if rows.columns() != columns {
        let of_rows = rows.columns();
        return wrong(format!("centroids of {columns} columns, rows of {of_rows}"));
    }
    match assignments
        .iter()
        .position(|&label| label as usize >= clusters)
    {
        None => Ok(()),
        Some(row) => wrong(format!(
            "row {row} is in cluster {}, but there are {clusters} from 0",
            assignments[row]
        )),
    }
}

fn squared_distance(point: &[f32], centroid: &[f32]) -> f64 {
    let pairs = point.iter().zip(centroid);
    pairs
        .map(|(&x, &y)| f64::from(x) - f64::from(y))
        .map(|gap| gap * gap)
        .sum()
}

fn total(sizes: &[usize]) -> f64 {
    let points: usize = sizes.iter().sum();
    assert!(points > 0, "{} clusters without any point", sizes.len());
    points as f64
}

#[cfg(test)]
mod tests;
