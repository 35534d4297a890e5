//! What general tools print beside IoU: precision, recall and Dice of each label, the share of right
//! pixels (aAcc), mean recall (mAcc) and the IoU weighted by frequency (fwIoU).
//!
//! aAcc and mAcc are those of mmsegmentation's `IoUMetric`
//! (<https://github.com/open-mmlab/mmsegmentation>), fwIoU is that of detectron2's `SemSegEvaluator`
//! (<https://github.com/facebookresearch/detectron2>), which follows Long et al. 2015
//! (<https://arxiv.org/abs/1411.4038>). All run over the labels that occur in the truth.

use std::ops::Range;

use crate::{ClassAreas, class_iou, scores::iou::mean};

/// Share of a label's predicted pixels that are right, in `0..=1`; `None` when it is never
/// predicted.
pub(crate) fn precision(areas: &ClassAreas, label: u16) -> Option<f64> {
    let (both, _, prediction) = pixels(areas, label);
    ratio(both, prediction)
}

/// Share of a label's true pixels that are found, in `0..=1`; `None` when it has none.
pub(crate) fn recall(areas: &ClassAreas, label: u16) -> Option<f64> {
    let (both, truth, _) = pixels(areas, label);
    ratio(both, truth)
}

/// Dice coefficient, which is the F1 score of the label's pixels, in `0..=1`; `None` when it occurs
/// in neither mask.
pub(crate) fn dice(areas: &ClassAreas, label: u16) -> Option<f64> {
    let (both, truth, prediction) = pixels(areas, label);
    ratio(2 * both, truth + prediction)
}

/// aAcc: share of the true pixels of these labels that are predicted right; `None` without any.
pub(crate) fn all_accuracy(areas: &ClassAreas, labels: Range<u16>) -> Option<f64> {
    let sum = |(both, all), label| {
        let (intersection, truth, _) = pixels(areas, label);
        (both + intersection, all + truth)
    };
    let (both, all) = labels.fold((0, 0), sum);
    ratio(both, all)
}

/// mAcc: mean recall of the labels that occur in the truth; `None` when none does.
pub(crate) fn mean_accuracy(areas: &ClassAreas, labels: Range<u16>) -> Option<f64> {
    mean(labels.filter_map(|label| recall(areas, label)))
}

/// fwIoU: mean IoU, each label weighted by its true pixels; `None` without any.
pub(crate) fn frequency_weighted_iou(areas: &ClassAreas, labels: Range<u16>) -> Option<f64> {
    let sum = |(weighted, all), label| {
        let (_, truth, _) = pixels(areas, label);
        let iou = class_iou(areas, label).unwrap_or_default();
        (weighted + truth as f64 * iou, all + truth)
    };
    let (weighted, all) = labels.fold((0.0, 0), sum);
    (all > 0).then(|| (weighted / all as f64).min(1.0))
}

/// Pixels of a label in both masks, in the truth, in the prediction.
fn pixels(areas: &ClassAreas, label: u16) -> (u64, u64, u64) {
    let label = usize::from(label);
    let (both, truth) = (areas.intersection()[label], areas.truth()[label]);
    (both, truth, areas.prediction()[label])
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evaluator, LabelMask, Protocol};

    /// Truth 1 1 0 0 0 0, prediction 1 1 1 1 0 0, of 2 classes.
    fn areas() -> ClassAreas {
        let mask = |labels: &[u16]| LabelMask::new(labels.len(), 1, labels.to_vec()).unwrap();
        let mut evaluator = Evaluator::new(Protocol::new(2));
        let (prediction, truth) = (mask(&[1, 1, 1, 1, 0, 0]), mask(&[1, 1, 0, 0, 0, 0]));
        evaluator.add(&prediction, &truth).unwrap();
        evaluator.areas().mask.clone()
    }

    #[test]
    fn scores_of_one_label_are_those_of_its_pixels() {
        let areas = areas();
        assert_eq!(
            (precision(&areas, 1), recall(&areas, 1)),
            (Some(0.5), Some(1.0))
        );
        assert_eq!(
            (precision(&areas, 0), recall(&areas, 0)),
            (Some(1.0), Some(0.5))
        );
        assert_eq!(dice(&areas, 1), Some(2.0 / 3.0));
    }

    #[test]
    fn a_label_that_occurs_nowhere_has_no_score() {
        let areas = areas();
        let scores = [precision(&areas, 2), recall(&areas, 2), dice(&areas, 2)];
        assert_eq!(scores, [None; 3]);
        let of_none = [all_accuracy, mean_accuracy, frequency_weighted_iou];
        assert_eq!(of_none.map(|score| score(&areas, 2..3)), [None; 3]);
    }

    #[test]
    fn means_run_over_the_labels_of_the_truth() {
        let areas = areas();
        assert_eq!(all_accuracy(&areas, 0..3), Some(4.0 / 6.0));
        assert_eq!(mean_accuracy(&areas, 0..3), Some(0.75));
        // Both labels have an IoU of 1/2.
        assert_eq!(frequency_weighted_iou(&areas, 0..3), Some(0.5));
    }
}
