//! Pseudo labels: every pixel is named after its nearest cluster centre, and pixels of low
//! attention become "other".
//!
//! PASS, equation (7), as its published code computes it: the *un-attended* features are compared
//! with the *re-normalised* cluster centres by cosine similarity; the attention of a pixel is the
//! mean over the channels. Ids are resized to the picture by the nearest pixel, the attention
//! bilinearly, and `attention < t` gives [`OTHER`] (equality keeps the class).

use burn::tensor::{Tensor, TensorData, assert_shape};
use luss_metrics::{LabelMask, OTHER};
use ndarray::{ArrayView2, Axis};

use crate::{
    centroids::check_centroids,
    error::{Error, Result},
    resample::{bilinear, bilinear_at, nearest, nearest_at},
};

/// Labels of one picture at the resolution of the upsampled feature map.
///
/// Small enough to keep for a whole data set ([`crate::label_store`]); the exact mask of any size
/// and threshold is computed from it when it is needed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureLabels {
    /// Width of the map in pixels.
    pub width: usize,
    /// Height of the map in pixels.
    pub height: usize,
    /// Row-major ids `1..=C`: the nearest centroid's index plus one.
    pub ids: Vec<u16>,
    /// Row-major attention in `0..=1`.
    pub attention: Vec<f32>,
}

impl FeatureLabels {
    /// The pseudo label mask of a picture of `width` x `height` pixels.
    ///
    /// `threshold` is compared in `f32`; 0 keeps every pixel's class.
    pub fn to_mask(&self, width: usize, height: usize, threshold: f32) -> LabelMask {
        let size = [width, height];
        let ids = nearest(&self.ids, self.size(), size);
        thresholded(ids, &self.full_attention(width, height), size, threshold)
    }

    /// Some columns and rows of [`FeatureLabels::to_mask`], without the others: what a random crop
    /// shows of it.
    ///
    /// # Panics
    ///
    /// If there is no column or no row.
    pub fn to_crop(
        &self,
        [width, height]: [usize; 2],
        threshold: f32,
        columns: &[usize],
        rows: &[usize],
    ) -> LabelMask {
        let (from, to, shown) = (self.size(), [width, height], [columns, rows]);
        let ids = nearest_at(&self.ids, from, to, shown);
        let attention = bilinear_at(&self.attention, from, to, shown);
        thresholded(ids, &attention, [columns.len(), rows.len()], threshold)
    }

    /// The attention of each pixel of a picture of `width` x `height` pixels, row-major.
    pub fn full_attention(&self, width: usize, height: usize) -> Vec<f32> {
        bilinear(&self.attention, self.size(), [width, height])
    }

    fn size(&self) -> [usize; 2] {
        [self.width, self.height]
    }
}

fn thresholded(
    mut ids: Vec<u16>,
    attention: &[f32],
    [width, height]: [usize; 2],
    threshold: f32,
) -> LabelMask {
    for (id, &attention) in ids.iter_mut().zip(attention) {
        if attention < threshold {
            *id = OTHER;
        }
    }
    LabelMask::new(width, height, ids).expect("as many ids as pixels")
}

/// Names every pixel of a batch of feature maps after its nearest centroid.
///
/// # Shapes
///
/// - `features`: `[batch, D, height, width]`, un-attended; any length, since a positive factor
///   does not change which cosine is largest
/// - `attention`: `[batch, 1, height, width]`, in `0..=1`
/// - `centroids`: `[C, D]`, 1 to 999 rows
/// - output: one [`FeatureLabels`] for each picture of the batch
///
/// # Errors
///
/// Centroids that cannot name labels; features or attention with NaN or infinity, or features whose
/// absolute values add up to infinity at a pixel.
///
/// # Panics
///
/// If the shapes disagree.
pub fn generate(
    features: Tensor<4>,
    attention: Tensor<4>,
    centroids: ArrayView2<f32>,
) -> Result<Vec<FeatureLabels>> {
    let [batch, channels, height, width] = features.dims();
    assert_shape!(attention, [batch, 1, height, width]);
    assert_eq!(
        centroids.ncols(),
        channels,
        "centroids have the channels of the features"
    );
    check_centroids(centroids)?;
    let (pixels, features) = (height * width, features.inner());
    // A sum is infinite or NaN where a term is: no product with a centroid then has an order.
    let sums = read::<f32>(features.clone().abs().sum_dim(1), "features")?;
    check_finite("features of picture", &sums, pixels)?;
    let ids = nearest_centroid_ids(features, centroids)?;
    let attention = read::<f32>(attention.inner(), "attention")?;
    check_finite("attention of picture", &attention, pixels)?;
    let pictures = ids.chunks(pixels).zip(attention.chunks(pixels));
    let labels = |(ids, attention): (&[u16], &[f32])| FeatureLabels {
        width,
        height,
        ids: ids.to_vec(),
        attention: attention.to_vec(),
    };
    Ok(pictures.map(labels).collect())
}

