//! The standard normal distribution.

use crate::exponential::exp;

/// Beyond it on both sides lies nothing that float32 shows.
const REACH: f32 = 13.0;
/// Of the variable `t = 1 / (1 + SLOPE·z)`.
const SLOPE: f32 = 0.3;
/// What lies above z, by the density at 0 and z: `Q(z) = exp(-z²/2)·t·P(t)`, to 4e-9 of it for z up to 14.
/// From the highest power; fitted to `erfc` in multiple precision.
const POWERS: [f32; 10] = [
    -0.020_612_836,
    0.112_375_81,
    -0.228_067_6,
    0.191_581_79,
    -0.079_247_415,
    0.096_057_87,
    0.078_425_564,
    0.110_227_324,
    0.119_572_84,
    0.119_686_63,
];
/// The density at 0.
const DENSITY: f32 = 0.398_942_3;

/// Distribution function and density at x. What is below a negative x is true to some 1e-6 of itself.
#[inline(always)]
pub(super) fn normal(x: f32) -> [f32; 2] {
    let z = x.abs().min(REACH);
    let bell = exp(-0.5 * z * z);
    let t = 1.0 / z.mul_add(SLOPE, 1.0);
    let [first, powers @ ..] = POWERS;
    let sum = powers
        .iter()
        .fold(first, |sum, power| sum.mul_add(t, *power));
    let beyond = bell * t * sum;
    let below = if x >= 0.0 { 1.0 - beyond } else { beyond };
    [below, bell * DENSITY]
}
