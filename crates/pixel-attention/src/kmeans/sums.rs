//! The sums of the points of each cluster, kept up to date as points move.

use ndarray::{Array2, ArrayView2};
use pass_model::group::Group;
use rayon::prelude::*;

use crate::products::{product_f64, squared_norm_f64};

/// Sums, numbers and weights of the points of each cluster.
///
/// Each cluster takes its points in their order, so the sums are the same for any number of
/// threads and any parts in which the points come; the clusters share the work.
pub(super) struct ClusterSums<'a> {
    dim: usize,
    /// `[clusters, D]`.
    sums: Vec<f64>,
    counts: Vec<usize>,
    /// Sum of the weights of each cluster; its count when there are none.
    masses: Vec<f64>,
    /// One for each point, if they have any.
    weights: Option<&'a [f32]>,
}

/// A point that a cluster wins or loses.
#[derive(Clone, Copy, Default)]
struct Event {
    point: u32,
    lost: bool,
}

impl<'a> ClusterSums<'a> {
    pub(super) fn new(clusters: usize, dim: usize, weights: Option<&'a [f32]>) -> Self {
        Self {
            dim,
            sums: vec![0.0; clusters * dim],
            counts: vec![0; clusters],
            masses: vec![0.0; clusters],
            weights,
        }
    }

    /// Forgets all points.
    pub(super) fn clear(&mut self) {
        self.sums.fill(0.0);
        self.counts.fill(0);
        self.masses.fill(0.0);
    }

    /// Adds `rows`, of which the first is point `first`, to the clusters that `labels` name.
    pub(super) fn add(&mut self, first: usize, rows: &[f32], labels: &[u32]) {
        let events = (0..).zip(labels).map(|(point, &label)| {
            let lost = false;
            (label, Event { point, lost })
        });
        self.apply(first, rows, events);
    }

    /// Moves the points whose label has changed; returns how many there are.
    pub(super) fn move_points(
        &mut self,
        first: usize,
        rows: &[f32],
        old: &[u32],
        new: &[u32],
    ) -> usize {
        let changed = (0..).zip(old.iter().zip(new)).filter(|(_, (o, n))| o != n);
        let events = changed.clone().flat_map(|(point, (&old, &new))| {
            let event = |lost| Event { point, lost };
            [(old, event(true)), (new, event(false))]
        });
        self.apply(first, rows, events);
        changed.count()
    }

    /// Takes over sums that were made elsewhere, `[clusters, D]`, and counts the points that
    /// `labels` name. Only for points without weights.
    pub(super) fn replace(&mut self, sums: Vec<f64>, labels: &[u32]) {
        assert!(self.weights.is_none(), "each point counts as one");
        assert_eq!(sums.len(), self.sums.len(), "clusters x D");
        self.clear();
        self.sums = sums;
        for &label in labels {
            self.counts[label as usize] += 1;
        }
        for (mass, &count) in self.masses.iter_mut().zip(&self.counts) {
            *mass = count as f64;
        }
    }

    /// The sums of the clusters of all ranks, from those of each; nothing where there is one.
    pub(super) fn of_ranks(&self, ranks: &Group) -> Option<Self> {
        if ranks.size() == 1 {
            return None;
        }
        let counts = self.counts.iter().map(|&count| count as f64);
        let mut all: Vec<f64> = counts.chain(self.masses.iter().copied()).collect();
        all.extend(&self.sums);
        ranks.sum_f64(&mut all);
        let sums = all.split_off(2 * self.counts.len());
        let masses = all.split_off(self.counts.len());
        Some(Self {
            dim: self.dim,
            sums,
            counts: all.into_iter().map(|count| count as usize).collect(),
            masses,
            weights: None,
        })
    }

    fn apply(
        &mut self,
        first: usize,
        rows: &[f32],
        events: impl Iterator<Item = (u32, Event)> + Clone,
    ) {
        let (sorted, starts) = by_cluster(events, self.counts.len());
        let (dim, weights) = (self.dim, self.weights);
        let clusters = self.sums.par_chunks_mut(dim).zip(&mut self.counts);
        let clusters = clusters.zip(&mut self.masses).enumerate();
        clusters.for_each(|(cluster, ((sums, count), mass))| {
            for event in &sorted[starts[cluster]..starts[cluster + 1]] {
                let row = &rows[event.point as usize * dim..][..dim];
                let weight = weights.map_or(1.0, |all| all[first + event.point as usize]);
                let signed = f64::from(if event.lost { -weight } else { weight });
                add_scaled(sums, row, signed);
                *mass += signed;
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
        let sizes = self.counts.par_iter().zip(&self.masses);
        rows.zip(sizes).for_each(|((mean, sums), (&count, &mass))| {
            let mass = if count == 0 { f64::INFINITY } else { mass };
            for (mean, sum) in mean.iter_mut().zip(sums) {
                *mean = (sum / mass) as f32;
            }
        });
        means
    }

    /// Points of each cluster.
    pub(super) fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Sum of the squared distances of all points to the centroid of their cluster:
    /// `Σ|x|² - 2 Σ c·s + Σ n|c|²` over clusters with sum s and weight n, in `f64`.
    /// `squared_norms` is the first of the three.
    pub(super) fn inertia(&self, centroids: ArrayView2<f32>, squared_norms: f64) -> f64 {
        let centroids = centroids.as_slice().expect("standard layout");
        let sums = self.sums.par_chunks(self.dim).zip(&self.masses);
        let explained: Vec<f64> = sums
            .zip(centroids.par_chunks(self.dim))
            .map(|((sums, &mass), c)| 2.0 * product_f64(c, sums) - mass * squared_norm_f64(c))
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
        let weights: Vec<f32> = (0..97).map(|i| (1 + i % 3) as f32).collect();
        for weights in [None, Some(&weights[..])] {
            let mut sums = ClusterSums::new(4, 5, weights);
            sums.add(0, rows, &labels(0));
            assert_eq!(sums.move_points(0, rows, &labels(0), &labels(1)), 11);
            let mut fresh = ClusterSums::new(4, 5, weights);
            fresh.add(0, rows, &labels(1));
            assert_eq!(
                (sums.means(), sums.counts()),
                (fresh.means(), fresh.counts())
            );
            assert_eq!(sums.move_points(0, rows, &labels(1), &labels(1)), 0);
        }
    }

    #[test]
    fn a_weight_counts_as_that_many_equal_points() {
        let (rows, weights) = ([1.0f32, 3.0, 8.0], [1.0f32, 3.0, 2.0]);
        let mut sums = ClusterSums::new(2, 1, Some(&weights));
        sums.add(0, &rows, &[0, 0, 1]);
        assert_eq!(sums.means(), array![[2.5f32], [8.0]]);
        assert_eq!(sums.counts(), [2, 1]);
        let squared_norms = 1.0 + 3.0 * 9.0 + 2.0 * 64.0;
        let inertia = sums.inertia(array![[2.0f32], [7.0]].view(), squared_norms);
        assert_eq!(inertia, 1.0 + 3.0 + 2.0);
    }

    #[test]
    fn inertia_is_the_sum_of_squared_distances() {
        let rows = [1.0f32, 2.0, 3.0, 0.0, -1.0, 1.0];
        let mut sums = ClusterSums::new(2, 2, None);
        sums.add(0, &rows, &[0, 0, 1]);
        let centroids = array![[1.0f32, 1.0], [0.0, 1.0]];
        assert_eq!(
            sums.inertia(centroids.view(), 5.0 + 9.0 + 2.0),
            1.0 + 5.0 + 1.0
        );
    }
}
