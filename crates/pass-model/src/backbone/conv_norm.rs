//! A convolution without bias and its batch norm, of which all these networks are built.

use burn::{
    module::Module,
    nn::{
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};

use crate::{
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::convolve,
};

/// A convolution, and the norm of its result.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// The convolution.
    pub conv: Conv2d,
    /// Its norm.
    pub bn: BatchNorm,
}

impl ConvNorm {
    /// A convolution with a norm that starts as the identity.
    pub(super) fn new(conv: Conv2d, epsilon: f64, device: &Device) -> Self {
        let [channels, ..] = conv.weight.lazy_shape().dims::<4>();
        let norm = BatchNormConfig {
            epsilon,
            ..BatchNormConfig::new(channels)
        };
        Self {
            conv,
            bn: norm.init(device),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, height_out, width_out]`, as the convolution says
    pub fn forward(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        self.bn.forward(convolve(&self.conv, x), mode)
    }

    /// Channels of the output.
    pub fn channels(&self) -> usize {
        self.bn.running_mean.dims()[0]
    }
}

/// A convolution without bias, padded so that stride 1 keeps the size.
///
/// - `channels`: of the input and of the output
/// - `kernel`: height and width, odd
pub(super) fn conv_config(channels: [usize; 2], kernel: [usize; 2], stride: usize) -> Conv2dConfig {
    let [down, right] = kernel.map(|side| side / 2);
    Conv2dConfig::new(channels, kernel)
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(down, right, down, right))
        .with_bias(false)
}
