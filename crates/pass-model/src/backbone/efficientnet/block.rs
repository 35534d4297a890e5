//! The block of an EfficientNet: 1×1 to more channels, depth-wise, weights of channels, 1×1 to fewer.

use burn::{
    module::{Module, Param},
    nn::{
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{DType, Device, Tensor, activation::sigmoid, ops::PadMode},
};
use fast_ops::{relu, silu};

use super::config::{BlockShape, EfficientNetConfig};
use crate::{
    backbone::conv_norm::{ConvNorm, conv_config},
    init::WeightStream,
    norm::NormMode,
    normalize::global_average_pool,
    precision::convolve,
};

/// An inverted residual block, narrow at both ends.
#[derive(Module, Debug)]
pub struct NarrowBlock {
    /// 1×1; absent in the first stage.
    pub expand: Option<ConvNorm>,
    /// 3×3 or 5×5 with the block's stride, each channel on its own.
    pub depthwise: ConvNorm,
    /// Absent in Lite networks.
    pub squeeze: Option<SqueezeExcite>,
    /// 1×1; no activation follows.
    pub project: ConvNorm,
}

/// Multiplies each channel by a number in `0..1` that follows from the means of all of them.
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    /// To a quarter of the block's channels, with bias.
    pub reduce: Conv2d,
    /// Back, with bias.
    pub expand: Conv2d,
}

impl EfficientNetConfig {
    /// A convolution and its norm.
    pub(super) fn layer(
        &self,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> ConvNorm {
        let mut config = conv_config(channels, [kernel; 2], stride).with_groups(groups);
        if self.tensorflow && stride > 1 {
            config = config.with_padding(PaddingConfig2d::Valid);
        }
        ConvNorm::new(stream.conv2d(&config, device), self.epsilon(), device)
    }
}

impl BlockShape {
    pub(super) fn init(
        &self,
        config: &EfficientNetConfig,
        stream: &mut WeightStream,
        device: &Device,
    ) -> NarrowBlock {
        let Self {
            channels: [before, inner, after],
            kernel,
            stride,
            ..
        } = *self;
        let expand =
            (inner != before).then(|| config.layer([before, inner], 1, 1, 1, stream, device));
        let depthwise = config.layer([inner, inner], kernel, stride, inner, stream, device);
        let squeeze =
            (self.squeezed > 0).then(|| SqueezeExcite::new(inner, self.squeezed, stream, device));
        NarrowBlock {
            expand,
            depthwise,
            squeeze,
            project: config.layer([inner, after], 1, 1, 1, stream, device),
        }
    }
}

impl NarrowBlock {
    /// # Shapes
    ///
    /// - `x`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&mut self, x: Tensor<4>, mode: NormMode, lite: bool) -> Tensor<4> {
        let shortcut = x.clone();
        let x = match &mut self.expand {
            Some(expand) => activated(expand.forward(x, mode), lite),
            None => x,
        };
        let x = padded(x, &self.depthwise.conv);
        let x = activated(self.depthwise.forward(x, mode), lite);
        let x = match &self.squeeze {
            Some(squeeze) => squeeze.forward(x),
            None => x,
        };
        let x = self.project.forward(x, mode);
        match x.dims() == shortcut.dims() && self.depthwise.conv.stride == [1, 1] {
            true => x + shortcut,
            false => x,
        }
    }
}

impl SqueezeExcite {
    fn new(channels: usize, squeezed: usize, stream: &mut WeightStream, device: &Device) -> Self {
        let mut conv = |channels: [usize; 2]| {
            let config = Conv2dConfig::new(channels, [1, 1])
                .with_padding(PaddingConfig2d::Explicit(0, 0, 0, 0));
            let mut conv = stream.conv2d(&config, device);
            let zeros = Tensor::zeros([channels[1]], (device, DType::F32));
            conv.bias = Some(Param::from_tensor(zeros));
            conv
        };
        Self {
            reduce: conv([channels, squeezed]),
            expand: conv([squeezed, channels]),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[batch, channels, height, width]`; the weights are computed in float32
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, ..] = x.dims();
        let means = global_average_pool(x.clone()).reshape([batch, channels, 1, 1]);
        let weights = sigmoid(convolve(&self.expand, silu(convolve(&self.reduce, means))));
        let dtype = x.dtype();
        x * weights.cast(dtype)
    }
}

/// ReLU up to 6 in Lite networks, else `x · sigmoid(x)`.
pub(super) fn activated(x: Tensor<4>, lite: bool) -> Tensor<4> {
    match lite {
        true => relu(x).clamp_max(6.0),
        false => silu(x),
    }
}

/// Zeros around the map, where the convolution does not pad itself: as many as give
/// `⌈size / stride⌉` places, an odd one at the end.
pub(super) fn padded(x: Tensor<4>, conv: &Conv2d) -> Tensor<4> {
    if conv.padding != PaddingConfig2d::Valid {
        return x;
    }
    let [_, _, height, width] = x.dims();
    let padding = |size: usize, axis: usize| {
        let (kernel, stride) = (conv.kernel_size[axis], conv.stride[axis]);
        same_padding(size, kernel, stride)
    };
    x.pad(
        [padding(height, 0), padding(width, 1)],
        PadMode::Constant(0.0),
    )
}

/// Places before and after one axis.
fn same_padding(size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let covered = (size.div_ceil(stride) - 1) * stride + kernel;
    let total = covered.saturating_sub(size);
    (total / 2, total - total / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of TensorFlow.
    #[test]
    fn an_odd_place_is_padded_at_the_end() {
        for (size, kernel, expected) in [
            (224, 3, (0, 1)),
            (225, 3, (1, 1)),
            (75, 5, (2, 2)),
            (38, 3, (0, 1)),
            (19, 5, (2, 2)),
            (86, 5, (1, 2)),
        ] {
            assert_eq!(same_padding(size, kernel, 2), expected, "{size}");
        }
    }

    #[test]
    fn activations_are_the_published_functions() {
        let x = Tensor::<1>::from_floats([-3.0, 0.5, 1.0, 7.0], &Device::default());
        let x = x.reshape([1, 1, 1, 4]);
        let flat = |x: Tensor<4>| x.flatten::<1>(0, 3);
        let lite = flat(activated(x.clone(), true));
        golden::assert_near(lite, [0.0, 0.5, 1.0, 6.0], [0.0, 1e-7]);
        let silu = [-0.1422776195, 0.3112296656, 0.7310585786, 6.9936223405];
        golden::assert_near(flat(activated(x, false)), silu, [1e-6, 1e-7]);
    }
}
