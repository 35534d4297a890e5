//! Settings of a vision transformer, and what they tell about it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{positions::PositionRule, spellings};
use crate::{
    backbone::{
        Backbone, BackboneSettings, BadSetting, Family, Interpolation, KeyShapes, Preprocessing,
        Published,
    },
    init::WeightStream,
};

/// Numbers a token leaves in a block for the backward pass, per channel: the results of two norms, of
/// queries, keys and values, of attention and projection, and of the hidden layer and its GELU.
const KEPT_PER_CHANNEL: f64 = 15.0;

/// What becomes of the pixels at the right and at the bottom that fill no patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remainder {
    /// They are cut off, as a convolution does; a picture smaller than a patch is filled up to one.
    Cut,
    /// The patch is filled up with zeros, the mean colour.
    Pad,
}

/// What a classifier takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The class token behind the norm.
    Class,
    /// The mean of all places before the norm, which files then call `fc_norm`.
    Mean,
}

/// Settings of a [`Vit`](super::Vit); the default is ViT-S/16.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VitConfig {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Channels of a token.
    pub width: usize,
    /// Heads of each attention; they divide the width.
    pub heads: usize,
    /// Blocks.
    pub depth: usize,
    /// Tokens beside the class token that stand for no place.
    pub registers: usize,
    /// Whether each branch of a block is scaled by channel.
    pub layer_scale: bool,
    /// Side of the square grid of the positions' table, in patches.
    pub grid: usize,
    /// How that table is brought to the grid of a picture.
    pub positions: PositionRule,
    /// What becomes of pixels that fill no patch.
    pub remainder: Remainder,
    /// What the classifier takes.
    pub pool: Pool,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self::vit_s16()
    }
}

impl Family for VitConfig {
    const PUBLISHED: &[Published<Self>] = &[
        ("vit_s16", Self::vit_s16),
        ("vit_b16", Self::vit_b16),
        ("dinov2_s14", Self::dinov2_s14),
        ("dinov2_b14", Self::dinov2_b14),
    ];

    fn is_in(&self, keys: &KeyShapes) -> bool {
        let patch = [self.width, 3, self.patch, self.patch];
        let block = |index| {
            spellings::first_of_block(index)
                .iter()
                .any(|key| keys.contains_key(key))
        };
        let patches = spellings::PATCHES.iter().filter_map(|key| keys.get(*key));
        patches.into_iter().any(|shape| *shape == patch)
            && block(self.depth - 1)
            && !block(self.depth)
    }
}

impl VitConfig {
    /// DINO, MAE, SERE and others: 21.7 million parameters, 384 channels, stride 16.
    pub fn vit_s16() -> Self {
        Self {
            patch: 16,
            width: 384,
            heads: 6,
            depth: 12,
            registers: 0,
            layer_scale: false,
            grid: 14,
            positions: PositionRule::Offset,
            remainder: Remainder::Cut,
            pool: Pool::Class,
        }
    }

    /// DINOv2 (Oquab et al. 2023, <https://arxiv.org/abs/2304.07193>): 22.1 million parameters, 384
    /// channels, stride 14.
    pub fn dinov2_s14() -> Self {
        Self {
            patch: 14,
            layer_scale: true,
            grid: 37,
            remainder: Remainder::Pad,
            ..Self::vit_s16()
        }
    }

    /// ViT-B/16: 85.8 million parameters, 768 channels, stride 16.
    pub fn vit_b16() -> Self {
        Self::vit_s16().base()
    }

    /// DINOv2 ViT-B/14: 86.6 million parameters, 768 channels, stride 14.
    pub fn dinov2_b14() -> Self {
        Self::dinov2_s14().base()
    }

    /// The same with 768 channels and 12 heads.
    fn base(self) -> Self {
        Self {
            width: 768,
            heads: 12,
            ..self
        }
    }

    /// Whole patches along a side of a picture.
    pub(super) fn patches(&self, side: usize) -> usize {
        match self.remainder {
            Remainder::Cut => (side / self.patch).max(1),
            Remainder::Pad => side.div_ceil(self.patch).max(1),
        }
    }

    /// The number of blocks before the end of each stage: a quarter of them, a half and so on.
    pub(super) fn ends(&self) -> [usize; 4] {
        [1, 2, 3, 4].map(|stage| (stage * self.depth).div_ceil(4))
    }
}

