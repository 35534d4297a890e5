//! The end of a residual branch: its scale and the sum in one pass on all threads of the CPU.
//!
//! burn's are two passes on one thread, and the gradient of the scale is a third over a map of its own.
//!
//! Only float32 tensors on the CPU backend take this way; elsewhere it is burn's.
//!
//! Source of the scale: "Going deeper with Image Transformers", <https://arxiv.org/abs/2103.17239>.

#[cfg(feature = "flex")]
mod operation;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;

/// `x + branch`, or `x + branch · scale` where there is a scale for each channel, the last axis.
///
/// # Shapes
///
/// - `x`, `branch` and output: `[.., channels]`
/// - `scale`: `[channels]`
///
/// # Panics
///
/// If the shapes do not fit.
pub fn residual<const D: usize>(
    x: Tensor<D>,
    branch: Tensor<D>,
    scale: Option<Tensor<1>>,
) -> Tensor<D> {
    assert_eq!(x.dims(), branch.dims(), "shapes of what is added up");
    if let Some(scale) = &scale {
        assert_eq!(scale.dims(), [x.dims()[D - 1]], "channels of the scale");
    }
    #[cfg(feature = "flex")]
    if crate::flex::applies(&x) && crate::flex::applies(&branch) {
        return operation::residual(x, branch, scale);
    }
    match scale {
        Some(scale) => x + branch * scale.unsqueeze::<D>(),
        None => x + branch,
    }
}
