//! The operations that burn is slow at, under burn's names: convolutions, activations and norms.
//!
//! | operation | on the CPU (feature `flex`) | on GPUs (feature `cube`) |
//! |---|---|---|
//! | [`conv2d()`] and its gradients | wide matrix products on all threads; narrow groups without products | burn's |
//! | [`relu()`], [`relu_of_sum`] | one pass on all threads | burn's |
//! | [`gelu()`], [`silu()`] | exact forward and backward, one pass on all threads | burn's, GELU with its exact gradient |
//! | [`linear()`] | products of blocks of rows, the bias with them | burn's |
//! | [`self_attention`] | scores of a block of queries in the cache | put together from burn's |
//! | [`residual()`] | scale and sum in one pass on all threads | burn's |
//! | [`layer_norm()`] | one pass over a row while it is in the cache | burn's |
//! | [`batch_norm_train`], [`batch_norm()`], [`batch_norm_of_ranks`] | one pass over a channel while it is in the cache | sums along the layout of burn's convolutions |
//!
//! Each function asks its tensors where they lie: float32 on the CPU, and what lies on a GPU, takes the
//! fast way, everything else is burn's. The results are burn's up to the order of sums, which depends
//! on shapes alone and not on the number of threads.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use fast_ops::{relu, relu_of_sum};
//!
//! let maps = Tensor::<1>::from_floats([-1.0, 2.0], &Device::default());
//! let shortcut = Tensor::from_floats([3.0, -4.0], &Device::default());
//! assert_eq!(relu(maps.clone()).into_data().try_to_vec::<f32>().unwrap(), [0.0, 2.0]);
//! let sum = relu_of_sum(maps, shortcut);
//! assert_eq!(sum.into_data().try_to_vec::<f32>().unwrap(), [2.0, 0.0]);
//! ```

mod activation;
mod attention;
#[cfg(any(feature = "flex", feature = "cube"))]
mod backward;
mod batch_norm;
mod conv2d;
#[cfg(feature = "flex")]
mod exponential;
#[cfg(feature = "flex")]
mod flex;
mod layer_norm;
mod linear;
#[cfg(feature = "flex")]
mod perhaps;
#[cfg(feature = "flex")]
mod product;
mod relu;
mod residual;
#[cfg(feature = "flex")]
mod sums;
#[cfg(test)]
mod tests;

pub use activation::{gelu, silu};
pub use attention::{join_heads, scale_of_scores, self_attention, split_heads};
pub use batch_norm::{Normalized, batch_norm, batch_norm_of_ranks, batch_norm_train};
pub use conv2d::conv2d;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use relu::{relu, relu_of_sum};
pub use residual::residual;
