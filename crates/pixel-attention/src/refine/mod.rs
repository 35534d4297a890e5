//! Masks that follow the edges of a picture: a dense conditional random field.
//!
//! Krähenbühl and Koltun 2011, *Efficient Inference in Fully Connected CRFs with Gaussian Edge
//! Potentials*, <https://arxiv.org/abs/1210.5644>.

mod lattice;

use ndarray::{Array2, ArrayView3};
use serde::{Deserialize, Serialize};

use lattice::Lattice;

/// Settings of [`refine`]. Two pixels with the same label gain energy that falls with their distance:
///
/// `appearance · exp(−|p−q|²/2α² − |I_p−I_q|²/2β²) + smoothness · exp(−|p−q|²/2γ²)`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrfConfig {
    /// Weight of pairs that are alike in colour, at least 0.
    pub appearance: f32,
    /// Their distance α in pixels, above 0.
    pub alpha: f32,
    /// Their distance β in colour, in units of 8-bit values, above 0.
    pub beta: f32,
    /// Weight of pairs that are near, at least 0.
    pub smoothness: f32,
    /// Their distance γ in pixels, above 0.
    pub gamma: f32,
    /// Mean field updates.
    pub iterations: usize,
    /// Weight of the scores, above 0; what a score of the mean size adds to the logit of its object.
    pub unary: f32,
}

impl CrfConfig {
    fn is_in_range(&self) -> bool {
        let weights = [self.appearance, self.smoothness];
        let scales = [self.alpha, self.beta, self.gamma, self.unary];
        weights.iter().all(|&weight| weight >= 0.0)
            && scales.iter().all(|&scale| scale > 0.0)
            && weights.iter().chain(&scales).all(|value| value.is_finite())
    }
}

impl Default for CrfConfig {
    fn default() -> Self {
        Self {
            appearance: 10.0,
            alpha: 80.0,
            beta: 13.0,
            smoothness: 3.0,
            gamma: 3.0,
            iterations: 5,
            unary: 1.0,
        }
    }
}

/// Objects whose borders follow the edges of their picture.
///
/// Each object is a label, and what is none of them is one more, with a logit of 0. The logit of an
/// object is its score over the mean of its absolute scores. Messages are normalised on both sides, as
/// in the authors' implementation. Runs in the calling thread.
///
/// Cost: each update filters `objects + 1` values a pixel through two lattices. Memory: about 150 bytes
/// a pixel and 40 more for each object.
///
/// # Shapes
///
/// - `rgb`: `[height, width, 3]`
/// - `scores`: an object each, `[height, width]`; above 0 where a pixel belongs to it
/// - output: as `scores`, in `-1..=1`: the probability of the object minus the largest of the others
///
/// # Panics
///
/// If the sizes differ, there are not three colours, or a setting is out of its range or not finite.
pub fn refine(rgb: ArrayView3<u8>, scores: &[Array2<f32>], config: &CrfConfig) -> Vec<Array2<f32>> {
    assert!(config.is_in_range(), "out of range: {config:?}");
    let (height, width, colours) = rgb.dim();
    assert_eq!(colours, 3, "colours");
    for score in scores {
        assert_eq!(score.dim(), (height, width), "a score for each pixel");
    }
    if scores.is_empty() || rgb.is_empty() {
        return scores.to_vec();
    }
    let labels = scores.len() + 1;
    let logits = logits(scores, config.unary);
    let field = Field::new(rgb, config);
    let mut probabilities = softmax(logits.clone(), labels);
    for _ in 0..config.iterations {
        let mut updated = logits.clone();
        field.add_messages(&probabilities, labels, &mut updated);
        probabilities = softmax(updated, labels);
    }
    (1..labels)
        .map(|label| margin(&probabilities, labels, label, (height, width)))
        .collect()
}

/// The pairs of pixels of one picture.
struct Field {
    appearance: Kernel<5>,
    smoothness: Kernel<2>,
}

impl Field {
    fn new(rgb: ArrayView3<u8>, config: &CrfConfig) -> Self {
        let (height, width, _) = rgb.dim();
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let near = places
            .clone()
            .map(|(y, x)| [x, y].map(|place| place as f32 / config.gamma));
        let alike = places.map(|(y, x)| {
            let [x_of, y_of] = [x, y].map(|place| place as f32 / config.alpha);
            let [r, g, b] = [0, 1, 2].map(|colour| f32::from(rgb[[y, x, colour]]) / config.beta);
            [x_of, y_of, r, g, b]
        });
        Self {
            appearance: Kernel::new(Lattice::new(alike), config.appearance, height * width),
            smoothness: Kernel::new(Lattice::new(near), config.smoothness, height * width),
        }
    }

