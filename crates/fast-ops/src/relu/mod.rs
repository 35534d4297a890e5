//! ReLU, of a map and of the sum of two, on all threads of the CPU.
//!
//! burn's runs on one thread, and a residual block's sum is a map of its own to it. Beside convolutions
//! and norms on all threads that is what the other threads would wait for. The numbers are burn's to
//! the bit.
//!
//! Only float32 tensors on the CPU backend take this way; elsewhere both are burn's.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use cpu_rectifier::{relu, relu_of_sum};
//!
//! let maps = Tensor::<1>::from_floats([-1.0, 2.0], &Device::default());
//! let shortcut = Tensor::from_floats([3.0, -4.0], &Device::default());
//! assert_eq!(relu(maps.clone()).into_data().try_to_vec::<f32>().unwrap(), [0.0, 2.0]);
//! let sum = relu_of_sum(maps, shortcut);
//! assert_eq!(sum.into_data().try_to_vec::<f32>().unwrap(), [2.0, 0.0]);
//! ```

#[cfg(any(feature = "flex", test))]
mod operation;

use burn::tensor::{Tensor, activation};

/// What is above 0, and 0 elsewhere; NaN stays NaN. The gradient passes where the output is above 0,
/// or NaN.
pub fn relu<const D: usize>(maps: Tensor<D>) -> Tensor<D> {
    #[cfg(any(feature = "flex", test))]
    if operation::applies(&maps) {
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
    #[cfg(any(feature = "flex", test))]
    if operation::applies(&a) && operation::applies(&b) {
        return operation::relu_of_sum(a, b);
    }
    activation::relu(a + b)
}
