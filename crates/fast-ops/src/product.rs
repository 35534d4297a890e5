//! Products of matrices that lie anywhere in memory.

use gemm::{Parallelism, gemm};

/// A matrix in memory: `of[row * row_step + column * column_step]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub(crate) of: &'a [f32],
    pub(crate) row_step: usize,
    pub(crate) column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other, of which a part is meant perhaps.
    pub(crate) fn rows(of: &'a [f32], pitch: usize) -> Self {
        Self {
            of,
            row_step: pitch,
            column_step: 1,
        }
    }

    /// Rows become columns.
    pub(crate) fn transposed(self) -> Self {
        Self {
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        (rows - 1) * self.row_step + (columns - 1) * self.column_step < self.of.len()
    }
}

/// Writes `a · b` into `to`, or adds it to what is there.
///
/// # Shapes
///
/// - `[m, k, n]`: `a` is `[m, k]`, `b` is `[k, n]`
/// - `to`: `[m, n]`, its rows `pitch` apart
///
/// # Panics
///
/// If a side is zero or the matrices do not fit.
pub(crate) fn multiply(
    [m, k, n]: [usize; 3],
    a: Matrix,
    b: Matrix,
    to: &mut [f32],
    pitch: usize,
    add: bool,
) {
    assert!(m > 0 && k > 0 && n > 0, "{m} · {k} · {n}");
    let fits = (m - 1) * pitch + n <= to.len() && (m == 1 || n <= pitch);
    assert!(a.holds(m, k) && b.holds(k, n) && fits, "{m} · {k} · {n}");
    let step = |step: usize| step as isize;
    // SAFETY: the steps address to[i * pitch + j], a and b for i < m, j < n and k, which lie within the
    // slices by the assertions above; `to` is borrowed exclusively and its rows do not overlap.
    // The product is written transposed, with the rows of `to` along the fast axis.
    #[allow(unsafe_code)]
    unsafe {
        gemm(
            n,
            m,
            k,
            to.as_mut_ptr(),
            step(pitch),
            1,
            add,
            b.of.as_ptr(),
            step(b.row_step),
            step(b.column_step),
            a.of.as_ptr(),
            step(a.row_step),
            step(a.column_step),
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