/// Names the first picture, of so many `pixels`, with a number that is not finite.
fn check_finite(what: &'static str, values: &[f32], pixels: usize) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(bad) => Err(Error::NotFinite {
            what,
            row: bad / pixels,
        }),
    }
}

/// Ids `1..=C`, `[batch, height * width]` flattened.
fn nearest_centroid_ids(features: Tensor<4>, centroids: ArrayView2<f32>) -> Result<Vec<u16>> {
    let similarity = similarities(features, centroids);
    let nearest = similarity.argmax(1).try_into_vec_as::<i32>();
    let nearest = nearest.map_err(|e| Error::Device {
        what: "ids",
        reason: e.to_string(),
    })?;
    Ok(nearest.into_iter().map(|index| index as u16 + 1).collect())
}

/// Products of every pixel with the re-normalised centroids, `[batch, C, height * width]`.
pub(crate) fn similarities(features: Tensor<4>, centroids: ArrayView2<f32>) -> Tensor<3> {
    let [batch, channels, height, width] = features.dims();
    let directions = unit_rows(centroids);
    let directions = TensorData::new(directions, [1, centroids.nrows(), channels]);
    let directions = Tensor::<3>::from_data(directions, &features.device());
    directions.matmul(features.reshape([batch, channels, height * width]))
}

/// Rows divided by max(length, 1e-12).
fn unit_rows(centroids: ArrayView2<f32>) -> Vec<f32> {
    let mut rows = Vec::with_capacity(centroids.len());
    for row in centroids.axis_iter(Axis(0)) {
        let squared: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let length = squared.sqrt().max(1e-12);
        rows.extend(row.iter().map(|&x| (f64::from(x) / length) as f32));
    }
    rows
}

