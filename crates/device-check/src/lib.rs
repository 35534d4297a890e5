//! Compares a computation on a GPU with the same computation on the CPU, forward and backward.
//!
//! A check is a closure that computes something on the device of its [`Lab`], with inputs and
//! weights that are drawn on the host and hence equal everywhere, and tells the lab what to
//! compare. [`assert_agreement`] runs it on both devices, adds the gradients, and compares:
//!
//! ```no_run
//! use burn::tensor::activation::relu;
//! use device_check::{OPERATION, assert_agreement};
//!
//! assert_agreement(OPERATION, |lab| {
//!     let x = lab.input("x", [3, 5]);
//!     lab.output("relu", relu(x)); // the value, and the gradient with respect to `x`
//! });
//! ```
//!
//! The environment variable `LUSS_DEVICE` picks the device: `wgpu` (the default), `cuda:0` (with
//! the feature `cuda`), or `cpu`, which compares the CPU with itself and so checks the checks.

mod agreement;
mod device;
mod lab;
mod note;
mod numbers;

pub use agreement::{NETWORK, OPERATION, Tolerance, assert_agreement, assert_close};
pub use device::{Products, Tested, tested};
pub use lab::Lab;
pub use numbers::Numbers;
