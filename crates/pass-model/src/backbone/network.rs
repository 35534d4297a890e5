//! What the network of every family can do, and what its settings tell before it is built.

use std::{collections::BTreeMap, fmt::Debug, ops::RangeInclusive};

use burn::{
    store::burn_pack::Tensor as StoredTensor,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::Backbone;
use crate::{init::WeightStream, norm::NormMode, normalize::global_average_pool};

/// A network that turns pictures into feature maps.
pub trait Network {
    /// The feature maps of some pictures, four of them, which are the stages.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised by [`Preprocessing`]
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features;

    /// What its weights files look like. The first is the one that export writes.
    fn spellings(&self) -> &'static [Spelling];

    /// Told when the weights of a file have been taken over.
    fn imported(&mut self) {}

    /// Names of the layers that [`layer`](Self::layer) knows; the last map is `stage4`.
    fn layers(&self) -> &'static [&'static str] {
        &["stage1", "stage2", "stage3", "stage4"]
    }

    /// One of [`layers`](Self::layers) as a map; what has no places is 1×1. Norms take their moving
    /// statistics.
    ///
    /// # Panics
    ///
    /// If there is no layer of this name.
    fn layer(&mut self, pictures: Tensor<4>, name: &str) -> Tensor<4> {
        let stage = self.layers().iter().position(|known| *known == name);
        let stage = stage.unwrap_or_else(|| panic!("no layer {name}"));
        self.forward(pictures, NormMode::Moving).stage(stage + 1)
    }

    /// Channels of [`pooled`](Self::pooled).
    fn channels(&self) -> usize;

    /// What the linear classifier of the published weights takes, `[batch, channels]`: also what the
    /// projectors of pre-training start from.
    fn pooled(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<2> {
        global_average_pool(self.forward(pictures, mode).into_last())
    }
}

/// The key of a parameter in a file, given its path.
pub type KeyOf = fn(&str) -> String;

/// How one program names the tensors of a network.
#[derive(Debug, Clone, Copy)]
pub struct Spelling {
    /// Whose files they are, for messages.
    pub of: &'static str,
    /// The key of a parameter, given its path in the network with PyTorch's last word (`weight`,
    /// `bias`, `running_mean`, `running_var`).
    pub key: KeyOf,
    /// What precedes `.weight` and `.bias` of the classifier, `[classes, channels]` and `[classes]`.
    pub classifier: &'static str,
    /// Whether another key of the file may be passed over; counters of batches always may.
    pub extra: fn(&str) -> bool,
    /// Brings the tensors of a file, whose wrapper is off, to the shapes that the network has.
    pub convert: fn(&mut BTreeMap<String, StoredTensor>),
    /// The shape of a tensor in the file, given its key and PyTorch's shape in the network.
    pub shape: fn(&str, Vec<usize>) -> Vec<usize>,
    /// Compares the constants that a file keeps beside its weights; the reason if one is another.
    pub check: fn(&BTreeMap<String, StoredTensor>) -> Result<(), String>,
}

impl Spelling {
    /// One whose tensors are taken as they are, and that has no other keys.
    pub const fn new(of: &'static str, key: KeyOf, classifier: &'static str) -> Self {
        Self {
            of,
            key,
            classifier,
            extra: |_| false,
            convert: |_| (),
            shape: |_, shape| shape,
            check: |_| Ok(()),
        }
    }
}

/// Shapes of a file's tensors by key, without wrapper.
pub type KeyShapes = BTreeMap<String, Vec<usize>>;

/// The name of a published network in files and on the command line, and its settings.
pub type Published<C> = (&'static str, fn() -> C);

/// The published networks of a family, which its settings describe.
pub trait Family: Sized + 'static {
    /// All of them.
    const PUBLISHED: &[Published<Self>];

    /// Whether a file with these keys may hold weights of this network.
    fn is_in(&self, keys: &KeyShapes) -> bool;

    /// All names.
    fn names() -> Vec<&'static str> {
        Self::PUBLISHED.iter().map(|(name, _)| *name).collect()
    }

    /// The network of a name.
    fn named(name: &str) -> Option<Self> {
        let found = Self::PUBLISHED.iter().find(|(known, _)| *known == name);
        found.map(|(_, config)| config())
    }

    /// The names of the networks whose weights a file with these keys may hold.
    fn recognise(keys: &KeyShapes) -> Vec<&'static str> {
        let fitting = Self::PUBLISHED
            .iter()
            .filter(|(_, config)| config().is_in(keys));
        fitting.map(|(name, _)| *name).collect()
    }
}

/// What the settings of a family tell about its network before it is built.
pub trait BackboneSettings {
    /// A network whose weights are the next ones of a stream.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) fails.
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone;

    /// Channels of a stage's feature map.
    ///
    /// # Panics
    ///
    /// If `stage` is not in `1..=4`.
    fn channels(&self, stage: usize) -> usize;

    /// Pixels of the picture per position of the last feature map, along each axis.
    fn stride(&self) -> usize;

