//! The logistic function.

use crate::exponential::exp;

/// `1 / (1 + exp(−x))`.
#[inline(always)]
pub(super) fn logistic(x: f32) -> f32 {
    let bell = exp(-x.abs());
    let above = 1.0 / (1.0 + bell);
    if x < 0.0 { bell * above } else { above }
}
