//! Objects on the feature map of a frozen backbone, found without any training.
//!
//! | way | item |
//! |---|---|
//! | summed activation and border prototype, for CNNs | [`ActivationAndBorder`] |
//! | normalised cut, for keys of ViTs | [`NormalizedCut`] |
//! | principal masks of whole scenes | [`PrincipalMasks`] |
//! | attention of the class token of ViTs | [`AttentionMap`] |
//!
//! Objects become rows to be clustered by [`embedding`] and [`HalfWhitening`].
//!
//! Everything here looks at one picture's map on the host and in one thread, so its result does not
//! depend on the number of threads. Sums and products are in `f64`.

mod activation_and_border;
mod attention_map;
mod components;
mod normalized_cut;
mod otsu;
mod principal_masks;
mod whitening;

use ndarray::{Array2, ArrayView1, ArrayView3, Zip};
use serde::{Deserialize, Serialize};

pub use activation_and_border::ActivationAndBorder;
pub use attention_map::{AttentionMap, Keep};
pub use components::{Cell, components};
pub use normalized_cut::NormalizedCut;
pub use principal_masks::PrincipalMasks;
pub use whitening::HalfWhitening;

use crate::{
    eigen::dot,
    error::{Result, setting},
};

/// What is found on one picture's map.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// `[height, width]`; a cell belongs to the object where its score is above 0. Other cells are
    /// negative, so that the border of an interpolated score runs between cells.
    pub score: Array2<f32>,
}

/// How objects are found on the map of a frozen backbone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum Foreground {
    /// Large sums of activations, unlike the border: for maps of CNNs.
    ActivationAndBorder(ActivationAndBorder),
    /// The side of a cut through the graph of similar cells: for keys of ViTs.
    NormalizedCut(NormalizedCut),
    /// Masks along principal directions, until the whole map is covered.
    PrincipalMasks(PrincipalMasks),
    /// Where the class token of a ViT looks; the map holds its attention, a channel a head.
    AttentionMap(AttentionMap),
}

impl Default for Foreground {
    fn default() -> Self {
        Self::ActivationAndBorder(ActivationAndBorder::default())
    }
}

impl Foreground {
    /// Whether every setting lies in its range.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`](crate::Error::Setting) for the first that does not.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::ActivationAndBorder(way) => way.check(),
            Self::NormalizedCut(way) => way.check(),
            Self::PrincipalMasks(way) => way.check(),
            Self::AttentionMap(way) => way.check(),
        }
    }

    /// The objects of one picture, the most prominent first. There is none where all cells are alike,
    /// except that `principal_masks` finds the whole map then, if it is not zero.
    ///
    /// # Shapes
    ///
    /// - `features`: `[height, width, channels]`
    /// - output: scores `[height, width]`
    ///
    /// # Panics
    ///
    /// If the map has no cell or no channel, or a feature is NaN or infinite.
    pub fn find(&self, features: ArrayView3<f32>) -> Vec<Object> {
        assert!(!features.is_empty(), "a map of {:?}", features.dim());
        let finite = features.iter().all(|value| value.is_finite());
        assert!(finite, "a feature is NaN or infinite");
        match self {
            Self::ActivationAndBorder(way) => way.find(features),
            Self::NormalizedCut(way) => way.find(features),
            Self::PrincipalMasks(way) => way.find(features),
            Self::AttentionMap(way) => way.find(features),
        }
    }
}

/// Mean of the features over the cells of an object, of length 1; zeros where it has no cell, or
/// where the mean is zero.
///
/// # Shapes
///
/// - `features`: `[height, width, channels]`
/// - `object`: `[height, width]`
/// - output: `channels` values
///
/// # Panics
///
/// If height or width differ.
pub fn embedding(features: ArrayView3<f32>, object: &Object) -> Vec<f32> {
    let (height, width, channels) = features.dim();
    assert_eq!(object.score.dim(), (height, width), "one score a cell");
    let mut sum = vec![0.0f64; channels];
    Zip::from(features.lanes(ndarray::Axis(2)))
        .and(&object.score)
        .for_each(|cell, &score| {
            if score > 0.0 {
                add(&mut sum, cell);
            }
        });
    unit(&sum).iter().map(|&value| value as f32).collect()
}

fn add(sum: &mut [f64], row: ArrayView1<f32>) {
    for (sum, &value) in sum.iter_mut().zip(row) {
        *sum += f64::from(value);
    }
}

/// The row divided by its length; zeros stay.
fn unit(row: &[f64]) -> Vec<f64> {
    let length = dot(row, row).sqrt();
    let scale = if length > 0.0 { length.recip() } else { 0.0 };
    row.iter().map(|value| value * scale).collect()
}

/// The rows of a map, a cell each, of length 1: `[cells, channels]`.
fn unit_cells(features: ArrayView3<f32>) -> Array2<f64> {
    let (height, width, channels) = features.dim();
    let mut cells = Array2::zeros((height * width, channels));
    let lanes = features.lanes(ndarray::Axis(2)).into_iter();
    for (mut cell, lane) in cells.rows_mut().into_iter().zip(lanes) {
        let row: Vec<f64> = lane.iter().map(|&value| f64::from(value)).collect();
        cell.assign(&ArrayView1::from(&unit(&row)));
    }
    cells
}

fn share(name: &'static str, value: f64) -> Result<()> {
    setting(name, value, (0.0..=1.0).contains(&value), "from 0 to 1")
}

#[cfg(test)]
mod tests;
