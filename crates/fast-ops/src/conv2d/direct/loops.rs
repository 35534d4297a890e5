//! The inner loops: one row of numbers, read from many starts.

use pulp::{Arch, Simd, WithSimd};

/// A sum is taken over this many positions or a multiple of it.
pub(super) const TILE: usize = 64;
/// Vectors of sums in registers: those of one row, or half as many of each of two.
const VECTORS: usize = 8;
const HALF: usize = VECTORS / 2;
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
        let rows = self.to.chunks_mut(2 * positions);
        for (to, weights) in rows.zip(self.weights.chunks(2 * count)) {
            let read = (self.from, self.starts);
            if to.len() > positions {
                let (first, second) = to.split_at_mut(positions);
                let (a, b) = weights.split_at(count);
                fill::<S, 2, HALF>(simd, read, [a, b], [first, second], 0);
                continue;
            }
            let whole = positions / (VECTORS * S::F32_LANES) * VECTORS * S::F32_LANES;
            let (most, rest) = to.split_at_mut(whole);
            fill::<S, 1, VECTORS>(simd, read, [weights], [most], 0);
            fill::<S, 1, HALF>(simd, read, [weights], [rest], whole);
        }
    }
}

/// Writes rows, which share what they read, from a position on: `N` vectors of each at a time.
#[inline(always)]
fn fill<S: Simd, const R: usize, const N: usize>(
    simd: S,
    (from, starts): (&[f32], &[usize]),
    weights: [&[f32]; R],
    mut to: [&mut [f32]; R],
    first: usize,
) {
    let width = N * S::F32_LANES;
    let weights = weights.map(|row| &row[..starts.len()]);
    for tile in (0..to[0].len()).step_by(width) {
        let mut sums = [[simd.splat_f32s(0.0); N]; R];
        for (at, &start) in starts.iter().enumerate() {
            let read = vectors::<S, N>(&from[start + first + tile..]);
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                let weight = simd.splat_f32s(weights[at]);
                for (sum, read) in sums.iter_mut().zip(read) {
                    *sum = simd.mul_add_e_f32s(weight, *read, *sum);
                }
            }
        }
        for (to, sums) in to.iter_mut().zip(&sums) {
            S::as_mut_simd_f32s(&mut to[tile..][..width])
                .0
                .copy_from_slice(sums);
        }
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
        let count = self.starts.len() * LANES;
        let positions = self.rows.len() * count / self.sums.len();
        let rows = self.rows.chunks(2 * positions);
        for (rows, sums) in rows.zip(self.sums.chunks_mut(2 * count)) {
            let read = (self.from, self.starts);
            if rows.len() > positions {
                let (first, second) = sums.split_at_mut(count);
                let (a, b) = rows.split_at(positions);
                add::<S, 2, HALF>(simd, read, [a, b], [first, second]);
            } else {
                add::<S, 1, VECTORS>(simd, read, [rows], [sums]);
            }
        }
    }
}

/// Adds the products of rows, which share what they read, `N` starts at a time.
#[inline(always)]
fn add<S: Simd, const R: usize, const N: usize>(
    simd: S,
    (from, starts): (&[f32], &[usize]),
    rows: [&[f32]; R],
    mut sums: [&mut [f32]; R],
) {
    let (some, rest) = starts.as_chunks::<N>();
    for (at, starts) in some.iter().enumerate() {
        let sums = sums.each_mut().map(|sums| &mut sums[at * N * LANES..]);
        add_some(simd, from, starts, rows, sums);
    }
    for (start, at) in rest.iter().zip(some.len() * N..) {
        let sums = sums.each_mut().map(|sums| &mut sums[at * LANES..]);
        add_some(simd, from, &[*start], rows, sums);
    }
}

/// The same of so many starts, whose sums are the first.
#[inline(always)]
fn add_some<S: Simd, const R: usize, const N: usize>(
    simd: S,
    from: &[f32],
    starts: &[usize; N],
    rows: [&[f32]; R],
    sums: [&mut [f32]; R],
) {
    let rows = rows.map(|row| S::as_simd_f32s(row).0);
    let count = rows[0].len();
    let rows = rows.map(|row| &row[..count]);
    let read = starts.map(|start| &S::as_simd_f32s(&from[start..]).0[..count]);
    let mut found = [[simd.splat_f32s(0.0); N]; R];
    for at in 0..count {
        let read = read.map(|read| read[at]);
        for (found, row) in found.iter_mut().zip(&rows) {
            for (sum, read) in found.iter_mut().zip(read) {
                *sum = simd.mul_add_e_f32s(row[at], read, *sum);
            }
        }
    }
    for (sums, found) in sums.into_iter().zip(found) {
        for (sums, found) in sums.chunks_exact_mut(LANES).zip(found) {
            let lanes = &mut S::as_mut_simd_f32s(sums).0[0];
            *lanes = simd.add_f32s(*lanes, found);
        }
    }
}

#[inline(always)]
fn vectors<S: Simd, const N: usize>(from: &[f32]) -> &[S::f32s; N] {
    let (read, _) = S::as_simd_f32s(&from[..N * S::F32_LANES]);
    read.try_into().expect("as many vectors")
}
