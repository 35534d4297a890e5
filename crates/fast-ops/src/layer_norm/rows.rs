//! The arithmetic on the CPU, row by row.
//!
//! With x̂ = (x − mean)/σ, σ² = variance + ε and the gradient g of the output: `dβ = Σg` and `dγ = Σg·x̂` over
//! rows, and with h = g·γ, in each row `dx = (h − mean(h) − x̂·mean(h·x̂))/σ`.
//!
//! A task takes [`ROWS`] rows, whatever the number of threads, and so do the bits not depend on it.
use widest::widest;

use crate::{
    flex::{written, written_and_found},
    sums::{sum, total},
};

/// Rows of a task.
const ROWS: usize = 32;

/// Normalises rows as long as `gamma`, scales and shifts.
pub(crate) fn normalize(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f64) -> Vec<f32> {
    let portion = ROWS * gamma.len();
    written(x.len(), portion, |index, to| {
        let x = &x[index * portion..][..to.len()];
        widest!((x: &'a [f32], gamma: &'a [f32], beta: &'a [f32], epsilon: f64, to: &'a mut [f32]) -> () {
            let width = gamma.len();
            for (to, x) in to.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                normalize_row(x, gamma, beta, epsilon, to);
            }
        });
    })
}

/// The gradients of input, scale and shift, from that of the output.
pub(crate) fn gradients(x: &[f32], gamma: &[f32], gradient: &[f32], epsilon: f64) -> [Vec<f32>; 3] {
    let (width, portion) = (gamma.len(), ROWS * gamma.len());
    let (of_x, sums) = written_and_found(x.len(), portion, |index, to| {
        let [x, gradient] = [x, gradient].map(|rows| &rows[index * portion..][..to.len()]);
        write_gradients(x, gamma, gradient, epsilon, to)
    });
    let (gamma, beta): (Vec<_>, Vec<_>) = sums.into_iter().map(<(_, _)>::from).unzip();
    [of_x, total(&gamma, width), total(&beta, width)]
}

/// Writes the gradients of some rows, and returns their sums for those of scale and shift.
fn write_gradients(
    x: &[f32],
    gamma: &[f32],
    gradient: &[f32],
    epsilon: f64,
    to: &mut [f32],
) -> [Vec<f32>; 2] {
    let mut sums = [vec![0.0; gamma.len()], vec![0.0; gamma.len()]];
    let into = &mut sums;
    widest!((x: &'a [f32], gamma: &'a [f32], gradient: &'a [f32], epsilon: f64, to: &'a mut [f32], into: &'a mut [Vec<f32>; 2]) -> () {
        let width = gamma.len();
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
        for (to, (x, gradient)) in to.chunks_exact_mut(width).zip(rows) {
            write_gradient(x, gamma, gradient, epsilon, to, into);
        }
    });
    sums
}

/// Mean and 1/σ.
#[inline(always)]
fn moments(x: &[f32], epsilon: f64) -> [f32; 2] {
    let count = x.len() as f64;
    let mean = (sum(x, x, |x, _| x) / count) as f32;
    let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
    [mean, (variance + epsilon).sqrt().recip() as f32]
}

#[inline(always)]
fn normalize_row(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f64, to: &mut [f32]) {
    let [mean, inverse] = moments(x, epsilon);
    let affine = gamma.iter().zip(beta);
    for ((y, x), (gamma, beta)) in to.iter_mut().zip(x).zip(affine) {
        *y = ((x - mean) * inverse).mul_add(*gamma, *beta);
    }
}

/// Writes dx, and adds to the sums of dγ and dβ.
#[inline(always)]
fn write_gradient(
    x: &[f32],
    gamma: &[f32],
    gradient: &[f32],
    epsilon: f64,
    to: &mut [f32],
    [of_gamma, of_beta]: &mut [Vec<f32>; 2],
) {
    let [mean, inverse] = moments(x, epsilon);
    for ((h, gradient), gamma) in to.iter_mut().zip(gradient).zip(gamma) {
        *h = gradient * gamma;
    }
    let level = sum(to, to, |h, _| h) / x.len() as f64;
    let slope = sum(to, x, |h, x| h * (x - mean)) / x.len() as f64;
    let slope = slope * f64::from(inverse) * f64::from(inverse);
    let [level, slope] = [level, slope].map(|mean| mean as f32);
    for (h, x) in to.iter_mut().zip(x) {
        *h = (*h - level - (x - mean) * slope) * inverse;
    }
    let sums = of_gamma.iter_mut().zip(of_beta);
    for ((of_gamma, of_beta), (x, gradient)) in sums.zip(x.iter().zip(gradient)) {
        *of_gamma += gradient * ((x - mean) * inverse);
        *of_beta += gradient;
    }
}
