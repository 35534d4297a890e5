//! The nearest centroid of every point.

use ndarray::ArrayView2;
use pulp::Arch;
use rayon::prelude::*;

use super::{
    Metric,
    kernel::{CentroidTable, MAX_BLOCK, Nearest, block_points, pack_points},
};

/// Beyond this, points are packed again for each assignment instead of being kept twice.
const PACKED_BYTES: usize = 4 << 30;

/// Multiplications that are worth a task of their own.
const TASK_PRODUCTS: usize = 1 << 20;

/// Assigns points of one data set again and again.
pub(super) struct Assigner {
    dim: usize,
    /// All points, block by block as the kernel reads them; empty when they are packed each time.
    packed: Vec<f32>,
    arch: Arch,
    block: usize,
}

/// The buffers of one thread.
#[derive(Default)]
struct Scratch {
    packed: Vec<f32>,
    partial: Vec<f32>,
}

impl Assigner {
    /// For rows of `dim` columns.
    pub(super) fn new(dim: usize) -> Self {
        let arch = Arch::new();
        Self {
            dim,
            packed: Vec::new(),
            arch,
            block: block_points(arch),
        }
    }

    /// Keeps a second copy of `rows`, all rows there will be, unless that takes too much memory.
    pub(super) fn keep(mut self, rows: &[f32]) -> Self {
        let length = self.block * self.dim;
        let values = rows.len().div_ceil(length) * length;
        if values <= PACKED_BYTES / size_of::<f32>() {
            self.packed = vec![0.0; values];
            let packed = self.packed.par_chunks_mut(length);
            packed
                .zip(rows.par_chunks(length))
                .for_each(|(packed, rows)| pack_points(rows, self.dim, packed));
        }
        self
    }

    /// Assigns each of `rows`, of which the first is row `first` of the data set, to its nearest
    /// centroid; the lowest index wins among equals. `first` is a multiple of the parts' unit.
    pub(super) fn nearest(
        &self,
        first: usize,
        rows: &[f32],
        table: &CentroidTable,
        labels: &mut [u32],
    ) {
        debug_assert!(first.is_multiple_of(self.block));
        let length = self.block * self.dim;
        let products = length * table.centroids();
        labels
            .par_chunks_mut(self.block)
            .zip(rows.par_chunks(length))
            .with_min_len((TASK_PRODUCTS / products).max(1))
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (block, (labels, rows))| {
                let block = first / self.block + block;
                self.assign_block(block, rows, table, labels, scratch);
            });
    }

    fn assign_block(
        &self,
        block: usize,
        rows: &[f32],
        table: &CentroidTable,
        labels: &mut [u32],
        Scratch { packed, partial }: &mut Scratch,
    ) {
        let length = self.block * self.dim;
        let (points, next) = match self.packed.is_empty() {
            false => self.packed[block * length..].split_at(length),
            true => {
                packed.resize(length, 0.0);
                pack_points(rows, self.dim, packed);
                (&packed[..], &[][..])
            }
        };
        let mut found = [0u32; MAX_BLOCK];
        self.arch.dispatch(Nearest {
            points,
            next,
            table,
            partial,
            labels: &mut found[..self.block],
        });
        labels.copy_from_slice(&found[..labels.len()]);
    }
}

/// The centroids as the kernel reads them. Unit centroids differ in their lengths by rounding
/// only, which must not decide.
pub(super) fn centroid_table(centroids: ArrayView2<f32>, metric: Metric) -> CentroidTable {
    let dim = centroids.ncols();
    let rows = centroids.to_slice().expect("standard layout");
    match metric {
        Metric::Euclidean => CentroidTable::by_distance(rows, dim),
        Metric::Spherical => CentroidTable::by_product(rows, dim),
    }
}
