//! InfoNCE against many negatives that take no gradient: a ring of keys, a bank, prototypes.
//!
//! MoCo (He et al. 2020, <https://arxiv.org/abs/1911.05722>, eq. 1) has 65,536 negatives. Their products
//! with all queries never exist at once: a block of them is made, added up and dropped. What the
//! gradient needs is added up on the way, the mean of the negatives under the softmax, which is as
//! large as the queries.

use burn::tensor::{Tensor, assert_shape};

use crate::precision::product;

/// Products that exist at once.
const BLOCK: usize = 1 << 22;

/// InfoNCE: each query has to find its key among the negatives; the mean over queries.
///
/// The gradient flows into the queries only.
///
/// # Shapes
///
/// - `queries`, `keys`: `[rows, dim]`, of unit length
/// - each of `negatives`: `[K, dim]`, of unit length
/// - output: `[1]`; `ln(K + 1)` where all are alike
///
/// # Panics
///
/// If the shapes do not fit, or there is no negative.
pub fn info_nce(
    queries: Tensor<2>,
    keys: Tensor<2>,
    negatives: Tensor<2>,
    temperature: f64,
) -> Tensor<1> {
    let queries = queries / temperature;
    let positive = paired_products(queries.clone(), keys);
    let negative = log_sum_exp_of_products(queries, &[negatives]);
    softplus(negative - positive).mean()
}

/// The product of each row with its partner, which takes no gradient.
///
/// # Shapes
///
/// - `rows`, `partners`: `[rows, dim]`
/// - output: `[rows]`
pub(super) fn paired_products(rows: Tensor<2>, partners: Tensor<2>) -> Tensor<1> {
    let [count, dim] = rows.dims();
    assert_shape!(partners, [count, dim]);
    (rows * partners.inner()).sum_dim(1).squeeze_dim(1)
}

/// `ln Σ exp(row · column)` of each row over the columns of all tables.
///
/// The gradient flows into the rows only. A block of products is computed, used and dropped.
///
/// # Shapes
///
/// - `rows`: `[rows, dim]`
/// - each of `columns`: `[K, dim]`
/// - output: `[rows]`
///
/// # Panics
///
/// If there is no column, or the shapes do not fit.
pub(super) fn log_sum_exp_of_products(rows: Tensor<2>, columns: &[Tensor<2>]) -> Tensor<1> {
    let constant = rows.clone().inner();
    let tables = columns.iter().map(|table| table.clone().inner());
    let sums = tables
        .flat_map(|table| blocks(table, constant.dims()[0]))
        .map(|block| Sums::of(&constant, block))
        .reduce(Sums::and)
        .expect("at least one column");
    let (value, slope) = sums.value_and_slope();
    let linear = (rows * slope).sum_dim(1); // has the gradient, but not the value
    (linear.clone() - linear.detach() + value).squeeze_dim(1)
}

/// Rows of a table, as many at a time as have [`BLOCK`] products with `rows` vectors.
pub(super) fn blocks(table: Tensor<2>, rows: usize) -> impl Iterator<Item = Tensor<2>> {
    let [count, _] = table.dims();
    let step = (BLOCK / rows.max(1)).max(1);
    (0..count)
        .step_by(step)
        .map(move |first| table.clone().narrow(0, first, step.min(count - first)))
}

/// What is known of each row after some columns.
struct Sums {
    /// The largest product, `[rows, 1]`.
    largest: Tensor<2>,
    /// Sum of `exp(product - largest)`, `[rows, 1]`.
    weight: Tensor<2>,
    /// Sum of the columns, each with that weight, `[rows, dim]`.
    columns: Tensor<2>,
}

impl Sums {
    fn of(rows: &Tensor<2>, columns: Tensor<2>) -> Self {
        let products = product(rows.clone(), columns.clone().transpose());
        let largest = products.clone().max_dim(1);
        let weights = (products - largest.clone()).exp();
        Self {
            largest,
            weight: weights.clone().sum_dim(1),
            columns: product(weights, columns),
        }
    }

    fn and(self, other: Self) -> Self {
        let largest = self.largest.clone().max_pair(other.largest.clone());
        let [own, others] =
            [self.largest, other.largest].map(|before| (before - largest.clone()).exp());
        Self {
            largest,
            weight: self.weight * own.clone() + other.weight * others.clone(),
            columns: self.columns * own + other.columns * others,
        }
    }

    /// The logarithm of the sum, `[rows, 1]`, and its gradient by the rows.
    fn value_and_slope(self) -> (Tensor<2>, Tensor<2>) {
        (
            self.largest + self.weight.clone().log(),
            self.columns / self.weight,
        )
    }
}

/// `ln(1 + exp(x))`, which does not overflow.
fn softplus(x: Tensor<1>) -> Tensor<1> {
    let larger = x.clone().detach().clamp_min(0.0);
    ((-larger.clone()).exp() + (x - larger.clone()).exp()).log() + larger
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, activation::log_softmax};
    use golden::assert_near;

    const ROUNDING: [f64; 2] = [1e-5, 1e-6];

    fn random(rows: usize, device: &Device) -> Tensor<2> {
        Tensor::random([rows, 6], Distribution::Normal(0.0, 1.0), device)
    }

    #[test]
    fn blocks_add_up_to_the_whole() {
        let device = Device::default().autodiff();
        device.seed(5);
        let columns = random(3001, &device).inner();
        let rows = random(BLOCK / 1000, &device).require_grad(); // three blocks and a row
        assert_eq!(blocks(columns.clone(), BLOCK / 1000).count(), 4);
        let streamed = log_sum_exp_of_products(rows.clone(), std::slice::from_ref(&columns));
        let products = rows.clone().narrow(0, 0, 2).matmul(columns.transpose());
        let first = products.clone().narrow(1, 0, 1) - log_softmax(products, 1).narrow(1, 0, 1);
        let two = streamed.narrow(0, 0, 2);
        assert_near(
            two.clone(),
            first.clone().squeeze_dim::<1>(1).into_data(),
            ROUNDING,
        );
        let [own, whole] =
            [two.sum(), first.sum()].map(|sum| rows.grad(&sum.backward()).unwrap().narrow(0, 0, 2));
        assert_near(own, whole.into_data(), [1e-4, 1e-5]);
    }

    #[test]
    fn large_products_do_not_overflow() {
        let device = Device::default().autodiff();
        let row = || Tensor::<2>::from_floats([[1.0, 0.0]], &device);
        let apart = Tensor::from_floats([[-1.0, 0.0]], &device);
        let loss = |key, negative| info_nce(row(), key, negative, 0.001);
        assert_near(loss(apart.clone(), row()), [2000.0], ROUNDING);
        assert_near(loss(row(), apart), [0.0], ROUNDING);
    }
}
