//! Convolutions and their gradients as wide matrix products on the CPU.
//!
//! burn's convolution lays the whole batch out anew on one thread. The gradient with respect to the
//! weights is one more convolution to it, with the picture's channels as batch and the gradient's
//! map as kernel: its result has as many places as the kernel, 9 or a single one, so the products
//! inside are 9 or 1 rows high. Here all three are products of some hundred rows and columns
//! (`output.rs`, `input_gradient.rs`, `weight_gradient.rs`), of blocks that fit the cache, on all
//! threads of rayon's pool.
//!
//! In groups of many channels each group is such a convolution (`by_group.rs`); in groups of few, among them
//! those of one, products would be as narrow, and each output is summed up in place (`direct/`).
//!
//! Only float32 tensors on the CPU backend take this way; elsewhere [`conv2d`] is burn's.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::{Device, Tensor, ops::ConvOptions};
//! use fast_ops::conv2d;
//!
//! let device = Device::flex().autodiff();
//! let maps = Tensor::<4>::ones([1, 1, 3, 3], &device);
//! let weight = Tensor::<4>::ones([1, 1, 3, 3], &device).require_grad();
//! let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
//! let sums = conv2d(maps, weight.clone(), None, options);
//! let gradient = weight.grad(&sums.sum().backward()).unwrap();
//! let expected = [4.0f32, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0]; // places each weight meets
//! assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap(), expected);
//! # }
//! ```

#[cfg(feature = "flex")]
mod bias;
#[cfg(feature = "flex")]
mod by_group;
#[cfg(feature = "flex")]
mod convolution;
#[cfg(feature = "flex")]
mod direct;
#[cfg(feature = "flex")]
mod input_gradient;
#[cfg(feature = "flex")]
mod operation;
#[cfg(feature = "flex")]
mod output;
#[cfg(feature = "flex")]
mod patches;
#[cfg(test)]
mod tests;
#[cfg(feature = "flex")]
mod weight_gradient;

use burn::tensor::{Tensor, module, ops::ConvOptions};

/// What one convolution makes of two tensors.
#[cfg(feature = "flex")]
type Computed = fn(&convolution::Convolution, &[f32], &[f32]) -> Vec<f32>;

/// Two-dimensional convolution; the same numbers as [`burn::tensor::module::conv2d`], and the same
/// gradients, up to the order of sums. That does not depend on the number of threads.
///
/// # Shapes
///
/// - `input`: `[batch, channels_in, height, width]`
/// - `weight`: `[channels_out, channels_in / groups, kernel, kernel]`
/// - `bias`: `[channels_out]`
/// - output: `[batch, channels_out, height_out, width_out]`
///
/// # Panics
///
/// If the shapes do not fit.
pub fn conv2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [weight.dims()[0]], "channels of the bias");
    }
    #[cfg(feature = "flex")]
    if operation::applies(&input, &weight) {
        return operation::convolve(input, weight, bias, options);
    }
    module::conv2d(input, weight, bias, options)
}