    fn add_messages(&self, probabilities: &[f32], labels: usize, sums: &mut [f32]) {
        self.appearance.add_messages(probabilities, labels, sums);
        self.smoothness.add_messages(probabilities, labels, sums);
    }
}

/// One of the two kernels.
struct Kernel<const D: usize> {
    lattice: Lattice<D>,
    weight: f32,
    /// One over the root of each pixel's sum of weights.
    norm: Vec<f32>,
}

impl<const D: usize> Kernel<D> {
    fn new(lattice: Lattice<D>, weight: f32, pixels: usize) -> Self {
        let sums = lattice.filter(&vec![1.0; pixels], 1);
        let norm = sums.iter().map(|sum| sum.sqrt().recip()).collect();
        Self {
            lattice,
            weight,
            norm,
        }
    }

    fn add_messages(&self, probabilities: &[f32], labels: usize, sums: &mut [f32]) {
        let scaled = probabilities.chunks_exact(labels).zip(&self.norm);
        let scaled: Vec<f32> = scaled
            .flat_map(|(row, norm)| row.iter().map(move |value| value * norm))
            .collect();
        let messages = self.lattice.filter(&scaled, labels);
        let rows = sums
            .chunks_exact_mut(labels)
            .zip(messages.chunks_exact(labels));
        for ((sums, messages), norm) in rows.zip(&self.norm) {
            for (sum, message) in sums.iter_mut().zip(messages) {
                *sum += self.weight * norm * message;
            }
        }
    }
}

/// `[pixels, 1 + objects]`, row by row.
fn logits(scores: &[Array2<f32>], unary: f32) -> Vec<f32> {
    let labels = scores.len() + 1;
    let mut logits = vec![0.0; scores[0].len() * labels];
    for (label, score) in (1..).zip(scores) {
        let size = score
            .iter()
            .map(|value| f64::from(value.abs()))
            .sum::<f64>()
            / score.len() as f64;
        let scale = if size > 0.0 { unary / size as f32 } else { 0.0 };
        for (row, score) in logits.chunks_exact_mut(labels).zip(score) {
            row[label] = score * scale;
        }
    }
    logits
}

fn softmax(mut logits: Vec<f32>, labels: usize) -> Vec<f32> {
    for row in logits.chunks_exact_mut(labels) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut()
            .for_each(|logit| *logit = (*logit - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|value| *value /= sum);
    }
    logits
}

