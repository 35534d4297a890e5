//! Inner products of many rows with many rows: the one hot loop of k-means and distance matching.

use gemm::{Parallelism, gemm};
use ndarray::{ArrayView2, ArrayViewMut2};

/// Writes the inner products of all rows of `a` with all rows of `b`.
///
/// The product runs in the calling thread, so its bits do not depend on the number of threads.
///
/// # Shapes
///
/// - `a`: `[m, dim]`, `b`: `[n, dim]`, both row-major
/// - `out`: `[n, m]`, `out[j * m + i] = a_i · b_j`
///
/// # Panics
///
/// If the lengths of the slices contradict each other.
pub(crate) fn row_products(a: &[f32], b: &[f32], dim: usize, out: &mut [f32]) {
    assert!(dim > 0, "rows have at least one column");
    let (m, n) = (a.len() / dim, b.len() / dim);
    assert_eq!(
        (a.len(), b.len(), out.len()),
        (m * dim, n * dim, m * n),
        "lengths fit the rows"
    );
    let (pitch, column_pitch) = (dim as isize, m as isize);
    // SAFETY: the strides below address a[i * dim + k], b[j * dim + k] and out[j * m + i] for
    // i < m, j < n, k < dim, all within the lengths asserted above; `out` is borrowed exclusively.
    #[allow(unsafe_code)]
    unsafe {
        gemm(
            m,
            n,
            dim,
            out.as_mut_ptr(),
            column_pitch,
            1,
            false,
            a.as_ptr(),
            1,
            pitch,
            b.as_ptr(),
            pitch,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Adds the matrix product of `a` and `b` to `out`, in double precision and in the calling thread.
///
/// # Shapes
///
/// - `a`: `[m, k]`, `b`: `[k, n]`, `out`: `[m, n]`, all in any layout
///
/// # Panics
///
/// If the shapes contradict each other.
pub(crate) fn add_product(a: ArrayView2<f64>, b: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert_eq!((b.nrows(), out.dim()), (k, (m, n)), "shapes fit");
    let (a_strides, b_strides) = (a.strides(), b.strides());
    let out_strides = [out.strides()[0], out.strides()[1]];
    // SAFETY: the strides are those of arrays of the shapes asserted above; `out` is borrowed
    // exclusively.
    #[allow(unsafe_code)]
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            out_strides[1],
            out_strides[0],
            true,
            a.as_ptr(),
            a_strides[1],
            a_strides[0],
            b.as_ptr(),
            b_strides[1],
            b_strides[0],
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Squared Euclidean distance, summed in eight lanes.
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    sum_in_lanes(a, b, |x, y| (x - y) * (x - y))
}

/// Squared Euclidean length, summed in eight lanes.
pub(crate) fn squared_norm(a: &[f32]) -> f32 {
    sum_in_lanes(a, a, |x, y| x * y)
}

/// Squared Euclidean length in double precision, summed in eight lanes.
pub(crate) fn squared_norm_f64(a: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let blocks = a.chunks_exact(8);
    let tail: f64 = blocks.remainder().iter().map(|&x| square(x)).sum();
    for x in blocks {
        for lane in 0..8 {
            lanes[lane] += square(x[lane]);
        }
    }
    lanes.iter().sum::<f64>() + tail
}

fn square(x: f32) -> f64 {
    f64::from(x) * f64::from(x)
}

/// Inner product in double precision.
pub(crate) fn product_f64(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * y).sum()
}

/// Eight independent sums let the compiler use vector registers without reordering additions.
fn sum_in_lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_blocks.remainder().iter().zip(b_blocks.remainder());
    let tail: f32 = rest.map(|(&x, &y)| term(x, y)).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            lanes[lane] += term(x[lane], y[lane]);
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_plain_double_loop() {
        for (m, n, dim) in [(3, 5, 7), (1, 1, 1), (17, 2, 33), (2, 31, 9)] {
            let a: Vec<f32> = (0..m * dim).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..n * dim).map(|i| (i % 7) as f32 - 3.0).collect();
            let mut out = vec![f32::NAN; m * n];
            row_products(&a, &b, dim, &mut out);
            for (j, b_row) in b.chunks(dim).enumerate() {
                for (i, a_row) in a.chunks(dim).enumerate() {
                    let plain: f32 = a_row.iter().zip(b_row).map(|(x, y)| x * y).sum();
                    assert_eq!(out[j * m + i], plain, "small integers are exact");
                }
            }
        }
    }

    #[test]
    fn products_are_added_whatever_the_layout() {
        let a = ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let b = ndarray::array![
            [1.0, 0.0, 2.0, 1.0],
            [0.0, 1.0, 0.0, 1.0],
            [2.0, 1.0, 0.0, 1.0]
        ];
        let mut out = ndarray::Array2::from_elem((4, 2), 10.0);
        add_product(a.view(), b.view(), out.view_mut().reversed_axes());
        assert_eq!(out, a.dot(&b).reversed_axes() + 10.0);
    }

    #[test]
    fn distances_count_the_columns_behind_the_last_full_block() {
        let a: Vec<f32> = (0..11).map(|i| i as f32).collect();
        assert_eq!(squared_distance(&a, &[0.0; 11]), 385.0);
        assert_eq!(squared_norm(&a), 385.0);
    }
}
