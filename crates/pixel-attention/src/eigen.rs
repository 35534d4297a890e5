//! The largest eigenvalues of a symmetric matrix and their vectors, by the method of Lanczos.
//!
//! Golub and Van Loan, *Matrix Computations*, §10.1 (Lanczos with complete reorthogonalisation) and
//! §8.3 (implicit QR of the tridiagonal matrix). The matrix is only ever multiplied with a vector,
//! so some dozens of products do where few eigenvectors are needed.

use ndarray::Array2;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// An eigenvalue and its vector of length 1, whose largest entry (the first of equals) is positive.
#[derive(Debug, Clone)]
pub(crate) struct Eigen {
    pub(crate) value: f64,
    pub(crate) vector: Vec<f64>,
}

/// Residual of an eigenvector, as a share of the largest eigenvalue in absolute value.
const TOLERANCE: f64 = 1e-11;

/// The `count` algebraically largest eigenvalues of the symmetric matrix that `apply` multiplies
/// with, the largest first. The result is the same for every call.
///
/// Cost: `m` products and `2 m² size` multiplications for `m` products, of which a few times `count`
/// are needed where the eigenvalues lie apart, and `size` at most. Memory: `m` vectors.
///
/// # Panics
///
/// If `count` exceeds `size`.
pub(crate) fn largest(size: usize, count: usize, apply: impl Fn(&[f64]) -> Vec<f64>) -> Vec<Eigen> {
    assert!(count <= size, "{count} eigenvectors of {size} x {size}");
    let mut krylov = Krylov::new(size);
    let mut next_look = (2 * count + 20).min(size);
    loop {
        krylov.extend(&apply);
        if krylov.basis.len() < next_look {
            continue;
        }
        let (values, vectors) = tridiagonal(krylov.diagonal.clone(), &krylov.beside);
        let order = largest_first(&values);
        let wanted = &order[..count];
        if next_look == size || krylov.has_converged(&values, &vectors, wanted) {
            let eigen = |&at: &usize| krylov.eigen(values[at], &vectors[at]);
            return wanted.iter().map(eigen).collect();
        }
        next_look = (next_look + next_look / 4 + 1).min(size);
    }
}

/// [`largest`] of a symmetric matrix that is there, `[size, size]` in standard layout.
///
/// # Panics
///
/// As [`largest`].
pub(crate) fn largest_of(matrix: &Array2<f64>, count: usize) -> Vec<Eigen> {
    largest(matrix.nrows(), count, |vector| {
        let rows = matrix.rows().into_iter();
        rows.map(|row| dot(row.as_slice().expect("standard layout"), vector))
            .collect()
    })
}

/// An orthonormal basis in which the matrix is tridiagonal.
struct Krylov {
    basis: Vec<Vec<f64>>,
    diagonal: Vec<f64>,
    /// Beside the diagonal, and behind its end.
    beside: Vec<f64>,
    /// The next vector of the basis.
    next: Vec<f64>,
    stream: ChaCha8Rng,
}

impl Krylov {
    fn new(size: usize) -> Self {
        let mut this = Self {
            basis: Vec::new(),
            diagonal: Vec::new(),
            beside: Vec::new(),
            next: vec![0.0; size],
            stream: ChaCha8Rng::seed_from_u64(0),
        };
        this.draw_next();
        this
    }

    /// Takes the next vector into the basis.
    fn extend(&mut self, apply: impl Fn(&[f64]) -> Vec<f64>) {
        let newest = std::mem::take(&mut self.next);
        let mut product = apply(&newest);
        self.diagonal.push(dot(&newest, &product));
        let scale = length(&product);
        self.basis.push(newest);
        self.remove_basis(&mut product);
        let rest = length(&product);
        self.next = product;
        if rest > 1e-13 * scale {
            self.beside.push(rest);
            self.next.iter_mut().for_each(|value| *value /= rest);
        } else {
            // The matrix leaves the basis to itself; what is outside is looked at from a new start.
            self.beside.push(0.0);
            self.draw_next();
        }
    }

    /// Draws a vector outside of the basis, if there is any.
    fn draw_next(&mut self) {
        if self.basis.len() == self.next.len() {
            return;
        }
        let mut drawn = std::mem::take(&mut self.next);
        let uniform = |stream: &mut ChaCha8Rng| f64::from(stream.next_u32()) / 2f64.powi(31) - 1.0;
        drawn.fill_with(|| uniform(&mut self.stream));
        self.remove_basis(&mut drawn);
        let scale = length(&drawn);
        drawn.iter_mut().for_each(|value| *value /= scale);
        self.next = drawn;
    }

    /// Twice, since once leaves what rounding does.
    fn remove_basis(&self, vector: &mut [f64]) {
        for _ in 0..2 {
            for direction in &self.basis {
                let part = dot(direction, vector);
                add_scaled(vector, direction, -part);
            }
        }
    }

    fn has_converged(&self, values: &[f64], vectors: &[Vec<f64>], wanted: &[usize]) -> bool {
        let last = self.beside[self.beside.len() - 1];
        let largest = values
            .iter()
            .fold(0.0f64, |most, value| most.max(value.abs()));
        let residual = |at: usize| last * vectors[at][self.basis.len() - 1].abs();
        wanted.iter().all(|&at| residual(at) <= TOLERANCE * largest)
    }

    /// An eigenvector in the coordinates of the matrix.
    fn eigen(&self, value: f64, in_basis: &[f64]) -> Eigen {
        let mut vector = vec![0.0; self.basis[0].len()];
        for (direction, &part) in self.basis.iter().zip(in_basis) {
            add_scaled(&mut vector, direction, part);
        }
        let most = vector
            .iter()
            .fold(0.0f64, |most, value| match value.abs() > most.abs() {
                true => *value,
                false => most,
            });
        let scale = most.signum() / length(&vector);
        vector.iter_mut().for_each(|entry| *entry *= scale);
        Eigen { value, vector }
    }
}

