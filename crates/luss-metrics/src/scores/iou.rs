//! Intersection over union (IoU) and its means over classes, from exact counts.

use std::ops::Range;

use crate::{AbsentClass, Areas, ClassAreas};

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
/// A label in neither mask counts 0 or is left out, as `absent` says. `None` when none occurs.
pub(crate) fn mean_iou(areas: &ClassAreas, labels: Range<u16>, absent: AbsentClass) -> Option<f64> {
    mean_iou_beside(areas, areas, labels, absent)
}

/// Mean IoU of boundaries. A label whose true pixels are all off its boundary, because ignored
/// pixels are looked through, has none to compare and is left out.
pub(crate) fn mean_boundary_iou(
    areas: &Areas,
    labels: Range<u16>,
    absent: AbsentClass,
) -> Option<f64> {
    mean_iou_beside(&areas.boundary, &areas.mask, labels, absent)
}

/// Mean IoU of `areas`; `whole` says which labels occur.
fn mean_iou_beside(
    areas: &ClassAreas,
    whole: &ClassAreas,
    labels: Range<u16>,
    absent: AbsentClass,
) -> Option<f64> {
    let occurs = |label| class_iou(whole, label).is_some();
    let is_true = |label: u16| whole.truth()[usize::from(label)] > 0;
    let counted = |label| match (class_iou(areas, label), absent) {
        (None, AbsentClass::Zero) if !is_true(label) => Some(0.0),
        (iou, _) => iou,
    };
    let any = labels.clone().any(occurs);
    mean(labels.filter_map(counted)).filter(|_| any)
}

/// Mean IoU over those of the labels that the truth holds; `None` when it holds none.
pub(crate) fn mean_iou_of_true_labels(areas: &ClassAreas, labels: Range<u16>) -> Option<f64> {
    let is_true = |label: &u16| areas.truth()[usize::from(*label)] > 0;
    mean(labels.filter(is_true).filter_map(|l| class_iou(areas, l)))
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
        let mean = |labels, absent| mean_iou(&areas(), labels, absent).unwrap();
        assert_close(mean(0..4, AbsentClass::Zero), sum / 4.0);
        assert_close(mean(0..4, AbsentClass::Skip), sum / 3.0);
        assert_close(mean(1..4, AbsentClass::Skip), 0.3);
    }

    #[test]
    fn a_mean_over_labels_that_occur_nowhere_is_none() {
        for absent in [AbsentClass::Zero, AbsentClass::Skip] {
            assert_eq!(mean_iou(&areas(), 3..4, absent), None);
            assert_eq!(mean_iou(&ClassAreas::new(3), 0..4, absent), None);
        }
    }

    #[test]
    fn a_true_class_without_any_boundary_is_left_out_of_its_mean() {
        let mut boundary = ClassAreas::new(3);
        boundary.add_truth(0, 2);
        boundary.add_prediction(0, 2);
        boundary.add_intersection(0, 2);
        let mask = areas(); // label 2 is predicted only
        let areas = Areas { mask, boundary };
        let mean = |absent| mean_boundary_iou(&areas, 0..4, absent).unwrap();
        assert_close(mean(AbsentClass::Zero), 1.0 / 3.0);
        assert_close(mean(AbsentClass::Skip), 1.0);
    }

    #[test]
    fn a_size_group_averages_over_the_labels_of_its_truth() {
        assert_close(
            mean_iou_of_true_labels(&areas(), 0..4).unwrap(),
            (4.0 / 6.0 + 0.6) / 2.0,
        );
        assert_eq!(mean_iou_of_true_labels(&areas(), 1..4), Some(0.6));
        assert_eq!(mean_iou_of_true_labels(&ClassAreas::new(3), 0..4), None);
    }
}
