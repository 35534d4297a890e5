//! Projector of pixel-to-propagation consistency, in both encoders of PASS_p.

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

/// Settings of a [`ConsistencyProjection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsistencyProjectionConfig {
    /// Channels of the feature map.
    pub channels_in: usize,
    /// Channels between the convolutions.
    pub hidden: usize,
    /// Channels of the output.
    pub channels_out: usize,
}

/// 1×1 convolution, norm, ReLU, 1×1 convolution; both with bias, as PixPro's.
#[derive(Module, Debug)]
pub struct ConsistencyProjection {
    /// `channels_in` to `hidden`.
    pub conv1: Conv2d,
    /// Norm of `conv1`.
    pub bn1: BatchNorm,
    /// `hidden` to `channels_out`.
    pub conv2: Conv2d,
}

impl ConsistencyProjectionConfig {
    /// Draws the weights.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> ConsistencyProjection {
        let mut conv = |channels_in, channels_out| {
            let config = pointwise(channels_in, channels_out).with_bias(true);
            stream.conv2d(&config, device)
        };
        ConsistencyProjection {
            conv1: conv(self.channels_in, self.hidden),
            bn1: BatchNormConfig::new(self.hidden).init(device),
            conv2: conv(self.hidden, self.channels_out),
        }
    }
}

impl ConsistencyProjection {
    /// # Shapes
    ///
    /// - `map`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, height, width]`
    pub fn forward(&mut self, map: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let x = relu(self.bn1.forward(convolve(&self.conv1, map), mode));
        convolve(&self.conv2, x)
    }
}
