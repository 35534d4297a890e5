//! Distance matching: labels pixels by their nearest neighbours among labelled embeddings.
//!
//! The protocol of the LUSS benchmark that needs no fine-tuning. Every id of every labelled
//! picture becomes one *support embedding*: the sum of the feature map over the id's pixels. A
//! query pixel compares its feature with all of them by cosine similarity; its 10 nearest
//! neighbours vote for their labels with weight `exp(similarity / 0.07)` ([`Voting::Plain`]: 1). Predictions are ids of
//! the true classes, so they are scored without matching.
//!
//! The N x M table of similarities never exists: fixed blocks of pixels meet fixed blocks of
//! support embeddings, and only the nearest neighbours are kept. Runs on the host, with all
//! threads; the result does not depend on their number.

mod voting;

use burn::tensor::{Tensor, TensorData};
use luss_metrics::{IGNORE, LabelMask};
use ndarray::{Array2, ArrayView2};
use pass_model::precision::product;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::voting::vote;
use self::voting::{BLOCK_PIXELS, Voter};
use crate::{
    error::{Error, Result, at_least_one, setting},
    label_generation::read,
    products::squared_norm,
    resample::nearest,
};

/// How much a neighbour's vote counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voting {
    /// `exp(similarity / temperature)`, as the published code.
    #[default]
    Weighted,
    /// One, as the paper's "voting" may be read. Of labels with equal votes that of the nearest
    /// neighbour wins.
    Plain,
}

/// Settings of [`SupportSet::classify`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistanceMatchingConfig {
    /// Neighbours that vote, at least 1; fewer when the support set is smaller.
    pub neighbours: usize,
    /// Divides the cosine similarity in the vote's exponent, at least 0.005 so that the votes
    /// stay finite.
    pub temperature: f64,
    /// How much a vote counts.
    pub voting: Voting,
}

impl Default for DistanceMatchingConfig {
    fn default() -> Self {
        Self {
            neighbours: 10,
            temperature: 0.07,
            voting: Voting::Weighted,
        }
    }
}

impl DistanceMatchingConfig {
    fn check(&self) -> Result<()> {
        at_least_one("distance_matching.neighbours", self.neighbours)?;
        let name = "distance_matching.temperature";
        let fits = (0.005..f64::INFINITY).contains(&self.temperature);
        setting(name, self.temperature, fits, "finite and at least 0.005")
    }
}

/// The support embeddings of the labelled pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct SupportSet {
    classes: u16,
    channels: usize,
    /// Unit rows, `[support, channels]`.
    rows: Vec<f32>,
    labels: Vec<u16>,
}

