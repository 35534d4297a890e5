//! Settings of an Inception network, and what they tell about it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::blocks::{Layer, blocks_with_inputs, stem};
use crate::{
    backbone::{
        Backbone, BackboneSettings, BadSetting, Family, KeyShapes, Preprocessing, Published,
    },
    init::WeightStream,
};

/// Channels after the first convolution of the published network.
const WIDTH: usize = 32;
/// Maps that a convolution leaves for the backward pass: its result, and that of norm and ReLU.
const KEPT_MAPS: f64 = 2.0;

/// Settings of an [`Inception`](super::Inception).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InceptionConfig {
    /// Channels after the first convolution, an even number. All others are in proportion.
    pub width: usize,
}

impl Default for InceptionConfig {
    fn default() -> Self {
        Self::v3()
    }
}

impl Family for InceptionConfig {
    const PUBLISHED: &[Published<Self>] = &[("inception_v3", Self::v3)];

    fn is_in(&self, keys: &KeyShapes) -> bool {
        let has = |key: &str, shape: &[usize]| keys.get(key).is_some_and(|found| found == shape);
        has("Conv2d_1a_3x3.conv.weight", &[32, 3, 3, 3])
            && has("Mixed_7c.branch_pool.conv.weight", &[192, 2048, 1, 1])
    }
}

impl InceptionConfig {
    /// 21.8 million parameters, 2048 channels, stride 32.
    pub fn v3() -> Self {
        Self { width: WIDTH }
    }

    /// Channels where the published network has `published`.
    pub(super) fn scaled(&self, published: usize) -> usize {
        published * self.width / WIDTH
    }

    /// Weights of a layer behind so many published channels.
    fn weights_of(&self, before: usize, layer: &Layer) -> f64 {
        let area = layer.kernel[0] * layer.kernel[1];
        (self.scaled(before) * self.scaled(layer.channels) * area) as f64
    }
}

impl BackboneSettings for InceptionConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        Backbone::Inception(self.init_from(stream, device))
    }

    fn channels(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.scaled([192, 288, 768, 2048][stage - 1])
    }

    fn stride(&self) -> usize {
        32
    }

    /// Five windows of 3 places with stride 2 and two with stride 1, none of them padded.
    fn map_side(&self, side: usize) -> usize {
        let window = |side: usize, stride: usize| (side + stride).saturating_sub(3) / stride;
        [2, 1, 2, 1, 2, 2, 2].into_iter().fold(side, window)
    }

    /// That of torchvision, whose network brings the pictures of ImageNet's mean and deviation to its own.
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing {
            resize: 342,
            crop: 299,
            ..Preprocessing::default()
        }
    }

    fn describe(&self) -> String {
        format!("Inception v3, width {}", self.width)
    }

    fn check(&self) -> Result<(), BadSetting> {
        BadSetting::unless(
            (2..=4096).contains(&self.width) && self.width.is_multiple_of(2),
            "width",
            self.width,
            "must be an even number, 2 to 4096: layers have sixteenths of the published channels",
        )
    }

    fn size(&self) -> (&'static str, usize) {
        ("width", self.width)
    }

    fn weights(&self) -> f64 {
        let layers = |(before, block): (usize, super::blocks::BlockShape)| {
            let layers = block.layers(before);
            let weights = layers.map(|(before, layer)| self.weights_of(before, &layer));
            weights.sum::<f64>()
        };
        blocks_with_inputs().map(layers).sum()
    }

    fn kept_values(&self, side: usize) -> f64 {
        // Each halving drops up to three rows, the stem some more.
        let places = |stage: usize| (side / (4 << stage)).saturating_sub(3).pow(2) as f64;
        let stages = [1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3];
        let maps = blocks_with_inputs()
            .zip(stages)
            .map(|((before, block), stage)| {
                let layers = block.layers(before).map(|(_, layer)| layer);
                let channels: usize = layers.map(|layer| self.scaled(layer.channels)).sum();
                channels as f64 * places(stage)
            });
        KEPT_MAPS * (self.first_map(side) + maps.sum::<f64>())
    }

    fn first_map(&self, side: usize) -> f64 {
        let places = (side.saturating_sub(1) / 2).pow(2);
        (self.scaled(stem()[0].channels) * places) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All published parameters but those of the classifier.
    #[test]
    fn weights_are_those_of_the_published_backbone_or_fewer() {
        let share = InceptionConfig::v3().weights() / 21_785_568.0;
        assert!((0.95..1.0).contains(&share), "{share}");
    }

    #[test]
    fn an_odd_width_is_refused() {
        let bad = InceptionConfig { width: 7 }.check().unwrap_err();
        assert_eq!((bad.key, bad.value.as_str()), ("width", "7"));
    }
}
