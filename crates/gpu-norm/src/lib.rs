//! Batch normalisation on GPUs that leaves every map in the order its convolution wrote it.
//!
//! On a GPU burn's convolutions write the channels of a pixel side by side. Its batch norm sums up
//! channels as rows, and to lay them out so it copies the map: twice forward, for mean and variance,
//! and twice backward, at a tenth of the memory's rate. Here channels stay the last axis, and the
//! axes before them are summed up one after the other.
//!
//! Only the GPU backends take this way (feature `cube`); elsewhere [`batch_norm_train`] is burn's.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use gpu_norm::batch_norm_train;
//!
//! let device = Device::flex();
//! let maps = Tensor::<4>::from_floats([[[[1.0]]], [[[3.0]]]], &device);
//! let [ones, zeros] = [Tensor::<1>::ones([1], &device), Tensor::zeros([1], &device)];
//! let norm = batch_norm_train(maps, ones, zeros, 0.0);
//! assert_eq!(norm.output.into_data().try_to_vec::<f32>().unwrap(), [-1.0, 1.0]);
//! assert_eq!(norm.mean.into_scalar::<f32>(), 2.0);
//! ```

#[cfg(any(feature = "cube", test))]
mod channels_last;
#[cfg(any(feature = "cube", test))]
mod operation;

use burn::tensor::{Tensor, module};

/// What [`batch_norm_train`] makes of a batch of maps.
#[derive(Clone, Debug)]
pub struct Normalized<const D: usize> {
    /// The maps, of the shape of the input.
    pub output: Tensor<D>,
    /// Mean of each channel, without gradient, `[channels]`.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, without gradient, `[channels]`.
    pub variance: Tensor<1>,
}

/// Normalises each channel by mean and variance of the batch; the same numbers as
/// [`burn::tensor::module::batch_norm_train`], whose gradients it shares, up to the order of sums.
///
/// # Shapes
///
/// - `input`: `[batch, channels, ..]`, rank 2 or more
/// - `gamma`, `beta`: `[channels]`
///
/// # Panics
///
/// If the shapes do not fit.
pub fn batch_norm_train<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Normalized<D> {
    #[cfg(feature = "cube")]
    if operation::applies(&input.device()) {
        return operation::batch_norm_train(input, gamma, beta, epsilon);
    }
    let normalized = module::batch_norm_train(input, gamma, beta, epsilon);
    Normalized {
        output: normalized.output,
        mean: normalized.mean,
        variance: normalized.variance,
    }
}
