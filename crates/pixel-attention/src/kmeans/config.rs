//! Settings of k-means.

use serde::{Deserialize, Serialize};

use super::Init;
use crate::error::{Error, Result};

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
}

fn default_iterations() -> usize {
    20
}

fn default_restarts() -> usize {
    30
}

impl KMeansConfig {
    /// The reference's settings for `clusters` clusters: 30 restarts of 20 iterations, random
    /// start.
    pub fn new(clusters: usize) -> Self {
        Self {
            clusters,
            iterations: default_iterations(),
            restarts: default_restarts(),
            seed: 0,
            init: Init::default(),
        }
    }

    pub(super) fn check(&self, points: usize) -> Result<()> {
        at_least_one("kmeans.clusters", self.clusters)?;
        at_least_one("kmeans.iterations", self.iterations)?;
        at_least_one("kmeans.restarts", self.restarts)?;
        if points < self.clusters {
            let clusters = self.clusters;
            return Err(Error::TooFewPoints { points, clusters });
        }
        if points > u32::MAX as usize {
            let (name, value) = ("number of points", points.to_string());
            let allowed = "at most 4294967295";
            return Err(Error::Setting {
                name,
                value,
                allowed,
            });
        }
        Ok(())
    }
}

pub(super) fn at_least_one(name: &'static str, value: usize) -> Result<()> {
    let (text, allowed) = (value.to_string(), "at least 1");
    match value {
        0 => Err(Error::Setting {
            name,
            value: text,
            allowed,
        }),
        _ => Ok(()),
    }
}
