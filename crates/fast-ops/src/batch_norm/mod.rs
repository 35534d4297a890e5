//! Batch normalisation in as few passes over the maps as a device allows.
//!
//! - **GPUs** (feature `cube`): burn's convolutions write the channels of a pixel side by side there. Its
//!   batch norm sums up channels as rows, and to lay them out so it copies the map: twice forward, for
//!   mean and variance, and twice backward, at a tenth of the memory's rate. Here channels stay the
//!   last axis, and the axes before them are summed up one after the other (`channels_last.rs`).
//! - **The CPU** (feature `flex`): burn's norm is some twenty operations, most of them on one thread, each
//!   of which reads maps from memory and writes new ones. Here a channel is read, normalised and
//!   written while it is in the cache (`rows.rs`).
//!
//! Where several ranks share their statistics ([`batch_norm_of_ranks`]) this holds as well; how they add
//! up is the caller's. Without these features all norms are burn's.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use fast_ops::batch_norm_train;
//!
//! let device = Device::flex();
//! let maps = Tensor::<4>::from_floats([[[[1.0]]], [[[3.0]]]], &device);
//! let [ones, zeros] = [Tensor::<1>::ones([1], &device), Tensor::zeros([1], &device)];
//! let norm = batch_norm_train(maps, ones, zeros, 0.0);
//! assert_eq!(norm.output.into_data().try_to_vec::<f32>().unwrap(), [-1.0, 1.0]);
//! assert_eq!(norm.mean.into_scalar::<f32>(), 2.0);
//! ```

mod by_burn;
#[cfg(any(feature = "flex", feature = "cube"))]
mod channels_last;
#[cfg(any(feature = "flex", feature = "cube"))]
mod operation;
#[cfg(feature = "flex")]
mod rows;
#[cfg(any(feature = "flex", feature = "cube"))]
mod statistics;

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
    #[cfg(any(feature = "flex", feature = "cube"))]
    if operation::applies(&input) {
        return operation::batch_norm_train(input, gamma, beta, epsilon);
    }
    let normalized = module::batch_norm_train(input, gamma, beta, epsilon);
    Normalized {
        output: normalized.output,
        mean: normalized.mean,
        variance: normalized.variance,
    }
}

/// Normalises each channel by `mean` and `variance`, `[channels]`, which take no gradient; the same
/// numbers as [`burn::tensor::module::batch_norm`], up to the order of operations.
///
/// # Shapes
///
/// - `input`: `[batch, channels, ..]`, rank 2 or more
/// - `gamma`, `beta`, `mean`, `variance`: `[channels]`
///
/// # Panics
///
/// If the shapes do not fit.
pub fn batch_norm<const D: usize>(
    input: Tensor<D>,
    [gamma, beta]: [Tensor<1>; 2],
    [mean, variance]: [Tensor<1>; 2],
    epsilon: f64,
) -> Tensor<D> {
    let [mean, variance] = [mean, variance].map(Tensor::detach);
    // On GPUs burn's is one kernel already.
    #[cfg(feature = "flex")]
    if crate::flex::applies(&input) {
        return operation::batch_norm(input, [gamma, beta], [mean, variance], epsilon);
    }
    module::batch_norm(input, gamma, beta, mean, variance, epsilon)
}

/// As [`batch_norm_train`], by the mean and variance of the maps of all ranks, which hold as many values
/// each. The gradient of a rank's maps is that of the sum of all ranks' losses; those of scale and
/// shift are the rank's share of them.
///
/// `mean_of_ranks` gives each rank the mean of the `[length]` tensors that the ranks call it with. It
/// is called twice, and is to be differentiable: its gradient is the mean over ranks of theirs.
///
/// # Shapes
///
/// As for [`batch_norm_train`].
///
/// # Panics
///
/// If the shapes do not fit.
pub fn batch_norm_of_ranks<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    mean_of_ranks: impl Fn(Tensor<1>) -> Tensor<1>,
) -> Normalized<D> {
    #[cfg(any(feature = "flex", feature = "cube"))]
    if operation::applies(&input) {
        return operation::batch_norm_of_ranks(input, gamma, beta, epsilon, mean_of_ranks);
    }
    by_burn::batch_norm_of_ranks(input, gamma, beta, epsilon, mean_of_ranks)
}
