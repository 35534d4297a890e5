//! Settings of a ConvNeXt, and what they tell about it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{
    backbone::{
        Backbone, BackboneSettings, BadSetting, Family, KeyShapes, Preprocessing, Published,
    },
    init::WeightStream,
};

/// Numbers that a place of a block leaves for the backward pass, per channel: the results of the
/// convolution, the norm, the hidden layer, its GELU, the last layer and the sum.
const KEPT_PER_CHANNEL: f64 = 12.0;

/// What becomes of the dilations of a file, which a search has left there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dilations {
    /// They are taken as they are.
    #[default]
    Kept,
    /// Their mean alone ("single").
    One,
    /// Three around their mean with equal weights ("multiple").
    Several,
}

/// Settings of a [`ConvNext`](super::ConvNext); the default is ConvNeXt-T.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConvNextConfig {
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Channels of the first stage. Stage `s` has `width · 2^(s-1)`.
    pub width: usize,
    /// Whether the depth-wise convolutions have branches of several dilations (RF-ConvNeXt).
    pub receptive_fields: bool,
    /// What becomes of the dilations when weights are imported.
    pub dilations: Dilations,
    /// Training steps from one search of these dilations to the next, three times; 0 for none. The
    /// published search takes ten epochs.
    pub search_interval: usize,
}

impl Default for ConvNextConfig {
    fn default() -> Self {
        Self::convnext_t()
    }
}

impl Family for ConvNextConfig {
    const PUBLISHED: &[Published<Self>] = &[
        ("convnext_t", Self::convnext_t),
        ("rf_convnext_t", Self::rf_convnext_t),
    ];

    fn is_in(&self, keys: &KeyShapes) -> bool {
        let stem = [
            "stem.0.weight",
            "downsample_layers.0.0.weight",
            "features.0.0.weight",
        ];
        let stem = stem.iter().filter_map(|key| keys.get(*key));
        let block = |index: usize| {
            let keys_of_block = [
                format!("stages.2.blocks.{index}.conv_dw.weight"),
                format!("stages.2.{index}.dwconv.weight"),
                format!("features.5.{index}.block.0.weight"),
            ];
            keys_of_block.iter().any(|key| keys.contains_key(key))
        };
        let has_rates = keys.contains_key("stages.0.blocks.0.conv_dw.rates");
        stem.into_iter()
            .any(|shape| *shape == [self.width, 3, 4, 4])
            && has_rates == self.receptive_fields
            && block(self.depths[2] - 1)
            && !block(self.depths[2])
    }
}

impl ConvNextConfig {
    /// 27.8 million parameters, 768 channels, stride 32.
    pub fn convnext_t() -> Self {
        Self {
            depths: [3, 3, 9, 3],
            width: 96,
            receptive_fields: false,
            dilations: Dilations::Kept,
            search_interval: 0,
        }
    }

    /// The same with branches of several dilations (Gao et al. 2022,
    /// <https://arxiv.org/abs/2206.06637>). Weights of a plain ConvNeXt begin a search.
    pub fn rf_convnext_t() -> Self {
        Self {
            receptive_fields: true,
            ..Self::convnext_t()
        }
    }

    /// Places along a side of a stage's map: every stage cuts off what fills no place.
    fn places(&self, stage: usize, side: usize) -> f64 {
        (side / (2 << stage)).max(1).pow(2) as f64
    }
}

impl BackboneSettings for ConvNextConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        Backbone::ConvNext(self.init_from(stream, device))
    }

    fn channels(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.width << (stage - 1)
    }

    fn stride(&self) -> usize {
        32
    }

    /// Its convolutions do not pad.
    fn map_side(&self, side: usize) -> usize {
        side / 32
    }

    fn preprocessing(&self) -> Preprocessing {
        Preprocessing {
            resize: 236,
            ..Preprocessing::default()
        }
    }

    fn describe(&self) -> String {
        let kind = match self.receptive_fields {
            true => "RF-ConvNeXt",
            false => "ConvNeXt",
        };
        format!("{kind} {:?}, width {}", self.depths, self.width)
    }

    fn check(&self) -> Result<(), BadSetting> {
        BadSetting::unless_depths(&self.depths)?;
        BadSetting::unless_within("width", self.width, 1..=4096)
    }

    fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        const REASON: &str = "`receptive_fields` is off: all dilations are 1";
        if self.receptive_fields {
            return None;
        }
        match (self.search_interval, self.dilations) {
            (0, Dilations::Kept) => None,
            (0, _) => Some(("dilations", REASON)),
            _ => Some(("search_interval", REASON)),
        }
    }

    fn size(&self) -> (&'static str, usize) {
        ("width", self.width)
    }

    fn weights(&self) -> f64 {
        let stages = (1..=4).zip(self.depths).map(|(stage, depth)| {
            let channels = self.channels(stage) as f64;
            depth as f64 * channels * (8.0 * channels + 49.0)
        });
        stages.sum()
    }

    fn kept_values(&self, side: usize) -> f64 {
        let stages = (1..=4)
            .zip(self.depths)
            .map(|(stage, depth)| (depth * self.channels(stage)) as f64 * self.places(stage, side));
        self.first_map(side) + KEPT_PER_CHANNEL * stages.sum::<f64>()
    }

    fn first_map(&self, side: usize) -> f64 {
        self.width as f64 * self.places(1, side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;

    /// Of the published network without classifier.
    #[test]
    fn parameters_are_those_of_the_published_network_and_the_estimate_is_below() {
        let config = ConvNextConfig::convnext_t();
        let net = config.init_from(&mut WeightStream::new(0), &Device::default());
        assert_eq!(net.num_params(), 27_820_128);
        let estimate = config.weights() / 27_820_128.0;
        assert!((0.9..=1.0).contains(&estimate), "{estimate}");
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let tiny = ConvNextConfig::convnext_t;
        let refused = |config: ConvNextConfig| config.check().unwrap_err().key;
        assert_eq!(refused(ConvNextConfig { width: 0, ..tiny() }), "width");
        let depths = [3, 0, 9, 3];
        assert_eq!(refused(ConvNextConfig { depths, ..tiny() }), "depths");
        assert!(tiny().check().is_ok());
    }

    #[test]
    fn without_receptive_fields_nothing_is_searched() {
        let told = |config: ConvNextConfig| config.without_effect().map(|(key, _)| key);
        let (one, search_interval) = (Dilations::One, 5);
        for base in [
            ConvNextConfig::convnext_t(),
            ConvNextConfig::rf_convnext_t(),
        ] {
            let is_plain = !base.receptive_fields;
            let dilated = ConvNextConfig {
                dilations: one,
                ..base.clone()
            };
            assert_eq!(told(dilated), is_plain.then_some("dilations"));
            let searched = ConvNextConfig {
                search_interval,
                ..base.clone()
            };
            assert_eq!(told(searched), is_plain.then_some("search_interval"));
            assert_eq!(told(base), None);
        }
    }
}
