//! Image-level labels and class activation maps (CAM): the label of a picture, placed where its
//! activation is high.
//!
//! The alternative of table X (a) of the paper, whose supplement (section 7.2) states it in two
//! equations; no code of it was published. A linear classifier gives every pixel a score for
//! every category; the category of the picture is the one of the largest mean score; its map is
//! scaled to 0..1 (equation 15) and pixels below the threshold become "other" (equation 16).

use burn::tensor::Tensor;
use luss_metrics::IGNORE;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::{
    centroids::check_centroids,
    error::{Error, Result},
    label_generation::{FeatureLabels, read, similarities},
};

/// How an activation map is scaled to 0..1. The paper's equation (15) is lost in the copies of it
/// that we have; these are the two usual ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CamNormalization {
    /// `(m - min) / (max - min)`; a flat map is 0.
    #[default]
    MinMax,
    /// `max(m, 0) / max`; a map without a positive value is 0.
    ReluMax,
}

impl CamNormalization {
    fn apply(self, map: &[f32]) -> Vec<f32> {
        let largest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let least = match self {
            Self::MinMax => map.iter().copied().fold(f32::INFINITY, f32::min),
            Self::ReluMax => 0.0,
        };
        if largest <= least {
            return vec![0.0; map.len()];
        }
        let range = largest - least;
        map.iter()
            .map(|&m| (m.max(least) - least) / range)
            .collect()
    }
}

/// The labels of one picture: everywhere the category of the largest mean, of equal ones the
/// first, with its scaled map in place of the attention.
///
/// # Shapes
///
/// - `maps`: `[categories, height, width]` flattened, 1 to 999 categories; `size = [width, height]`
///
/// # Errors
///
/// [`Error::NotFinite`] with the row of the first pixel that is not finite.
///
/// # Panics
///
/// If `maps` does not hold whole maps, or more than 999.
pub fn cam_labels(
    maps: &[f32],
    [width, height]: [usize; 2],
    normalization: CamNormalization,
) -> Result<FeatureLabels> {
    let pixels = width * height;
    let categories = maps.len() / pixels;
    assert_eq!(maps.len(), categories * pixels, "whole maps");
    assert!(
        (1..usize::from(IGNORE)).contains(&categories),
        "{categories} categories"
    );
    if let Some(bad) = maps.iter().position(|value| !value.is_finite()) {
        let (what, row) = ("pixel", bad % pixels);
        return Err(Error::NotFinite { what, row });
    }
    let total = |map: &[f32]| map.iter().map(|&m| f64::from(m)).sum::<f64>();
    let totals: Vec<f64> = maps.chunks(pixels).map(total).collect();
    let larger = |best: usize, next: usize| {
        if totals[next] > totals[best] {
            next
        } else {
            best
        }
    };
    let top = (0..categories).reduce(larger).expect("at least one");
    Ok(FeatureLabels {
        width,
        height,
        ids: vec![top as u16 + 1; pixels],
        attention: normalization.apply(&maps[top * pixels..][..pixels]),
    })
}

/// Image-level labels of a batch: the re-normalised centroids are the classifier.
///
/// # Shapes
///
/// - `features`: `[batch, D, height, width]`; `centroids`: `[C, D]`, 1 to 999 rows
/// - output: one [`FeatureLabels`] for each picture
///
/// # Errors
///
/// Centroids that cannot name labels; features that are not finite.
///
/// # Panics
///
/// If the shapes disagree.
pub fn image_level_labels(
    features: Tensor<4>,
    centroids: ArrayView2<f32>,
    normalization: CamNormalization,
) -> Result<Vec<FeatureLabels>> {
    let [_, channels, height, width] = features.dims();
    assert_eq!(centroids.ncols(), channels, "channels of the features");
    check_centroids(centroids)?;
    let maps = similarities(features, centroids).unsqueeze_dim::<4>(3);
    let maps = read::<f32>(maps, "activation maps")?;
    maps.chunks(centroids.nrows() * height * width)
        .map(|maps| cam_labels(maps, [width, height], normalization))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use ndarray::array;

    /// Oracle: `tests/fixtures/cam.py`, numpy.
    #[test]
    fn agrees_with_numpy() {
        let value = |i: usize| {
            let (class, row, column) = (2 - i / 8, i / 4 % 2, i % 4);
            let value = class * 31 + row * 17 + column * 23 + class * column * 5;
            ((value % 29) as f32 - 12.0) / 4.0
        };
        let maps: Vec<f32> = (0..24).map(value).collect();
        let check = |normalization, expected: [f64; 8]| {
            let labels = cam_labels(&maps, [4, 2], normalization).unwrap();
            assert_eq!(labels.ids, [3; 8]);
            for (found, expected) in labels.attention.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{labels:?}");
            }
        };
        check(
            CamNormalization::MinMax,
            [
                0.0, 0.82142857, 0.60714286, 0.39285714, 0.60714286, 0.39285714, 0.17857143, 1.0,
            ],
        );
        check(
            CamNormalization::ReluMax,
            [0.0, 0.6875, 0.3125, 0.0, 0.3125, 0.0, 0.0, 1.0],
        );
    }

    #[test]
    fn a_flat_map_activates_nowhere() {
        for normalization in [CamNormalization::MinMax, CamNormalization::ReluMax] {
            let labels = cam_labels(&[-1.0; 6], [3, 2], normalization).unwrap();
            assert_eq!((labels.ids[0], labels.attention), (1, vec![0.0; 6]));
        }
        let labels = cam_labels(&[2.0; 6], [3, 2], CamNormalization::ReluMax).unwrap();
        assert_eq!(labels.attention, [1.0; 6]);
    }

    #[test]
    fn a_picture_takes_the_centroid_of_its_mean_feature() {
        // Two pixels: (3, 0) and (0, 1). Their mean points along the first axis.
        let features = TensorData::new(vec![3.0f32, 0.0, 0.0, 1.0], [1, 2, 1, 2]);
        let features = Tensor::<4>::from_data(features, &Device::default());
        let centroids = array![[0.0f32, 9.0], [0.1, 0.0]];
        let labels = image_level_labels(features, centroids.view(), CamNormalization::MinMax);
        let labels = labels.unwrap().remove(0);
        assert_eq!(labels.ids, [2, 2]);
        assert_eq!(labels.attention, [1.0, 0.0]);
        assert_eq!(labels.to_mask(2, 1, 0.5).labels(), [2, 0]);
    }

    #[test]
    fn maps_that_are_not_finite_are_refused() {
        let error = cam_labels(&[0.0, f32::NAN, 1.0], [3, 1], CamNormalization::MinMax);
        assert!(matches!(error, Err(Error::NotFinite { row: 1, .. })));
    }
}
