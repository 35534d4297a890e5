//! The nearest centroid of every point.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::products::{row_products, squared_distance, squared_norm};

/// Points and centroids of one product: 256 x 128 scores are 128 KiB, which stay in the cache.
/// The sizes are fixed so that the bits of the result do not depend on the machine's thread count.
const BLOCK_POINTS: usize = 256;
const BLOCK_CENTROIDS: usize = 128;

/// The nearest centroid of each point and the sum of their squared distances.
pub(super) struct Assignment {
    pub(super) labels: Vec<u32>,
    pub(super) inertia: f64,
}

/// Assigns every row of `points` `[N, D]` to the nearest row of `centroids` `[K, D]`, both in
/// standard layout; the lowest index wins among equals.
pub(super) fn nearest(points: ArrayView2<f32>, centroids: ArrayView2<f32>) -> Assignment {
    let dim = points.ncols();
    let points = points.as_slice().expect("standard layout");
    let table = CentroidTable::new(centroids.as_slice().expect("standard layout"), dim);
    let mut labels = vec![0u32; points.len() / dim];
    let blocks = points.par_chunks(BLOCK_POINTS * dim);
    let inertias: Vec<f64> = labels
        .par_chunks_mut(BLOCK_POINTS)
        .zip(blocks)
        .map_init(Scratch::new, |scratch, (labels, block)| {
            table.assign_block(block, labels, scratch);
            table.inertia(block, labels)
        })
        .collect();
    Assignment {
        labels,
        inertia: inertias.iter().sum(),
    }
}

/// Centroids beside half their squared lengths: the nearest centroid of `x` is the one with the
/// largest `x · c - |c|² / 2`.
struct CentroidTable<'a> {
    rows: &'a [f32],
    half_norms: Vec<f32>,
    dim: usize,
}

/// The buffers of one thread.
struct Scratch {
    products: Vec<f32>,
    best: [f32; BLOCK_POINTS],
}

impl Scratch {
    fn new() -> Self {
        Self {
            products: vec![0.0; BLOCK_POINTS * BLOCK_CENTROIDS],
            best: [0.0; BLOCK_POINTS],
        }
    }
}

impl<'a> CentroidTable<'a> {
    fn new(rows: &'a [f32], dim: usize) -> Self {
        let half_norms = rows
            .chunks(dim)
            .map(|row| 0.5 * squared_norm(row))
            .collect();
        Self {
            rows,
            half_norms,
            dim,
        }
    }

    fn assign_block(&self, points: &[f32], labels: &mut [u32], scratch: &mut Scratch) {
        let best = &mut scratch.best[..labels.len()];
        best.fill(f32::NEG_INFINITY);
        for (block, rows) in self.rows.chunks(BLOCK_CENTROIDS * self.dim).enumerate() {
            let first = block * BLOCK_CENTROIDS;
            let count = rows.len() / self.dim;
            let products = &mut scratch.products[..count * labels.len()];
            row_products(points, rows, self.dim, products);
            for (offset, products) in products.chunks(labels.len()).enumerate() {
                let centroid = first + offset;
                keep_larger(
                    products,
                    self.half_norms[centroid],
                    centroid as u32,
                    best,
                    labels,
                );
            }
        }
    }

    /// Computed from the differences: the products would lose the digits of small distances.
    fn inertia(&self, points: &[f32], labels: &[u32]) -> f64 {
        let rows = points.chunks(self.dim);
        rows.zip(labels)
            .map(|(row, &label)| f64::from(squared_distance(row, self.row(label))))
            .sum()
    }

    fn row(&self, label: u32) -> &[f32] {
        let start = label as usize * self.dim;
        &self.rows[start..start + self.dim]
    }
}

/// One centroid against a block of points; branch-free so that the compiler vectorises it.
fn keep_larger(products: &[f32], half_norm: f32, label: u32, best: &mut [f32], labels: &mut [u32]) {
    for ((&product, best), kept) in products.iter().zip(best).zip(labels) {
        let score = product - half_norm;
        let larger = score > *best;
        *best = if larger { score } else { *best };
        *kept = if larger { label } else { *kept };
    }
}