/// The probability of a label minus the largest of the others.
fn margin(probabilities: &[f32], labels: usize, label: usize, size: (usize, usize)) -> Array2<f32> {
    let of_pixel = |row: &[f32]| {
        let others = row.iter().enumerate().filter(|&(other, _)| other != label);
        row[label] - others.fold(0.0f32, |most, (_, &value)| most.max(value))
    };
    let margins = probabilities.chunks_exact(labels).map(of_pixel).collect();
    Array2::from_shape_vec(size, margins).expect("a row for each pixel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use golden::Arrays;
    use ndarray::Array3;

    /// Dark left of column 11, bright from there on.
    fn two_halves() -> Array3<u8> {
        Array3::from_shape_fn((20, 24, 3), |(y, x, colour)| {
            let grain = (y * 7 + x * 5 + colour * 3) % 9;
            (if x < 11 { 40 } else { 200 } + grain) as u8
        })
    }

    /// Positive from `column` on.
    fn from_column(column: usize) -> Array2<f32> {
        Array2::from_shape_fn((20, 24), |(_, x)| if x >= column { 1.0 } else { -1.0 })
    }

    fn columns_inside(score: &Array2<f32>) -> Vec<usize> {
        let inside = |&x: &usize| score.column(x).iter().all(|&value| value > 0.0);
        let outside = |x: usize| score.column(x).iter().all(|&value| value <= 0.0);
        assert!((0..24).all(|x| inside(&x) || outside(x)), "{score:?}");
        (0..24).filter(inside).collect()
    }

    #[test]
    fn the_border_moves_to_the_edge_of_the_colours() {
        for column in [8, 14] {
            let refined = refine(
                two_halves().view(),
                &[from_column(column)],
                &CrfConfig::default(),
            );
            assert_eq!(columns_inside(&refined[0]), (11..24).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_pairs_or_updates_the_scores_decide() {
        let still = CrfConfig {
            iterations: 0,
            ..CrfConfig::default()
        };
        let alone = CrfConfig {
            appearance: 0.0,
            smoothness: 0.0,
            ..CrfConfig::default()
        };
        for config in [still, alone] {
            let refined = refine(two_halves().view(), &[from_column(8)], &config);
            assert_eq!(columns_inside(&refined[0]), (8..24).collect::<Vec<_>>());
            // The probabilities of logits 1 and 0.
            let margin = 0.5f32.tanh();
            assert!(
                refined[0]
                    .iter()
                    .all(|value| (value.abs() - margin).abs() < 1e-6)
            );
        }
    }

    #[test]
    fn a_lone_pixel_goes() {
        let grey = Array3::from_elem((20, 24, 3), 128);
        let mut score = from_column(30);
        score[[9, 13]] = 1.0;
        let refined = refine(grey.view(), &[score], &CrfConfig::default());
        assert!(refined[0].iter().all(|&value| value < 0.0));
    }

    #[test]
    fn the_order_of_the_objects_and_the_scale_of_scores_do_not_matter() {
        let left = from_column(14).mapv(|score| -score);
        let scores = [from_column(8), left.mapv(|score| 0.25 * score)];
        let turned = [left, from_column(8).mapv(|score| 4.0 * score)];
        let config = CrfConfig::default();
        let refined = refine(two_halves().view(), &scores, &config);
        let mut others = refine(two_halves().view(), &turned, &config);
        others.reverse();
        for (a, b) in refined.iter().zip(&others) {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
        }
        assert_eq!(refine(two_halves().view(), &[], &config).len(), 0);
    }

    #[test]
    fn weights_are_not_negative_and_distances_above_0() {
        let with = |set: fn(&mut CrfConfig, f32), value: f32| {
            let mut config = CrfConfig::default();
            set(&mut config, value);
            config.is_in_range()
        };
        let weights: [fn(&mut CrfConfig, f32); 2] = [
            |c, value| c.appearance = value,
            |c, value| c.smoothness = value,
        ];
        let scales: [fn(&mut CrfConfig, f32); 4] = [
            |c, value| c.alpha = value,
            |c, value| c.beta = value,
            |c, value| c.gamma = value,
            |c, value| c.unary = value,
        ];
        for set in weights.into_iter().chain(scales) {
            assert!(with(set, 0.5));
            assert!(
                ![-1.0, f32::NAN, f32::INFINITY]
                    .iter()
                    .any(|&bad| with(set, bad))
            );
        }
        assert!(weights.into_iter().all(|set| with(set, 0.0)));
        assert!(!scales.into_iter().any(|set| with(set, 0.0)));
    }

    #[test]
    #[should_panic(expected = "alpha: 0.0")]
    fn a_distance_of_0_is_refused() {
        let config = CrfConfig {
            alpha: 0.0,
            ..CrfConfig::default()
        };
        refine(two_halves().view(), &[from_column(8)], &config);
    }

    /// Oracle: `tests/fixtures/dense_crf.py`, every pair of pixels in float64.
    #[test]
    fn masks_are_nearly_those_of_exact_sums() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dense_crf.npz");
        let mut file = Arrays::open(&path);
        let rgb: Array3<u8> = file.array("rgb");
        let scores: Array3<f32> = file.array("scores");
        let expected: Array3<f64> = file.array("margins");
        let scores: Vec<Array2<f32>> = scores.outer_iter().map(|score| score.to_owned()).collect();
        let config = CrfConfig {
            alpha: 12.0,
            ..CrfConfig::default()
        };
        let refined = refine(rgb.view(), &scores, &config);
        for (refined, expected) in refined.iter().zip(expected.outer_iter()) {
            let pairs = refined.iter().zip(&expected);
            let other = pairs.filter(|&(&a, &b)| (a > 0.0) != (b > 0.0)).count();
            assert!(other * 100 <= refined.len(), "{other} of {}", refined.len());
        }
    }
}
