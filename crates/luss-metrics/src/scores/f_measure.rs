//! F-measure (F_β): how well the foreground is told from "other", whatever its class.
//!
//! Precision and recall of the foreground (any id above 0) in one picture combine to
//! `(1+β²)·precision·recall / (β²·precision + recall)` with β² = 0.3; the score is the mean over
//! pictures.

use serde::{Deserialize, Serialize};

use crate::{Error, ImageCounts, OTHER, counts::checked::LIMIT};

/// F_β of one picture as the exact fraction `13·both / (3·truth + 10·prediction)`, which is the
/// usual formula with β² = 3/10 and precision and recall written out in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FBeta {
    numerator: u64,
    denominator: u64,
}

impl FBeta {
    /// The F-measure of one picture.
    pub(crate) fn of(image: &ImageCounts) -> Self {
        let truth = image.pixels_where(|cell| cell.truth != OTHER);
        let prediction = image.pixels_where(|cell| cell.prediction != OTHER);
        let both = image.pixels_where(|cell| cell.truth != OTHER && cell.prediction != OTHER);
        Self {
            numerator: 13 * both,
            denominator: 3 * truth + 10 * prediction,
        }
    }

    /// In `0..=1`; `None` without foreground in either mask.
    pub(crate) fn value(self) -> Option<f64> {
        (self.denominator > 0).then(|| self.numerator as f64 / self.denominator as f64)
    }
}

/// A sum of F-measures that does not depend on the order of its terms: fixed point in units of
/// 2⁻⁶⁴, each term rounded down, which is finer than `f64` resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub(crate) struct FBetaSum(u128);

/// Stored as units and 2⁻⁶⁴ths, because few formats know integers of 128 bits.
impl From<FBetaSum> for (u64, u64) {
    fn from(sum: FBetaSum) -> Self {
        ((sum.0 >> 64) as u64, sum.0 as u64)
    }
}

impl From<(u64, u64)> for FBetaSum {
    fn from((units, fraction): (u64, u64)) -> Self {
        Self(u128::from(units) << 64 | u128::from(fraction))
    }
}

impl FBetaSum {
    /// Adds one picture, `times` times.
    pub(crate) fn add(&mut self, f_beta: FBeta, times: u64) {
        let numerator = u128::from(f_beta.numerator) << 64;
        self.0 += numerator / u128::from(f_beta.denominator.max(1)) * u128::from(times);
    }

    /// The pictures of both sums, each of at most 2⁶² terms.
    pub(crate) fn sum(&self, other: &Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Refuses a stored sum that is larger than one for each of `images`.
    pub(crate) fn check(&self, images: u64) -> Result<(), Error> {
        if images <= LIMIT && self.0 <= u128::from(images) << 64 {
            return Ok(());
        }
        Err(Error::CountOverflow)
    }

    /// Mean over `images` pictures, at least one; in `0..=1`.
    pub(crate) fn mean(&self, images: u64) -> f64 {
        self.0 as f64 / 2f64.powi(64) / images as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelMask, Protocol};

    fn f_beta(prediction: &[u16], truth: &[u16]) -> FBeta {
        let mask = |labels: &[u16]| LabelMask::new(labels.len(), 1, labels.to_vec()).unwrap();
        let (prediction, truth) = (mask(prediction), mask(truth));
        FBeta::of(&ImageCounts::new(&prediction, &truth, 5, &Protocol::new(5)).unwrap())
    }

    /// The textbook form, in floating point.
    fn textbook(both: f64, prediction: f64, truth: f64) -> f64 {
        let (precision, recall) = (both / prediction, both / truth);
        1.3 * precision * recall / (0.3 * precision + recall)
    }

    #[test]
    fn agrees_with_precision_and_recall() {
        let f = f_beta(&[1, 2, 2, 0, 0, 3, 0], &[2, 2, 0, 1, 0, 3, 1]);
        assert!((f.value().unwrap() - textbook(3.0, 4.0, 5.0)).abs() < 1e-15);
    }

    #[test]
    fn the_class_of_the_foreground_does_not_matter() {
        assert_eq!(f_beta(&[5, 5, 0], &[1, 2, 0]).value(), Some(1.0));
    }

    #[test]
    fn foreground_in_one_mask_scores_zero_and_in_none_nothing() {
        assert_eq!(f_beta(&[0, 0, 0], &[0, 0, 0]).value(), None);
        assert_eq!(f_beta(&[0, 0, 0], &[1, 0, 0]).value(), Some(0.0));
        assert_eq!(f_beta(&[1, 0, 0], &[0, 0, 0]).value(), Some(0.0));
    }

    #[test]
    fn the_sum_does_not_depend_on_the_order() {
        let terms: Vec<FBeta> = (1..50)
            .map(|i| FBeta {
                numerator: 13 * i,
                denominator: 3 * (i + 7) + 10 * (2 * i + 1),
            })
            .collect();
        let sum = |terms: &mut dyn Iterator<Item = &FBeta>| {
            let mut sum = FBetaSum::default();
            terms.for_each(|t| sum.add(*t, 1));
            sum
        };
        let forward = sum(&mut terms.iter());
        assert_eq!(forward, sum(&mut terms.iter().rev()));
        let values = terms.iter().filter_map(|t| t.value());
        let plain = values.sum::<f64>() / terms.len() as f64;
        assert!((forward.mean(terms.len() as u64) - plain).abs() < 1e-15);
    }
}