/// All eigenvalues of a symmetric tridiagonal matrix and their vectors, in no order. `beside` may be
/// longer than needed.
fn tridiagonal(mut diagonal: Vec<f64>, beside: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let size = diagonal.len();
    let mut beside = beside[..size - 1].to_vec();
    let mut vectors: Vec<Vec<f64>> = (0..size).map(|at| unit_vector(size, at)).collect();
    let largest = diagonal.iter().chain(&beside);
    let least = f64::EPSILON * largest.fold(0.0f64, |most, value| most.max(value.abs()));
    let mut end = size - 1;
    while end > 0 {
        let start = (0..end).rev().find(|&at| beside[at].abs() <= least);
        match start.map_or(0, |at| at + 1) {
            start if start == end => end -= 1,
            start => qr_step(&mut diagonal, &mut beside, &mut vectors, start, end),
        }
    }
    (diagonal, vectors)
}

/// One implicit QR step with Wilkinson's shift on the rows `start..=end`.
fn qr_step(
    diagonal: &mut [f64],
    beside: &mut [f64],
    vectors: &mut [Vec<f64>],
    start: usize,
    end: usize,
) {
    let half_gap = (diagonal[end - 1] - diagonal[end]) / 2.0;
    let corner = beside[end - 1];
    let shift =
        diagonal[end] - corner * corner / (half_gap + half_gap.hypot(corner).copysign(half_gap));
    let (mut along, mut bulge) = (diagonal[start] - shift, beside[start]);
    for at in start..end {
        let radius = along.hypot(bulge);
        let (cos, sin) = (along / radius, bulge / radius);
        if at > start {
            beside[at - 1] = radius;
        }
        let (first, second, between) = (diagonal[at], diagonal[at + 1], beside[at]);
        let cross = 2.0 * cos * sin * between;
        diagonal[at] = cos * cos * first + cross + sin * sin * second;
        diagonal[at + 1] = sin * sin * first - cross + cos * cos * second;
        beside[at] = (cos * cos - sin * sin) * between + cos * sin * (second - first);
        along = beside[at];
        if at + 1 < end {
            bulge = sin * beside[at + 1];
            beside[at + 1] *= cos;
        }
        rotate(vectors, at, cos, sin);
    }
}

/// Turns the vectors `at` and `at + 1` in their plane.
fn rotate(vectors: &mut [Vec<f64>], at: usize, cos: f64, sin: f64) {
    let (head, tail) = vectors.split_at_mut(at + 1);
    for (first, second) in head[at].iter_mut().zip(&mut tail[0]) {
        (*first, *second) = (cos * *first + sin * *second, cos * *second - sin * *first);
    }
}

fn unit_vector(size: usize, at: usize) -> Vec<f64> {
    let mut vector = vec![0.0; size];
    vector[at] = 1.0;
    vector
}

fn largest_first(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

fn length(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

/// Adds `scale` times a direction to a vector.
pub(crate) fn add_scaled(vector: &mut [f64], direction: &[f64], scale: f64) {
    for (value, &entry) in vector.iter_mut().zip(direction) {
        *value += scale * entry;
    }
}

/// Inner product, summed in eight lanes.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_blocks.remainder().iter().zip(b_blocks.remainder());
    let tail: f64 = rest.map(|(x, y)| x * y).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic, with entries in -1..1.
    fn symmetric(size: usize) -> Array2<f64> {
        Array2::from_shape_fn((size, size), |(row, column)| {
            let (low, high) = (row.min(column), row.max(column));
            ((low * 37 + high * 101 + low * high * 13) % 199) as f64 / 99.0 - 1.0
        })
    }

    #[test]
    fn a_vector_times_the_matrix_is_its_eigenvalue_times_the_vector() {
        for (size, count) in [(1, 1), (2, 2), (7, 3), (90, 5), (90, 90)] {
            let matrix = symmetric(size);
            let found = largest_of(&matrix, count);
            assert_eq!(found.len(), count);
            for Eigen { value, vector } in &found {
                let vector = ndarray::aview1(vector);
                let gap = matrix.dot(&vector) - &vector * *value;
                let worst = gap.fold(0.0f64, |most, gap| most.max(gap.abs()));
                assert!(worst < 1e-9, "{size}, {count}: {worst}");
            }
            assert!(found.is_sorted_by(|a, b| a.value >= b.value));
        }
    }

    #[test]
    fn all_eigenvalues_add_up_to_the_trace() {
        let matrix = symmetric(33);
        let sum: f64 = largest_of(&matrix, 33)
            .iter()
            .map(|eigen| eigen.value)
            .sum();
        assert!((sum - matrix.diag().sum()).abs() < 1e-10);
    }

    #[test]
    fn equal_eigenvalues_have_a_vector_each() {
        let mut matrix = Array2::eye(9) * 2.0;
        matrix[[4, 4]] = 5.0;
        let found = largest_of(&matrix, 4);
        for (eigen, value) in found.iter().zip([5.0, 2.0, 2.0, 2.0]) {
            assert!((eigen.value - value).abs() < 1e-14);
        }
        for (at, a) in found.iter().enumerate() {
            for b in &found[..at] {
                assert!(dot(&a.vector, &b.vector).abs() < 1e-12);
            }
        }
        assert_eq!(largest_of(&Array2::zeros((3, 3)), 2)[1].value, 0.0);
    }
}
