//! What a norm of a batch finds, and what its backward pass does.
//!
//! With M values a channel, x̂ = (x − mean)/σ and σ² = variance + ε: `y = γ·x̂ + β`, and from the
//! gradient g of y `dβ = Σg`, `dγ = Σg·x̂`, `dx = γ/σ·(g − dβ/M − x̂·dγ/M)`.
//!
//! Of fixed statistics `dx = γ/σ·g`. Over ranks the sums in dx and M are those of all of them, those
//! in dβ and dγ each rank's own.

use burn::backend::{Backend, ExtensionType, tensor::FloatTensor};

/// Mean and biased variance of each channel, and what keeps a variance of 0 from a division.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct Statistics<B: Backend> {
    /// `[channels]`
    pub(crate) mean: FloatTensor<B>,
    /// `[channels]`
    pub(crate) variance: FloatTensor<B>,
    pub(crate) epsilon: f64,
}

/// Gradients with respect to the maps, of their shape, and to scale and shift, `[channels]`.
#[derive(ExtensionType)]
pub(crate) struct Gradients<B: Backend> {
    pub(crate) maps: FloatTensor<B>,
    pub(crate) gamma: FloatTensor<B>,
    pub(crate) beta: FloatTensor<B>,
}

/// Of each channel, `[channels]`.
#[derive(ExtensionType)]
pub(crate) struct Sums<B: Backend> {
    /// `Σg`
    pub(crate) of_gradient: FloatTensor<B>,
    /// `Σg·(x − mean)`
    pub(crate) with_centred: FloatTensor<B>,
}
