//! Pixel attention: how much each channel of each pixel belongs to the object.
//!
//! PASS, equation (6): `A = sigmoid(MLP(Ẑ) + τ)`, where `Ẑ` is the feature map divided by its
//! length at every pixel. The MLP is two 1×1 convolutions with norms; it sees the map after an
//! upsampling by [`UPSAMPLING`].

use burn::{
    module::{Module, Param},
    nn::conv::{Conv2d, Conv2dConfig},
    tensor::{DType, Device, Tensor, activation::sigmoid, assert_shape, ops::ConvOptions},
};
use fast_ops::{conv2d, relu};
use pass_model::{
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    normalize::LEAST_NORM,
    precision::{convolve, widened},
    resize::upsample_bilinear,
};

/// The feature map is upsampled by this factor, bilinearly, before attention and labels.
pub const UPSAMPLING: usize = 4;

/// Settings of [`PixelAttention`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelAttentionConfig {
    /// Channels `D` of the feature map.
    pub channels: usize,
    /// One attention for all channels, as table X (c) compares; `false` is one for each.
    pub shared: bool,
}

impl PixelAttentionConfig {
    /// An attention for each of `channels` channels.
    pub fn new(channels: usize) -> Self {
        let shared = false;
        Self { channels, shared }
    }
}

/// Convolution 1×1, norm, ReLU, convolution 1×1, norm, `+ τ`, sigmoid; `D` channels throughout, or
/// one from the second convolution on, if the attention is shared.
#[derive(Module, Debug)]
pub struct PixelAttention {
    /// First convolution, with bias.
    pub conv1: Conv2d,
    /// Norm of `conv1`.
    pub bn1: BatchNorm,
    /// Second convolution, with bias.
    pub conv2: Conv2d,
    /// Norm of `conv2`.
    pub bn2: BatchNorm,
    /// Learned threshold `τ`, `[1, D, 1, 1]` (`[1, 1, 1, 1]` if shared), initially 0.
    pub tau: Param<Tensor<4>>,
}

/// A feature map at the resolution of the labels, and its attention; all `[batch, D, height,
/// width]`.
#[derive(Debug, Clone)]
pub struct Attended {
    /// The upsampled features `Z`.
    pub features: Tensor<4>,
    /// The same with length 1 at every pixel, `Ẑ`.
    pub normalized: Tensor<4>,
    /// The attention `A`, in `0..=1`.
    pub attention: Tensor<4>,
}

impl PixelAttentionConfig {
    /// Draws the weights.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> PixelAttention {
        let channels = self.channels;
        let maps = if self.shared { 1 } else { channels };
        let pointwise = |maps| Conv2dConfig::new([channels, maps], [1, 1]);
        PixelAttention {
            conv1: stream.conv2d(&pointwise(channels), device),
            bn1: BatchNormConfig::new(channels).init(device),
            conv2: stream.conv2d(&pointwise(maps), device),
            bn2: BatchNormConfig::new(maps).init(device),
            tau: Param::from_tensor(Tensor::zeros([1, maps, 1, 1], device)),
        }
    }
}

impl PixelAttention {
    /// The attention of features of unit length.
    ///
    /// # Shapes
    ///
    /// - `normalized` and output: `[batch, D, height, width]`; the output is in `0..=1`
    pub fn forward(&mut self, normalized: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let dtype = normalized.dtype();
        let hidden = convolve(&self.conv1, normalized);
        self.attention(hidden, dtype, mode)
    }

    /// Upsamples the backbone's features by [`UPSAMPLING`], normalises them and attends to them.
    ///
    /// The first convolution is done before the upsampling, on a sixteenth of the pixels: it is
    /// linear, so `W · up(Z) / |up(Z)| = up(W · Z) / |up(Z)|`. Of features in 16 bits the outputs are
    /// float32, and so is all but the convolutions.
    ///
    /// # Shapes
    ///
    /// - `features`: `[batch, D, h, w]`; outputs: `[batch, D, 4h, 4w]`
    pub fn attend(&mut self, features: Tensor<4>, mode: NormMode) -> Attended {
        let [_, _, height, width] = features.dims();
        let size = [height * UPSAMPLING, width * UPSAMPLING];
        let dtype = features.dtype();
        let mixed = upsample_bilinear(self.conv1_without_bias(features.clone()), size);
        let features = upsample_bilinear(features, size);
        let lengths = lengths(features.clone()); // [batch, 1, 4h, 4w]
        let normalized = features.clone() / lengths.clone();
        let attention = self.attention(mixed / lengths + self.conv1_bias(), dtype, mode);
        Attended {
            features,
            normalized,
            attention,
        }
    }

    /// Everything behind the first convolution; the second one computes in `dtype`.
    fn attention(&mut self, hidden: Tensor<4>, dtype: DType, mode: NormMode) -> Tensor<4> {
        let shape = hidden.dims();
        let hidden = relu(self.bn1.forward(hidden, mode)).cast(dtype);
        let logits = self.bn2.forward(convolve(&self.conv2, hidden), mode);
        let logits = widened(logits);
        // A shared attention is the same for every channel.
        sigmoid(logits + self.tau.val()).expand(shape)
    }

    fn conv1_without_bias(&self, features: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let weight = self.conv1.weight.val().cast(features.dtype());
        conv2d(features, weight, None, options)
    }

    /// `[1, D, 1, 1]`
    fn conv1_bias(&self) -> Tensor<4> {
        let bias = self
            .conv1
            .bias
            .as_ref()
            .expect("the convolutions have a bias")
            .val();
        let [channels] = bias.dims();
        bias.reshape([1, channels, 1, 1])
    }
}

/// Euclidean length at every pixel, at least [`LEAST_NORM`]: `[batch, 1, height, width]`.
fn lengths(features: Tensor<4>) -> Tensor<4> {
    let [batch, _, height, width] = features.dims();
    // The bound comes before the root, whose slope at zero is infinite.
    let lengths = features
        .square()
        .sum_dim(1)
        .clamp_min(LEAST_NORM * LEAST_NORM)
        .sqrt();
    assert_shape!(lengths, [batch, 1, height, width]);
    lengths
}
