//! Settings of a Swin transformer, and what they tell about it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::spellings::{PATCHES, keys_of_third_stage};
use crate::{
    backbone::{
        Backbone, BackboneSettings, BadSetting, Family, Interpolation, KeyShapes, Preprocessing,
        Published,
    },
    init::WeightStream,
};

/// Numbers that a place of a block leaves for the backward pass, per channel: the results of two norms,
/// of queries, keys and values, of attention and projection, and of the hidden layer and its GELU.
const KEPT_PER_CHANNEL: f64 = 15.0;

/// Settings of a [`Swin`](super::Swin); the default is Swin-T.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwinConfig {
    /// Blocks in each of the four stages.
    pub depths: [usize; 4],
    /// Channels of the first stage. Stage `s` has `width · 2^(s-1)`.
    pub width: usize,
    /// Channels of a head; they divide the width.
    pub head_width: usize,
    /// Side of a window in places.
    pub window: usize,
}

impl Default for SwinConfig {
    fn default() -> Self {
        Self::swin_t()
    }
}

impl Family for SwinConfig {
    const PUBLISHED: &[Published<Self>] = &[
        ("swin_t", Self::swin_t),
        ("swin_s", Self::swin_s),
        ("swin_b", Self::swin_b),
    ];

    fn is_in(&self, keys: &KeyShapes) -> bool {
        let mut patches = PATCHES.iter().filter_map(|key| keys.get(*key));
        let block = |index| {
            let mut names = keys_of_third_stage(index).into_iter();
            names.any(|key| keys.contains_key(&key))
        };
        patches.any(|shape| *shape == [self.width, 3, 4, 4])
            && block(self.depths[2] - 1)
            && !block(self.depths[2])
    }
}

impl SwinConfig {
    /// 27.5 million parameters, 768 channels, stride 32.
    pub fn swin_t() -> Self {
        Self {
            depths: [2, 2, 6, 2],
            width: 96,
            head_width: 32,
            window: 7,
        }
    }

    /// 48.8 million parameters, 768 channels, stride 32.
    pub fn swin_s() -> Self {
        Self {
            depths: [2, 2, 18, 2],
            ..Self::swin_t()
        }
    }

    /// 86.7 million parameters, 1024 channels, stride 32.
    pub fn swin_b() -> Self {
        Self {
            width: 128,
            ..Self::swin_s()
        }
    }

    /// Places along a side of a stage's map, of a multiple of 32 pixels.
    fn places(&self, stage: usize, side: usize) -> f64 {
        (side / (2 << stage)).max(1).pow(2) as f64
    }
}

impl BackboneSettings for SwinConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        Backbone::Swin(self.init_from(stream, device))
    }

    fn channels(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.width << (stage - 1)
    }

    fn stride(&self) -> usize {
        32
    }

    /// The patches round down, the three mergers up.
    fn map_side(&self, side: usize) -> usize {
        (side / 4).div_ceil(8)
    }

    /// torchvision's, which differs by size.
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing {
            resize: match (self.width, self.depths[2]) {
                (128, _) => 238,
                (_, 18) => 246,
                _ => 232,
            },
            interpolation: Interpolation::Bicubic,
            ..Preprocessing::default()
        }
    }

    fn describe(&self) -> String {
        let Self {
            depths,
            width,
            window,
            ..
        } = self;
        format!("Swin {depths:?}, width {width}, windows of {window}")
    }

    fn check(&self) -> Result<(), BadSetting> {
        let Self {
            width, head_width, ..
        } = *self;
        BadSetting::unless_depths(&self.depths)?;
        BadSetting::unless_within("width", width, 1..=4096)?;
        BadSetting::unless_within("window", self.window, 1..=64)?;
        let is_divided = head_width > 0 && width % head_width == 0;
        let rule = "must divide `network.backbone.width`";
        BadSetting::unless(is_divided, "head_width", head_width, rule)
    }

    fn size(&self) -> (&'static str, usize) {
        ("width", self.width)
    }

    fn weights(&self) -> f64 {
        let stages = (1..=4).zip(self.depths).map(|(stage, depth)| {
            let channels = self.channels(stage) as f64;
            12.0 * depth as f64 * channels * channels
        });
        stages.sum()
    }

    fn kept_values(&self, side: usize) -> f64 {
        let of_window = self.window.pow(2) as f64 / self.head_width as f64;
        let stages = (1..=4)
            .zip(self.depths)
            .map(|(stage, depth)| (depth * self.channels(stage)) as f64 * self.places(stage, side));
        self.first_map(side) + (KEPT_PER_CHANNEL + of_window) * stages.sum::<f64>()
    }

    fn first_map(&self, side: usize) -> f64 {
        self.width as f64 * self.places(1, side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;

    /// Of torchvision's networks without classifier.
    #[test]
    fn parameters_are_those_of_the_published_networks_and_the_estimate_is_below() {
        for (name, published) in [
            ("swin_t", 28_288_354 - 769_000),
            ("swin_s", 49_606_258 - 769_000),
            ("swin_b", 87_768_224 - 1_025_000),
        ] {
            let config = SwinConfig::named(name).unwrap();
            let net = config.init_from(&mut WeightStream::new(0), &Device::default());
            assert_eq!(net.num_params(), published, "{name}");
            let estimate = config.weights() / published as f64;
            assert!((0.85..=1.0).contains(&estimate), "{name}: {estimate}");
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let tiny = SwinConfig::swin_t;
        let refused = |config: SwinConfig| config.check().unwrap_err().key;
        let head_width = 36;
        assert_eq!(
            refused(SwinConfig {
                head_width,
                ..tiny()
            }),
            "head_width"
        );
        assert_eq!(
            refused(SwinConfig {
                window: 0,
                ..tiny()
            }),
            "window"
        );
        let depths = [2, 2, 201, 2];
        assert_eq!(refused(SwinConfig { depths, ..tiny() }), "depths");
        assert!(tiny().check().is_ok());
    }
}
