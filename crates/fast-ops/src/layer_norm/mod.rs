//! Layer normalisation in one pass over the rows on the CPU, forward and backward.
//!
//! burn's gradient is that of a dozen operations, each of which reads maps from memory and writes new
//! ones. Here a row is read, and read again while it is in the cache (`rows.rs`).
//!
//! Only float32 tensors on the CPU backend take this way; elsewhere it is burn's.
//!
//! Source: "Layer Normalization", <https://arxiv.org/abs/1607.06450>.

#[cfg(feature = "flex")]
mod operation;
#[cfg(feature = "flex")]
mod rows;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, module};

/// Normalises each row along the last axis by its mean and biased variance, then scales and shifts:
/// `(x − mean) / √(variance + epsilon) · gamma + beta`.
///
/// # Shapes
///
/// - `x`: `[.., channels]`
/// - `gamma`, `beta`: `[channels]`
///
/// # Panics
///
/// If the shapes do not fit.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let channels = x.dims()[D - 1];
    let given = [gamma.dims()[0], beta.dims()[0]];
    assert_eq!(given, [channels; 2], "channels of scale and shift");
    #[cfg(feature = "flex")]
    if crate::flex::applies(&x) {
        return operation::layer_norm(x, gamma, beta, epsilon);
    }
    module::layer_norm(x, gamma, Some(beta), epsilon)
}
