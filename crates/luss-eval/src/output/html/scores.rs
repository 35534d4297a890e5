//! The scores of the whole, by object size, and beside those of another folder.

use luss_metrics::{Comparison, Interval, Protocol, Score, SizeGroup};

use super::{
    super::rows::{Row, rows, title},
    table::{bar, cell, count, of_ratio, ratio, row, table},
};
use crate::evaluation::Evaluation;

pub(super) fn content(evaluation: &Evaluation) -> String {
    whole(evaluation) + &sizes(evaluation)
}

fn whole(evaluation: &Evaluation) -> String {
    let has_intervals = evaluation.intervals.is_some();
    let protocol = &evaluation.scored.report.protocol;
    let line = |line: &Row| {
        let about = about(line.score, protocol)?;
        let name = format!("{}<small>{about}</small>", title(line.score));
        let span = has_intervals.then(|| cell(&span(line.interval)));
        let cells = [bar(line.value)].into_iter().chain(span);
        Some(row(&name, cells))
    };
    let lines: String = rows(evaluation).iter().filter_map(line).collect();
    let columns = ["score", "percent", "95 % interval"];
    let columns = &columns[..2 + usize::from(has_intervals)];
    table("metrics", "Scores over all images", columns, &lines)
}

/// What a score of the whole is; `None` for those by object size.
fn about(score: Score, protocol: &Protocol) -> Option<String> {
    let (first, last) = (u16::from(!protocol.score_other), protocol.classes);
    Some(match score {
        Score::Miou => {
            format!("mean IoU (intersection over union) over the labels {first} to {last}")
        }
        Score::MiouWithoutOther => format!("mean IoU over the classes 1 to {last}"),
        Score::BoundaryMiou => format!(
            "mean IoU of the bands along the boundaries, {} of the diagonal wide",
            protocol.boundary_ratio
        ),
        Score::ImageAccuracy => {
            "share of images whose largest predicted class is a true class".into()
        }
        Score::FBeta => "F-measure of the foreground, β² = 0.3, mean over images".into(),
        Score::AllAccuracy => "aAcc: share of the true pixels that are predicted right".into(),
        Score::MeanAccuracy => "mAcc: mean recall of the labels in the truth".into(),
        Score::FrequencyWeightedIou => {
            "frequency-weighted IoU: each label weighs as its true pixels".into()
        }
        Score::SizeMiou(_) | Score::SizeBoundaryMiou(_) => return None,
    })
}

fn sizes(evaluation: &Evaluation) -> String {
    let scores = rows(evaluation);
    let line = |name: &str, score: fn(SizeGroup) -> Score| {
        let of = |group| scores.iter().find(|row| row.score == score(group));
        let cells = SizeGroup::ALL.map(|group| of(group).map_or_else(String::new, sized));
        row(name, cells)
    };
    let classes = evaluation.scored.report.sizes.iter();
    let classes = row(
        "classes<small>that have such an object</small>",
        classes.map(|size| count(size.classes)),
    );
    let lines = line("mIoU", Score::SizeMiou) + &line("boundary mIoU", Score::SizeBoundaryMiou);
    table(
        "metrics",
        "By object size, percent. An object is all of a class in an image: S (small) covers up to 5 % of the \
         image, MS (medium small) up to 25 %, ML (medium large) up to 50 %, L (large) more.",
        &["object size", "S", "MS", "ML", "L"],
        &(lines + &classes),
    )
}

fn sized(row: &Row) -> String {
    let Some(interval) = row.interval else {
        return bar(row.value);
    };
    let value = row.value.map_or_else(|| "–".into(), of_ratio);
    cell(&format!("{value}<small>{}</small>", span(Some(interval))))
}

fn span(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || "–".into(),
        |interval| format!("{} to {}", of_ratio(interval.low), of_ratio(interval.high)),
    )
}

/// Both folders, score by score.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let lines = comparison.scores.iter().map(|score| {
        let cells = [
            ratio(score.a),
            ratio(score.b),
            ratio(score.difference),
            cell(&span(score.interval)),
            ratio(Some(score.a_higher)),
        ];
        row(&title(score.score), cells)
    });
    let lines: String = lines.collect();
    let caption = format!(
        "Percent, over {} images and {} resamples of them. A is the folder above, B that of --compare.",
        comparison.images, comparison.bootstrap.resamples
    );
    let columns = [
        "score",
        "A",
        "B",
        "A − B",
        "95 % interval of A − B",
        "resamples with A higher",
    ];
    table("metrics dense", &caption, &columns, &lines)
}
