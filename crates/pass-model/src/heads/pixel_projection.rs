//! Pixel-level projection: 1×1 convolutions that act on each position of a feature map.
//!
//! The same three layers serve as the projector of pixel-to-pixel alignment (P2P) and, in
//! deep-to-shallow supervision (D2S), as the pixel MLP `H_s` of a shallow stage. The paper speaks
//! of two convolutions; the reference code has three.

use burn::{
    module::Module,
    nn::conv::{Conv2d, Conv2dConfig},
    tensor::{Device, Tensor},
};
use fast_ops::relu;

use crate::{
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::convolve,
};

/// Settings of a [`PixelProjection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelProjectionConfig {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels between the convolutions.
    pub hidden: usize,
    /// Channels of the output.
    pub channels_out: usize,
}

/// Three 1×1 convolutions without bias, each with a norm, the last norm without affine parameters;
/// ReLU in between.
#[derive(Module, Debug)]
pub struct PixelProjection {
    /// `channels_in` to `hidden`.
    pub conv1: Conv2d,
    /// Norm of `conv1`.
    pub bn1: BatchNorm,
    /// `hidden` to `hidden`.
    pub conv2: Conv2d,
    /// Norm of `conv2`.
    pub bn2: BatchNorm,
    /// `hidden` to `channels_out`.
    pub conv3: Conv2d,
    /// Norm of `conv3`, without affine parameters.
    pub bn3: BatchNorm,
}

impl PixelProjectionConfig {
    /// Draws the weights.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> PixelProjection {
        let Self {
            channels_in,
            hidden,
            channels_out,
        } = *self;
        PixelProjection {
            conv1: stream.conv2d(&pointwise(channels_in, hidden), device),
            bn1: BatchNormConfig::new(hidden).init(device),
            conv2: stream.conv2d(&pointwise(hidden, hidden), device),
            bn2: BatchNormConfig::new(hidden).init(device),
            conv3: stream.conv2d(&pointwise(hidden, channels_out), device),
            bn3: BatchNormConfig::new(channels_out)
                .without_affine()
                .init(device),
        }
    }
}

impl PixelProjection {
    /// # Shapes
    ///
    /// - `map`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, height, width]`
    pub fn forward(&mut self, map: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let x = relu(self.bn1.forward(convolve(&self.conv1, map), mode));
        let x = relu(self.bn2.forward(convolve(&self.conv2, x), mode));
        self.bn3.forward(convolve(&self.conv3, x), mode)
    }
}

/// A 1×1 convolution without bias.
pub(super) fn pointwise(channels_in: usize, channels_out: usize) -> Conv2dConfig {
    Conv2dConfig::new([channels_in, channels_out], [1, 1]).with_bias(false)
}
