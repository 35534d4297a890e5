//! Settings of k-means on a device, and what came of them.

use std::fmt;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a device compares points with centroids and adds them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compute {
    /// Tensor operations of burn alone, on any device: a matrix product of each chunk with all
    /// centroids, its arg-max, and the rows added to the sums one after the other.
    ///
    /// The additions are the slow part on a GPU: burn's kernel gives each column one thread, which
    /// walks through all rows. And the product may run in TF32 on CUDA, which rounds its factors
    /// to 10 bits: near ties may then go the other way.
    Operations,
    /// Matrix product and arg-max of burn; the sums by a kernel that reads the rows in the order of
    /// their clusters. Needs the feature `cube` and a device of CubeCL.
    SortedSums,
    /// Product and arg-max in one kernel in `f32`, which never stores a product; sums as in
    /// [`Compute::SortedSums`]. Needs the same.
    Fused,
}

/// Settings of [`KMeans::on_device`](crate::kmeans::KMeans::on_device) beside those of the algorithm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceOptions {
    /// Points of up to this many bytes stay on the device; more are streamed in every iteration.
    pub resident_bytes: usize,
    /// Bytes of a chunk of points, and of their products with all centroids, up to rounding to 128
    /// points. A few chunks are alive at a time.
    pub chunk_bytes: usize,
    /// How to compute; the default is [`Compute::Fused`] where it is there, else
    /// [`Compute::Operations`].
    pub compute: Option<Compute>,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            resident_bytes: 12 << 30,
            chunk_bytes: 256 << 20,
            compute: None,
        }
    }
}

/// Chunks hold a multiple of this many points, which is what a work group of the kernel takes.
const CHUNK_UNIT: usize = 128;

/// More points than this do not fit the grid of a kernel on every device.
const MOST_ROWS: usize = 1 << 20;

impl DeviceOptions {
    /// Points of a chunk: neither they nor their products take more than `chunk_bytes`.
    pub(super) fn chunk_rows(&self, columns: usize, clusters: usize) -> usize {
        let rows = self.chunk_bytes / size_of::<f32>() / columns.max(clusters);
        (rows / CHUNK_UNIT * CHUNK_UNIT).clamp(CHUNK_UNIT, MOST_ROWS)
    }

    /// Whether the points stay on the device.
    pub(super) fn resident(&self, rows: usize, columns: usize) -> bool {
        rows.saturating_mul(columns) <= self.resident_bytes / size_of::<f32>()
    }

    /// Refuses a way to compute that `device` does not have.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`].
    pub fn check(&self, device: &Device) -> Result<()> {
        self.compute_on(device).map(drop)
    }

    /// The way to compute on `device`.
    pub(super) fn compute_on(&self, device: &Device) -> Result<Compute> {
        let kernels = kernels_run_on(device);
        match self.compute {
            None if kernels => Ok(Compute::Fused),
            None => Ok(Compute::Operations),
            Some(Compute::Operations) => Ok(Compute::Operations),
            Some(compute) if kernels => Ok(compute),
            Some(compute) => Err(Error::Setting {
                name: "compute",
                value: format!("`{compute}`"),
                allowed: "`operations` on this device: kernels need the feature `cube` of \
                          pixel-attention and a device of CubeCL (CUDA, Vulkan, Metal)",
            }),
        }
    }
}

#[cfg(feature = "cube")]
fn kernels_run_on(device: &Device) -> bool {
    matches!(device.as_dispatch(), burn::backend::DispatchDevice::Cube(_))
}

#[cfg(not(feature = "cube"))]
fn kernels_run_on(_: &Device) -> bool {
    false
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compute::Operations => "operations",
            Compute::SortedSums => "sorted_sums",
            Compute::Fused => "fused",
        })
    }
}

/// How the device works on a set of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The way that runs.
    pub compute: Compute,
    /// Whether the points stay on the device; if not, each iteration streams them.
    pub resident: bool,
    /// Points of each chunk but the last.
    pub chunk_rows: usize,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.resident {
            "resident"
        } else {
            "streamed"
        };
        let (compute, rows) = (self.compute, self.chunk_rows);
        write!(f, "compute `{compute}`, points {place} in chunks of {rows}")
    }
}
