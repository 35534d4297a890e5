//! Settings of the backbone.

use serde::{Deserialize, Serialize};

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

    /// Channels of a stage's feature map.
    ///
    /// # Panics
    ///
    /// If `stage` is not in `1..=4`.
    pub fn channels(&self, stage: usize) -> usize {
        self.stage_width(stage) * self.block.expansion()
    }

    /// Pixels of the picture per position of the last feature map, along each axis.
    pub fn stride(&self) -> usize {
        if self.max_pool { 32 } else { 16 }
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

    #[test]
    #[should_panic(expected = "stage 0 not in 1..=4")]
    fn there_is_no_stage_zero() {
        ResNetConfig::resnet18().channels(0);
    }
}
