//! The arithmetic on the CPU.
//!
//! Blocks depend on the shapes alone, not on the number of threads, and so do the bits.

use rayon::prelude::*;
use widest::widest;

use crate::{
    flex::written,
    product::{Matrix, multiply},
};

/// Tasks that can run side by side, at least, as far as there is work for so many.
const TASKS: usize = 8;
/// Rows of a product, at least and at most: each product lays the other matrix out again.
const ROWS: [usize; 2] = [96, 256];
/// Rows over which one product sums up, at least, where several share a sum.
const SUMMED: usize = 1024;

/// Rows of a block, of so many.
fn block(rows: usize) -> usize {
    rows.div_ceil(TASKS).clamp(ROWS[0], ROWS[1])
}

/// `x · weight`, and the bias added to each row.
///
/// # Shapes
///
/// - `x`: `[rows, k]`, `weight`: `[k, n]`, by `sides` `[k, n]`
/// - `bias`: `[n]`
pub(crate) fn product(
    x: &[f32],
    weight: Matrix,
    sides: [usize; 2],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let [k, n] = sides;
    let rows = x.len() / k;
    let block = block(rows);
    written(rows * n, block * n, |index, to| {
        for row in to.chunks_exact_mut(n) {
            bias.inspect(|bias| row.copy_from_slice(bias));
        }
        let x = Matrix::rows(&x[index * block * k..], k);
        multiply([to.len() / n, k, n], x, weight, to, n, bias.is_some());
    })
}

/// The gradient of the weights, `[k, n]`: what rows of `x` `[rows, k]` and of the output's gradient
/// `[rows, n]` have in common.
pub(crate) fn weight_gradient(x: &[f32], gradient: &[f32], [k, n]: [usize; 2]) -> Vec<f32> {
    let rows = x.len() / k;
    let block = block(k);
    let parts = TASKS
        .div_ceil(k.div_ceil(block))
        .min(rows.div_ceil(SUMMED))
        .max(1);
    let share = rows.div_ceil(parts);
    let mut sums = written(parts * k * n, k * n, |part, to| {
        let rows = part * share..rows.min((part + 1) * share);
        let [x, gradient] = [(x, k), (gradient, n)]
            .map(|(values, width)| Matrix::rows(&values[rows.start * width..], width));
        to.par_chunks_mut(block * n)
            .enumerate()
            .for_each(|(index, to)| {
                let columns = Matrix {
                    of: &x.of[index * block..],
                    ..x
                }
                .transposed();
                multiply(
                    [to.len() / n, rows.len(), n],
                    columns,
                    gradient,
                    to,
                    n,
                    false,
                );
            });
    });
    let (total, others) = sums.split_at_mut(k * n);
    for part in others.chunks_exact(k * n) {
        let pairs = total.par_iter_mut().zip(part).with_min_len(1 << 14);
        pairs.for_each(|(total, part)| *total += part);
    }
    sums.truncate(k * n);
    sums
}

/// The sum of each column of `[rows, n]`.
pub(crate) fn column_sums(values: &[f32], n: usize) -> Vec<f32> {
    let parts = values.par_chunks(ROWS[1] * n).map(|part| {
        let mut sums = vec![0.0; n];
        let into = &mut sums[..];
        widest!((part: &'a [f32], into: &'a mut [f32]) -> () {
            for row in part.chunks_exact(into.len()) {
                into.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        });
        sums
    });
    let parts: Vec<Vec<f32>> = parts.collect();
    let total = |column: usize| {
        parts
            .iter()
            .map(|sums| f64::from(sums[column]))
            .sum::<f64>()
    };
    (0..n).map(|column| total(column) as f32).collect()
}
