//! The hot loop of k-means: products of a block of points with all centroids, of which only the
//! largest is kept.
//!
//! A block holds as many points as four vector registers have lanes (two where there are only 16
//! registers). The scores of a block with six centroids stay in registers while all columns are
//! added up, one fused multiply-add after the other, and are then compared in place: no score is
//! ever stored. Each score is summed by one lane in the order of the columns, so its bits do not
//! depend on the width of the registers.
//!
//! Many columns are taken in slices ([`SLICE_COLUMNS`]), so that a block's slice stays in the
//! first-level cache for all centroids, while the next one is fetched; partial scores are put aside.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Centroids whose scores are in registers at a time.
pub(super) const GROUP: usize = 6;

/// Columns of one slice: 64 points of it are 16 KiB, a third of a first-level cache.
pub(super) const SLICE_COLUMNS: usize = 64;

/// The most points of a block, on any machine.
pub(super) const MAX_BLOCK: usize = 64;

/// Points of a block on this machine.
pub(super) fn block_points(arch: Arch) -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    let lanes = arch.dispatch(Lanes);
    lanes * vectors(lanes)
}

/// Vectors of points of a block: registers of 16 lanes come in 32, narrower ones in 16.
const fn vectors(lanes: usize) -> usize {
    if lanes == 16 { 4 } else { 2 }
}

/// Points, column by column: `[D, width]`; missing points of the last block are zero.
pub(super) fn pack_points(rows: &[f32], dim: usize, packed: &mut [f32]) {
    const TILE: usize = 16; // columns of a row that are read together: a line of the cache
    let width = packed.len() / dim;
    if rows.len() < packed.len() {
        packed.fill(0.0);
    }
    for first in (0..dim).step_by(TILE) {
        let columns = first..(first + TILE).min(dim);
        for (point, row) in rows.chunks_exact(dim).enumerate() {
            for (column, &value) in columns.clone().zip(&row[columns.clone()]) {
                packed[column * width + point] = value;
            }
        }
    }
}

/// Centroids in the order in which the kernel reads them, beside an offset that is taken from each
/// score: the nearest centroid of `x` has the largest `x · c - offset`.
pub(super) struct CentroidTable {
    /// Slice by slice; in each, group by group: `[columns, GROUP]`.
    packed: Vec<f32>,
    /// Infinite for the centroids that fill up the last group.
    offsets: Vec<f32>,
    dim: usize,
}

impl CentroidTable {
    /// For the smallest Euclidean distance to `rows`, `[K, D]`: the offset is half the squared
    /// length.
    pub(super) fn by_distance(rows: &[f32], dim: usize) -> Self {
        let half_norm = |row: &[f32]| 0.5 * crate::products::squared_norm(row);
        Self::new(rows, dim, half_norm)
    }

    /// For the largest inner product with `rows`, `[K, D]`.
    pub(super) fn by_product(rows: &[f32], dim: usize) -> Self {
        Self::new(rows, dim, |_| 0.0)
    }

    fn new(rows: &[f32], dim: usize, offset: impl Fn(&[f32]) -> f32) -> Self {
        let groups = (rows.len() / dim).div_ceil(GROUP);
        let mut packed = vec![0.0; groups * GROUP * dim];
        let slices = packed.par_chunks_mut(groups * GROUP * SLICE_COLUMNS);
        slices.enumerate().for_each(|(slice, packed)| {
            pack_centroids(rows, dim, slice * SLICE_COLUMNS, groups, packed);
        });
        let mut offsets: Vec<f32> = rows.chunks_exact(dim).map(offset).collect();
        offsets.resize(groups * GROUP, f32::INFINITY);
        Self {
            packed,
            offsets,
            dim,
        }
    }

    /// Centroids, those that fill up the last group included.
    pub(super) fn centroids(&self) -> usize {
        self.offsets.len()
    }

