//! The exponential function as a polynomial, for loops of vectors.

/// Below it the result is taken for that of it, 1.6e-38.
const LEAST: f32 = -87.0;
/// ln 2 in two parts: a multiple of the first by a whole number is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// To its sum with a small number the last bits are the nearest whole number.
const WHOLE: f32 = 12_582_912.0;
/// Of `exp(r)` where |r| is at most half of ln 2, to 2e-9 of it; from the highest power.
const POWERS: [f32; 7] = [
    1.383_580_2e-3,
    8.375_645e-3,
    4.166_829e-2,
    0.166_664_11,
    0.499_999_9,
    1.0,
    1.0,
];

/// `exp(x)` of x of at most 0, to 2e-7 of it; at least 1.6e-38. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = if x < LEAST { LEAST } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, WHOLE);
    let whole = shifted - WHOLE;
    let rest = whole.mul_add(-LN_2[1], whole.mul_add(-LN_2[0], x));
    let [first, powers @ ..] = POWERS;
    let power = powers
        .iter()
        .fold(first, |sum, power| sum.mul_add(rest, *power));
    // Two to the whole number: its bits become the exponent.
    let exponent = (shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits());
    power * f32::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn it_is_the_exponential_function() {
        for step in 0..=200_000u32 {
            let x = step as f32 * -87.0 / 200_000.0;
            let exact = f64::from(x).exp();
            let far = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(far < 2e-7, "{x}: {far}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }
}
