//! One run of Lloyd's algorithm.

use ndarray::{Array2, ArrayView2};

use super::{
    EmptyPolicy, KMeans, Metric,
    assign::{Assigner, centroid_table},
    empty::{farthest_points, split_empty},
    sums::ClusterSums,
};
use crate::{
    error::{Error, Result},
    products::squared_norm_f64,
    rows::{Rows, for_each_part},
};

/// The outcome of one run: everything in it belongs together.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Cluster centres `[clusters, D]`: means of the points (length below 1 for unit rows), or of
    /// length 1 under [`Metric::Spherical`].
    pub centroids: Array2<f32>,
    /// For each point the index of its nearest centroid *among these centroids*.
    pub assignments: Vec<u32>,
    /// Sum over the points of the squared distance to their centroid, times their weight.
    pub inertia: f64,
    /// Updates of the centroids that were made; fewer than set when the run came to rest.
    pub iterations: usize,
    /// Which restart this was, from 0.
    pub restart: usize,
    /// Inertia of the first centroids and after each update; the last is `inertia`.
    pub history: Vec<f64>,
}

/// What is known after each update of the centroids, for those who wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Restart, from 0.
    pub restart: usize,
    /// Updates so far in this restart; 0 for the first assignment.
    pub iteration: usize,
    /// Inertia now.
    pub inertia: f64,
    /// Points that changed their cluster; all in the first assignment.
    pub moved: usize,
}

/// A run that is under way.
pub(super) struct Lloyd<'a> {
    kmeans: &'a KMeans<'a>,
    restart: usize,
    centroids: Array2<f32>,
    labels: Vec<u32>,
    sums: ClusterSums<'a>,
    /// Points that changed their cluster in the last assignment.
    moved: usize,
    history: Vec<f64>,
}

impl<'a> Lloyd<'a> {
    /// Assigns all points to the first centroids.
    pub(super) fn start(
        kmeans: &'a KMeans<'a>,
        centroids: Array2<f32>,
        restart: usize,
    ) -> Result<Self> {
        let (rows, clusters) = (kmeans.rows, centroids.nrows());
        let mut this = Self {
            kmeans,
            restart,
            centroids,
            labels: vec![0; rows.count()],
            sums: ClusterSums::new(clusters, rows.columns(), kmeans.weights),
            moved: rows.count(),
            history: Vec::new(),
        };
        this.scale();
        this.assign()?;
        Ok(this)
    }

    /// Updates and assigns until the run comes to rest or the iterations are used up.
    pub(super) fn run(mut self) -> Result<Run> {
        for _ in 0..self.kmeans.config.iterations {
            self.update()?;
            self.assign()?;
            if self.is_at_rest() {
                break;
            }
        }
        Ok(self.finish())
    }

    pub(super) fn finish(self) -> Run {
        Run {
            centroids: self.centroids,
            assignments: self.labels,
            inertia: self.history[self.history.len() - 1],
            iterations: self.history.len() - 1,
            restart: self.restart,
            history: self.history,
        }
    }

    fn is_at_rest(&self) -> bool {
        let [.., before, now] = self.history[..] else {
            return false;
        };
        let tolerance = self.kmeans.config.tolerance;
        self.moved == 0 || (tolerance > 0.0 && before - now <= tolerance * before)
    }

    /// Every centroid becomes the mean of its points.
    fn update(&mut self) -> Result<()> {
        let empty: Vec<usize> = clusters_without(self.sums.counts());
        if self.kmeans.config.empty == EmptyPolicy::Farthest && !empty.is_empty() {
            self.give_farthest(&empty)?;
        }
        self.centroids = self.sums.means();
        if let Some(&cluster) = empty.first() {
            match self.kmeans.config.empty {
                EmptyPolicy::Farthest => {}
                EmptyPolicy::Split => {
                    split_empty(&mut self.centroids, &mut self.sums.counts().to_vec());
                }
                EmptyPolicy::Error => {
                    let (restart, iteration) = (self.restart, self.history.len() - 1);
                    return Err(Error::EmptyCluster {
                        cluster,
                        restart,
                        iteration,
                    });
                }
            }
        }
        self.scale();
        Ok(())
    }

    /// Each empty cluster takes over a point that lies far from its own centroid.
    fn give_farthest(&mut self, empty: &[usize]) -> Result<()> {
        let rows = self.kmeans.rows;
        let counts = self.sums.counts();
        let points = farthest_points(
            rows,
            self.centroids.view(),
            &self.labels,
            counts,
            empty.len(),
        )?;
        let mut row = vec![0.0; rows.columns()];
        for (point, &cluster) in points.into_iter().zip(empty) {
            rows.read(point, &mut row)?;
            let (old, new) = ([self.labels[point]], [cluster as u32]);
            self.sums.move_points(point, &row, &old, &new);
            self.labels[point] = cluster as u32;
        }
        Ok(())
    }

    fn scale(&mut self) {
        if self.kmeans.config.metric == Metric::Spherical {
            scale_rows(&mut self.centroids);
        }
    }

    /// Every point goes to its nearest centroid. While most points move the sums are made afresh,
    /// later they follow those that do.
    fn assign(&mut self) -> Result<()> {
        let kmeans = self.kmeans;
        let afresh = 2 * self.moved >= self.labels.len();
        if afresh {
            self.sums.clear();
        }
        let table = centroid_table(self.centroids.view(), kmeans.config.metric);
        let dim = kmeans.rows.columns();
        let mut new = Vec::new();
        let mut moved = 0;
        for_each_part(kmeans.rows, |first, part| {
            new.resize(part.len() / dim, 0);
            kmeans.assigner.nearest(first, part, &table, &mut new);
            let old = &mut self.labels[first..][..new.len()];
            if afresh {
                self.sums.add(first, part, &new);
                moved += old.iter().zip(&new).filter(|(old, new)| old != new).count();
            } else {
                moved += self.sums.move_points(first, part, old, &new);
            }
            old.copy_from_slice(&new);
            Ok(())
        })?;
        self.report(moved);
        Ok(())
    }

    fn report(&mut self, moved: usize) {
        let first = self.history.is_empty();
        self.moved = if first { self.labels.len() } else { moved };
        let inertia = self
            .sums
            .inertia(self.centroids.view(), self.kmeans.squared_norms);
        self.history.push(inertia);
        (self.kmeans.watch)(&Update {
            restart: self.restart,
            iteration: self.history.len() - 1,
            inertia,
            moved: self.moved,
        });
    }
}

fn clusters_without(counts: &[usize]) -> Vec<usize> {
    (0..counts.len())
        .filter(|&cluster| counts[cluster] == 0)
        .collect()
}

/// Scales every row to length 1; rows of zeros stay.
pub(super) fn scale_rows(centroids: &mut Array2<f32>) {
    for mut row in centroids.rows_mut() {
        let length = squared_norm_f64(row.as_slice().expect("standard layout")).sqrt();
        if length > 0.0 {
            row.mapv_inplace(|value| (f64::from(value) / length) as f32);
        }
    }
}

/// The nearest of `centroids` to each row.
pub(super) fn assign_all(
    rows: &dyn Rows,
    assigner: &Assigner,
    centroids: ArrayView2<f32>,
    metric: Metric,
) -> Result<Vec<u32>> {
    let table = centroid_table(centroids, metric);
    let mut labels = vec![0; rows.count()];
    for_each_part(rows, |first, part| {
        let here = &mut labels[first..][..part.len() / rows.columns()];
        assigner.nearest(first, part, &table, here);
        Ok(())
    })?;
    Ok(labels)
}
