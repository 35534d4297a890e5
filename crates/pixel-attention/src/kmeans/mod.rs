//! k-means clustering of image embeddings (Lloyd's algorithm).
//!
//! PASS clusters the attention-pooled embeddings of the training pictures into as many clusters as
//! there are classes; the cluster centres then name the pixels
//! ([`crate::label_generation`]). The rows are L2-normalised ([`normalize_rows`]), the centres
//! are plain means and are *not* normalised again ([`Metric::Spherical`] would).
//!
//! 1. [`Init`] picks the first centroids from a stream keyed by seed and restart.
//! 2. Every point goes to its nearest centroid. The products of a block of points with all
//!    centroids are compared in the registers where they are summed; the N x K table never exists.
//! 3. Every centroid becomes the mean of its points. The sums are `f64` and follow the points that
//!    moved, which after a few iterations are few; [`EmptyPolicy`] decides about clusters without
//!    points.
//! 4. 2 and 3 repeat until no point moves, the inertia falls too little
//!    ([`KMeansConfig::tolerance`]), or for the set number of iterations.
//!
//! The best of several restarts wins *whole*: centroids, assignments and inertia of a [`Run`]
//! belong together. The result depends neither on the number of threads, nor on the width of the
//! machine's registers, nor on whether the [`Rows`] lie in memory or in a file, bit for bit.
//!
//! Cost: `restarts * iterations * N * K * D` multiplications. Memory beside the points: a second
//! copy of them, when they are in memory and it takes up to 4 GiB; two parts of 64 MiB, when they
//! are in a file; three copies of the centroids; 12 bytes for each point.
//! [`mini_batch`] needs a fraction of the multiplications and finds slightly worse clusters;
//! [`KMeans::on_device`] runs the same algorithm on a GPU ([`device`]); its group of ranks deals the
//! rows out to several processes, which add up their sums after each assignment.

mod assign;
mod config;
mod deal;
pub mod device;
mod empty;
mod init;
mod kernel;
pub mod mini_batch;
mod problem;
mod run;
pub mod suggest;
mod sums;

use ndarray::{Array2, ArrayView2};
use pass_model::group::Group;

pub use config::{KMeansConfig, Metric};
pub use empty::EmptyPolicy;
pub use init::Init;
pub use run::{Run, Update};

use assign::Assigner;
use deal::Deal;
use problem::{Engine, Problem, check_centroids, checked_norms};

use crate::{
    error::{Error, Result},
    rows::{Rows, normalize},
};

/// Rows, checked and ready to be clustered.
pub struct KMeans<'a> {
    problem: Problem<'a>,
    engine: Box<dyn Engine>,
    /// How a device works on them, if one does.
    plan: Option<device::Plan>,
}

impl<'a> KMeans<'a> {
    /// Looks at every row once.
    ///
    /// The points are the rows of all ranks together, of which each gives its own; those of rank 0
    /// come first, and all have as many columns. The ranks share the work, and each gets the whole
    /// result. Collective, as all that is done with it. With several ranks sums run in another order:
    /// the clusters are those of one process unless a point lies equally near to two centroids within
    /// rounding.
    ///
    /// # Errors
    ///
    /// Settings out of range, fewer points than clusters, a row with NaN or infinity, a file that
    /// cannot be read. An error of one rank is not known to the others.
    pub fn new(own: &'a dyn Rows, config: &'a KMeansConfig, ranks: &Group) -> Result<Self> {
        Self::with(Deal::new(own, ranks), config, None)
    }

    /// As [`KMeans::new`]; a point of weight w counts as w equal points. For
    /// [`EmptyPolicy`] and the first centroids it is one.
    ///
    /// # Errors
    ///
    /// Also a weight that is not positive and finite, and another number of weights than rows.
    pub fn weighted(
        rows: &'a dyn Rows,
        weights: &'a [f32],
        config: &'a KMeansConfig,
    ) -> Result<Self> {
        if weights.len() != rows.count() {
            let reason = format!("{} weights for {} points", weights.len(), rows.count());
            return Err(Error::Shape {
                what: "weights",
                reason,
            });
        }
        let bad = |&weight: &f32| weight.is_nan() || weight <= 0.0 || weight.is_infinite();
        if let Some(point) = weights.iter().position(bad) {
            let (name, value) = ("weight", format!("{} at point {point}", weights[point]));
            let allowed = "positive and finite";
            return Err(Error::Setting {
                name,
                value,
                allowed,
            });
        }
        Self::with(Deal::new(rows, &Group::default()), config, Some(weights))
    }

    fn with(deal: Deal<'a>, config: &'a KMeansConfig, weights: Option<&'a [f32]>) -> Result<Self> {
        let rows = deal.own;
        let problem = Problem::new(deal, config, weights)?;
        let assigner = Assigner::new(rows.columns());
        let assigner = match rows.in_memory() {
            Some(all) => assigner.keep(all),
            None => assigner,
        };
        let (engine, plan) = (Box::new(assigner), None);
        Ok(Self {
            problem,
            engine,
            plan,
        })
    }

    /// Calls `watch` after every update of the centroids.
    pub fn watched_by(mut self, watch: &'a dyn Fn(&Update)) -> Self {
        self.problem.watch = watch;
        self
    }

    /// One restart, from centroids of its own.
    ///
    /// # Errors
    ///
    /// An empty cluster under [`EmptyPolicy::Error`]; a file that cannot be read.
    pub fn restart(&self, restart: usize) -> Result<Run> {
        self.problem.restart(&*self.engine, restart)
    }

    /// One run from given centroids; `restarts`, `seed` and `init` are not used.
    ///
    /// # Errors
    ///
    /// As [`KMeans::restart`], and centroids whose shape or values do not fit.
    pub fn run_from(&self, initial: ArrayView2<f32>) -> Result<Run> {
        self.problem.run_from(&*self.engine, initial)
    }

    /// All restarts; each finished one goes to `report`, in order. Returns the one with the
    /// lowest inertia; of equal ones the earliest.
    ///
    /// # Errors
    ///
    /// As [`KMeans::restart`].
    pub fn best(&self, report: impl FnMut(&Run)) -> Result<Run> {
        self.problem.best(&*self.engine, report)
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
    let points = points.as_standard_layout();
    KMeans::new(&points.view(), config, &Group::default())?.best(|_| ())
}

/// The nearest centroid (Euclidean; the lowest index among equals) of each row.
///
/// # Shapes
///
/// - `rows`: `[N, D]`, `centroids`: `[K, D]`
/// - output: `N` indices in `0..K`
///
/// # Errors
///
/// A row of either with NaN or infinity; disagreeing column counts; no centroid.
pub fn assign(rows: &dyn Rows, centroids: ArrayView2<f32>) -> Result<Vec<u32>> {
    check_centroids(centroids, rows.columns())?;
    checked_norms("point", rows, None)?;
    let centroids = centroids.as_standard_layout();
    let assigner = Assigner::new(rows.columns());
    run::assign_all(rows, &assigner, centroids.view(), Metric::Euclidean)
}

/// Divides every row by its Euclidean length plus 1e-8, as PASS does before clustering.
pub fn normalize_rows(rows: &mut Array2<f32>) {
    let columns = rows.ncols().max(1);
    let mut standard = std::mem::take(rows).as_standard_layout().into_owned();
    let values = standard.as_slice_mut().expect("standard layout");
    values.chunks_exact_mut(columns).for_each(normalize);
    *rows = standard;
}

#[cfg(test)]
mod tests;
