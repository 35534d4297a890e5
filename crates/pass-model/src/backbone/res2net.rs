//! Res2Net (Gao et al. 2019, <https://arxiv.org/abs/1904.01169>): a ResNet whose 3×3 convolutions work on
//! parts of the channels, each part with what the one before made.

use burn::{
    module::Module,
    nn::{
        conv::{Conv2d, Conv2dConfig},
        pool::MaxPool2d,
    },
    tensor::{Device, Tensor},
};
use fast_ops::{relu, relu_of_sum};
use serde::{Deserialize, Serialize};

use super::{
    Backbone, BackboneSettings, BadSetting, Family, Features, KeyShapes, Network, Published,
    Spelling,
    conv_norm::{ConvNorm, conv_config},
    pool::{halving_max_pool, halving_mean, mean_of_nine},
};
use crate::{
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::convolve,
};

/// Parts of the channels of a block, all published networks' number.
const PARTS: usize = 4;
/// Output channels of a block as a multiple of its stage's width.
const EXPANSION: usize = 4;
const EPSILON: f64 = 1e-5;
/// Maps that a convolution leaves for the backward pass: its result, and that of norm and ReLU.
const KEPT_MAPS: f64 = 2.0;

/// Settings of a [`Res2Net`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Res2NetConfig {
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Channels after the stem. Stage `s` has the width `width · 2^(s-1)`.
    pub width: usize,
    /// Channels of one of the four parts per 64 channels of its stage's width.
    pub part_width: usize,
    /// Whether the stem is three 3×3 convolutions instead of one of 7×7, and shortcuts halve the map by
    /// means of four places (the "v1b" files; "d" in timm).
    pub deep_stem: bool,
}

impl Default for Res2NetConfig {
    fn default() -> Self {
        Self::res2net50()
    }
}

impl Family for Res2NetConfig {
    const PUBLISHED: &[Published<Self>] = &[
        ("res2net50", Self::res2net50),
        ("res2net101", Self::res2net101),
        ("res2net50d", Self::res2net50d),
    ];

    /// Whether stem and first part have its shapes, and the third stage its depth.
    fn is_in(&self, keys: &KeyShapes) -> bool {
        let part = self.part_channels(1);
        let has = |key: &str, shape: [usize; 4]| keys.get(key).is_some_and(|found| *found == shape);
        let block = |index: usize| keys.contains_key(&format!("layer3.{index}.convs.0.weight"));
        let stem = match self.deep_stem {
            true => has("conv1.6.weight", [self.width, self.width / 2, 3, 3]),
            false => has("conv1.weight", [self.width, 3, 7, 7]),
        };
        stem && has("layer1.0.convs.0.weight", [part, part, 3, 3])
            && block(self.depths[2] - 1)
            && !block(self.depths[2])
    }
}

impl Res2NetConfig {
    /// 26w × 4s: 23.7 million parameters, 2048 channels, stride 32.
    pub fn res2net50() -> Self {
        Self {
            depths: [3, 4, 6, 3],
            width: 64,
            part_width: 26,
            deep_stem: false,
        }
    }

    /// 26w × 4s: 43.2 million parameters, 2048 channels, stride 32.
    pub fn res2net101() -> Self {
        Self {
            depths: [3, 4, 23, 3],
            ..Self::res2net50()
        }
    }

    /// 26w × 4s, v1b: 23.7 million parameters, 2048 channels, stride 32.
    pub fn res2net50d() -> Self {
        Self {
            deep_stem: true,
            ..Self::res2net50()
        }
    }

    fn stage_width(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.width << (stage - 1)
    }

    fn part_channels(&self, stage: usize) -> usize {
        self.stage_width(stage) * self.part_width / 64
    }

    fn stem(&self, stream: &mut WeightStream, device: &Device) -> Vec<ConvNorm> {
        let half = self.width / 2;
        let convs = match self.deep_stem {
            true => vec![
                conv_config([3, half], [3, 3], 2),
                conv_config([half, half], [3, 3], 1),
                conv_config([half, self.width], [3, 3], 1),
            ],
            false => vec![conv_config([3, self.width], [7, 7], 2)],
        };
        let convs = convs.iter().map(|config| stream.conv2d(config, device));
        convs
            .map(|conv| ConvNorm::new(conv, EPSILON, device))
            .collect()
    }

    fn stage(&self, stage: usize, stream: &mut WeightStream, device: &Device) -> Vec<Res2Block> {
        let before = match stage {
            1 => self.width,
            _ => self.channels(stage - 1),
        };
        let mut block = |index: usize| match index {
            0 => self.block(before, stage, true, stream, device),
            _ => self.block(self.channels(stage), stage, false, stream, device),
        };
        (0..self.depths[stage - 1]).map(&mut block).collect()
    }

