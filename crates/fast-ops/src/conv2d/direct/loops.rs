//! The inner loops: one row of numbers, read from many starts.

use pulp::{Arch, Simd, WithSimd};

/// A sum is taken over this many positions or a multiple of it.
pub(super) const TILE: usize = 128;
/// Vectors of sums in registers.
const VECTORS: usize = 8;
/// As many lanes as the widest vectors have, and sums that are kept for a weight.
pub(super) const LANES: usize = 16;

/// At each position of each row of `to`: the sum over all starts of the weight of row and start, times
/// what stands in `from` the position behind the start.
///
/// # Shapes
///
/// - `weights`: `[rows, starts]`
/// - `to`: `[rows, positions]`, positions a multiple of [`TILE`]
///
/// # Panics
///
/// If a start and the positions reach beyond `from`.
pub(super) fn weighted(from: &[f32], starts: &[usize], weights: &[f32], to: &mut [f32]) {
    Arch::new().dispatch(Weighted {
        from,
        starts,
        weights,
        to,
    });
}

/// Adds to the sums of each row and start the products of a row of `rows` with what stands in `from`
/// behind the start; those of a weight are the sum of its lanes.
///
/// # Shapes
///
/// - `rows`: `[rows, positions]`, positions a multiple of [`TILE`]
/// - `sums`: `[rows, starts, LANES]`
///
/// # Panics
///
/// If a start and the positions reach beyond `from`.
pub(super) fn add_products(from: &[f32], starts: &[usize], rows: &[f32], sums: &mut [f32]) {
    Arch::new().dispatch(Products {
        from,
        starts,
        rows,
        sums,
    });
}

struct Weighted<'a> {
    from: &'a [f32],
    starts: &'a [usize],
    weights: &'a [f32],
    to: &'a mut [f32],
}

impl WithSimd for Weighted<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let count = self.starts.len();
        let positions = self.to.len() * count / self.weights.len();
        let pairs = self
            .to
            .chunks_mut(2 * positions)
            .zip(self.weights.chunks(2 * count));
        for (to, weights) in pairs {
            match to.split_at_mut_checked(positions) {
                Some((first, second)) if !second.is_empty() => {
                    let weights = weights.split_at(count);
                    let weights = [weights.0, weights.1];
                    fill(simd, self.from, self.starts, weights, [first, second]);
                }
                _ => fill_alone(simd, self.from, self.starts, weights, to),
            }
        }
    }
}

/// Writes two rows, which share what they read.
#[inline(always)]
fn fill<S: Simd>(
    simd: S,
    from: &[f32],
    starts: &[usize],
    weights: [&[f32]; 2],
    to: [&mut [f32]; 2],
) {
    const HALF: usize = VECTORS / 2;
    let width = HALF * S::F32_LANES;
    let [first, second] = to.map(|row| row.chunks_exact_mut(width));
    for (tile, to) in first.zip(second).enumerate() {
        let mut sums = [[simd.splat_f32s(0.0); HALF]; 2];
        for (&start, (&a, &b)) in starts.iter().zip(weights[0].iter().zip(weights[1])) {
            let read = vectors::<S, HALF>(&from[start + tile * width..]);
            let [a, b] = [a, b].map(|weight| simd.splat_f32s(weight));
            for vector in 0..HALF {
                sums[0][vector] = simd.mul_add_e_f32s(a, read[vector], sums[0][vector]);
                sums[1][vector] = simd.mul_add_e_f32s(b, read[vector], sums[1][vector]);
            }
        }
        S::as_mut_simd_f32s(to.0).0.copy_from_slice(&sums[0]);
        S::as_mut_simd_f32s(to.1).0.copy_from_slice(&sums[1]);
    }
}

/// Writes one row.
#[inline(always)]
fn fill_alone<S: Simd>(simd: S, from: &[f32], starts: &[usize], weights: &[f32], to: &mut [f32]) {
    let width = VECTORS * S::F32_LANES;
    for (tile, to) in to.chunks_exact_mut(width).enumerate() {
        let mut sums = [simd.splat_f32s(0.0); VECTORS];
        for (&start, &weight) in starts.iter().zip(weights) {
            let read = vectors::<S, VECTORS>(&from[start + tile * width..]);
            let weight = simd.splat_f32s(weight);
            for (sum, read) in sums.iter_mut().zip(read) {
                *sum = simd.mul_add_e_f32s(weight, *read, *sum);
            }
        }
        S::as_mut_simd_f32s(to).0.copy_from_slice(&sums);
    }
}

struct Products<'a> {
    from: &'a [f32],
    starts: &'a [usize],
    rows: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let count = self.starts.len();
        let rows = self.sums.len() / (count * LANES);
        let rows = self.rows.chunks_exact(self.rows.len() / rows);
        for (row, sums) in rows.zip(self.sums.chunks_exact_mut(count * LANES)) {
            let starts = self.starts.chunks(VECTORS);
            for (starts, sums) in starts.zip(sums.chunks_mut(VECTORS * LANES)) {
                match starts.try_into() {
                    Ok(starts) => add_some::<S, VECTORS>(simd, self.from, starts, row, sums),
                    Err(_) => {
                        for (&start, sums) in starts.iter().zip(sums.chunks_mut(LANES)) {
                            add_some(simd, self.from, &[start], row, sums);
                        }
                    }
                }
            }
        }
    }
}

/// Adds to the sums of some starts.
#[inline(always)]
fn add_some<S: Simd, const N: usize>(
    simd: S,
    from: &[f32],
    starts: &[usize; N],
    row: &[f32],
    sums: &mut [f32],
) {
    let (row, _) = S::as_simd_f32s(row);
    let read = starts.map(|start| &S::as_simd_f32s(&from[start..]).0[..row.len()]);
    let mut found: [S::f32s; N] = std::array::from_fn(|at| vectors::<S, 1>(&sums[at * LANES..])[0]);
    for (at, &number) in row.iter().enumerate() {
        for (sum, read) in found.iter_mut().zip(&read) {
            *sum = simd.mul_add_e_f32s(number, read[at], *sum);
        }
    }
    for (sums, found) in sums.chunks_exact_mut(LANES).zip(found) {
        S::as_mut_simd_f32s(sums).0[0] = found;
    }
}

#[inline(always)]
fn vectors<S: Simd, const N: usize>(from: &[f32]) -> &[S::f32s; N] {
    let (read, _) = S::as_simd_f32s(&from[..N * S::F32_LANES]);
    read.try_into().expect("as many vectors")
}
