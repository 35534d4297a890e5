//! Linear layers as products on all threads of the CPU.
//!
//! burn's adds the bias in a pass of its own on one thread, and its gradient of the weights is one product for
//! each picture, whose results are then added up. Here a block of rows begins as the bias, and the gradient
//! is one product over all rows (`rows.rs`).
//!
//! Only float32 tensors on the CPU backend take this way; elsewhere it is burn's.

#[cfg(feature = "flex")]
mod operation;
#[cfg(feature = "flex")]
mod rows;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, module};

/// `x · weight + bias` along the last axis.
///
/// # Shapes
///
/// - `x`: `[.., channels_in]`
/// - `weight`: `[channels_in, channels_out]`
/// - `bias`: `[channels_out]`
/// - output: `[.., channels_out]`
///
/// # Panics
///
/// If the shapes do not fit.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let [ins, outs] = weight.dims();
    assert_eq!(
        x.dims()[D - 1],
        ins,
        "channels of the input and of the weights"
    );
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outs], "channels of the bias");
    }
    #[cfg(feature = "flex")]
    if crate::flex::applies(&x) && crate::flex::applies(&weight) {
        return operation::linear(x, weight, bias);
    }
    module::linear(x, weight, bias)
}
