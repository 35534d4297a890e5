//! Contrast against the keys of the batch and a bank of adversaries: AdCo (Hu et al. 2021,
//! <https://arxiv.org/abs/2011.08435>).
//!
//! The network lowers this loss, the bank raises it.

use burn::tensor::{Tensor, assert_shape};

use super::info_nce::{blocks, log_sum_exp_of_products, paired_products};
use crate::{
    normalize::{LEAST_NORM, l2_normalize},
    precision::product,
};

/// Each query has to find its own key among the keys of all pictures and the bank; the mean over queries.
///
/// The gradient flows into the queries only.
///
/// # Shapes
///
/// - `queries`, `keys`: `[pictures, dim]`, of unit length
/// - `all_keys`: `[B, dim]`, of unit length, those of all ranks, `keys` among them
/// - `bank`: `[K, dim]`, of any length
/// - output: `[1]`; `ln(B + K)` where all are alike
///
/// # Panics
///
/// If the shapes do not fit.
pub fn bank_contrast(
    queries: Tensor<2>,
    keys: Tensor<2>,
    [all_keys, bank]: [Tensor<2>; 2],
    temperature: f64,
) -> Tensor<1> {
    let queries = queries / temperature;
    let positive = paired_products(queries.clone(), keys);
    let candidates = [all_keys, l2_normalize(bank.inner(), 1)];
    (log_sum_exp_of_products(queries, &candidates) - positive).mean()
}

/// The gradient of [`bank_contrast`] by the bank; it is orthogonal to each row of it.
///
/// # Shapes
///
/// - `queries`: `[pictures, dim]`, of unit length
/// - `all_keys`, `bank`: as of [`bank_contrast`]
/// - output: `[K, dim]`, without a gradient of its own
///
/// # Panics
///
/// If the shapes do not fit.
pub fn bank_gradient(
    queries: Tensor<2>,
    [all_keys, bank]: [Tensor<2>; 2],
    temperature: f64,
) -> Tensor<2> {
    let (queries, bank) = (queries.inner(), bank.inner());
    let [pictures, dim] = queries.dims();
    assert_shape!(bank, [_, dim]);
    let unit = l2_normalize(bank.clone(), 1);
    let candidates = [all_keys.inner(), unit.clone()];
    let scaled = queries.clone() / temperature;
    let total = log_sum_exp_of_products(scaled.clone(), &candidates).unsqueeze_dim::<2>(1);
    let pulls = blocks(unit, pictures).map(|unit| {
        let products = product(scaled.clone(), unit.clone().transpose());
        let shares = (products - total.clone()).exp() / pictures as f64;
        let pull = product(shares.transpose(), queries.clone());
        let along = (pull.clone() * unit.clone()).sum_dim(1);
        pull - unit * along
    });
    let lengths = (bank.square().sum_dim(1).sqrt()).clamp_min(LEAST_NORM);
    Tensor::cat(pulls.collect(), 0) / (lengths * temperature)
}
