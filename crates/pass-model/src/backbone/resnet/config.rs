//! Settings of a ResNet, and what they tell about it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{
    backbone::{Backbone, BackboneSettings, BadSetting, Family, KeyShapes, Published},
    init::WeightStream,
};

/// Maps that a convolution leaves for the backward pass: its result, and that of norm and ReLU.
const KEPT_MAPS: f64 = 2.0;

/// Most groups of a convolution.
const MOST_GROUPS: usize = 4096;

/// The two residual blocks of the ResNet paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Two 3×3 convolutions (ResNet-18 and 34).
    Basic,
    /// 1×1, 3×3 and 1×1 convolutions, four times as many channels at the end (ResNet-50 and up).
    Bottleneck,
}

impl Block {
    /// Output channels of a block as a multiple of the stage's width.
    pub fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// Settings of a [`ResNet`](super::ResNet); the default is ResNet-18.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResNetConfig {
    /// Kind of the residual blocks.
    pub block: Block,
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Channels after the stem. Stage `s` has the width `width · 2^(s-1)`.
    pub width: usize,
    /// Inner channels of a bottleneck per 64 channels of its stage's width (torchvision's
    /// `width_per_group`); 64 unless the network is a "wide" one.
    pub bottleneck_width: usize,
    /// Whether the stem ends in a 3×3 max-pooling of stride 2. Without it the total stride is 16
    /// instead of 32, for small pictures.
    pub max_pool: bool,
    /// Groups of the 3×3 convolution of a bottleneck: 1, or those of a ResNeXt, whose
    /// `bottleneck_width` counts channels per group.
    pub groups: usize,
    /// How many of the last stages, 0 to 2, keep the size of the map and have dilated convolutions
    /// instead of a stride; each halves the total stride. Weights stay the same.
    pub dilated_stages: usize,
    /// Whether the scale of the last norm of each block begins at 0, so that a block begins as its
    /// shortcut (Goyal et al. 2017, <https://arxiv.org/abs/1706.02677>); SimCLR, SimSiam, Barlow Twins,
    /// VICReg and MoCo v3 train so.
    pub zero_init_residual: bool,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self::resnet18()
    }
}

impl Family for ResNetConfig {
    const PUBLISHED: &[Published<Self>] = &[
        ("small", Self::small),
        ("resnet18", Self::resnet18),
        ("resnet34", Self::resnet34),
        ("resnet50", Self::resnet50),
        ("resnet101", Self::resnet101),
        ("resnext50", Self::resnext50),
        ("resnext101", Self::resnext101),
    ];

    /// Whether the first convolutions have its shapes, and the third stage its depth.
    fn is_in(&self, keys: &KeyShapes) -> bool {
        let (width, inner) = (self.width, self.inner_channels(1));
        let has = |key: &str, shape: [usize; 4]| keys.get(key).is_some_and(|found| *found == shape);
        let block = |index: usize| keys.contains_key(&format!("layer3.{index}.conv2.weight"));
        let is_bottleneck = keys.contains_key("layer1.0.conv3.weight");
        has("conv1.weight", [width, 3, 7, 7])
            && has("layer1.0.conv2.weight", [inner, inner / self.groups, 3, 3])
            && is_bottleneck == (self.block == Block::Bottleneck)
            && block(self.depths[2] - 1)
            && !block(self.depths[2])
    }
}

impl ResNetConfig {
    /// 11.2 million parameters, 512 channels, stride 32.
    pub fn resnet18() -> Self {
        Self {
            block: Block::Basic,
            depths: [2, 2, 2, 2],
            width: 64,
            bottleneck_width: 64,
            max_pool: true,
            groups: 1,
            dilated_stages: 0,
            zero_init_residual: false,
        }
    }

    /// 21.3 million parameters, 512 channels, stride 32.
    pub fn resnet34() -> Self {
        Self {
            depths: [3, 4, 6, 3],
            ..Self::resnet18()
        }
    }

    /// 23.5 million parameters, 2048 channels, stride 32.
    pub fn resnet50() -> Self {
        Self {
            block: Block::Bottleneck,
            depths: [3, 4, 6, 3],
            ..Self::resnet18()
        }
    }

    /// 42.5 million parameters, 2048 channels, stride 32.
    pub fn resnet101() -> Self {
        Self {
            depths: [3, 4, 23, 3],
            ..Self::resnet50()
        }
    }

    /// ResNeXt-50 32×4d: 23.0 million parameters, 2048 channels, stride 32.
    pub fn resnext50() -> Self {
        Self {
            groups: 32,
            bottleneck_width: 4,
            ..Self::resnet50()
        }
    }

    /// ResNeXt-101 32×8d: 86.7 million parameters, 2048 channels, stride 32.
    pub fn resnext101() -> Self {
        Self {
            groups: 32,
            bottleneck_width: 8,
            ..Self::resnet101()
        }
    }

    /// A small network for small pictures: 0.7 million parameters, 192 channels, stride 16.
    pub fn small() -> Self {
        Self {
            depths: [1, 1, 1, 1],
            width: 24,
            max_pool: false,
            ..Self::resnet18()
        }
    }

    /// Channels behind and inside the blocks of a stage.
    fn block_channels(&self, stage: usize) -> [f64; 2] {
        let out = self.channels(stage) as f64;
        match self.block {
            Block::Basic => [out, out],
            Block::Bottleneck => [
                out,
                out / 256.0 * (self.bottleneck_width * self.groups) as f64,
            ],
        }
    }

