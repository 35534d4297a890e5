//! Sums of long rows.

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
