//! GELU and its gradient in one pass each on the CPU.
//!
//! burn's is five operations forward, and its gradient is that of the approximation by tanh: up to 9e-4
//! off. Here both are exact, from one function of x ([`normal`]).
//!
//! Only float32 tensors on the CPU backend take this way; elsewhere it is put together from burn's
//! operations, so that the gradient is exact there too.
//!
//! Source: "Gaussian Error Linear Units (GELUs)", <https://arxiv.org/abs/1606.08415>.

#[cfg(feature = "flex")]
mod normal;
#[cfg(feature = "flex")]
mod operation;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;

/// GELU: `x·Φ(x)`, where Φ is the standard normal distribution function, to 2e-7 of |x|.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::flex::applies(&x) {
        return operation::gelu(x);
    }
    let share = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0;
    x * share * 0.5
}
