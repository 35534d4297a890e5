//! k-means clustering of image embeddings (Lloyd's algorithm, Euclidean).
//!
//! PASS clusters the attention-pooled embeddings of the training pictures into as many clusters as
//! there are classes; the cluster centres then name the pixels
//! ([`crate::label_generation`]). The rows are L2-normalised ([`normalize_rows`]), the centres
//! are plain means and are *not* normalised again.
//!
//! 1. [`Init`] picks the first centroids from a stream keyed by seed and restart.
//! 2. Every point goes to its nearest centroid. The products of a block of points with all
//!    centroids are compared in the registers where they are summed; the N x K table never exists.
//! 3. Every centroid becomes the mean of its points. The sums are `f64` and follow the points that
//!    moved, which after a few iterations are few; [`EmptyPolicy`] decides about clusters without
//!    points.
//! 4. 2 and 3 repeat until the assignments do, or for the set number of iterations.
//!
//! The best of several restarts wins *whole*: centroids, assignments and inertia of a [`Run`]
//! belong together. The result does not depend on the number of threads, nor on the width of the
//! machine's registers, bit for bit.
//! Cost: `restarts * iterations * N * K * D` multiplications; memory, beside the points, of a
//! second copy of them (up to 4 GiB: more points are rearranged anew for each assignment), three
//! copies of the centroids and 12 bytes for each point.

mod assign;
mod empty;
mod init;
mod kernel;
mod run;
mod sums;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use empty::EmptyPolicy;
pub use init::Init;
pub use run::Run;

use assign::Points;

use crate::{
    error::{Error, Result},
    products::squared_norm,
};

/// Settings of [`fit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

fn default_iterations() -> usize {
    20
}

fn default_restarts() -> usize {
    30
}

impl KMeansConfig {
    /// The reference's settings for `clusters` clusters: 30 restarts of 20 iterations, random
    /// start, empty clusters split off large ones.
    pub fn new(clusters: usize) -> Self {
        Self {
            clusters,
            iterations: default_iterations(),
            restarts: default_restarts(),
            seed: 0,
            init: Init::default(),
            empty: EmptyPolicy::default(),
        }
    }

    fn check(&self, points: usize) -> Result<()> {
        at_least_one("kmeans.clusters", self.clusters)?;
        at_least_one("kmeans.iterations", self.iterations)?;
        at_least_one("kmeans.restarts", self.restarts)?;
        if points < self.clusters {
            return Err(Error::TooFewPoints {
                points,
                clusters: self.clusters,
            });
        }
        if points > u32::MAX as usize {
            return Err(Error::Setting {
                name: "number of points",
                value: points.to_string(),
                allowed: "at most 4294967295",
            });
        }
        Ok(())
    }
}

/// Clusters the rows of `points` and returns the restart with the lowest final inertia.
///
/// # Shapes
///
/// - `points`: `[N, D]`, finite, `N >= clusters`
/// - output: centroids `[clusters, D]`, one assignment for each point
///
/// # Errors
///
/// Settings out of range, fewer points than clusters, a row with NaN or infinity, an empty
/// cluster under [`EmptyPolicy::Error`].
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use pixel_attention::kmeans::{KMeansConfig, fit};
///
/// let points = array![[0.0f32, 0.1], [0.0, 0.2], [5.0, 5.0]];
/// let run = fit(points.view(), &KMeansConfig::new(2)).unwrap();
/// assert_eq!(run.assignments[0], run.assignments[1]);
/// assert_ne!(run.assignments[0], run.assignments[2]);
/// ```
pub fn fit(points: ArrayView2<f32>, config: &KMeansConfig) -> Result<Run> {
    fit_reporting(points, config, |_| {})
}