impl SupportSet {
    /// An empty set for labels `0..=classes` and features of `channels` channels.
    ///
    /// # Panics
    ///
    /// If there is no channel.
    pub fn new(classes: u16, channels: usize) -> Self {
        assert!(channels > 0, "features have at least one channel");
        Self {
            classes,
            channels,
            rows: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// A set of given embeddings, which are normalised here.
    ///
    /// # Shapes
    ///
    /// - `embeddings`: `[support, channels]`; `labels`: `support` ids in `0..=classes`
    ///
    /// # Errors
    ///
    /// A label above `classes`, an embedding with NaN or infinity.
    ///
    /// # Panics
    ///
    /// If the counts differ or there is no channel.
    pub fn from_embeddings(
        embeddings: ArrayView2<f32>,
        labels: &[u16],
        classes: u16,
    ) -> Result<Self> {
        assert_eq!(
            embeddings.nrows(),
            labels.len(),
            "one label for each embedding"
        );
        let mut set = Self::new(classes, embeddings.ncols());
        for (row, &label) in embeddings.rows().into_iter().zip(labels) {
            set.push(&row.to_vec(), label)?;
        }
        Ok(set)
    }

    /// Adds the embeddings of a batch of labelled pictures.
    ///
    /// # Shapes
    ///
    /// - `features`: `[batch, channels, height, width]`, not normalised
    /// - `masks`: one true mask of any size for each picture
    ///
    /// # Errors
    ///
    /// A label above the class count that is not [`IGNORE`]; features with NaN or infinity. The
    /// set is then as before.
    ///
    /// # Panics
    ///
    /// If the channels or the counts of pictures differ.
    pub fn add(&mut self, features: Tensor<4>, masks: &[LabelMask]) -> Result<()> {
        assert_eq!(
            features.dims()[1],
            self.channels,
            "channels of the features and of the set"
        );
        let (embeddings, labels) = class_embeddings(features, masks)?;
        let added = Self::from_embeddings(embeddings.view(), &labels, self.classes)?;
        self.rows.extend(added.rows);
        self.labels.extend(added.labels);
        Ok(())
    }

    /// Number of support embeddings.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no support embedding.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The label of each support embedding.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Labels every pixel of a batch of feature maps, at the resolution of the map; resize with
    /// [`resize_labels`].
    ///
    /// # Shapes
    ///
    /// - `features`: `[batch, channels, height, width]`
    /// - output: one mask of `width` x `height` pixels for each picture, ids `0..=classes`
    ///
    /// # Errors
    ///
    /// An empty set, settings out of range, features with NaN or infinity.
    ///
    /// # Panics
    ///
    /// If the channels differ.
    pub fn classify(
        &self,
        features: Tensor<4>,
        config: &DistanceMatchingConfig,
    ) -> Result<Vec<LabelMask>> {
        let [batch, channels, height, width] = features.dims();
        let pixels = read::<f32>(features.inner().permute([0, 2, 3, 1]), "features")?;
        let pixels = ArrayView2::from_shape((batch * height * width, channels), &pixels);
        let labels = self.classify_rows(pixels.expect("as many values"), config)?;
        let mask = |ids: &[u16]| LabelMask::new(width, height, ids.to_vec()).expect("whole map");
        Ok(labels.chunks(height * width).map(mask).collect())
    }

    /// Labels each row of `features` `[N, channels]`; see [`SupportSet::classify`].
    ///
    /// # Errors
    ///
    /// As [`SupportSet::classify`]; a row with NaN or infinity is named by its index.
    ///
    /// # Panics
    ///
    /// If the channels differ.
    pub fn classify_rows(
        &self,
        features: ArrayView2<f32>,
        config: &DistanceMatchingConfig,
    ) -> Result<Vec<u16>> {
        assert_eq!(
            features.ncols(),
            self.channels,
            "channels of the features and of the set"
        );
        config.check()?;
        if self.is_empty() {
            return Err(Error::EmptySupport);
        }
        let mut pixels = features
            .as_standard_layout()
            .into_owned()
            .into_raw_vec_and_offset()
            .0;
        for (row, pixel) in pixels.chunks_mut(self.channels).enumerate() {
            normalize(pixel)
                .then_some(())
                .ok_or(Error::NotFinite { what: "pixel", row })?;
        }
        let blocks = pixels.par_chunks(BLOCK_PIXELS * self.channels);
        let labels = blocks.map_init(
            || Voter::new(self, config),
            |voter, block| voter.label_block(block),
        );
        Ok(labels.collect::<Vec<_>>().concat())
    }

    fn push(&mut self, embedding: &[f32], label: u16) -> Result<()> {
        let (what, row, classes) = ("support embedding", self.len(), self.classes);
        if label > classes {
            return Err(Error::LabelOutOfRange {
                what,
                row,
                label,
                classes,
            });
        }
        self.rows.extend_from_slice(embedding);
        if !normalize(&mut self.rows[row * self.channels..]) {
            return Err(Error::NotFinite { what, row });
        }
        self.labels.push(label);
        Ok(())
    }
}

/// The embeddings of a batch of labelled pictures, not normalised, and their labels.
///
/// For each picture and each id in its mask, in rising order ([`IGNORE`] is left out): the sum of
/// the features over the id's pixels, divided by the number of *all* positions of the map, as the
/// published code does; the factor is lost in the later normalisation. The mask is resized to the
/// map by the nearest pixel, so small objects may vanish.
///
/// # Shapes
///
/// - `features`: `[batch, channels, height, width]`; `masks`: one for each picture, any size
/// - output: `[embeddings, channels]` and as many labels
///
/// # Errors
///
/// The device fails to hand the embeddings over.
///
/// # Panics
///
/// If the counts of pictures differ.
pub fn class_embeddings(
    features: Tensor<4>,
    masks: &[LabelMask],
) -> Result<(Array2<f32>, Vec<u16>)> {
    let [batch, channels, height, width] = features.dims();
    assert_eq!(batch, masks.len(), "one mask for each picture");
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for (picture, mask) in features.inner().split(1, 0).into_iter().zip(masks) {
        let ids = nearest(
            mask.labels(),
            [mask.width(), mask.height()],
            [width, height],
        );
        let present = present_ids(&ids);
        if !present.is_empty() {
            values.extend(region_sums(picture, &ids, &present)?);
            labels.extend(present);
        }
    }
    let embeddings = Array2::from_shape_vec((labels.len(), channels), values);
    Ok((embeddings.expect("a row for each label"), labels))
}

/// Resizes a label mask to `width` x `height` pixels by the nearest pixel (PyTorch's rule).
pub fn resize_labels(mask: &LabelMask, width: usize, height: usize) -> LabelMask {
    let ids = nearest(
        mask.labels(),
        [mask.width(), mask.height()],
        [width, height],
    );
    LabelMask::new(width, height, ids).expect("as many ids as pixels")
}

fn present_ids(ids: &[u16]) -> Vec<u16> {
    let mut present: Vec<u16> = ids.iter().copied().filter(|&id| id != IGNORE).collect();
    present.sort_unstable();
    present.dedup();
    present
}

/// `[present, channels]` flattened: features `[1, channels, height, width]` summed over the pixels
/// of each id and divided by all positions.
fn region_sums(features: Tensor<4>, ids: &[u16], present: &[u16]) -> Result<Vec<f32>> {
    let [_, channels, height, width] = features.dims();
    let share = 1.0 / ids.len() as f32;
    let indicator: Vec<f32> = present
        .iter()
        .flat_map(|id| {
            ids.iter()
                .map(move |other| if id == other { share } else { 0.0 })
        })
        .collect();
    let indicator = TensorData::new(indicator, [present.len(), ids.len()]);
    let indicator = Tensor::<2>::from_data(indicator, &features.device());
    let pixels = features.reshape([channels, height * width]).transpose();
    let sums = product(indicator, pixels).try_into_vec_as::<f32>();
    sums.map_err(|e| Error::Device {
        what: "support embeddings",
        reason: e.to_string(),
    })
}

/// Divides by max(length, 1e-12); `false` when the length is not finite.
fn normalize(row: &mut [f32]) -> bool {
    let squared = squared_norm(row);
    let scale = squared.sqrt().max(1e-12).recip();
    row.iter_mut().for_each(|value| *value *= scale);
    squared.is_finite()
}

#[cfg(test)]
mod tests;