    fn block(
        &self,
        channels_in: usize,
        stage: usize,
        is_first: bool,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Res2Block {
        let (part, channels_out) = (self.part_channels(stage), self.channels(stage));
        let stride = if is_first && stage > 1 { 2 } else { 1 };
        let mut conv = |config: Conv2dConfig| stream.conv2d(&config, device);
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let middle = conv_config([part, part], [3, 3], stride);
        let shortcut_stride = if self.deep_stem { 1 } else { stride };
        let shortcut = conv_config([channels_in, channels_out], [1, 1], shortcut_stride);
        Res2Block {
            conv1: conv(conv_config([channels_in, PARTS * part], [1, 1], 1)),
            bn1: norm(PARTS * part),
            convs: (1..PARTS).map(|_| conv(middle.clone())).collect(),
            bns: (1..PARTS).map(|_| norm(part)).collect(),
            conv3: conv(conv_config([PARTS * part, channels_out], [1, 1], 1)),
            bn3: norm(channels_out),
            downsample: is_first.then(|| ConvNorm::new(conv(shortcut), EPSILON, device)),
        }
    }
}

impl BackboneSettings for Res2NetConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        self.assert_sound();
        Backbone::Res2Net(Res2Net {
            stem: self.stem(stream, device),
            max_pool: halving_max_pool(),
            layer1: self.stage(1, stream, device),
            layer2: self.stage(2, stream, device),
            layer3: self.stage(3, stream, device),
            layer4: self.stage(4, stream, device),
        })
    }

    fn channels(&self, stage: usize) -> usize {
        self.stage_width(stage) * EXPANSION
    }

    fn stride(&self) -> usize {
        32
    }

    fn describe(&self) -> String {
        let stem = if self.deep_stem { ", deep stem" } else { "" };
        format!(
            "Res2Net {:?}, width {}, parts of {}{stem}",
            self.depths, self.width, self.part_width
        )
    }

    fn check(&self) -> Result<(), BadSetting> {
        BadSetting::unless_depths(&self.depths)?;
        BadSetting::unless_within("width", self.width, 2..=4096)?;
        BadSetting::unless(
            (1..=4096).contains(&self.part_width) && self.part_channels(1) > 0,
            "part_width",
            self.part_width,
            "must be 1 to 4096, and times `network.backbone.width` at least 64: a part needs a channel",
        )
    }

    fn size(&self) -> (&'static str, usize) {
        ("width", self.width)
    }

    fn weights(&self) -> f64 {
        let stages = (1..=4).zip(self.depths).map(|(stage, depth)| {
            let [out, part] = [self.channels(stage), self.part_channels(stage)].map(|n| n as f64);
            let parts = PARTS as f64;
            // The first block has fewer channels before it.
            (2.0 * parts * part * out + 9.0 * (parts - 1.0) * part * part) * (depth as f64 - 0.5)
        });
        stages.sum()
    }

    fn kept_values(&self, side: usize) -> f64 {
        let stages = (1..=4).zip(self.depths).map(|(stage, depth)| {
            let channels = 2 * PARTS * self.part_channels(stage) + self.channels(stage);
            (depth * channels) as f64 * side.div_ceil(2 << stage).pow(2) as f64
        });
        KEPT_MAPS * (self.first_map(side) + stages.sum::<f64>())
    }

    fn first_map(&self, side: usize) -> f64 {
        let channels = if self.deep_stem {
            self.width / 2
        } else {
            self.width
        };
        channels as f64 * side.div_ceil(2).pow(2) as f64
    }
}

/// A Res2Net with bottlenecks.
#[derive(Module, Debug)]
pub struct Res2Net {
    /// One convolution or three, the first of stride 2, each with norm and ReLU.
    pub stem: Vec<ConvNorm>,
    /// 3×3, stride 2.
    pub max_pool: MaxPool2d,
    /// Stage 1.
    pub layer1: Vec<Res2Block>,
    /// Stage 2, stride 2.
    pub layer2: Vec<Res2Block>,
    /// Stage 3, stride 2.
    pub layer3: Vec<Res2Block>,
    /// Stage 4, stride 2.
    pub layer4: Vec<Res2Block>,
}

