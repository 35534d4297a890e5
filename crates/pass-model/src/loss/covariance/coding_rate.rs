//! The coding rate that EMP-SSL raises (Tong et al. 2023, <https://arxiv.org/abs/2304.03977>, eq. 1; Ma
//! et al. 2007, <https://doi.org/10.1109/TPAMI.2007.1085>).

use burn::tensor::{Tensor, TensorData};

use crate::{group::Group, precision::product};

/// `½ ln det(I + dim / (B ε) ZᵀZ)` of the `B` embeddings of a view, the mean over views.
///
/// It is 0 where the embeddings are zero, and the larger, the more directions they take. The pictures
/// are those of all ranks, and the gradient is that of one process with the whole batch. Collective.
///
/// # Shapes
///
/// - `views`: `[views, pictures, dim]`
/// - output: `[1]`
///
/// # Panics
///
/// If a value is not finite: there is no determinant then.
pub fn coding_rate(views: Tensor<3>, epsilon: f64, group: &Group) -> Tensor<1> {
    let [count, _, dim] = views.dims();
    let all = rows_of_ranks(views, group);
    let batch = all.dims()[1];
    // `ZZᵀ` has the same determinant as `ZᵀZ`; the smaller is taken.
    let (left, right) = match batch < dim {
        true => (all.clone(), all.swap_dims(1, 2)),
        false => (all.clone().swap_dims(1, 2), all),
    };
    let scaled = product(left, right) * (dim as f64 / (batch as f64 * epsilon));
    log_determinants(scaled) / (2 * count) as f64
}

/// `[views, pictures of all ranks, dim]`
fn rows_of_ranks(views: Tensor<3>, group: &Group) -> Tensor<3> {
    let [count, pictures, dim] = views.dims();
    let rows = views.swap_dims(0, 1).reshape([pictures, count * dim]);
    let all = group.gather_rows(rows);
    let batch = all.dims()[0];
    all.reshape([batch, count, dim]).swap_dims(0, 1)
}

/// The sum of `ln det(I + matrix)` over positive semidefinite matrices, `[count, n, n]`.
///
/// The gradient is the inverse of `I + matrix`. Both are computed in float64 on the host.
fn log_determinants(matrices: Tensor<3>) -> Tensor<1> {
    let shape = matrices.dims();
    let data = matrices.clone().inner().into_data();
    let values: Vec<f64> = data.iter::<f64>().collect();
    let mut sum = 0.0;
    let mut inverses = Vec::with_capacity(values.len());
    for matrix in values.chunks(shape[1] * shape[2]) {
        let factor = Cholesky::of_one_plus(matrix, shape[1]);
        sum += factor.log_determinant();
        inverses.extend(factor.inverse().into_iter().map(|value| value as f32));
    }
    let device = matrices.device();
    let inverses = Tensor::<3>::from_data(TensorData::new(inverses, shape), &device);
    let linear = (matrices * inverses).sum(); // has the gradient, but not the value
    linear.clone() - linear.detach() + sum
}

/// The lower triangular `L` with `L Lᵀ` = 1 + a positive semidefinite matrix.
struct Cholesky {
    rows: Vec<f64>,
    size: usize,
}

impl Cholesky {
    fn of_one_plus(matrix: &[f64], size: usize) -> Self {
        let mut rows = matrix.to_vec();
        for row in 0..size {
            rows[row * size + row] += 1.0;
            for column in 0..=row {
                let (done, own) = rows.split_at_mut(row * size);
                let (own, rest) = own.split_at_mut(column);
                let other = if column == row {
                    &*own
                } else {
                    &done[column * size..][..column]
                };
                let value = rest[0] - dot(own, other);
                rest[0] = match column == row {
                    true => root(value),
                    false => value / done[column * size + column],
                };
            }
        }
        Self { rows, size }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.rows[row * self.size..][..=row]
    }

    fn log_determinant(&self) -> f64 {
        let diagonal = (0..self.size).map(|row| self.row(row)[row]);
        2.0 * diagonal.map(f64::ln).sum::<f64>()
    }

    /// The inverse of `L Lᵀ`, row by row.
    fn inverse(&self) -> Vec<f64> {
        let columns: Vec<Vec<f64>> = (0..self.size).map(|one| self.solve(one)).collect();
        columns.concat() // it is symmetric
    }

    /// The column of the inverse of `L Lᵀ` with this number.
    fn solve(&self, one: usize) -> Vec<f64> {
        let mut x = vec![0.0; self.size];
        for row in one..self.size {
            let own = self.row(row);
            let wanted = if row == one { 1.0 } else { 0.0 };
            x[row] = (wanted - dot(&own[..row], &x)) / own[row];
        }
        for row in (0..self.size).rev() {
            x[row] /= self.row(row)[row];
            let share = x[row];
            for (above, factor) in x[..row].iter_mut().zip(self.row(row)) {
                *above -= factor * share;
            }
        }
        x
    }
}

/// Over as many values as the shorter has.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

fn root(value: f64) -> f64 {
    assert!(
        value > 0.0,
        "a covariance that is not finite has no determinant"
    );
    value.sqrt()
}
