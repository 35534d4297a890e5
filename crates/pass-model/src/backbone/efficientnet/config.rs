//! Settings of an EfficientNet, and what they tell about it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::{
    backbone::{
        Backbone, BackboneSettings, BadSetting, Family, Interpolation, KeyShapes, Preprocessing,
        Published, Spelling,
    },
    init::WeightStream,
};

/// Inner channels of a block per channel of its input, side of its kernel and its stride, by stage.
const STAGES: [(usize, usize, usize); 7] = [
    (1, 3, 1),
    (6, 3, 2),
    (6, 5, 2),
    (6, 3, 2),
    (6, 5, 1),
    (6, 5, 2),
    (6, 3, 1),
];
/// Maps that a convolution leaves for the backward pass: its result, and that of norm and activation.
const KEPT_MAPS: f64 = 2.0;
const MOST_CHANNELS: usize = 8192;

/// Settings of an [`EfficientNet`](super::EfficientNet).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EfficientNetConfig {
    /// Channels of the stem, of each of the seven stages and of the head.
    pub channels: [usize; 9],
    /// Blocks of each stage.
    pub depths: [usize; 7],
    /// Whether activations are ReLU6 instead of SiLU, and channels are not weighted.
    pub lite: bool,
    /// Whether convolutions with a stride pad as TensorFlow's do, and norms add 1e-3 instead of 1e-5 to
    /// the variance: for weights that were trained there (timm's `tf_` networks). No file tells.
    pub tensorflow: bool,
}

impl Default for EfficientNetConfig {
    fn default() -> Self {
        Self::b3()
    }
}

/// One block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    /// From 0.
    pub(super) stage: usize,
    /// Of the input, inside and of the output.
    pub(super) channels: [usize; 3],
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// Channels between the two layers that weight channels; 0 for none.
    pub(super) squeezed: usize,
}

impl Family for EfficientNetConfig {
    const PUBLISHED: &[Published<Self>] = &[
        ("efficientnet_b3", Self::b3),
        ("tf_efficientnet_b3", Self::tf_b3),
        ("efficientnet_lite0", Self::lite0),
    ];

    fn is_in(&self, keys: &KeyShapes) -> bool {
        let mut spellings = self.spellings().iter();
        spellings.any(|spelling| self.fits(keys, spelling))
    }
}

impl EfficientNetConfig {
    fn spellings(&self) -> &'static [Spelling] {
        keys::spellings(self.lite, self.tensorflow, &self.depths)
    }

    /// Whether stem and head have its shapes, the sixth stage its depth and blocks its parts.
    fn fits(&self, keys: &KeyShapes, spelling: &Spelling) -> bool {
        let has = |path: &str| keys.contains_key(&(spelling.key)(path));
        let shape = |path: &str| keys.get(&(spelling.key)(path)).map(Vec::as_slice);
        let block = |index| format!("stages.5.{index}.project.conv.weight");
        shape("stem.conv.weight") == Some(&[self.channels[0], 3, 3, 3])
            && shape("head.conv.weight") == Some(&[self.channels[8], self.channels[7], 1, 1])
            && has(&block(self.depths[5] - 1))
            && has("stages.0.0.squeeze.reduce.weight") != self.lite
    }

    /// 10.7 million parameters, 1536 channels, stride 32.
    pub fn b3() -> Self {
        Self {
            channels: [40, 24, 32, 48, 96, 136, 232, 384, 1536],
            depths: keys::B3_DEPTHS,
            lite: false,
            tensorflow: false,
        }
    }

    /// The same for weights of TensorFlow.
    pub fn tf_b3() -> Self {
        Self {
            tensorflow: true,
            ..Self::b3()
        }
    }

    /// EfficientNet-Lite0 for weights of TensorFlow (timm's `tf_efficientnet_lite0`): 3.4 million
    /// parameters, 1280 channels, stride 32.
    pub fn lite0() -> Self {
        Self {
            channels: [32, 16, 24, 40, 80, 112, 192, 320, 1280],
            depths: keys::LITE0_DEPTHS,
            lite: true,
            tensorflow: true,
        }
    }

    /// What norms add to the variance.
    pub(super) fn epsilon(&self) -> f64 {
        if self.tensorflow { 1e-3 } else { 1e-5 }
    }

    /// All blocks in their order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockShape> {
        (0..7).flat_map(move |stage| (0..self.depths[stage]).map(move |at| self.block(stage, at)))
    }

    fn block(&self, stage: usize, index: usize) -> BlockShape {
        let (expansion, kernel, stride) = STAGES[stage];
        let (before, after) = match index {
            0 => (self.channels[stage], self.channels[stage + 1]),
            _ => (self.channels[stage + 1], self.channels[stage + 1]),
        };
        BlockShape {
            stage,
            channels: [before, expansion * before, after],
            kernel,
            stride: if index == 0 { stride } else { 1 },
            squeezed: if self.lite { 0 } else { (before / 4).max(1) },
        }
    }
}

