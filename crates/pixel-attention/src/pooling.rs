//! Attended image embeddings: one vector for each picture from its attended pixels.
//!
//! The published code multiplies the attention with the *normalised* features while it learns and
//! with the *raw* ones before it clusters; the paper describes a single form. Both are here under
//! their own names.

use burn::tensor::Tensor;
use pass_model::normalize::global_average_pool;

/// `GAP(Ẑ ∘ A)`: what the projection head sees while the attention learns.
///
/// # Shapes
///
/// - `normalized` (length 1 at every pixel), `attention`: `[batch, D, height, width]`
/// - output: `[batch, D]`
///
/// # Panics
///
/// If the shapes differ.
pub fn attended_training(normalized: Tensor<4>, attention: Tensor<4>) -> Tensor<2> {
    pool(normalized, attention)
}

/// `GAP(Z ∘ A)`: what is clustered (after [`crate::kmeans::normalize_rows`]).
///
/// # Shapes
///
/// - `raw` (not normalised), `attention`: `[batch, D, height, width]`
/// - output: `[batch, D]`
///
/// # Panics
///
/// If the shapes differ.
pub fn attended_clustering(raw: Tensor<4>, attention: Tensor<4>) -> Tensor<2> {
    pool(raw, attention)
}

fn pool(features: Tensor<4>, attention: Tensor<4>) -> Tensor<2> {
    assert_eq!(
        features.dims(),
        attention.dims(),
        "shapes of the features and of the attention"
    );
    global_average_pool(features * attention)
}