/// As [`fit`], and hands every finished restart to `report`, in order.
pub fn fit_reporting(
    points: ArrayView2<f32>,
    config: &KMeansConfig,
    mut report: impl FnMut(&Run),
) -> Result<Run> {
    let points = points.as_standard_layout();
    config.check(points.nrows())?;
    check_rows("point", points.view())?;
    let packed = Points::often(points.view());
    let mut best: Option<Run> = None;
    for restart in 0..config.restarts {
        let initial = init::initial_centroids(points.view(), config, restart);
        let run = run::lloyd(&packed, points.view(), initial, config, restart)?;
        report(&run);
        // Strictly lower: of equal runs the earliest wins.
        if best.as_ref().is_none_or(|best| run.inertia < best.inertia) {
            best = Some(run);
        }
    }
    Ok(best.expect("at least one restart ran"))
}

/// One run of Lloyd's algorithm from given centroids; `restarts`, `seed` and `init` are not used.
///
/// # Errors
///
/// As [`fit`], and centroids whose shape or values do not fit.
pub fn fit_from(
    points: ArrayView2<f32>,
    initial: ArrayView2<f32>,
    config: &KMeansConfig,
) -> Result<Run> {
    let points = points.as_standard_layout();
    config.check(points.nrows())?;
    check_rows("point", points.view())?;
    check_centroids(initial, points.ncols())?;
    if initial.nrows() != config.clusters {
        let reason = format!(
            "{} rows given, {} clusters set",
            initial.nrows(),
            config.clusters
        );
        return Err(Error::Shape {
            what: "initial centroids",
            reason,
        });
    }
    run::lloyd(
        &Points::often(points.view()),
        points.view(),
        initial.as_standard_layout().into_owned(),
        config,
        0,
    )
}

/// The nearest centroid (Euclidean; the lowest index among equals) of each row.
///
/// # Shapes
///
/// - `points`: `[N, D]`, `centroids`: `[K, D]`
/// - output: `N` indices in `0..K`
///
/// # Errors
///
/// A row of either array with NaN or infinity; disagreeing column counts; no centroid.
pub fn assign(points: ArrayView2<f32>, centroids: ArrayView2<f32>) -> Result<Vec<u32>> {
    let points = points.as_standard_layout();
    check_centroids(centroids, points.ncols())?;
    check_rows("point", points.view())?;
    let centroids = centroids.as_standard_layout();
    Ok(Points::once(points.view()).nearest(centroids.view()))
}

/// Divides every row by its Euclidean length plus 1e-8, as PASS does before clustering.
pub fn normalize_rows(rows: &mut Array2<f32>) {
    for mut row in rows.rows_mut() {
        let squared: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let scale = (squared.sqrt() + 1e-8).recip();
        row.mapv_inplace(|x| (f64::from(x) * scale) as f32);
    }
}

fn at_least_one(name: &'static str, value: usize) -> Result<()> {
    let setting = || Error::Setting {
        name,
        value: value.to_string(),
        allowed: "at least 1",
    };
    if value == 0 { Err(setting()) } else { Ok(()) }
}

fn check_centroids(centroids: ArrayView2<f32>, columns: usize) -> Result<()> {
    if centroids.nrows() == 0 || centroids.ncols() != columns {
        let reason = format!(
            "{} x {} centroids for points of {columns} columns; expected at least one row and as \
             many columns as the points have",
            centroids.nrows(),
            centroids.ncols()
        );
        return Err(Error::Shape {
            what: "centroids",
            reason,
        });
    }
    check_rows("centroid", centroids.as_standard_layout().view())
}

/// Names the first row that is not finite. A row's squared length is finite exactly when the
/// products of the assignment are.
fn check_rows(what: &'static str, rows: ArrayView2<f32>) -> Result<()> {
    if rows.ncols() == 0 {
        return Err(Error::Shape {
            what,
            reason: "rows have no columns".into(),
        });
    }
    let data = rows.as_slice().expect("standard layout");
    let bad = data
        .par_chunks(rows.ncols())
        .position_first(|row| !squared_norm(row).is_finite());
    bad.map_or(Ok(()), |row| Err(Error::NotFinite { what, row }))
}

#[cfg(test)]
mod tests;
