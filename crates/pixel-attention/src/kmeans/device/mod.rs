//! k-means on a device: the same algorithm as on the host, for points that a GPU compares.
//!
//! The first centroids, the policies for empty clusters, the stop and the choice of the best
//! restart are those of [`KMeans::new`], from the same random streams; only step 2 and
//! the sums of step 3 run on the device. The result is the host's up to the order in which `f32`
//! products are summed: points that lie equally near to two centroids within rounding may go to
//! the other one.
//!
//! * **Memory.** The points are handled in chunks ([`DeviceOptions::chunk_bytes`]). They stay on
//!   the device when all of them fit [`DeviceOptions::resident_bytes`]; else every iteration reads
//!   them again, one chunk at a time, from wherever the [`Rows`] lie. Chunks and their order are
//!   the same either way, and so is the result. A table of N x K never exists; one of a chunk
//!   with all centroids does under [`Compute::Operations`].
//! * **Exactness.** Counts are integers of the host, made from the labels. Sums carry the rounding
//!   error of every addition in a second number, so that high + low has about twice the digits of
//!   `f32`; the host goes on with both in `f64`.
//! * **Ways to compute.** See [`Compute`]; [`KMeans::device_plan`] says which one runs.
//!
//! Weights exist on the host only; [`mini_batch`](super::mini_batch) draws and assigns its batches there.

mod engine;
#[cfg(feature = "cube")]
mod kernels;
mod operations;
mod options;
mod points;

use burn::tensor::Device;
use pass_model::group::Group;

pub use options::{Compute, DeviceOptions, Plan};

use engine::DeviceEngine;

use super::{KMeans, KMeansConfig, deal::Deal, problem::Problem};
use crate::{error::Result, rows::Rows};

impl<'a> KMeans<'a> {
    /// As [`KMeans::new`], with the rows of each rank on its own device. Uploads all rows if they fit
    /// there.
    ///
    /// # Errors
    ///
    /// As [`KMeans::new`], and a way to compute that this build or this device does not have. What
    /// then runs may also fail with [`Error::Device`](crate::Error::Device).
    pub fn on_device(
        own: &'a dyn Rows,
        config: &'a KMeansConfig,
        device: &Device,
        options: &DeviceOptions,
        ranks: &Group,
    ) -> Result<Self> {
        let problem = Problem::new(Deal::new(own, ranks), config, None)?;
        let engine = DeviceEngine::new(own, config.clusters, device, options)?;
        let plan = Some(engine.plan());
        let engine = Box::new(engine);
        Ok(Self {
            problem,
            engine,
            plan,
        })
    }

    /// How the device works on these points; nothing on the host.
    pub fn device_plan(&self) -> Option<Plan> {
        self.plan
    }
}

#[cfg(test)]
mod tests;
