//! Objects as cells with a large sum of activations that are unlike the picture's border.
//!
//! The sum of activations is that of SCDA (Wei et al. 2017, <https://arxiv.org/abs/1604.04994>, §3.2).

use ndarray::{Array2, ArrayView3};
use serde::{Deserialize, Serialize};

use super::{Object, add, components::parts_above, otsu::otsu, share, unit, unit_cells};
use crate::{
    eigen::dot,
    error::{Result, at_least_one},
};

/// Settings of the way `activation_and_border`, for maps of non-negative features.
///
/// 1. The activation of a cell is the sum of its features; its similarity is the cosine with the
///    mean of the border's cells.
/// 2. Both are standardised over the cells, and the similarity is subtracted.
/// 3. The cells above the middle of the last bin below Otsu's threshold (of 64 bins) are foreground;
///    each object is a connected part of them, the largest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActivationAndBorder {
    /// Most objects of a picture, at least 1.
    pub objects: usize,
    /// Objects behind the first have at least this share of the cells, `0..=1`.
    pub least_share: f64,
}

impl Default for ActivationAndBorder {
    fn default() -> Self {
        Self {
            objects: 1,
            least_share: 0.01,
        }
    }
}

impl ActivationAndBorder {
    pub(super) fn check(&self) -> Result<()> {
        at_least_one("foreground.objects", self.objects)?;
        share("foreground.least_share", self.least_share)
    }

    pub(super) fn find(&self, features: ArrayView3<f32>) -> Vec<Object> {
        let score = scores(features);
        otsu(score.iter().copied()).map_or_else(Vec::new, |found| {
            let threshold = found.threshold - found.bin / 2.0;
            parts_above(score, threshold, self.objects, self.least_share)
        })
    }
}

/// Standardised activation minus standardised similarity to the border, `[height, width]`.
fn scores(features: ArrayView3<f32>) -> Array2<f64> {
    let (height, width, _) = features.dim();
    let activation = features.map_axis(ndarray::Axis(2), |cell| {
        cell.iter().map(|&value| f64::from(value)).sum::<f64>()
    });
    let prototype = border_prototype(features);
    let cells = unit_cells(features);
    let similarity = cells.map_axis(ndarray::Axis(1), |cell| {
        dot(cell.as_slice().expect("standard layout"), &prototype)
    });
    let similarity = similarity.into_shape_with_order((height, width));
    standardised(activation) - standardised(similarity.expect("a value for each cell"))
}

/// The mean of the features along the border, of length 1.
fn border_prototype(features: ArrayView3<f32>) -> Vec<f64> {
    let (height, width, channels) = features.dim();
    let mut sum = vec![0.0; channels];
    for (y, x) in ndarray::indices((height, width)) {
        if y == 0 || x == 0 || y == height - 1 || x == width - 1 {
            add(&mut sum, features.slice(ndarray::s![y, x, ..]));
        }
    }
    unit(&sum)
}

/// Minus the mean, divided by the standard deviation; zeros where all values are equal.
fn standardised(map: Array2<f64>) -> Array2<f64> {
    let mean = map.mean().expect("a map has cells");
    let deviation = map.std(0.0);
    // What rounding leaves of equal values.
    let equal = deviation <= 1e-12 * mean.abs();
    map.mapv(|value| {
        if equal {
            0.0
        } else {
            (value - mean) / deviation
        }
    })
}
