//! The scores of a single picture, to rank the best and the worst.

use serde::{Deserialize, Serialize};

use crate::{
    Error, ImageCounts, MaskView, Protocol,
    scores::{
        f_measure::FBeta,
        image_accuracy::is_label_correct,
        iou::{iou, mean},
    },
};

/// What one picture contributes, as ratios in `0..=1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImageScore {
    /// Mean IoU over the labels of the protocol that occur in the truth or the prediction; `None` when
    /// none does.
    pub miou: Option<f64>,
    /// F-measure of the foreground, β² = 0.3; `None` without foreground in either mask.
    pub f_beta: Option<f64>,
    /// Whether the class with the largest predicted area is one of the true classes.
    pub label_correct: bool,
    /// Pixels that are not ignored.
    pub counted_pixels: u64,
}

impl ImageScore {
    /// Scores one prediction of class ids under the published protocol.
    ///
    /// # Errors
    ///
    /// As [`crate::Evaluator::add`]; [`Error::ClassCount`] when `classes` is not in `1..=999`.
    pub fn new<'a, 'b>(
        prediction: impl Into<MaskView<'a>>,
        truth: impl Into<MaskView<'b>>,
        classes: u16,
    ) -> Result<Self, Error> {
        let protocol = Protocol::new(classes);
        let (prediction, truth) = (prediction.into(), truth.into());
        let image = ImageCounts::of_areas(prediction, truth, classes, &protocol)?;
        Ok(Self::of(&image, &protocol))
    }

    /// The scores of a picture whose predicted labels are class ids.
    pub fn of(image: &ImageCounts, protocol: &Protocol) -> Self {
        Self {
            miou: miou(image, protocol),
            f_beta: FBeta::of(image).value(),
            label_correct: is_label_correct(image, protocol.classes),
            counted_pixels: image.pixels(),
        }
    }
}

/// Mean IoU of one picture over the labels ("other" included) that occur in either mask, in
/// `0..=1`; `None` when all pixels are ignored.
///
/// # Errors
///
/// As [`ImageScore::new`].
///
/// ```
/// use luss_metrics::{LabelMask, image_miou};
///
/// let truth = LabelMask::new(4, 1, vec![0, 0, 1, 1])?;
/// let prediction = LabelMask::new(4, 1, vec![0, 1, 1, 1])?;
/// assert_eq!(image_miou(&prediction, &truth, 50)?, Some((1.0 / 2.0 + 2.0 / 3.0) / 2.0));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
pub fn image_miou<'a, 'b>(
    prediction: impl Into<MaskView<'a>>,
    truth: impl Into<MaskView<'b>>,
    classes: u16,
) -> Result<Option<f64>, Error> {
    Ok(ImageScore::new(prediction, truth, classes)?.miou)
}

fn miou(image: &ImageCounts, protocol: &Protocol) -> Option<f64> {
    let cells = image.cells().iter();
    let mut labels: Vec<u16> = cells
        .flat_map(|cell| [cell.truth, cell.prediction])
        .collect();
    labels.sort_unstable();
    labels.dedup();
    let scored = protocol.labels();
    let labels = labels.into_iter().filter(|label| scored.contains(label));
    mean(labels.filter_map(|label| label_iou(image, label)))
}

fn label_iou(image: &ImageCounts, label: u16) -> Option<f64> {
    iou(
        image.pixels_where(|cell| cell.truth == label && cell.prediction == label),
        image.pixels_where(|cell| cell.truth == label),
        image.pixels_where(|cell| cell.prediction == label),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IGNORE, LabelMask};

    fn mask(labels: &[u16]) -> LabelMask {
        LabelMask::new(3, labels.len() / 3, labels.to_vec()).unwrap()
    }

    #[test]
    fn only_labels_that_occur_are_averaged() {
        let truth = mask(&[0, 0, 0, 4, 4, 4]);
        let prediction = mask(&[0, 0, 0, 4, 4, 2]);
        let miou = image_miou(&prediction, &truth, 50).unwrap().unwrap();
        assert!((miou - (1.0 + 2.0 / 3.0 + 0.0) / 3.0).abs() < 1e-15);
    }

    #[test]
    fn a_picture_of_ignored_pixels_has_no_miou() {
        let truth = mask(&[IGNORE; 6]);
        let score = ImageScore::new(&mask(&[1; 6]), &truth, 5).unwrap();
        assert_eq!(
            (score.miou, score.f_beta, score.counted_pixels),
            (None, None, 0)
        );
        assert!(!score.label_correct);
    }

    #[test]
    fn a_perfect_prediction_scores_one() {
        let truth = mask(&[0, 5, 5, 3, 0, 0]);
        let score = ImageScore::new(&truth, &truth, 5).unwrap();
        assert_eq!(
            (score.miou, score.f_beta, score.label_correct),
            (Some(1.0), Some(1.0), true)
        );
    }

    /// Of class 4, three pixels are true, two of them are found, and none is wrong.
    #[test]
    fn other_is_left_out_where_the_protocol_does_not_score_it() {
        let protocol = Protocol {
            score_other: false,
            ..Protocol::new(5)
        };
        let (prediction, truth) = (mask(&[0, 0, 0, 4, 4, 0]), mask(&[0, 0, 0, 4, 4, 4]));
        let image = ImageCounts::new(&prediction, &truth, 5, &protocol).unwrap();
        assert_eq!(ImageScore::of(&image, &protocol).miou, Some(2.0 / 3.0));
        let other = mask(&[0; 6]);
        let image = ImageCounts::new(&other, &other, 5, &protocol).unwrap();
        assert_eq!(ImageScore::of(&image, &protocol).miou, None);
    }

    #[test]
    fn a_score_of_unknown_ids_is_refused() {
        assert!(image_miou(&mask(&[6, 0, 0]), &mask(&[0, 0, 0]), 5).is_err());
    }
}
