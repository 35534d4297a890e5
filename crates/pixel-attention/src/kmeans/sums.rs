//! The sums of the points of each cluster, kept up to date as points move.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::products::{product_f64, squared_norm_f64};

/// Sums and numbers of the points of each cluster.
///
/// Each cluster adds its points in their order, so the sums are the same for any number of
/// threads; the clusters share the work.
pub(super) struct ClusterSums<'a> {
    rows: &'a [f32],
    dim: usize,
    labels: Vec<u32>,
    /// `[clusters, D]`.
    sums: Vec<f64>,
    counts: Vec<usize>,
    /// Sum of the squared lengths of all points.
    squared_norms: f64,
}

impl<'a> ClusterSums<'a> {
    /// The sums of `points` `[N, D]`, in standard layout, under `labels`.
    pub(super) fn new(points: ArrayView2<'a, f32>, labels: Vec<u32>, clusters: usize) -> Self {
        let dim = points.ncols();
        let rows = points.to_slice().expect("standard layout");
        let mut this = Self {
            rows,
            dim,
            labels,
            sums: vec![0.0; clusters * dim],
            counts: vec![0; clusters],
            squared_norms: sum_of_squared_norms(rows, dim),
        };
        this.add_all();
        this
    }

    /// Gives up the assignment.
    pub(super) fn into_labels(self) -> Vec<u32> {
        self.labels
    }

    /// Takes over a new assignment; says whether it is the old one. Where few points moved, only
    /// they are read.
    pub(super) fn reassign(&mut self, labels: Vec<u32>) -> bool {
        let pairs = self.labels.iter().zip(&labels);
        let moved: Vec<u32> = (0..)
            .zip(pairs)
            .filter_map(|(point, (old, new))| (old != new).then_some(point))
            .collect();
        let old = std::mem::replace(&mut self.labels, labels);
        if 2 * moved.len() >= self.labels.len() {
            self.add_all();
        } else {
            self.add(&moved, |point| old[point], -1.0);
            let labels = std::mem::take(&mut self.labels);
            self.add(&moved, |point| labels[point], 1.0);
            self.labels = labels;
        }
        moved.is_empty()
    }

    /// The mean of each cluster, `[clusters, D]` (zero without points), and its number of points.
    pub(super) fn means(&self) -> (Array2<f32>, Vec<usize>) {
        let rows = self.sums.chunks(self.dim).zip(&self.counts);
        let means = rows.flat_map(|(sums, &count)| {
            let mean = move |sum: &f64| (sum / count.max(1) as f64) as f32;
            sums.iter().map(mean)
        });
        let shape = (self.counts.len(), self.dim);
        let means = Array2::from_shape_vec(shape, means.collect()).expect("clusters x dim");
        (means, self.counts.clone())
    }

    /// Sum of the squared distances of all points to the centroid of their cluster:
    /// `Σ|x|² - 2 Σ c·s + Σ n|c|²` over clusters with sum s and n points, in `f64`.
    pub(super) fn inertia(&self, centroids: ArrayView2<f32>) -> f64 {
        let centroids = centroids.as_slice().expect("standard layout");
        let sums = self.sums.chunks(self.dim).zip(&self.counts);
        let explained: f64 = sums
            .zip(centroids.chunks(self.dim))
            .map(|((sums, &count), c)| {
                2.0 * product_f64(c, sums) - count as f64 * squared_norm_f64(c)
            })
            .sum();
        (self.squared_norms - explained).max(0.0)
    }

    fn add_all(&mut self) {
        self.sums.fill(0.0);
        self.counts.fill(0);
        let labels = std::mem::take(&mut self.labels);
        let all: Vec<u32> = (0..labels.len() as u32).collect();
        self.add(&all, |point| labels[point], 1.0);
        self.labels = labels;
    }

    /// Adds `sign` times each of `points` to the cluster that `label` names.
    fn add(&mut self, points: &[u32], label: impl Fn(usize) -> u32, sign: f64) {
        let (members, starts) = by_cluster(points, label, self.counts.len());
        let (rows, dim) = (self.rows, self.dim);
        let clusters = self.sums.par_chunks_mut(dim).zip(&mut self.counts);
        clusters.enumerate().for_each(|(cluster, (sums, count))| {
            let members = &members[starts[cluster]..starts[cluster + 1]];
            for &member in members {
                let row = &rows[member as usize * dim..][..dim];
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += sign * f64::from(value);
                }
            }
            *count = match sign > 0.0 {
                true => *count + members.len(),
                false => *count - members.len(),
            };
        });
    }
}

/// Points sorted by cluster (a stable counting sort) and where each cluster starts.
fn by_cluster(
    points: &[u32],
    label: impl Fn(usize) -> u32,
    clusters: usize,
) -> (Vec<u32>, Vec<usize>) {
    let label = |point: u32| label(point as usize) as usize;
    let mut starts = vec![0usize; clusters + 1];
    for &point in points {
        starts[label(point) + 1] += 1;
    }
    for cluster in 0..clusters {
        starts[cluster + 1] += starts[cluster];
    }
    let mut next = starts.clone();
    let mut members = vec![0u32; points.len()];
    for &point in points {
        let place = &mut next[label(point)];
        members[*place] = point;
        *place += 1;
    }
    (members, starts)
}

/// In fixed parts, so that the sum does not depend on the number of threads.
fn sum_of_squared_norms(rows: &[f32], dim: usize) -> f64 {
    const PART_ROWS: usize = 1024;
    let parts: Vec<f64> = rows
        .par_chunks(PART_ROWS * dim)
        .map(squared_norm_f64)
        .collect();
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn moving_points_equals_adding_them_afresh() {
        let points = Array2::from_shape_fn((97, 5), |(i, k)| ((i * 7 + k * 3) % 11) as f32 / 4.0);
        let labels = |shift: usize| -> Vec<u32> {
            let label = |i: usize| ((i + shift * usize::from(i.is_multiple_of(9))) % 4) as u32;
            (0..97).map(label).collect()
        };
        let mut sums = ClusterSums::new(points.view(), labels(0), 4);
        assert!(!sums.reassign(labels(1)));
        let fresh = ClusterSums::new(points.view(), labels(1), 4);
        assert_eq!(sums.means(), fresh.means());
        assert!(sums.reassign(labels(1)), "nothing moved");
    }

    #[test]
    fn inertia_is_the_sum_of_squared_distances() {
        let points = array![[1.0f32, 2.0], [3.0, 0.0], [-1.0, 1.0]];
        let centroids = array![[1.0f32, 1.0], [0.0, 1.0]];
        let sums = ClusterSums::new(points.view(), vec![0, 0, 1], 2);
        assert_eq!(sums.inertia(centroids.view()), 1.0 + 5.0 + 1.0);
    }
}
