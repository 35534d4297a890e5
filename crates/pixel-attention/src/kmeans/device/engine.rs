//! One assignment of all points on a device, and the sums of the clusters.

use burn::tensor::{DType, Device, Int, Tensor};
use ndarray::ArrayView2;

use super::{
    Compute, DeviceOptions, Plan, operations,
    points::{Chunk, Points, upload},
};
use crate::{
    error::{Error, Result},
    kmeans::{
        Metric,
        problem::{Engine, Problem},
        run::{Partition, changed},
    },
    products::squared_norm,
    rows::Rows,
};

/// Points on a device.
pub(super) struct DeviceEngine {
    points: Points,
    compute: Compute,
}

/// Centroids on the device. The nearest one of `x` has the largest `x · c - offset`.
pub(super) struct Table {
    /// `[clusters, D]`.
    pub(super) centroids: Tensor<2>,
    /// `[clusters]`: half the squared lengths; zero under [`Metric::Spherical`].
    pub(super) offsets: Tensor<1>,
}

impl Table {
    fn new(centroids: ArrayView2<f32>, metric: Metric, device: &Device) -> Self {
        let (clusters, dim) = centroids.dim();
        let rows = centroids.to_slice().expect("standard layout");
        let offset = |row: &[f32]| match metric {
            Metric::Euclidean => 0.5 * squared_norm(row),
            Metric::Spherical => 0.0,
        };
        let offsets: Vec<f32> = rows.chunks_exact(dim).map(offset).collect();
        Self {
            centroids: upload(rows, [clusters, dim], device),
            offsets: upload(&offsets, [clusters], device),
        }
    }
}

impl DeviceEngine {
    pub(super) fn new(
        rows: &dyn Rows,
        clusters: usize,
        device: &Device,
        options: &DeviceOptions,
    ) -> Result<Self> {
        // Nothing here has a gradient.
        let device = device.clone().inner();
        let compute = options.compute_on(&device)?;
        let chunk_rows = options.chunk_rows(rows.columns(), clusters);
        let resident = options.resident(rows.count(), rows.columns());
        let points = Points::new(rows, device, chunk_rows, resident)?;
        Ok(Self { points, compute })
    }

    pub(super) fn plan(&self) -> Plan {
        Plan {
            compute: self.compute,
            resident: self.points.are_resident(),
            chunk_rows: self.points.chunk_rows,
        }
    }

    fn nearest(&self, points: Tensor<2>, table: &Table) -> Tensor<1, Int> {
        match self.compute {
            #[cfg(feature = "cube")]
            Compute::Fused => super::kernels::nearest(points, table),
            _ => operations::nearest(points, table),
        }
    }

    /// `labels` are on the device and, as `read`, on the host.
    fn add(
        &self,
        totals: Tensor<3>,
        points: Tensor<2>,
        labels: Tensor<1, Int>,
        _read: &[u32],
    ) -> Tensor<3> {
        match self.compute {
            #[cfg(feature = "cube")]
            Compute::Fused | Compute::SortedSums => super::kernels::add(totals, points, _read),
            _ => operations::add(totals, points, labels),
        }
    }
}

impl Engine for DeviceEngine {
    /// The sums are made afresh each time: reading all points once more costs a GPU a few percent
    /// of the products, and the result does not depend on the way here.
    fn assign(
        &self,
        problem: &Problem,
        centroids: ArrayView2<f32>,
        partition: &mut Partition,
    ) -> Result<usize> {
        let (clusters, dim) = centroids.dim();
        let table = Table::new(centroids, problem.metric(), &self.points.device);
        let mut totals = Tensor::zeros([2, clusters, dim], (&self.points.device, DType::F32));
        let mut moved = 0;
        self.points.for_each(problem.rows, |chunks| {
            // All of them are started before the first is waited for.
            let nearest = |(_, points): &Chunk| self.nearest(points.clone(), &table);
            let labels: Vec<Tensor<1, Int>> = chunks.iter().map(nearest).collect();
            for ((first, points), labels) in chunks.iter().zip(labels) {
                let new = read_labels(labels.clone(), clusters)?;
                let old = &mut partition.labels[*first..][..new.len()];
                moved += changed(old, &new);
                old.copy_from_slice(&new);
                totals = self.add(totals.clone(), points.clone(), labels, &new);
            }
            Ok(())
        })?;
        let sums = read_sums(totals)?;
        partition.sums.replace(sums, &partition.labels);
        Ok(moved)
    }
}

fn read_labels(labels: Tensor<1, Int>, clusters: usize) -> Result<Vec<u32>> {
    let labels = labels.try_into_vec_as::<i32>();
    let labels = labels.map_err(|error| failed("labels", error))?;
    // A driver that computes nonsense must not become an index out of bounds.
    match labels.iter().find(|&&l| l < 0 || l as usize >= clusters) {
        Some(label) => Err(failed("labels", format!("{label} of {clusters} clusters"))),
        None => Ok(labels.into_iter().map(|label| label as u32).collect()),
    }
}

/// Sums and what their additions lost, together.
pub(super) fn read_sums(totals: Tensor<3>) -> Result<Vec<f64>> {
    let totals = totals.try_into_vec_as::<f32>();
    let totals = totals.map_err(|error| failed("sums of clusters", error))?;
    let (high, low) = totals.split_at(totals.len() / 2);
    let sums = high.iter().zip(low);
    Ok(sums.map(|(&h, &l)| f64::from(h) + f64::from(l)).collect())
}

fn failed(what: &'static str, reason: impl ToString) -> Error {
    let reason = reason.to_string();
    Error::Device { what, reason }
}