/// Reads a tensor's values, row-major.
pub(crate) fn read<E: burn::tensor::Element>(
    tensor: Tensor<4>,
    what: &'static str,
) -> Result<Vec<E>> {
    let values = tensor.try_into_vec_as::<E>();
    values.map_err(|e| Error::Device {
        what,
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use ndarray::{Array2, array};

    fn tensor(values: &[f32], shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::default())
    }

    #[test]
    fn every_pixel_takes_the_id_of_its_nearest_direction() {
        // Pixels (1, 0), (0, 9), (-3, 0.1) of two channels; the length must not matter.
        let features = tensor(&[1.0, 0.0, -3.0, 0.0, 9.0, 0.1], [1, 2, 1, 3]);
        let centroids = array![[0.01f32, 100.0], [-0.001, 0.0], [0.5, 0.0]];
        let attention = tensor(&[0.1, 0.5, 0.9], [1, 1, 1, 3]);
        let labels = generate(features, attention, centroids.view()).unwrap();
        assert_eq!(labels[0].ids, [3, 1, 2]);
        assert_eq!(labels[0].attention, [0.1, 0.5, 0.9]);
        assert_eq!(labels[0].to_mask(3, 1, 0.5).labels(), [OTHER, 1, 2]);
    }

    #[test]
    fn a_batch_gives_what_its_pictures_give_alone() {
        let values = |n: usize| (0..n).map(|i| (i as f32 * 1.7).sin()).collect::<Vec<f32>>();
        let (features, attention) = (values(2 * 5 * 3 * 7), values(2 * 3 * 7));
        let centroids = Array2::from_shape_vec((4, 5), values(20)).unwrap();
        let both = generate(
            tensor(&features, [2, 5, 3, 7]),
            tensor(&attention, [2, 1, 3, 7]),
            centroids.view(),
        );
        let alone = |i: usize| {
            let features = tensor(&features[i * 105..(i + 1) * 105], [1, 5, 3, 7]);
            let attention = tensor(&attention[i * 21..(i + 1) * 21], [1, 1, 3, 7]);
            generate(features, attention, centroids.view())
                .unwrap()
                .remove(0)
        };
        assert_eq!(both.unwrap(), [alone(0), alone(1)]);
    }

    #[test]
    fn a_threshold_of_zero_keeps_every_class() {
        let labels = FeatureLabels {
            width: 2,
            height: 1,
            ids: vec![3, 1],
            attention: vec![0.0; 2],
        };
        assert_eq!(
            labels.to_mask(5, 2, 0.0).labels(),
            [[3, 3, 3, 1, 1]; 2].concat()
        );
    }

    #[test]
    fn a_crop_shows_the_pixels_of_the_whole_mask() {
        let labels = FeatureLabels {
            width: 7,
            height: 5,
            ids: (0..35).map(|i| i * i % 9 + 1).collect(),
            attention: (0..35).map(|i| (i as f32 * 0.7).sin().abs()).collect(),
        };
        let (columns, rows) = ([40, 3, 3, 0, 17], [22, 21, 0]);
        let mask = labels.to_mask(41, 23, 0.5);
        let shown = rows.map(|row| columns.map(|column| mask.labels()[row * 41 + column]));
        let crop = labels.to_crop([41, 23], 0.5, &columns, &rows);
        assert_eq!(crop.labels(), shown.concat());
        assert!(mask.labels().contains(&OTHER));
    }

    #[test]
    fn the_threshold_is_compared_in_f32_and_equality_keeps_the_class() {
        let labels = |attention| FeatureLabels {
            width: 1,
            height: 1,
            ids: vec![9],
            attention: vec![attention],
        };
        assert_eq!(labels(0.41).to_mask(1, 1, 0.41).labels(), [9]);
        assert_eq!(
            labels(0.41f32.next_down()).to_mask(1, 1, 0.41).labels(),
            [OTHER]
        );
    }

    #[test]
    fn attention_that_is_not_finite_is_refused_with_its_picture() {
        let features = tensor(&[1.0; 12], [3, 2, 1, 2]);
        let attention = tensor(&[0.5, 0.5, 0.5, f32::NAN, 0.5, 0.5], [3, 1, 1, 2]);
        let error = generate(features, attention, array![[1.0f32, 0.0]].view()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row: 1, .. }), "{error}");
    }

    /// Where the attention is 1 everywhere, nothing else would show them.
    #[test]
    fn features_that_are_not_finite_are_refused_with_their_picture() {
        for bad in [f32::NAN, f32::INFINITY, f32::MAX] {
            let features = tensor(&[1.0, 1.0, 1.0, 1.0, 1.0, bad, 1.0, bad], [2, 2, 1, 2]);
            let attention = tensor(&[1.0; 4], [2, 1, 1, 2]);
            let error = generate(features, attention, array![[1.0f32, 0.0]].view()).unwrap_err();
            assert!(matches!(error, Error::NotFinite { row: 1, .. }), "{error}");
        }
    }

    #[test]
    fn centroids_above_the_id_range_are_refused() {
        let one = || tensor(&[1.0], [1, 1, 1, 1]);
        let error = generate(one(), one(), Array2::ones((1000, 1)).view()).unwrap_err();
        assert!(matches!(error, Error::TooManyClusters { clusters: 1000 }));
    }

    /// Oracle: float64 PyTorch.
    #[test]
    fn agrees_with_the_published_code() {
        let mut file = golden::open("pseudo_label.npz");
        let device = Device::default();
        let [features, attention] = ["out", "mask"].map(|name| file.tensor(name, &device));
        let centroids: Array2<f64> = file.array("centroids");
        let threshold = file.number("threshold") as f32;
        let full: Array2<f64> = file.array("mask_up");
        let expected: Array2<i64> = file.array("prediction");
        let centroids = centroids.mapv(|value| value as f32);
        let labels = generate(features, attention, centroids.view()).unwrap();
        let (height, width) = expected.dim();
        let mask = labels[0].to_mask(width, height, threshold);
        let found: Vec<i64> = mask.labels().iter().map(|&id| i64::from(id)).collect();
        assert_eq!(found, expected.into_raw_vec_and_offset().0);
        for (found, expected) in labels[0].full_attention(width, height).iter().zip(&full) {
            assert!((f64::from(*found) - expected).abs() < 1e-6);
        }
    }
}
