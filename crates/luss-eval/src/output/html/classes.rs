//! The scores of each label, as bars, and what they are made of.

use luss_metrics::{ClassScore, OTHER};

use super::{
    labels::Labels,
    table::{bar, count, ratio, row, table},
};
use crate::scoring::Scored;

/// Up to this many labels are shown at once; of more, the lowest come first.
const SHOWN: usize = 60;
/// How many are these.
const LOWEST: usize = 20;

pub(super) fn content(scored: &Scored, labels: &Labels) -> String {
    let classes = &scored.report.per_class;
    let all = bars(
        "IoU (intersection over union) of the pixels and of the boundaries, precision (share of the predicted pixels \
         that are right) and recall (share of the true pixels that are found) of each label, percent. A dash: there is \
         nothing to score.",
        classes.iter(),
        labels,
    );
    let all = match classes.len() {
        0..=SHOWN => all,
        n => {
            lowest(scored, labels)
                + &format!("<details><summary>All {n} labels</summary>\n{all}</details>\n")
        }
    };
    all + "<details><summary>Dice and pixels of each label</summary>\n"
        + &pixels(scored, labels)
        + "</details>\n"
}

/// Of the labels that mIoU is a mean of.
fn lowest(scored: &Scored, labels: &Labels) -> String {
    let report = &scored.report;
    let classes = report.per_class.iter();
    let counted = classes.filter(|class| report.protocol.score_other || class.class != OTHER);
    let mut ranked: Vec<(f64, &ClassScore)> = counted
        .filter_map(|class| Some((class.iou?, class)))
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    ranked.truncate(LOWEST);
    let caption = format!("The {} labels of the lowest IoU, percent.", ranked.len());
    bars(&caption, ranked.into_iter().map(|(_, class)| class), labels)
}

fn bars<'a>(
    caption: &str,
    classes: impl Iterator<Item = &'a ClassScore>,
    labels: &Labels,
) -> String {
    let rows = classes.map(|class| {
        let values = [class.iou, class.boundary_iou, class.precision, class.recall];
        row(&labels.chip(class.class), values.map(bar))
    });
    let columns = ["label", "IoU", "boundary IoU", "precision", "recall"];
    table(
        "metrics dense",
        caption,
        &columns,
        &rows.collect::<String>(),
    )
}

fn pixels(scored: &Scored, labels: &Labels) -> String {
    let boundary = &scored.evaluator.areas().boundary;
    let line = |class: &ClassScore| {
        let label = usize::from(class.class);
        let counts = [
            class.truth_pixels,
            class.prediction_pixels,
            class.intersection_pixels,
            boundary.truth()[label],
            boundary.prediction()[label],
            boundary.intersection()[label],
        ];
        let cells = [ratio(class.dice)].into_iter().chain(counts.map(count));
        row(&labels.chip(class.class), cells)
    };
    let lines: String = scored.report.per_class.iter().map(line).collect();
    table(
        "metrics dense",
        "Dice coefficient (F1 score of the pixels), percent; pixels of the truth, of the prediction and of both; \
         pixels of their boundaries.",
        &[
            "label",
            "Dice",
            "true",
            "predicted",
            "both",
            "true boundary",
            "predicted boundary",
            "both boundaries",
        ],
        &lines,
    )
}
