//! Settings of a ResNet, and what they tell about it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{
    backbone::{Backbone, BackboneSettings, BadSetting, KeyShapes},
    init::WeightStream,
};

/// Maps that a convolution leaves for the backward pass: its result, and that of norm and ReLU.
const KEPT_MAPS: f64 = 2.0;

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
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self::resnet18()
    }
}

impl ResNetConfig {
    /// Names of the published networks, and of one for small pictures.
    pub const NAMES: &[&str] = &["small", "resnet18", "resnet50"];

    /// The network of one of [`NAMES`](Self::NAMES).
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "small" => Self::small(),
            "resnet18" => Self::resnet18(),
            "resnet50" => Self::resnet50(),
            _ => return None,
        })
    }

    /// Which of [`NAMES`](Self::NAMES) a file with these keys may hold: its third stage tells.
    pub fn recognise(keys: &KeyShapes) -> Vec<&'static str> {
        let has = |key: &str| keys.contains_key(key);
        let last = |depth: usize| {
            has(&format!("layer3.{}.bn1.weight", depth - 1))
                && !has(&format!("layer3.{depth}.bn1.weight"))
        };
        match has("layer1.0.conv3.weight") {
            _ if has("layer1.0.convs.0.weight") => vec![],
            true if last(6) => vec!["resnet50"],
            false if last(2) => vec!["resnet18"],
            _ => vec![],
        }
    }

    /// 11.2 million parameters, 512 channels, stride 32.
    pub fn resnet18() -> Self {
        Self {
            block: Block::Basic,
            depths: [2, 2, 2, 2],
            width: 64,
            bottleneck_width: 64,
            max_pool: true,
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
            Block::Bottleneck => [out, out / 4.0 * self.bottleneck_width as f64 / 64.0],
        }
    }

    pub(super) fn stage_width(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.width << (stage - 1)
    }

    /// Channels between the convolutions of a block.
    pub(super) fn inner_channels(&self, stage: usize) -> usize {
        match self.block {
            Block::Basic => self.stage_width(stage),
            Block::Bottleneck => self.stage_width(stage) * self.bottleneck_width / 64,
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
        if self.max_pool { 32 } else { 16 }
    }

    fn describe(&self) -> String {
        format!("{:?} {:?}, width {}", self.block, self.depths, self.width)
    }

    fn check(&self) -> Result<(), BadSetting> {
        let is_possible = (1..=4).all(|stage| self.inner_channels(stage) > 0);
        is_possible.then_some(()).ok_or_else(|| BadSetting {
            key: "bottleneck_width",
            value: self.bottleneck_width.to_string(),
            rule: "times `network.backbone.width` must be at least 64: a bottleneck needs a channel",
        })
    }

    fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        let is_idle = self.block == Block::Basic && self.bottleneck_width != 64;
        is_idle.then_some(("bottleneck_width", "basic blocks have no bottleneck"))
    }

    fn size(&self) -> (&'static str, usize) {
        ("width", self.width)
    }

    fn weights(&self) -> f64 {
        let stages = (1..=4).zip(self.depths).map(|(stage, depth)| {
            let [out, inner] = self.block_channels(stage);
            let block = match self.block {
                Block::Basic => 9.0 * (inner * inner + inner * out),
                Block::Bottleneck => 2.0 * inner * out + 9.0 * inner * inner,
            };
            // The first block has fewer channels before it.
            block * (depth as f64 - 0.5)
        });
        stages.sum()
    }

    fn kept_values(&self, side: usize) -> f64 {
        let first = if self.max_pool { 4 } else { 2 };
        let stages = (1..=4).zip(self.depths).map(|(stage, depth)| {
            let [out, inner] = self.block_channels(stage);
            let block = match self.block {
                Block::Basic => inner + out,
                Block::Bottleneck => 2.0 * inner + out,
            };
            depth as f64 * block * side.div_ceil(first << (stage - 1)).pow(2) as f64
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
            (ResNetConfig::resnet50(), 23.5),
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