impl BackboneSettings for EfficientNetConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        Backbone::EfficientNet(self.init_from(stream, device))
    }

    fn channels(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.channels[[2, 3, 5, 8][stage - 1]]
    }

    fn stride(&self) -> usize {
        32
    }

    /// That of torchvision's B3, and of TensorFlow's Lite0.
    fn preprocessing(&self) -> Preprocessing {
        let standard = Preprocessing {
            interpolation: Interpolation::Bicubic,
            ..Preprocessing::default()
        };
        match self.lite {
            true => Preprocessing {
                mean: [0.5; 3],
                std: [0.5; 3],
                ..standard
            },
            false => Preprocessing {
                resize: 320,
                crop: 300,
                ..standard
            },
        }
    }

    fn describe(&self) -> String {
        let lite = if self.lite { "-Lite" } else { "" };
        let padding = if self.tensorflow {
            ", of TensorFlow"
        } else {
            ""
        };
        format!(
            "EfficientNet{lite} {:?}, channels {:?}{padding}",
            self.depths, self.channels
        )
    }

    fn check(&self) -> Result<(), BadSetting> {
        BadSetting::unless_depths(&self.depths)?;
        let mut channels = self.channels.iter();
        BadSetting::unless(
            channels.all(|count| (1..=MOST_CHANNELS).contains(count)),
            "channels",
            self.channels,
            "must be whole numbers, 1 to 8192",
        )
    }

    fn size(&self) -> (&'static str, usize) {
        ("channels", self.channels[7])
    }

    fn weights(&self) -> f64 {
        let block = |block: BlockShape| {
            let [before, inner, after] = block.channels;
            let expand = if inner == before { 0 } else { before * inner };
            let squeeze = 2 * inner * block.squeezed;
            (expand + inner * block.kernel.pow(2) + squeeze + inner * after) as f64
        };
        let ends = 27 * self.channels[0] + self.channels[7] * self.channels[8];
        ends as f64 + self.blocks().map(block).sum::<f64>()
    }

    fn kept_values(&self, side: usize) -> f64 {
        let mut side = side.div_ceil(2);
        let mut values = self.channels[0] as f64 * (side as f64).powi(2);
        for block in self.blocks() {
            let [before, inner, after] = block.channels.map(|count| count as f64);
            let expanded = if inner == before { 0.0 } else { inner };
            values += expanded * (side as f64).powi(2);
            side = side.div_ceil(block.stride);
            values += (inner + after) * (side as f64).powi(2);
        }
        KEPT_MAPS * (values + self.channels[8] as f64 * (side as f64).powi(2))
    }

    fn first_map(&self, side: usize) -> f64 {
        self.channels[0] as f64 * side.div_ceil(2).pow(2) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All published parameters but those of the classifier.
    #[test]
    fn weights_are_those_of_the_published_backbones_or_fewer() {
        for (config, published) in [
            (EfficientNetConfig::b3(), 10_696_232.0),
            (EfficientNetConfig::lite0(), 4_652_008.0 - 1_281_000.0),
        ] {
            let share = config.weights() / published;
            assert!((0.95..1.0).contains(&share), "{share}");
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let mut config = EfficientNetConfig::lite0();
        config.channels[3] = 0;
        assert_eq!(config.check().unwrap_err().key, "channels");
        let mut config = EfficientNetConfig::b3();
        config.depths[6] = 0;
        assert_eq!(config.check().unwrap_err().key, "depths");
    }
}