    /// Pixels of the picture per position of the first stage.
    fn first_stride(&self) -> usize {
        if self.max_pool { 4 } else { 2 }
    }

    /// Stride of a stage's first block.
    pub(super) fn stage_stride(&self, stage: usize) -> usize {
        let is_dilated = self.dilation(stage) > self.dilation(stage - 1);
        if stage == 1 || is_dilated { 1 } else { 2 }
    }

    /// Dilation of all blocks of a stage but the first, which has that of the stage before; 1 before
    /// the first stage.
    pub(super) fn dilation(&self, stage: usize) -> usize {
        1 << (stage + self.dilated_stages).saturating_sub(4)
    }

    pub(super) fn stage_width(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.width << (stage - 1)
    }

    /// Channels between the convolutions of a block.
    pub(super) fn inner_channels(&self, stage: usize) -> usize {
        match self.block {
            Block::Basic => self.stage_width(stage),
            Block::Bottleneck => self.stage_width(stage) * self.bottleneck_width / 64 * self.groups,
        }
    }
}

impl BackboneSettings for ResNetConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        Backbone::ResNet(self.init_from(stream, device))
    }

    fn channels(&self, stage: usize) -> usize {
        self.stage_width(stage) * self.block.expansion()
    }

    fn stride(&self) -> usize {
        (self.first_stride() << 3) / self.dilation(4)
    }

    fn describe(&self) -> String {
        format!("{:?} {:?}, width {}", self.block, self.depths, self.width)
    }

    fn check(&self) -> Result<(), BadSetting> {
        let is_bottleneck = self.block == Block::Bottleneck;
        BadSetting::unless_depths(&self.depths)?;
        BadSetting::unless_within("groups", self.groups, 1..=MOST_GROUPS)?;
        BadSetting::unless(
            (1..=4).all(|stage| self.inner_channels(stage) > 0),
            "bottleneck_width",
            self.bottleneck_width,
            "times `network.backbone.width` must be at least 64: a bottleneck needs a channel",
        )?;
        BadSetting::unless(
            self.dilated_stages <= if is_bottleneck { 2 } else { 0 },
            "dilated_stages",
            self.dilated_stages,
            "must be 0, 1 or 2, and 0 with basic blocks, which are not dilated",
        )
    }

    fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        let reason = "basic blocks have no bottleneck";
        match self.block {
            Block::Basic if self.bottleneck_width != 64 => Some(("bottleneck_width", reason)),
            Block::Basic if self.groups != 1 => Some(("groups", reason)),
            _ => None,
        }
    }

    fn size(&self) -> (&'static str, usize) {
        ("width", self.width)
    }

    fn weights(&self) -> f64 {
        let stages = (1..=4).zip(self.depths).map(|(stage, depth)| {
            let [out, inner] = self.block_channels(stage);
            let block = match self.block {
                Block::Basic => 9.0 * (inner * inner + inner * out),
                Block::Bottleneck => 2.0 * inner * out + 9.0 * inner * inner / self.groups as f64,
            };
            // The first block has fewer channels before it.
            block * (depth as f64 - 0.5)
        });
        stages.sum()
    }

    fn kept_values(&self, side: usize) -> f64 {
        let stages = (1..=4).zip(self.depths).map(|(stage, depth)| {
            let [out, inner] = self.block_channels(stage);
            let block = match self.block {
                Block::Basic => inner + out,
                Block::Bottleneck => 2.0 * inner + out,
            };
            let stride = (self.first_stride() << (stage - 1)).min(self.stride());
            depth as f64 * block * side.div_ceil(stride).pow(2) as f64
        });
        KEPT_MAPS * (self.first_map(side) + stages.sum::<f64>())
    }

    fn first_map(&self, side: usize) -> f64 {
        self.width as f64 * side.div_ceil(2).pow(2) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(config: &ResNetConfig) -> [usize; 4] {
        [1, 2, 3, 4].map(|stage| config.channels(stage))
    }

    #[test]
    fn stages_have_the_channels_of_the_paper() {
        assert_eq!(channels(&ResNetConfig::resnet18()), [64, 128, 256, 512]);
        assert_eq!(channels(&ResNetConfig::resnet50()), [256, 512, 1024, 2048]);
        assert_eq!(channels(&ResNetConfig::small()), [24, 48, 96, 192]);
    }

    /// Convolutions of torchvision's ResNets: all parameters but classifier and norms.
    #[test]
    fn weights_are_those_of_the_published_backbones_or_fewer() {
        for (backbone, millions) in [
            (ResNetConfig::resnet18(), 11.2),
            (ResNetConfig::resnet34(), 21.3),
            (ResNetConfig::resnet50(), 23.5),
            (ResNetConfig::resnet101(), 42.5),
            (ResNetConfig::resnext50(), 22.98),
            (ResNetConfig::resnext101(), 86.74),
        ] {
            let estimate = backbone.weights() / 1e6;
            assert!(
                (0.7..=1.0).contains(&(estimate / millions)),
                "{estimate} of {millions}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "stage 0 not in 1..=4")]
    fn there_is_no_stage_zero() {
        ResNetConfig::resnet18().channels(0);
    }
}
