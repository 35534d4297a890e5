//! Residual block: `relu(x' + F(x))`, where `x'` is the input or its down-sampled form.

use burn::{
    module::Module,
    nn::{
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use fast_ops::{relu, relu_of_sum};

use super::Block;
use crate::{
    backbone::conv_norm::{ConvNorm, conv_config},
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::convolve,
};

/// Settings of one [`ResidualBlock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResidualBlockConfig {
    /// Two convolutions or three.
    pub block: Block,
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels between the convolutions; ignored by basic blocks.
    pub channels_inner: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Stride of the block, taken by its (first) 3×3 convolution.
    pub stride: usize,
    /// Groups of the 3×3 convolution of a bottleneck; ignored by basic blocks.
    pub groups: usize,
    /// Dilation of the 3×3 convolution of a bottleneck; ignored by basic blocks.
    pub dilation: usize,
    /// Whether the scale of the last norm begins at 0.
    pub zero_init: bool,
}

/// A basic or a bottleneck block, the latter with its stride on the 3×3 convolution.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// Basic: 3×3 with stride. Bottleneck: 1×1.
    pub conv1: Conv2d,
    /// Norm of `conv1`.
    pub bn1: BatchNorm,
    /// Basic: 3×3. Bottleneck: 3×3 with stride.
    pub conv2: Conv2d,
    /// Norm of `conv2`.
    pub bn2: BatchNorm,
    /// Bottleneck: 1×1.
    pub conv3: Option<Conv2d>,
    /// Norm of `conv3`.
    pub bn3: Option<BatchNorm>,
    /// Brings the input to the output's shape where the two differ.
    pub downsample: Option<ConvNorm>,
}

impl ResidualBlockConfig {
    /// Draws the weights; norms start as the identity, the last one where it is asked for as 0.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> ResidualBlock {
        let Self {
            channels_in,
            channels_out,
            stride,
            ..
        } = *self;
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let conv = |stream: &mut WeightStream, channels, kernel, stride| {
            stream.conv2d(&conv_config(channels, [kernel; 2], stride), device)
        };
        let reshaped = stride != 1 || channels_in != channels_out;
        let (first, second, third) = match self.block {
            Block::Basic => {
                let first = conv(stream, [channels_in, channels_out], 3, stride);
                (
                    first,
                    conv(stream, [channels_out, channels_out], 3, 1),
                    None,
                )
            }
            Block::Bottleneck => {
                let inner = self.channels_inner;
                let first = conv(stream, [channels_in, inner], 1, 1);
                let second = stream.conv2d(&self.middle(), device);
                (
                    first,
                    second,
                    Some(conv(stream, [inner, channels_out], 1, 1)),
                )
            }
        };
        let last = || match self.zero_init {
            true => BatchNormConfig::new(channels_out).init_at_zero(device),
            false => norm(channels_out),
        };
        let bn2 = match third {
            Some(_) => norm(second.weight.lazy_shape()[0]),
            None => last(),
        };
        ResidualBlock {
            bn1: norm(first.weight.lazy_shape()[0]),
            bn2,
            bn3: third.is_some().then(last),
            conv1: first,
            conv2: second,
            conv3: third,
            downsample: reshaped.then(|| {
                let conv = conv(stream, [channels_in, channels_out], 1, stride);
                ConvNorm::new(conv, 1e-5, device)
            }),
        }
    }

    /// The 3×3 convolution of a bottleneck.
    fn middle(&self) -> Conv2dConfig {
        let (inner, pad) = (self.channels_inner, self.dilation);
        conv_config([inner, inner], [3, 3], self.stride)
            .with_groups(self.groups)
            .with_dilation([pad, pad])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
    }
}

impl ResidualBlock {
    /// Stride of the block.
    pub(super) fn stride(&self) -> usize {
        self.conv1.stride[0] * self.conv2.stride[0]
    }

    /// # Shapes
    ///
    /// - `x`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let shortcut = match &mut self.downsample {
            Some(downsample) => downsample.forward(x.clone(), mode),
            None => x.clone(),
        };
        let x = relu(self.bn1.forward(convolve(&self.conv1, x), mode));
        let x = self.bn2.forward(convolve(&self.conv2, x), mode);
        let x = match (&self.conv3, &mut self.bn3) {
            (Some(conv3), Some(bn3)) => bn3.forward(convolve(conv3, relu(x)), mode),
            _ => x,
        };
        relu_of_sum(x, shortcut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(block: Block, channels: [usize; 2], stride: usize) -> ResidualBlock {
        let [channels_in, channels_out] = channels;
        ResidualBlockConfig {
            block,
            channels_in,
            channels_inner: 3,
            channels_out,
            stride,
            groups: 1,
            dilation: 1,
            zero_init: false,
        }
        .init(&mut WeightStream::new(0), &Device::default())
    }

    #[test]
    fn an_odd_size_is_halved_upwards() {
        for kind in [Block::Basic, Block::Bottleneck] {
            let x = Tensor::ones([2, 5, 7, 10], &Device::default());
            let y = block(kind, [5, 8], 2).forward(x, NormMode::Batch);
            assert_eq!(y.dims(), [2, 8, 4, 5]);
        }
    }

    #[test]
    fn only_a_change_of_shape_needs_a_downsample_branch() {
        assert!(block(Block::Basic, [6, 6], 1).downsample.is_none());
        assert!(block(Block::Basic, [6, 6], 2).downsample.is_some());
        assert!(block(Block::Bottleneck, [6, 12], 1).downsample.is_some());
    }

    #[test]
    fn the_stride_of_a_bottleneck_sits_on_its_3x3_convolution() {
        let block = block(Block::Bottleneck, [6, 12], 2);
        assert_eq!([block.conv1.stride, block.conv2.stride], [[1, 1], [2, 2]]);
    }
}
