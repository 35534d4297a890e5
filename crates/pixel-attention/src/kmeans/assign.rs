//! The nearest centroid of every point.

use ndarray::ArrayView2;
use pulp::Arch;
use rayon::prelude::*;

use super::kernel::{CentroidTable, MAX_BLOCK, Nearest, block_points, pack_points};

/// Beyond this, points are packed again for each assignment instead of being kept twice.
const PACKED_BYTES: usize = 4 << 30;

/// Points of one task of a thread, in blocks.
const TASK_BLOCKS: usize = 8;

/// Points that are assigned again and again.
pub(super) struct Points<'a> {
    rows: &'a [f32],
    dim: usize,
    /// Block by block as the kernel reads them; empty when they are packed each time.
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

impl<'a> Points<'a> {
    /// For one assignment of the rows of `points`, `[N, D]`, in standard layout.
    pub(super) fn once(points: ArrayView2<'a, f32>) -> Self {
        let arch = Arch::new();
        Self {
            dim: points.ncols(),
            rows: points.to_slice().expect("standard layout"),
            packed: Vec::new(),
            arch,
            block: block_points(arch),
        }
    }

    /// For many assignments: keeps a second copy of the points, unless that takes too much memory.
    pub(super) fn often(points: ArrayView2<'a, f32>) -> Self {
        let mut this = Self::once(points);
        let blocks = points.nrows().div_ceil(this.block);
        let values = blocks * this.block * this.dim;
        if values <= PACKED_BYTES / size_of::<f32>() {
            this.packed = vec![0.0; values];
            let length = this.block * this.dim;
            let packed = this.packed.par_chunks_mut(length);
            packed
                .zip(this.rows.par_chunks(length))
                .for_each(|(packed, rows)| pack_points(rows, this.dim, packed));
        }
        this
    }

    /// Assigns every point to the nearest row of `centroids` `[K, D]`, in standard layout; the
    /// lowest index wins among equals.
    pub(super) fn nearest(&self, centroids: ArrayView2<f32>) -> Vec<u32> {
        let centroids = centroids.as_slice().expect("standard layout");
        let table = CentroidTable::new(centroids, self.dim);
        let mut labels = vec![0u32; self.rows.len() / self.dim];
        labels
            .par_chunks_mut(self.block)
            .with_min_len(TASK_BLOCKS)
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (block, labels)| {
                self.assign_block(block, &table, labels, scratch);
            });
        labels
    }

    fn assign_block(
        &self,
        block: usize,
        table: &CentroidTable,
        labels: &mut [u32],
        Scratch { packed, partial }: &mut Scratch,
    ) {
        let length = self.block * self.dim;
        let points = match self.packed.is_empty() {
            false => &self.packed[block * length..(block + 1) * length],
            true => {
                let rows = self.rows.chunks(length).nth(block).expect("a block");
                packed.resize(length, 0.0);
                pack_points(rows, self.dim, packed);
                packed
            }
        };
        let mut found = [0u32; MAX_BLOCK];
        self.arch.dispatch(Nearest {
            points,
            table,
            partial,
            labels: &mut found[..self.block],
        });
        labels.copy_from_slice(&found[..labels.len()]);
    }
}
