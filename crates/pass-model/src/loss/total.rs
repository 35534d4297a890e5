//! The total pre-training loss, and its terms for the log.
//!
//! PASS (eq. 5) adds the image-level loss, deep-to-shallow supervision and pixel-to-pixel
//! alignment. The released code averages the first two by their weights and adds the third:
//! `(w·L_image + Σ_s w_s·L_D2S,s) / (w + Σ_s w_s) + w_P2P·L_P2P`. So does this file. Weights are
//! keyed by stage, and only those of the stages in use enter the divisor.

use std::{borrow::Cow, collections::BTreeMap};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Weights of the terms of [`total_loss`]; only their ratios matter, except for `p2p`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeights {
    /// Weight of the image-level loss.
    pub image: f64,
    /// Weight of deep-to-shallow supervision for each shallow stage, 1 to 3; other entries than
    /// those of the stages in use are ignored.
    pub d2s: BTreeMap<usize, f64>,
    /// Factor of pixel-to-pixel alignment, outside of the average.
    pub p2p: f64,
}

impl Default for LossWeights {
    /// All ones, for every shallow stage.
    fn default() -> Self {
        Self {
            image: 1.0,
            d2s: BTreeMap::from([(1, 1.0), (2, 1.0), (3, 1.0)]),
            p2p: 1.0,
        }
    }
}

/// The total loss and what it consists of, each `[1]` and before weighting.
#[derive(Clone, Debug)]
pub struct LossTerms {
    /// The weighted total, to call `backward` on.
    pub total: Tensor<1>,
    /// The image-level loss.
    pub image: Tensor<1>,
    /// Deep-to-shallow supervision, with the stage.
    pub d2s: Vec<(usize, Tensor<1>)>,
    /// Pixel-to-pixel alignment, where it is trained.
    pub p2p: Option<Tensor<1>>,
    /// Pixel-to-propagation consistency, in PASS_p.
    pub consistency: Option<Tensor<1>>,
}

/// [`LossTerms`] as numbers, for the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossValues {
    /// The weighted total.
    pub total: f64,
    /// The image-level loss.
    pub image: f64,
    /// Deep-to-shallow supervision by stage.
    pub d2s: BTreeMap<usize, f64>,
    /// Pixel-to-pixel alignment, where it is trained.
    pub p2p: Option<f64>,
    /// Pixel-to-propagation consistency, in PASS_p.
    pub consistency: Option<f64>,
}

/// Weighted total of the pre-training losses.
///
/// # Shapes
///
/// - `image`, each of `d2s`, `p2p`: `[1]`
///
/// # Panics
///
/// If a stage of `d2s` has no weight, or the weights in use do not have a positive sum.
pub fn total_loss(
    image: Tensor<1>,
    d2s: Vec<(usize, Tensor<1>)>,
    p2p: Option<Tensor<1>>,
    weights: &LossWeights,
) -> LossTerms {
    let mut sum = image.clone() * weights.image;
    let mut divisor = weights.image;
    for (stage, loss) in &d2s {
        let weight = *weights.d2s.get(stage).unwrap_or_else(|| {
            panic!(
                "stage {stage} has no weight; add it to `d2s` {:?}",
                weights.d2s
            )
        });
        sum = sum + loss.clone() * weight;
        divisor += weight;
    }
    assert!(
        divisor > 0.0,
        "the weights in use sum to {divisor}; they must be positive"
    );
    let mut total = sum / divisor;
    if let Some(p2p) = &p2p {
        total = total + p2p.clone() * weights.p2p;
    }
    LossTerms {
        total,
        image,
        d2s,
        p2p,
        consistency: None,
    }
}

impl LossTerms {
    /// The terms of PASS_p: the consistency of the two views is added with a weight, outside of the
    /// average as P2P. The paper publishes no weight.
    ///
    /// # Shapes
    ///
    /// - `loss`: `[1]`
    pub fn with_consistency(self, loss: Tensor<1>, weight: f64) -> Self {
        Self {
            total: self.total + loss.clone() * weight,
            consistency: Some(loss),
            ..self
        }
    }

