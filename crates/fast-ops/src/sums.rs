//! Sums of long rows, and of columns.

use rayon::prelude::*;
use widest::widest;

/// Rows whose columns a task adds up.
const ROWS: usize = 128;
/// Numbers that are added up in float32, before float64 takes their sum.
const PIECE: usize = 1024;
/// Sums side by side, as wide as the registers of a processor.
const LANES: usize = 16;

/// Of `f` of all pairs.
#[inline(always)]
pub(crate) fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let pieces = a.chunks(PIECE).zip(b.chunks(PIECE));
    pieces.map(|(a, b)| f64::from(piece_sum(a, b, &f))).sum()
}

#[inline(always)]
fn piece_sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a, b)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// The sum of each column of `[rows, width]`.
pub(crate) fn column_sums(values: &[f32], width: usize) -> Vec<f32> {
    let parts = values.par_chunks(ROWS * width).map(|part| {
        let mut sums = vec![0.0; width];
        let into = &mut sums[..];
        widest!((part: &'a [f32], into: &'a mut [f32]) -> () {
            for row in part.chunks_exact(into.len()) {
                into.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        });
        sums
    });
    total(&parts.collect::<Vec<_>>(), width)
}

/// The sum of each column of the products of two `[rows, width]`.
pub(crate) fn column_products(a: &[f32], b: &[f32], width: usize) -> Vec<f32> {
    let parts = a.par_chunks(ROWS * width).zip(b.par_chunks(ROWS * width));
    let parts = parts.map(|(a, b)| {
        let mut sums = vec![0.0; width];
        let into = &mut sums[..];
        widest!((a: &'a [f32], b: &'a [f32], into: &'a mut [f32]) -> () {
            for (a, b) in a.chunks_exact(into.len()).zip(b.chunks_exact(into.len())) {
                for (sum, (a, b)) in into.iter_mut().zip(a.iter().zip(b)) {
                    *sum += a * b;
                }
            }
        });
        sums
    });
    total(&parts.collect::<Vec<_>>(), width)
}

/// Of the sums of each part.
pub(crate) fn total(parts: &[Vec<f32>], width: usize) -> Vec<f32> {
    let of_column = |column: usize| {
        parts
            .iter()
            .map(|sums| f64::from(sums[column]))
            .sum::<f64>()
    };
    (0..width).map(|column| of_column(column) as f32).collect()
}
