//! The arithmetic on the CPU.
//!
//! Blocks depend on the shapes alone, not on the number of threads, and so do the bits.

use crate::{
    flex::{written, written_over},
    product::{Matrix, multiply},
};
use rayon::prelude::*;

/// Tasks that can run side by side, at least, as far as there is work for so many.
const TASKS: usize = 8;
/// Rows of a product, at least and at most: each product lays the other matrix out again.
const ROWS: [usize; 2] = [96, 512];
/// Columns of `x` whose gradient of weights is one product, as [`ROWS`].
const COLUMNS: [usize; 2] = [192, 256];
/// Rows over which one product sums up, at least, where several share a sum.
const SUMMED: usize = 512;

/// Of a block, of so many in all.
fn block(count: usize, [least, most]: [usize; 2]) -> usize {
    count.div_ceil(TASKS).clamp(least, most)
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
    let block = block(rows, ROWS);
    let fill = |index: usize, to: &mut [f32]| {
        let x = Matrix::rows(&x[index * block * k..], k);
        multiply([to.len() / n, k, n], x, weight, to, n, bias.is_some());
    };
    match bias {
        Some(bias) => written_over(bias, rows * n, block * n, fill),
        None => written(rows * n, block * n, fill),
    }
}

/// The gradient of the weights, `[k, n]`: what rows of `x` `[rows, k]` and of the output's gradient
/// `[rows, n]` have in common.
pub(crate) fn weight_gradient(x: &[f32], gradient: &[f32], [k, n]: [usize; 2]) -> Vec<f32> {
    let rows = x.len() / k;
    let block = block(k, COLUMNS);
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
