//! ConvNeXt (Liu et al. 2022, <https://arxiv.org/abs/2201.03545>), and RF-ConvNeXt with depth-wise
//! convolutions of several dilations.

mod config;
mod rf_conv;
mod spellings;

use burn::{
    module::{Module, Param},
    nn::conv::{Conv2d, Conv2dConfig},
    tensor::{Device, Tensor},
};
use fast_ops::residual;

use super::{
    BackboneSettings, Features, Network, Spelling,
    parts::{LayerNorm, Mlp, channels_first, channels_last, filled_up},
};
use crate::{
    init::WeightStream, norm::NormMode, normalize::global_average_pool, precision::convolve,
};

pub use config::{ConvNextConfig, Dilations};
pub use rf_conv::{DepthwiseConv, RfConv};

/// Of all norms.
const EPSILON: f64 = 1e-6;
/// The scale of each block when a training begins.
const FIRST_SCALE: f32 = 1e-6;

/// A ConvNeXt.
#[derive(Module, Debug)]
pub struct ConvNext {
    /// 4×4 convolution with stride 4, and norm.
    pub stem: Shrinking,
    /// The four stages.
    pub stages: Vec<ConvNextStage>,
    /// Of what the classifier takes; the maps come before it.
    pub norm: LayerNorm,
    #[module(skip)]
    config: ConvNextConfig,
}

/// Blocks of one size, and what makes that size.
#[derive(Module, Debug)]
pub struct ConvNextStage {
    /// Norm, and 2×2 convolution with stride 2; absent in the first stage.
    pub downsample: Option<Shrinking>,
    /// The blocks.
    pub blocks: Vec<ConvNextBlock>,
}

/// A convolution whose stride is its kernel, and a norm over channels.
#[derive(Module, Debug)]
pub struct Shrinking {
    /// The convolution.
    pub conv: Conv2d,
    /// The norm, behind it in the stem and before it elsewhere.
    pub norm: LayerNorm,
}

/// `x + γ · mlp(norm(conv(x)))`.
#[derive(Module, Debug)]
pub struct ConvNextBlock {
    /// 7×7, of each channel by itself.
    pub conv_dw: DepthwiseConv,
    /// Over channels.
    pub norm: LayerNorm,
    /// Of each place by itself.
    pub mlp: Mlp,
    /// `[channels]`
    pub gamma: Param<Tensor<1>>,
}

impl ConvNextConfig {
    /// A network whose weights are the next ones of a stream.
    ///
    /// # Panics
    ///
    /// If [`check`](BackboneSettings::check) fails.
    pub fn init_from(&self, stream: &mut WeightStream, device: &Device) -> ConvNext {
        self.assert_sound();
        ConvNext {
            stem: Shrinking::new([3, self.width], self.width, 4, stream, device),
            stages: (1..=4)
                .map(|stage| self.init_stage(stage, stream, device))
                .collect(),
            norm: LayerNorm::new(self.channels(4), EPSILON, device),
            config: self.clone(),
        }
    }

    fn init_stage(
        &self,
        stage: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> ConvNextStage {
        let channels = self.channels(stage);
        let downsample = (stage > 1).then(|| {
            let before = self.channels(stage - 1);
            Shrinking::new([before, channels], before, 2, stream, device)
        });
        let blocks = (0..self.depths[stage - 1])
            .map(|_| ConvNextBlock::new(channels, self.receptive_fields, stream, device));
        ConvNextStage {
            downsample,
            blocks: blocks.collect(),
        }
    }
}

impl Shrinking {
    fn new(
        channels: [usize; 2],
        normed: usize,
        kernel: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Self {
        let config = Conv2dConfig::new(channels, [kernel; 2]).with_stride([kernel; 2]);
        Self {
            conv: stream.transformer_conv2d(&config, device),
            norm: LayerNorm::new(normed, EPSILON, device),
        }
    }

    /// A map smaller than the kernel is filled up with zeros.
    fn convolve(&self, x: Tensor<4>) -> Tensor<4> {
        convolve(&self.conv, filled_up(x, self.conv.stride))
    }
}

impl ConvNextBlock {
    fn new(channels: usize, searched: bool, stream: &mut WeightStream, device: &Device) -> Self {
        let gamma = Tensor::full([channels], FIRST_SCALE, device);
        Self {
            conv_dw: DepthwiseConv::new(channels, searched, stream, device),
            norm: LayerNorm::new(channels, EPSILON, device),
            mlp: Mlp::new(channels, 4 * channels, stream, device),
            gamma: Param::from_tensor(gamma),
        }
    }

    /// Looks for other dilations every `interval` steps of training, if that is not 0.
    ///
    /// # Shapes
    ///
    /// - `x` and output: `[batch, channels, height, width]`
    pub fn forward(&mut self, x: Tensor<4>, mode: NormMode, interval: usize) -> Tensor<4> {
        let branch = self.conv_dw.forward(x.clone(), mode, interval);
        let branch = self.mlp.forward(self.norm.forward(channels_last(branch)));
        let scale = Some(self.gamma.val());
        channels_first(residual(channels_last(x), branch, scale))
    }
}

impl ConvNextStage {
    fn forward(&mut self, x: Tensor<4>, mode: NormMode, interval: usize) -> Tensor<4> {
        let x = match &self.downsample {
            Some(downsample) => downsample.convolve(downsample.norm.forward_map(x)),
            None => x,
        };
        let blocks = self.blocks.iter_mut();
        blocks.fold(x, |x, block| block.forward(x, mode, interval))
    }
}

impl ConvNext {
    /// What the first stage takes: `[batch, width, ⌊height / 4⌋, ⌊width / 4⌋]`.
    pub fn stem(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.stem.norm.forward_map(self.stem.convolve(pictures))
    }

    /// The convolutions of several dilations in their order; none where there is but one.
    pub fn searched(&mut self) -> impl Iterator<Item = &mut RfConv> {
        let blocks = self.stages.iter_mut().flat_map(|stage| &mut stage.blocks);
        blocks.filter_map(|block| match &mut block.conv_dw {
            DepthwiseConv::Searched(conv) => Some(conv),
            DepthwiseConv::Plain(_) => None,
        })
    }
}

impl Network for ConvNext {
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - stage `s`: `[batch, channels(s), ⌊height / r⌋, ⌊width / r⌋]` with `r = 2^(s+1)`, at least 1×1
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features {
        let mut x = self.stem(pictures);
        let interval = self.config.search_interval;
        let stages = self.stages.iter_mut().map(|stage| {
            x = stage.forward(x.clone(), mode, interval);
            x.clone()
        });
        Features {
            maps: stages.collect(),
            strides: vec![4, 8, 16, 32],
        }
    }

    fn imported(&mut self) {
        let dilations = self.config.dilations;
        self.searched().for_each(|conv| match dilations {
            Dilations::Kept => {}
            Dilations::One => conv.keep_one(),
            Dilations::Several => conv.keep_several(),
        });
    }

    fn spellings(&self) -> &'static [Spelling] {
        match self.config.receptive_fields {
            true => &spellings::SEARCHED,
            false => &spellings::PLAIN,
        }
    }

    fn channels(&self) -> usize {
        self.config.channels(4)
    }

    fn pooled(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<2> {
        let last = self.forward(pictures, mode).into_last();
        self.norm.forward(global_average_pool(last))
    }
}