    /// All terms but the total, by the names that the log knows.
    pub fn named(&self) -> Vec<(Cow<'static, str>, Tensor<1>)> {
        let d2s = self.d2s.iter();
        let d2s = d2s.map(|(stage, loss)| (Cow::from(format!("d2s_{stage}")), loss));
        let p2p = self.p2p.iter().map(|loss| (Cow::from("p2p"), loss));
        let consistency = self.consistency.iter();
        let consistency = consistency.map(|loss| (Cow::from("consistency"), loss));
        std::iter::once((Cow::from("swapped"), &self.image))
            .chain(d2s)
            .chain(p2p)
            .chain(consistency)
            .map(|(name, loss)| (name, loss.clone()))
            .collect()
    }

    /// Reads all terms in one go; waits for the device.
    pub fn values(&self) -> LossValues {
        let terms = [&self.total, &self.image].into_iter();
        let terms = terms
            .chain(self.d2s.iter().map(|(_, loss)| loss))
            .chain(&self.p2p)
            .chain(&self.consistency);
        let joined = Tensor::cat(terms.map(|term| term.clone().inner()).collect(), 0);
        let mut values = joined
            .into_data()
            .iter::<f64>()
            .collect::<Vec<_>>()
            .into_iter();
        let mut next = || values.next().expect("one value for each term");
        LossValues {
            total: next(),
            image: next(),
            d2s: self.d2s.iter().map(|(stage, _)| (*stage, next())).collect(),
            p2p: self.p2p.as_ref().map(|_| next()),
            consistency: self.consistency.as_ref().map(|_| next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn loss(value: f64) -> Tensor<1> {
        Tensor::from_floats([value as f32], &Device::default())
    }

    fn values(image: f64, d2s: &[(usize, f64)], p2p: Option<f64>, w: &LossWeights) -> LossValues {
        let d2s = d2s
            .iter()
            .map(|&(stage, value)| (stage, loss(value)))
            .collect();
        total_loss(loss(image), d2s, p2p.map(loss), w).values()
    }

    /// Losses near 5 carry a float32 rounding of 5e-7.
    #[track_caller]
    fn assert_close(actual: f64, expected: f64) {
        assert!(
            (actual - expected).abs() < 2e-6,
            "{actual} instead of {expected}"
        );
    }

    #[test]
    fn the_default_halves_the_image_loss_beside_one_stage_and_adds_p2p() {
        let values = values(6.0, &[(3, 4.0)], Some(-0.5), &LossWeights::default());
        assert_close(values.total, 4.5);
        assert_eq!(
            (values.image, values.d2s[&3], values.p2p),
            (6.0, 4.0, Some(-0.5))
        );
    }

    #[test]
    fn weights_belong_to_stages_and_not_to_positions() {
        let d2s = BTreeMap::from([(2, 3.0), (3, 1.0)]);
        let weights = LossWeights {
            image: 2.0,
            d2s,
            p2p: 0.25,
        };
        let forward = values(5.0, &[(2, 1.0), (3, 7.0)], Some(-1.0), &weights);
        assert_eq!(
            forward,
            values(5.0, &[(3, 7.0), (2, 1.0)], Some(-1.0), &weights)
        );
        assert_close(forward.total, (10.0 + 3.0 + 7.0) / 6.0 - 0.25);
    }

    #[test]
    fn the_image_loss_alone_is_the_total_whatever_its_weight() {
        let weights = LossWeights {
            image: 3.0,
            ..Default::default()
        };
        let values = values(6.5, &[], None, &weights);
        assert_close(values.total, 6.5);
        assert_eq!(values.p2p, None);
    }

    #[test]
    #[should_panic(expected = "stage 4 has no weight")]
    fn a_stage_without_a_weight_is_a_bug() {
        values(1.0, &[(4, 1.0)], None, &LossWeights::default());
    }

    #[test]
    fn agrees_with_the_golden_total_of_a_whole_network() {
        let mut golden = golden::open("tiny_pretrain_io.npz");
        let d2s = golden.numbers("loss_d2s");
        let values = values(
            golden.number("loss_i2i"),
            &[(3, d2s[0]), (2, d2s[1])],
            Some(golden.number("loss_p2p")),
            &LossWeights::default(),
        );
        assert_close(values.total, golden.number("loss_total"));
    }
}