    /// Positions of the last feature map along an axis of `side` pixels; 0 where the network cannot look
    /// at so few.
    fn map_side(&self, side: usize) -> usize {
        side.div_ceil(self.stride())
    }

    /// The fewest pixels along an axis that the network can look at.
    fn least_side(&self) -> usize {
        let seen = |side: &usize| self.map_side(*side) > 0;
        (1..).find(seen).expect("a network looks at large pictures")
    }

    /// How its pictures are made.
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::default()
    }

    /// One line for people.
    fn describe(&self) -> String;

    /// Refuses what no network can be built with.
    fn check(&self) -> Result<(), BadSetting> {
        Ok(())
    }

    /// Nothing, unless [`check`](Self::check) fails.
    ///
    /// # Panics
    ///
    /// With the setting and its rule.
    fn assert_sound(&self) {
        if let Err(BadSetting { key, value, rule }) = self.check() {
            panic!("{key} = {value}: {rule}");
        }
    }

    /// Takes over what the keys of a file, without wrapper, tell of its network, such as register
    /// tokens; what files of one name have in common stays.
    fn fit(&mut self, _keys: &KeyShapes) {}

    /// A setting that was changed and has no effect: its name and the reason.
    fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// The setting that its size depends on most, and the value.
    fn size(&self) -> (&'static str, usize);

    /// Number of weights, or less.
    fn weights(&self) -> f64;

    /// Values that a picture of `side` pixels leaves for the backward pass, or less.
    fn kept_values(&self, side: usize) -> f64;

    /// Values of the first map of a picture of `side` pixels.
    fn first_map(&self, side: usize) -> f64;
}

/// How the pictures of a backbone are made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preprocessing {
    /// Subtracted from samples divided by 255: red, green, blue.
    pub mean: [f32; 3],
    /// Divided by afterwards.
    pub std: [f32; 3],
    /// The shorter side after resizing, in pixels.
    pub resize: usize,
    /// The side of the square in the middle that classifiers look at, in pixels.
    pub crop: usize,
    /// How pixels are resized.
    pub interpolation: Interpolation,
    /// Sides are whole multiples of this many pixels.
    pub multiple: usize,
}

/// How a picture is resized; both take the support that shrinking needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Pillow's `BILINEAR`.
    #[default]
    Bilinear,
    /// Pillow's `BICUBIC`.
    Bicubic,
}

/// That of torchvision's first weights: 256, of these 224, bilinear, mean and deviation of ImageNet.
impl Default for Preprocessing {
    fn default() -> Self {
        Self {
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            resize: 256,
            crop: 224,
            interpolation: Interpolation::Bilinear,
            multiple: 1,
        }
    }
}

/// A setting that no network can be built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting {
    /// Its name.
    pub key: &'static str,
    /// What it holds.
    pub value: String,
    /// What is allowed.
    pub rule: String,
}

impl BadSetting {
    /// An error unless the rule holds.
    pub fn unless(
        holds: bool,
        key: &'static str,
        value: impl Debug,
        rule: impl Into<String>,
    ) -> Result<(), Self> {
        if holds {
            return Ok(());
        }
        let (value, rule) = (format!("{value:?}"), rule.into());
        Err(Self { key, value, rule })
    }

    /// An error unless a number lies in a range.
    pub(super) fn unless_within(
        key: &'static str,
        value: usize,
        range: RangeInclusive<usize>,
    ) -> Result<(), Self> {
        let (least, most) = (range.start(), range.end());
        let rule = format!("must be a whole number, {least} to {most}");
        Self::unless(range.contains(&value), key, value, rule)
    }

    /// An error unless every stage has a block, and none more than anybody trains.
    pub(super) fn unless_depths(depths: &[usize]) -> Result<(), Self> {
        let holds = depths.iter().all(|depth| (1..=MOST_BLOCKS).contains(depth));
        Self::unless(holds, "depths", depths, "must be whole numbers, 1 to 200")
    }
}

/// Most blocks of a stage.
const MOST_BLOCKS: usize = 200;

/// The feature maps of one forward pass, from the finest to the coarsest.
#[derive(Debug, Clone)]
pub struct Features {
    /// One map a stage, `[batch, channels, ⌈height / stride⌉, ⌈width / stride⌉]`; families whose strided
    /// convolutions do not pad round down.
    pub maps: Vec<Tensor<4>>,
    /// Pixels of the picture per position of each map, along each axis.
    pub strides: Vec<usize>,
}

impl Features {
    /// The feature map of a stage.
    ///
    /// # Panics
    ///
    /// If there is no such stage; they count from 1.
    pub fn stage(&self, stage: usize) -> Tensor<4> {
        let count = self.maps.len();
        assert!(
            (1..=count).contains(&stage),
            "stage {stage} not in 1..={count}"
        );
        self.maps[stage - 1].clone()
    }

    /// The feature map of the last stage, dropping the others.
    pub fn into_last(mut self) -> Tensor<4> {
        self.maps.pop().expect("a backbone has a stage")
    }
}
