//! GELU, SiLU and their gradients in one pass each on all threads of the CPU.
//!
//! burn's GELU is five operations forward, and its gradient is that of the approximation by tanh: up to 9e-4
//! off. Its SiLU is two, one of them on one thread without vectors. Here values and slopes are exact,
//! and come from the distribution functions that both are made of ([`normal`], [`logistic`]).
//!
//! Only float32 tensors on the CPU backend take this way. Elsewhere SiLU is burn's, and GELU is put together
//! from burn's operations, so that its gradient is exact there too.

#[cfg(feature = "flex")]
mod logistic;
#[cfg(feature = "flex")]
mod normal;
#[cfg(feature = "flex")]
mod operation;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, activation};

/// GELU: `x·Φ(x)`, where Φ is the standard normal distribution function, to 2e-7 of |x|.
///
/// Source: "Gaussian Error Linear Units (GELUs)", <https://arxiv.org/abs/1606.08415>.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::flex::applies(&x) {
        return operation::activate(x, operation::Kind::Gelu);
    }
    let share = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0;
    x * share * 0.5
}

/// SiLU, also called swish: `x / (1 + exp(−x))`, to 2e-7 of |x|.
///
/// Source: "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in Reinforcement
/// Learning", <https://arxiv.org/abs/1702.03118>.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::flex::applies(&x) {
        return operation::activate(x, operation::Kind::Silu);
    }
    activation::silu(x)
}
