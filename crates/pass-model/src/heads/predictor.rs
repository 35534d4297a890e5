//! Predictor `q` of pixel-to-pixel alignment (P2P): predicts one view's pixel embeddings from the
//! other's, so that the two sides of the loss differ.

use burn::{
    module::Module,
    nn::conv::Conv2d,
    tensor::{Device, Tensor},
};
use fast_ops::relu;

use super::pixel_projection::pointwise;
use crate::{
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::convolve,
};

/// Settings of a [`Predictor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PredictorConfig {
    /// Channels of input and output.
    pub channels: usize,
}

/// 1×1 convolution, norm, ReLU, 1×1 convolution with bias.
#[derive(Module, Debug)]
pub struct Predictor {
    /// Without bias.
    pub conv1: Conv2d,
    /// Norm of `conv1`.
    pub bn1: BatchNorm,
    /// With bias.
    pub conv2: Conv2d,
}

impl PredictorConfig {
    /// Draws the weights.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> Predictor {
        let conv = pointwise(self.channels, self.channels);
        Predictor {
            conv1: stream.conv2d(&conv, device),
            bn1: BatchNormConfig::new(self.channels).init(device),
            conv2: stream.conv2d(&conv.with_bias(true), device),
        }
    }
}

impl Predictor {
    /// # Shapes
    ///
    /// - `map` and output: `[batch, channels, height, width]`
    pub fn forward(&mut self, map: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let x = relu(self.bn1.forward(convolve(&self.conv1, map), mode));
        convolve(&self.conv2, x)
    }
}
