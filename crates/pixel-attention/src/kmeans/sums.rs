//! The sums of the points of each cluster, kept up to date as points move.

use ndarray::{Array2, ArrayView2};
use pass_model::group::Group;
use rayon::prelude::*;

use crate::products::{product_f64, squared_norm_f64};

/// Sums and numbers of the points of each cluster.
///
/// Each cluster takes its points in their order, so the sums are the same for any number of
/// threads and any parts in which the points come; the clusters share the work.
pub(super) struct ClusterSums {
    dim: usize,
    /// `[clusters, D]`.
    sums: Vec<f64>,
    counts: Vec<usize>,
}

/// A point that a cluster wins or loses.
#[derive(Clone, Copy, Default)]
struct Event {
    point: u32,
    lost: bool,
}

impl ClusterSums {
    pub(super) fn new(clusters: usize, dim: usize) -> Self {
        Self {
            dim,
            sums: vec![0.0; clusters * dim],
            counts: vec![0; clusters],
        }
    }

    /// Forgets all points.
    pub(super) fn clear(&mut self) {
        self.sums.fill(0.0);
        self.counts.fill(0);
    }

    /// Adds `rows` to the clusters that `labels` name.
    pub(super) fn add(&mut self, rows: &[f32], labels: &[u32]) {
        let events = (0..).zip(labels).map(|(point, &label)| {
            let lost = false;
            (label, Event { point, lost })
        });
        self.apply(rows, events);
    }

    /// Moves the points whose label has changed; returns how many there are.
    pub(super) fn move_points(&mut self, rows: &[f32], old: &[u32], new: &[u32]) -> usize {
        let changed = (0..).zip(old.iter().zip(new)).filter(|(_, (o, n))| o != n);
        let events = changed.clone().flat_map(|(point, (&old, &new))| {
            let event = |lost| Event { point, lost };
            [(old, event(true)), (new, event(false))]
        });
        self.apply(rows, events);
        changed.count()
    }

    /// Takes over sums that were made elsewhere, `[clusters, D]`, and counts the points that
    /// `labels` name.
    pub(super) fn replace(&mut self, sums: Vec<f64>, labels: &[u32]) {
        assert_eq!(sums.len(), self.sums.len(), "clusters x D");
        self.clear();
        self.sums = sums;
        for &label in labels {
            self.counts[label as usize] += 1;
        }
    }

    /// The sums of the clusters of all ranks, from those of each; nothing where there is one.
    pub(super) fn of_ranks(&self, ranks: &Group) -> Option<Self> {
        if ranks.size() == 1 {
            return None;
        }
        let counts = self.counts.iter().map(|&count| count as f64);
        let mut all: Vec<f64> = counts.chain(self.sums.iter().copied()).collect();
        ranks.sum_f64(&mut all);
        let sums = all.split_off(self.counts.len());
        Some(Self {
            dim: self.dim,
            sums,
            counts: all.into_iter().map(|count| count as usize).collect(),
        })
    }

    fn apply(&mut self, rows: &[f32], events: impl Iterator<Item = (u32, Event)> + Clone) {
        let (sorted, starts) = by_cluster(events, self.counts.len());
        let dim = self.dim;
        let clusters = self.sums.par_chunks_mut(dim).zip(&mut self.counts);
        clusters.enumerate().for_each(|(cluster, (sums, count))| {
            for event in &sorted[starts[cluster]..starts[cluster + 1]] {
                let row = &rows[event.point as usize * dim..][..dim];
                add_scaled(sums, row, if event.lost { -1.0 } else { 1.0 });
                match event.lost {
                    true => *count -= 1,
                    false => *count += 1,
                }
            }
        });
    }

    /// The mean of each cluster, `[clusters, D]`; zero without points.
    pub(super) fn means(&self) -> Array2<f32> {
        let (clusters, dim) = (self.counts.len(), self.dim);
        let mut means = Array2::zeros((clusters, dim));
        let rows = means.as_slice_mut().expect("standard layout");
        let rows = rows.par_chunks_mut(dim).zip(self.sums.par_chunks(dim));
        rows.zip(&self.counts).for_each(|((mean, sums), &count)| {
            let size = if count == 0 {
                f64::INFINITY
            } else {
                count as f64
            };
            for (mean, sum) in mean.iter_mut().zip(sums) {
                *mean = (sum / size) as f32;
            }
        });
        means
    }

    /// Points of each cluster.
    pub(super) fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Sum of the squared distances of all points to the centroid of their cluster:
    /// `Σ|x|² - 2 Σ c·s + Σ n|c|²` over clusters of n points with sum s, in `f64`.
    /// `squared_norms` is the first of the three.
    pub(super) fn inertia(&self, centroids: ArrayView2<f32>, squared_norms: f64) -> f64 {
        let centroids = centroids.as_slice().expect("standard layout");
        let sums = self.sums.par_chunks(self.dim).zip(&self.counts);
        let explained: Vec<f64> = sums
            .zip(centroids.par_chunks(self.dim))
            .map(|((sums, &n), c)| 2.0 * product_f64(c, sums) - n as f64 * squared_norm_f64(c))
            .collect();
        // One after the other, whatever the threads.
        let explained: f64 = explained.iter().sum();
        (squared_norms - explained).max(0.0)
    }
}

fn add_scaled(sums: &mut [f64], row: &[f32], scale: f64) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += scale * f64::from(value);
    }
}

/// Items sorted by cluster (a stable counting sort) and where each cluster starts.
pub(super) fn by_cluster<T: Copy + Default>(
    items: impl Iterator<Item = (u32, T)> + Clone,
    clusters: usize,
) -> (Vec<T>, Vec<usize>) {
    let mut starts = vec![0usize; clusters + 1];
    for (label, _) in items.clone() {
        starts[label as usize + 1] += 1;
    }
    for cluster in 0..clusters {
        starts[cluster + 1] += starts[cluster];
    }
    let mut next = starts.clone();
    let mut sorted = vec![T::default(); starts[clusters]];
    for (label, item) in items {
        let place = &mut next[label as usize];
        sorted[*place] = item;
        *place += 1;
    }
    (sorted, starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn moving_points_equals_adding_them_afresh() {
        let points = Array2::from_shape_fn((97, 5), |(i, k)| ((i * 7 + k * 3) % 11) as f32 / 4.0);
        let rows = points.as_slice().unwrap();
        let labels = |shift: usize| -> Vec<u32> {
            let label = |i: usize| ((i + shift * usize::from(i.is_multiple_of(9))) % 4) as u32;
            (0..97).map(label).collect()
        };
        let mut sums = ClusterSums::new(4, 5);
        sums.add(rows, &labels(0));
        assert_eq!(sums.move_points(rows, &labels(0), &labels(1)), 11);
        let mut fresh = ClusterSums::new(4, 5);
        fresh.add(rows, &labels(1));
        assert_eq!(
            (sums.means(), sums.counts()),
            (fresh.means(), fresh.counts())
        );
        assert_eq!(sums.move_points(rows, &labels(1), &labels(1)), 0);
    }

    #[test]
    fn inertia_is_the_sum_of_squared_distances() {
        let rows = [1.0f32, 2.0, 3.0, 0.0, -1.0, 1.0];
        let mut sums = ClusterSums::new(2, 2);
        sums.add(&rows, &[0, 0, 1]);
        let centroids = array![[1.0f32, 1.0], [0.0, 1.0]];
        assert_eq!(
            sums.inertia(centroids.view(), 5.0 + 9.0 + 2.0),
            1.0 + 5.0 + 1.0
        );
    }
}
