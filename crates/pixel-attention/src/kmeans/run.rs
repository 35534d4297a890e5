//! One run of Lloyd's algorithm.

use ndarray::{Array2, ArrayView2};

use super::{
    EmptyPolicy, Metric,
    assign::{Assigner, centroid_table},
    empty::{farthest_points, split_empty},
    problem::{Engine, Problem},
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

/// The cluster of each point of this rank, and the sums of the clusters over these points.
pub(super) struct Partition<'a> {
    pub(super) labels: Vec<u32>,
    pub(super) sums: ClusterSums<'a>,
    /// Points that changed their cluster in the last assignment.
    pub(super) moved: usize,
}

/// A run that is under way.
pub(super) struct Lloyd<'a> {
    problem: &'a Problem<'a>,
    engine: &'a dyn Engine,
    restart: usize,
    centroids: Array2<f32>,
    partition: Partition<'a>,
    /// The sums over the points of all ranks, where there are several.
    sums_of_ranks: Option<ClusterSums<'a>>,
    /// Points of all ranks that changed their cluster in the last assignment.
    moved: usize,
    history: Vec<f64>,
}

impl<'a> Lloyd<'a> {
    /// Assigns all points to the first centroids.
    pub(super) fn start(
        problem: &'a Problem<'a>,
        engine: &'a dyn Engine,
        centroids: Array2<f32>,
        restart: usize,
    ) -> Result<Self> {
        let (rows, clusters) = (problem.rows, centroids.nrows());
        let partition = Partition {
            labels: vec![0; rows.count()],
            sums: ClusterSums::new(clusters, rows.columns(), problem.weights),
            moved: rows.count(),
        };
        let mut this = Self {
            problem,
            engine,
            restart,
            centroids,
            partition,
            sums_of_ranks: None,
            moved: 0,
            history: Vec::new(),
        };
        this.scale();
        this.assign()?;
        Ok(this)
    }

    /// Updates and assigns until the run comes to rest or the iterations are used up.
    pub(super) fn run(mut self) -> Result<Run> {
        for _ in 0..self.problem.config.iterations {
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
            assignments: self.problem.deal.ranks.gather(self.partition.labels),
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
        let tolerance = self.problem.config.tolerance;
        self.moved == 0 || (tolerance > 0.0 && before - now <= tolerance * before)
    }

    /// The sums over all points.
    fn sums(&self) -> &ClusterSums<'a> {
        self.sums_of_ranks.as_ref().unwrap_or(&self.partition.sums)
    }

    /// Every centroid becomes the mean of its points.
    fn update(&mut self) -> Result<()> {
        let empty: Vec<usize> = clusters_without(self.sums().counts());
        if self.problem.config.empty == EmptyPolicy::Farthest && !empty.is_empty() {
            self.give_farthest(&empty)?;
        }
        self.centroids = self.sums().means();
        if let Some(&cluster) = empty.first() {
            match self.problem.config.empty {
                EmptyPolicy::Farthest => {}
                EmptyPolicy::Split => {
                    let mut counts = self.sums().counts().to_vec();
                    split_empty(&mut self.centroids, &mut counts);
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
        let (deal, rows) = (&self.problem.deal, self.problem.rows);
        let (centroids, labels) = (self.centroids.view(), &self.partition.labels);
        let counts = self.sums().counts();
        let points = farthest_points(deal, centroids, labels, counts, empty.len())?;
        let Partition { labels, sums, .. } = &mut self.partition;
        let mut row = vec![0.0; rows.columns()];
        for (point, &cluster) in points.into_iter().zip(empty) {
            let Some(point) = deal.here(point) else {
                continue;
            };
            rows.read(point, &mut row)?;
            let (old, new) = ([labels[point]], [cluster as u32]);
            sums.move_points(point, &row, &old, &new);
            labels[point] = cluster as u32;
        }
        self.sums_of_ranks = self.partition.sums.of_ranks(&deal.ranks);
        Ok(())
    }

    fn scale(&mut self) {
        if self.problem.config.metric == Metric::Spherical {
            scale_rows(&mut self.centroids);
        }
    }

    fn assign(&mut self) -> Result<()> {
        let (centroids, partition) = (self.centroids.view(), &mut self.partition);
        let moved = self.engine.assign(self.problem, centroids, partition)?;
        let first = self.history.is_empty();
        partition.moved = if first { partition.labels.len() } else { moved };
        let ranks = &self.problem.deal.ranks;
        self.sums_of_ranks = partition.sums.of_ranks(ranks);
        let moved = ranks.one_of_each(partition.moved as f64);
        self.moved = moved.iter().sum::<f64>() as usize;
        self.report();
        Ok(())
    }

    fn report(&mut self) {
        let squared_norms = self.problem.squared_norms;
        let inertia = self.sums().inertia(self.centroids.view(), squared_norms);
        self.history.push(inertia);
        (self.problem.watch)(&Update {
            restart: self.restart,
            iteration: self.history.len() - 1,
            inertia,
            moved: self.moved,
        });
    }
}

impl Engine for Assigner {
    /// While most points move the sums are made afresh, later they follow those that do.
    fn assign(
        &self,
        problem: &Problem,
        centroids: ArrayView2<f32>,
        Partition {
            labels,
            sums,
            moved,
        }: &mut Partition,
    ) -> Result<usize> {
        let afresh = 2 * *moved >= labels.len();
        if afresh {
            sums.clear();
        }
        let table = centroid_table(centroids, problem.metric());
        let dim = problem.rows.columns();
        let mut new = Vec::new();
        let mut moved = 0;
        for_each_part(problem.rows, |first, part| {
            new.resize(part.len() / dim, 0);
            self.nearest(first, part, &table, &mut new);
            let old = &mut labels[first..][..new.len()];
            if afresh {
                sums.add(first, part, &new);
                moved += changed(old, &new);
            } else {
                moved += sums.move_points(first, part, old, &new);
            }
            old.copy_from_slice(&new);
            Ok(())
        })?;
        Ok(moved)
    }
}

/// How many labels differ.
pub(super) fn changed(old: &[u32], new: &[u32]) -> usize {
    old.iter().zip(new).filter(|(old, new)| old != new).count()
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
