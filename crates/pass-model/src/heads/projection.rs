//! Image-level projection head `P`: pooled features to embedding.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use fast_ops::relu;

use crate::{
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::linear,
};

/// Settings of a [`ProjectionHead`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionHeadConfig {
    /// Features of the input.
    pub features: usize,
    /// Width between the two linear layers.
    pub hidden: usize,
    /// Length of the embedding.
    pub embedding: usize,
}

/// Linear, norm, ReLU, linear, norm without affine parameters.
///
/// The last norm is not in SwAV, which is trained without it on request; the reference code has it.
#[derive(Module, Debug)]
pub struct ProjectionHead {
    /// `[features, hidden]`
    pub linear1: Linear,
    /// Norm of `linear1`.
    pub bn1: BatchNorm,
    /// `[hidden, embedding]`
    pub linear2: Linear,
    /// Norm of `linear2`, without affine parameters.
    pub bn2: Option<BatchNorm>,
}

impl ProjectionHeadConfig {
    /// Draws the weights.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> ProjectionHead {
        ProjectionHead {
            linear1: stream.linear(&LinearConfig::new(self.features, self.hidden), device),
            bn1: BatchNormConfig::new(self.hidden).init(device),
            linear2: stream.linear(&LinearConfig::new(self.hidden, self.embedding), device),
            bn2: Some(
                BatchNormConfig::new(self.embedding)
                    .without_affine()
                    .init(device),
            ),
        }
    }
}

impl ProjectionHead {
    /// # Shapes
    ///
    /// - `features`: `[batch, features]`
    /// - output: `[batch, embedding]`, not of unit length
    pub fn forward(&mut self, features: Tensor<2>, mode: NormMode) -> Tensor<2> {
        let x = relu(self.bn1.forward(linear(&self.linear1, features), mode));
        let x = linear(&self.linear2, x);
        match &mut self.bn2 {
            Some(norm) => norm.forward(x, mode),
            None => x,
        }
    }
}
