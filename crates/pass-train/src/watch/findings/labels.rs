//! Findings in the pseudo labels, and in the threshold that they follow from.

use super::{Advice, Found, ids, listed, masks::of_masks};
use crate::{
    Context, Step,
    run_file::{LabelWay, Predictor},
    step::{labels::LabelsSummary, threshold::SweptThreshold},
};

/// In the choice of the threshold.
pub(crate) fn of_threshold(swept: &SweptThreshold) -> Vec<Found> {
    let found = |best: f32| {
        let what = format!(
            "with the threshold of the best validation mIoU, {best}, every pixel of the training images is \
             background, since empty masks score better than those that were found; {} is taken, the best \
             that leaves foreground, and what is learned from it will be poor",
            swept.chosen.threshold
        );
        Found::failed(Step::SweepThreshold, what, Advice::LearnMore)
    };
    swept
        .best_without_foreground
        .map(found)
        .into_iter()
        .collect()
}

/// In the pseudo labels of the training images, and in the masks where they are the result of the run.
pub(crate) fn of_labels(context: &Context, labels: &LabelsSummary) -> Vec<Found> {
    let all_foreground = context.file.cluster.way == LabelWay::PixelLevel;
    let mut found = of_foreground(labels.foreground, &labels.cells, all_foreground);
    if context.file.predict.predictor == Predictor::Labels {
        let counts = labels.counts.iter();
        found.extend(counts.flat_map(|counts| of_masks(Step::GenerateLabels, counts)));
    }
    found
}

fn of_foreground(foreground: f64, cells: &[u64], all_foreground: bool) -> Vec<Found> {
    let step = Step::GenerateLabels;
    if foreground == 0.0 {
        let what = "the pseudo labels have no foreground, every pixel is background";
        return vec![Found::failed(step, what, Advice::AnyForeground)];
    }
    let full = (foreground == 1.0 && !all_foreground).then(|| {
        let what = "every pixel of the pseudo labels is foreground, none is background";
        Found::doubtful(step, what, Advice::AnyBackground)
    });
    let absent = ids(cells.iter().map(|&cells| cells == 0));
    let (count, all) = (absent.len(), cells.len());
    let absent = (count > 0).then(|| {
        let what = format!(
            "{count} of {all} categories have no foreground pixel in the pseudo labels ({}), so they cannot \
             be learned: their clusters are empty, or lie in the background as a whole",
            listed("id", &absent)
        );
        Found::doubtful(step, what, Advice::FewerClasses)
    });
    full.into_iter().chain(absent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::findings::tests::assert_found;

    #[test]
    fn labels_without_foreground_without_background_or_without_a_category_are_found() {
        assert_found(&of_foreground(0.3, &[5, 6], false), &[]);
        assert_found(&of_foreground(0.0, &[0, 0], false), &["have no foreground"]);
        assert_found(&of_foreground(1.0, &[5, 6], false), &["none is background"]);
        assert_found(&of_foreground(1.0, &[5, 6], true), &[]);
        let absent = of_foreground(0.3, &[5, 0, 6, 0], false);
        assert_found(
            &absent,
            &["2 of 4 categories have no foreground pixel in the pseudo labels (id 2, 4)"],
        );
        assert_found(&of_foreground(0.3, &[], false), &[]); // of a former version
    }
}