    fn groups(&self) -> usize {
        self.offsets.len() / GROUP
    }
}

/// Columns `first..` of all centroids: group by group, `[columns, GROUP]`.
fn pack_centroids(rows: &[f32], dim: usize, first: usize, groups: usize, packed: &mut [f32]) {
    let columns = packed.len() / (groups * GROUP);
    for (centroid, row) in rows.chunks_exact(dim).enumerate() {
        let group = &mut packed[centroid / GROUP * columns * GROUP..];
        let places = group.iter_mut().skip(centroid % GROUP).step_by(GROUP);
        for (place, &value) in places.zip(&row[first..first + columns]) {
            *place = value;
        }
    }
}

/// The nearest centroid of each point of a packed block; of equal ones the first.
pub(super) struct Nearest<'a> {
    /// The block, see [`pack_points`].
    pub(super) points: &'a [f32],
    /// The block that will be asked for next, if it is packed already.
    pub(super) next: &'a [f32],
    pub(super) table: &'a CentroidTable,
    /// Partial scores, if the columns fill more than one slice.
    pub(super) partial: &'a mut Vec<f32>,
    /// One for each point of the block.
    pub(super) labels: &'a mut [u32],
}

impl WithSimd for Nearest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match vectors(S::F32_LANES) {
            4 => self.run::<S, 4>(simd),
            _ => self.run::<S, 2>(simd),
        }
    }
}

/// The scores of a block with a group of centroids.
type Scores<S, const V: usize> = [[<S as Simd>::f32s; V]; GROUP];

impl Nearest<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let table = self.table;
        let mut largest = Largest::<S, V>::new(simd);
        let slice_length = SLICE_COLUMNS.min(table.dim);
        let last = (table.dim - 1) / slice_length;
        let group_scores = GROUP * V * S::F32_LANES;
        if last > 0 {
            self.partial.resize(table.groups() * group_scores, 0.0);
        }
        let (points, _) = S::as_simd_f32s(self.points);
        let mut packed = &table.packed[..];
        let slice_values = slice_length * V * S::F32_LANES;
        for (slice, points) in points.chunks(slice_length * V).enumerate() {
            let behind = (slice + 1) * slice_values;
            let upcoming = self.points.get(behind..).filter(|rest| !rest.is_empty());
            let upcoming = upcoming.unwrap_or(self.next);
            let upcoming = &upcoming[..slice_values.min(upcoming.len())];
            let mut upcoming = upcoming.chunks(slice_values.div_ceil(table.groups()));
            let group_length = points.len() / V * GROUP;
            let (here, rest) = packed.split_at(table.groups() * group_length);
            packed = rest;
            for (group, centroids) in here.chunks_exact(group_length).enumerate() {
                upcoming.next().into_iter().for_each(prefetch);
                let kept = group * group_scores..(group + 1) * group_scores;
                let before = match slice {
                    0 => [[simd.splat_f32s(0.0); V]; GROUP],
                    _ => load::<S, V>(&self.partial[kept.clone()]),
                };
                let scores = add_products::<S, V>(simd, points, centroids, before);
                if slice == last {
                    largest.compare(simd, &scores, table, group);
                } else {
                    store::<S, V>(&scores, &mut self.partial[kept]);
                }
            }
        }
        let (labels, _) = S::as_mut_simd_u32s(self.labels);
        labels.copy_from_slice(&largest.labels);
    }
}

