//! ReLU, and ReLU of a sum, on all threads of the CPU.
//!
//! burn's ReLU runs on one thread, and the sum at the end of a residual block is one more map. The numbers
//! here are burn's to the bit.
//!
//! Only float32 tensors on the CPU backend take this way; elsewhere both are burn's.

#[cfg(feature = "flex")]
mod operation;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, activation};

/// ReLU: `max(x, 0)`, where NaN stays NaN. The gradient passes where the output is above 0, or NaN.
pub fn relu<const D: usize>(maps: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::flex::applies(&maps) {
        return operation::relu(maps);
    }
    activation::relu(maps)
}

/// [`relu`] of `a + b`, which have one shape: the end of a residual block.
///
/// # Panics
///
/// If the shapes differ.
pub fn relu_of_sum<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    assert_eq!(a.dims(), b.dims(), "shapes of what is added up");
    #[cfg(feature = "flex")]
    if crate::flex::applies(&a) && crate::flex::applies(&b) {
        return operation::relu_of_sum(a, b);
    }
    activation::relu(a + b)
}
