//! Settings of k-means.

use serde::{Deserialize, Serialize};

use super::{EmptyPolicy, Init};
use crate::error::{Error, Result, at_least_one, setting};

/// What centroids are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Means of their points, nearest by Euclidean distance; what PASS does.
    #[default]
    Euclidean,
    /// Means scaled to length 1, nearest by inner product: spherical k-means (Dhillon and Modha
    /// 2001). For unit rows that is the cosine.
    Spherical,
}

/// Settings of [`KMeans`](super::KMeans).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KMeansConfig {
    /// Number of clusters K, at least 1; in PASS the number of classes.
    pub clusters: usize,
    /// Updates of the centroids in each restart, at least 1.
    #[serde(default = "default_iterations")]
    pub iterations: usize,
    /// Independent runs of which the best is kept, at least 1.
    #[serde(default = "default_restarts")]
    pub restarts: usize,
    /// Seed of all random choices.
    #[serde(default)]
    pub seed: u64,
    /// How the first centroids are chosen.
    #[serde(default)]
    pub init: Init,
    /// What happens to a cluster that lost all its points.
    #[serde(default)]
    pub empty: EmptyPolicy,
    /// What centroids are.
    #[serde(default)]
    pub metric: Metric,
    /// A run ends when an update lowers the inertia by no more than this share of it, 0 to 1;
    /// 0 waits until no point changes its cluster.
    #[serde(default)]
    pub tolerance: f64,
}

fn default_iterations() -> usize {
    20
}

fn default_restarts() -> usize {
    30
}

impl KMeansConfig {
    /// The reference's settings for `clusters` clusters: 30 restarts of 20 iterations, random
    /// start, empty clusters split off large ones, no tolerance.
    pub fn new(clusters: usize) -> Self {
        Self {
            clusters,
            iterations: default_iterations(),
            restarts: default_restarts(),
            seed: 0,
            init: Init::default(),
            empty: EmptyPolicy::default(),
            metric: Metric::default(),
            tolerance: 0.0,
        }
    }

    pub(super) fn check(&self, points: usize) -> Result<()> {
        at_least_one("kmeans.clusters", self.clusters)?;
        at_least_one("kmeans.iterations", self.iterations)?;
        at_least_one("kmeans.restarts", self.restarts)?;
        let fits = (0.0..1.0).contains(&self.tolerance);
        let allowed = "at least 0 and below 1";
        setting("kmeans.tolerance", self.tolerance, fits, allowed)?;
        if points < self.clusters {
            let clusters = self.clusters;
            return Err(Error::TooFewPoints { points, clusters });
        }
        let fits = points <= u32::MAX as usize;
        setting("number of points", points, fits, "at most 4294967295")
    }
}
