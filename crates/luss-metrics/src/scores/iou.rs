//! Intersection over union (IoU) and its means over classes, from exact counts.

use std::ops::Range;

use crate::{AbsentClass, ClassAreas};

/// IoU of one label: the pixels that are `label` in truth and prediction over those that are in
/// either; in `0..=1`. `None` when the label occurs in neither.
///
/// # Panics
///
/// If `areas` has no such label.
pub fn class_iou(areas: &ClassAreas, label: u16) -> Option<f64> {
    let label = usize::from(label);
    let of = |pixels: &[u64]| pixels[label];
    iou(
        of(areas.intersection()),
        of(areas.truth()),
        of(areas.prediction()),
    )
}

/// IoU from pixels in both masks, in the truth and in the prediction; `None` without any.
pub(crate) fn iou(both: u64, truth: u64, prediction: u64) -> Option<f64> {
    let union = truth + prediction - both;
    (union > 0).then(|| both as f64 / union as f64)
}

/// Mean IoU (mIoU) over a range of labels, in `0..=1`: sums are taken over the whole data set
/// first and divided last.
///
/// A label in neither mask counts 0 or is left out, as `absent` says. A mean over no label is 0.
pub(crate) fn mean_iou(areas: &ClassAreas, labels: Range<u16>, absent: AbsentClass) -> f64 {
    let ious = labels.map(|label| class_iou(areas, label));
    let counted = match absent {
        AbsentClass::Zero => mean(ious.map(Option::unwrap_or_default)),
        AbsentClass::Skip => mean(ious.flatten()),
    };
    counted.unwrap_or_default()
}

/// Mean IoU over the labels that the truth holds; `None` when it holds none.
pub(crate) fn mean_iou_of_true_labels(areas: &ClassAreas) -> Option<f64> {
    let present = (0u16..)
        .zip(areas.truth())
        .filter(|(_, pixels)| **pixels > 0);
    mean(present.map(|(label, _)| class_iou(areas, label).unwrap_or_default()))
}

/// The labels 0 to `classes`.
pub(crate) fn all_labels(classes: u16) -> Range<u16> {
    0..classes + 1
}

/// The mean; `None` of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u64, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels 0 to 3; label 3 occurs nowhere, label 2 in the prediction only.
    fn areas() -> ClassAreas {
        let mut areas = ClassAreas::new(3);
        areas.add_truth(0, 6);
        areas.add_truth(1, 4);
        areas.add_prediction(0, 4);
        areas.add_prediction(1, 4);
        areas.add_prediction(2, 2);
        areas.add_intersection(0, 4);
        areas.add_intersection(1, 3);
        areas
    }

    #[track_caller]
    fn assert_close(actual: f64, expected: f64) {
        assert!(
            (actual - expected).abs() < 1e-15,
            "{actual} is not {expected}"
        );
    }

    #[test]
    fn a_label_in_neither_mask_has_no_iou() {
        assert_eq!(class_iou(&areas(), 3), None);
        assert_eq!(class_iou(&areas(), 2), Some(0.0));
        assert_eq!(class_iou(&areas(), 1), Some(0.6));
    }

    #[test]
    fn an_absent_class_counts_zero_or_is_skipped() {
        let sum = 4.0 / 6.0 + 0.6;
        assert_close(mean_iou(&areas(), 0..4, AbsentClass::Zero), sum / 4.0);
        assert_close(mean_iou(&areas(), 0..4, AbsentClass::Skip), sum / 3.0);
        assert_close(mean_iou(&areas(), 1..4, AbsentClass::Skip), 0.3);
    }

    #[test]
    fn a_size_group_averages_over_the_labels_of_its_truth() {
        assert_close(
            mean_iou_of_true_labels(&areas()).unwrap(),
            (4.0 / 6.0 + 0.6) / 2.0,
        );
        assert_eq!(mean_iou_of_true_labels(&ClassAreas::new(3)), None);
    }
}