/// Brings values closer that will be needed soon; a hint without effect on any result.
#[inline(always)]
fn prefetch(values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see, and the line exists.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// Adds `x_k · c_k` for all columns k of a slice, in their order.
#[inline(always)]
fn add_products<S: Simd, const V: usize>(
    simd: S,
    points: &[S::f32s],
    centroids: &[f32],
    mut scores: Scores<S, V>,
) -> Scores<S, V> {
    for (x, c) in points.chunks_exact(V).zip(centroids.chunks_exact(GROUP)) {
        for (scores, &c) in scores.iter_mut().zip(c) {
            let c = simd.splat_f32s(c);
            for (score, &x) in scores.iter_mut().zip(x) {
                *score = simd.mul_add_f32s(c, x, *score);
            }
        }
    }
    scores
}

#[inline(always)]
fn load<S: Simd, const V: usize>(kept: &[f32]) -> Scores<S, V> {
    let (kept, _) = S::as_simd_f32s(kept);
    std::array::from_fn(|centroid| std::array::from_fn(|vector| kept[centroid * V + vector]))
}

#[inline(always)]
fn store<S: Simd, const V: usize>(scores: &Scores<S, V>, kept: &mut [f32]) {
    let (kept, _) = S::as_mut_simd_f32s(kept);
    for (kept, scores) in kept.chunks_exact_mut(V).zip(scores) {
        kept.copy_from_slice(scores);
    }
}

/// The largest score so far of each point of a block, and whose it is.
struct Largest<S: Simd, const V: usize> {
    scores: [S::f32s; V],
    labels: [S::u32s; V],
}

impl<S: Simd, const V: usize> Largest<S, V> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        Self {
            scores: [simd.splat_f32s(f32::NEG_INFINITY); V],
            labels: [simd.splat_u32s(0); V],
        }
    }

    #[inline(always)]
    fn compare(&mut self, simd: S, scores: &Scores<S, V>, table: &CentroidTable, group: usize) {
        let first = group * GROUP;
        for (offset, scores) in scores.iter().enumerate() {
            let taken = simd.splat_f32s(table.offsets[first + offset]);
            let label = simd.splat_u32s((first + offset) as u32);
            for (vector, &score) in scores.iter().enumerate() {
                let score = simd.sub_f32s(score, taken);
                let larger = simd.greater_than_f32s(score, self.scores[vector]);
                self.scores[vector] = simd.select_f32s(larger, score, self.scores[vector]);
                self.labels[vector] = simd.select_u32s(larger, label, self.labels[vector]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, whose products are exact in any order.
    fn integers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * step) % 13) as f32 - 6.0).collect()
    }

    fn nearest_by_loops(point: &[f32], centroids: &[f32], dim: usize) -> u32 {
        let distance = |row: &[f32]| -> f32 {
            let differences = row.iter().zip(point).map(|(a, b)| (a - b) * (a - b));
            differences.sum()
        };
        let mut best = (f32::INFINITY, 0);
        for (label, row) in centroids.chunks(dim).enumerate() {
            if distance(row) < best.0 {
                best = (distance(row), label as u32);
            }
        }
        best.1
    }

    #[test]
    fn blocks_agree_with_plain_loops_for_all_shapes() {
        let arch = Arch::new();
        let width = block_points(arch);
        for (points, centroids, dim) in [
            (1, 1, 1),
            (width, 7, 3),
            (width - 1, 13, 17),
            (5, 6, SLICE_COLUMNS),
            (width, 20, SLICE_COLUMNS + 1),
            (3, 5, 2 * SLICE_COLUMNS + 7),
        ] {
            let rows = integers(points * dim, 7);
            let centroids = integers(centroids * dim, 5);
            let mut packed = vec![f32::NAN; width * dim];
            pack_points(&rows, dim, &mut packed);
            let mut labels = vec![u32::MAX; width];
            arch.dispatch(Nearest {
                points: &packed,
                next: &[],
                table: &CentroidTable::by_distance(&centroids, dim),
                partial: &mut Vec::new(),
                labels: &mut labels,
            });
            for (row, &label) in rows.chunks(dim).zip(&labels) {
                assert_eq!(label, nearest_by_loops(row, &centroids, dim), "{dim}");
            }
        }
    }

    #[test]
    fn a_block_is_never_larger_than_its_buffers() {
        assert!(block_points(Arch::new()) <= MAX_BLOCK);
    }
}
