//! Dense contrast: each place of a map has to find the place of the other view that looks most alike
//! (DenseCL; Wang et al. 2021, <https://arxiv.org/abs/2011.09157>, §3.2 and §3.3).

use burn::tensor::{Int, Tensor, assert_shape};

use super::info_nce;
use crate::{normalize::l2_normalize, precision::product};

/// For each place of the queries' feature map the place of the keys' with the largest cosine; of equal
/// ones the first.
///
/// # Shapes
///
/// - `queries`, `keys`: `[pictures, channels, height, width]`, of any length
/// - output: `[pictures, height · width]`, without a gradient
///
/// # Panics
///
/// If the shapes differ.
pub fn matching_places(queries: Tensor<4>, keys: Tensor<4>) -> Tensor<2, Int> {
    let [pictures, channels, height, width] = queries.dims();
    assert_shape!(keys, [pictures, channels, height, width]);
    let [queries, keys] = [queries, keys].map(|map| l2_normalize(places(map.inner()), 2));
    let cosines = product(queries, keys.swap_dims(1, 2));
    first_largest(cosines)
}

/// InfoNCE of each place against its match and the negatives; the mean over places and pictures.
///
/// The gradient flows into the queries only.
///
/// # Shapes
///
/// - `queries`, `keys`: `[pictures, dim, height, width]`, outputs of the dense head, of any length
/// - `matches`: `[pictures, height · width]`, see [`matching_places`]
/// - `negatives`: `[K, dim]`, of unit length
/// - output: `[1]`; `ln(K + 1)` where all are alike
///
/// # Panics
///
/// If the shapes do not fit.
pub fn dense_contrast(
    queries: Tensor<4>,
    keys: Tensor<4>,
    matches: Tensor<2, Int>,
    negatives: Tensor<2>,
    temperature: f64,
) -> Tensor<1> {
    let [pictures, dim, height, width] = queries.dims();
    assert_shape!(keys, [pictures, dim, height, width]);
    assert_shape!(matches, [pictures, height * width]);
    let chosen = matches.unsqueeze_dim::<3>(2).repeat_dim(2, dim);
    let keys = l2_normalize(places(keys.inner()), 2).gather(1, chosen);
    let queries = l2_normalize(places(queries), 2);
    let [queries, keys] = [queries, keys].map(|map| map.reshape([-1, dim as i64]));
    info_nce(queries, keys, negatives, temperature)
}

/// `[pictures, height · width, channels]`
fn places(map: Tensor<4>) -> Tensor<3> {
    map.flatten::<3>(2, 3).swap_dims(1, 2)
}

/// The first column with the largest number of each row.
fn first_largest(rows: Tensor<3>) -> Tensor<2, Int> {
    let [count, _, columns] = rows.dims();
    let shape = rows.dims();
    let numbers = Tensor::<1, Int>::arange(0..columns as i64, &rows.device())
        .reshape([1, 1, columns])
        .expand(shape);
    let largest = rows.clone().max_dim(2).expand(shape);
    let others = rows.lower(largest);
    let first = numbers.mask_fill(others, columns as i64).min_dim(2);
    first.reshape([count as i64, -1])
}