impl BackboneSettings for VitConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        Backbone::Vit(self.init_from(stream, device))
    }

    fn channels(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.width
    }

    fn stride(&self) -> usize {
        self.patch
    }

    fn map_side(&self, side: usize) -> usize {
        self.patches(side)
    }

    /// The evaluation of DINO and DINOv2.
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing {
            interpolation: Interpolation::Bicubic,
            multiple: match self.remainder {
                Remainder::Cut => 1,
                Remainder::Pad => self.patch,
            },
            ..Preprocessing::default()
        }
    }

    fn describe(&self) -> String {
        let Self {
            patch,
            width,
            depth,
            registers,
            ..
        } = self;
        let registers = match registers {
            0 => String::new(),
            count => format!(", {count} registers"),
        };
        format!("ViT of {depth} blocks, width {width}, patches of {patch}{registers}")
    }

    fn check(&self) -> Result<(), BadSetting> {
        let Self { width, heads, .. } = *self;
        let is_divided = (1..=4096).contains(&heads) && width % heads == 0;
        BadSetting::unless_within("patch", self.patch, 1..=64)?;
        BadSetting::unless_within("width", width, 1..=4096)?;
        BadSetting::unless_within("depth", self.depth, 1..=200)?;
        BadSetting::unless_within("registers", self.registers, 0..=256)?;
        BadSetting::unless_within("grid", self.grid, 1..=256)?;
        BadSetting::unless(
            is_divided,
            "heads",
            heads,
            "must divide `network.backbone.width`",
        )
    }

    fn fit(&mut self, keys: &KeyShapes) {
        let has = |key: &str| keys.contains_key(key);
        let registers = spellings::REGISTERS.iter().find_map(|key| keys.get(*key));
        self.registers = registers.map_or(0, |shape| shape.get(1).copied().unwrap_or(0));
        self.layer_scale = spellings::LAYER_SCALES.iter().any(|key| has(key));
        if self.registers > 0 {
            self.positions = PositionRule::Antialias;
        }
        if has("fc_norm.weight") && !has("norm.weight") {
            self.pool = Pool::Mean;
        }
        let positions = spellings::POSITIONS.iter().find_map(|key| keys.get(*key));
        if let Some(grid) = positions.and_then(|shape| grid_of(shape)) {
            self.grid = grid;
        }
    }

    fn size(&self) -> (&'static str, usize) {
        ("width", self.width)
    }

    fn weights(&self) -> f64 {
        let width = self.width as f64;
        let patch = 3.0 * (self.patch * self.patch) as f64 * width;
        12.0 * self.depth as f64 * width * width + patch
    }

    fn kept_values(&self, side: usize) -> f64 {
        let tokens = self.patches(side).pow(2) as f64;
        let of_token = KEPT_PER_CHANNEL * self.width as f64 + self.heads as f64 * tokens;
        self.first_map(side) + self.depth as f64 * tokens * of_token
    }

    fn first_map(&self, side: usize) -> f64 {
        self.width as f64 * self.patches(side).pow(2) as f64
    }
}

/// The side of the grid of a table `[1, rows, width]`, with or without a row for the class token.
fn grid_of(shape: &[usize]) -> Option<usize> {
    let rows = *shape.get(1)?;
    let places = [Some(rows), rows.checked_sub(1)].into_iter().flatten();
    let mut sides = places.map(|places| (places.isqrt(), places));
    sides.find_map(|(side, places)| (side > 0 && side * side == places).then_some(side))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;

    #[test]
    fn stages_end_after_each_quarter_of_the_blocks() {
        let ends = |depth| {
            VitConfig {
                depth,
                ..VitConfig::vit_s16()
            }
            .ends()
        };
        assert_eq!(ends(12), [3, 6, 9, 12]);
        assert_eq!(ends(1), [1, 1, 1, 1]);
        assert_eq!(ends(2), [1, 1, 2, 2]);
    }

    #[test]
    fn the_grid_of_a_table_is_seen_with_and_without_class_token() {
        assert_eq!(grid_of(&[1, 197, 384]), Some(14));
        assert_eq!(grid_of(&[1, 1370, 384]), Some(37));
        assert_eq!(grid_of(&[1, 1369, 384]), Some(37));
        assert_eq!(grid_of(&[1, 7, 384]), None);
        assert_eq!(grid_of(&[3]), None);
    }

    /// Of the published networks without classifier.
    #[test]
    fn parameters_are_those_of_the_published_networks_and_the_estimate_is_below() {
        for (name, published) in [
            ("vit_s16", 21_665_664),
            ("vit_b16", 85_798_656),
            ("dinov2_s14", 22_056_192),
        ] {
            let config = VitConfig::named(name).unwrap();
            let net = config.init_from(&mut WeightStream::new(0), &Device::default());
            assert_eq!(net.num_params(), published, "{name}");
            let estimate = config.weights() / published as f64;
            assert!((0.9..=1.0).contains(&estimate), "{name}: {estimate}");
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let refused = |config: VitConfig| config.check().unwrap_err().key;
        let small = VitConfig::vit_s16;
        assert_eq!(
            refused(VitConfig {
                heads: 5,
                ..small()
            }),
            "heads"
        );
        assert_eq!(
            refused(VitConfig {
                heads: 0,
                ..small()
            }),
            "heads"
        );
        assert_eq!(
            refused(VitConfig {
                patch: 0,
                ..small()
            }),
            "patch"
        );
        assert_eq!(
            refused(VitConfig {
                depth: 0,
                ..small()
            }),
            "depth"
        );
        assert!(small().check().is_ok());
    }
}