/// A bottleneck in four parts. The first block of a stage is another: its parts do not see each other.
#[derive(Module, Debug)]
pub struct Res2Block {
    /// 1×1, to four parts.
    pub conv1: Conv2d,
    /// Norm of `conv1`.
    pub bn1: BatchNorm,
    /// 3×3 with the block's stride, of the first three parts.
    pub convs: Vec<Conv2d>,
    /// Norms of `convs`.
    pub bns: Vec<BatchNorm>,
    /// 1×1, of all parts together.
    pub conv3: Conv2d,
    /// Norm of `conv3`.
    pub bn3: BatchNorm,
    /// Brings the input to the output's shape, in the first block of a stage.
    pub downsample: Option<ConvNorm>,
}

impl Res2Net {
    /// What the first stage takes: `[batch, width, ⌈height / 4⌉, ⌈width / 4⌉]`.
    pub fn stem(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let stem = self.stem.iter_mut();
        let x = stem.fold(pictures, |x, layer| relu(layer.forward(x, mode)));
        self.max_pool.forward(x)
    }
}

impl Res2Block {
    /// # Shapes
    ///
    /// - `x`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let shortcut = self.shortcut(x.clone(), mode);
        let x = relu(self.bn1.forward(convolve(&self.conv1, x), mode));
        let x = self.of_parts(x, mode);
        let x = self.bn3.forward(convolve(&self.conv3, x), mode);
        relu_of_sum(x, shortcut)
    }

    /// Each part convolved, with the result of the one before added to it unless the block is the first
    /// of its stage; the last part stays what it is, or its mean.
    fn of_parts(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let is_first = self.downsample.is_some();
        let stride = self.stride();
        let mut parts = x.chunk(PARTS, 1);
        let last = parts.pop().expect("four parts");
        let mut results: Vec<Tensor<4>> = Vec::with_capacity(PARTS);
        for ((conv, bn), part) in self.convs.iter().zip(&mut self.bns).zip(parts) {
            let part = match results.last() {
                Some(before) if !is_first => part + before.clone(),
                _ => part,
            };
            results.push(relu(bn.forward(convolve(conv, part), mode)));
        }
        results.push(match is_first {
            true => mean_of_nine(last, stride),
            false => last,
        });
        Tensor::cat(results, 1)
    }

    fn shortcut(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let stride = self.stride();
        let Some(downsample) = &mut self.downsample else {
            return x;
        };
        let is_halved_before = downsample.conv.stride[0] < stride;
        let x = if is_halved_before {
            halving_mean(x, true)
        } else {
            x
        };
        downsample.forward(x, mode)
    }

    fn stride(&self) -> usize {
        self.convs[0].stride[0]
    }
}

/// The authors' spelling, which is timm's.
const SPELLINGS: [Spelling; 1] = [Spelling::new("timm or the authors", plain_key, "fc")];
/// The same of networks with a deep stem.
const DEEP_SPELLINGS: [Spelling; 1] = [Spelling::new("timm or the authors", deep_key, "fc")];

impl Network for Res2Net {
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features {
        let x = self.stem(pictures, mode);
        let stage1 = run(&mut self.layer1, x, mode);
        let stage2 = run(&mut self.layer2, stage1.clone(), mode);
        let stage3 = run(&mut self.layer3, stage2.clone(), mode);
        let stage4 = run(&mut self.layer4, stage3.clone(), mode);
        Features {
            maps: vec![stage1, stage2, stage3, stage4],
            strides: vec![4, 8, 16, 32],
        }
    }

    fn spellings(&self) -> &'static [Spelling] {
        match self.stem.len() {
            1 => &SPELLINGS,
            _ => &DEEP_SPELLINGS,
        }
    }

    fn channels(&self) -> usize {
        let last = self.layer4.last().expect("a stage has a block");
        last.bn3.running_mean.dims()[0]
    }
}

fn run(blocks: &mut [Res2Block], x: Tensor<4>, mode: NormMode) -> Tensor<4> {
    blocks.iter_mut().fold(x, |x, block| block.forward(x, mode))
}

fn plain_key(parameter: &str) -> String {
    parameter
        .replace("stem.0.conv.", "conv1.")
        .replace("stem.0.bn.", "bn1.")
        .replace("downsample.conv.", "downsample.0.")
        .replace("downsample.bn.", "downsample.1.")
}

fn deep_key(parameter: &str) -> String {
    parameter
        .replace("stem.0.conv.", "conv1.0.")
        .replace("stem.0.bn.", "conv1.1.")
        .replace("stem.1.conv.", "conv1.3.")
        .replace("stem.1.bn.", "conv1.4.")
        .replace("stem.2.conv.", "conv1.6.")
        .replace("stem.2.bn.", "bn1.")
        .replace("downsample.conv.", "downsample.1.")
        .replace("downsample.bn.", "downsample.2.")
}
