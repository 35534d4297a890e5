//! What the table, the CSV and the Markdown have in common.

use luss_metrics::{ClassScore, Interval, LabelsUsed, Report, Score, ThresholdRule};

use same_file::is_same_file;

use crate::{
    evaluation::{Evaluation, Other},
    scoring::Scored,
    settings::{Meaning, Settings},
};

/// One score and, if resampled, where it lies.
pub(super) struct Row {
    pub(super) score: Score,
    pub(super) value: Option<f64>,
    pub(super) interval: Option<Interval>,
}

/// The scores in the order of a report.
pub(super) fn rows(evaluation: &Evaluation) -> Vec<Row> {
    let report = &evaluation.scored.report;
    let interval = |index: usize| evaluation.intervals.as_ref()?.scores.get(index)?.interval;
    let row = |(index, score): (usize, Score)| Row {
        score,
        value: score.of(report),
        interval: interval(index),
    };
    Score::ALL.into_iter().enumerate().map(row).collect()
}

/// How people call a score.
pub(super) fn title(score: Score) -> String {
    match score {
        Score::Miou => "mIoU".into(),
        Score::MiouWithoutOther => "mIoU without other".into(),
        Score::BoundaryMiou => "boundary mIoU".into(),
        Score::ImageAccuracy => "image accuracy".into(),
        Score::FBeta => "F-beta".into(),
        Score::AllAccuracy => "pixel accuracy".into(),
        Score::MeanAccuracy => "mean accuracy".into(),
        Score::FrequencyWeightedIou => "fwIoU".into(),
        Score::SizeMiou(group) => format!("mIoU, size {group}"),
        Score::SizeBoundaryMiou(group) => format!("boundary mIoU, size {group}"),
    }
}

/// A ratio in percent, a dash when there is none.
pub(super) fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".into(), |ratio| format!("{:.2}", 100.0 * ratio))
}

/// `12.30 to 14.56`, in percent.
pub(super) fn span(interval: &Interval) -> String {
    format!(
        "{} to {}",
        percent(Some(interval.low)),
        percent(Some(interval.high))
    )
}

/// The rule of the matching.
pub(super) fn matching_kind(settings: &Settings) -> &'static str {
    match &settings.meaning {
        Meaning::Classes => "none",
        Meaning::Fixed(_) => "file",
        Meaning::Fit(rule) => rule.name(),
    }
}

/// The rule of the threshold as the command line spells it.
pub(super) fn threshold_rule(rule: ThresholdRule) -> String {
    match rule {
        ThresholdRule::Validation => "best".into(),
        ThresholdRule::Otsu => "otsu".into(),
        ThresholdRule::ForegroundShare(share) => format!("share:{share}"),
        ThresholdRule::Fixed(_) => "fixed".into(),
    }
}

pub(super) fn labels_used(used: LabelsUsed) -> &'static str {
    match used {
        LabelsUsed::None => "none",
        LabelsUsed::ValidationMasks => "true masks",
    }
}

/// What someone who reads a score has to know besides it, a sentence each.
pub(super) fn notes(evaluation: &Evaluation, settings: &Settings) -> Vec<String> {
    let scored = &evaluation.scored;
    let mut notes = vec![format!(
        "{} pictures, {} classes",
        scored.report.images, settings.protocol.classes
    )];
    notes.extend(pairing_note(scored));
    notes.extend(scored.facts.notes(&scored.pictures));
    if let Some(Other { scored, .. }) = &evaluation.other {
        let others = scored.facts.notes(&scored.pictures).into_iter();
        notes.extend(others.map(|note| format!("B: {note}")));
        notes.extend(same_folders_note(settings));
    }
    notes.extend(zero_note(settings));
    notes.extend(left_out_note(scored));
    notes.extend(matching_note(scored, settings));
    notes.extend(threshold_note(scored));
    notes.extend(interval_note(evaluation));
    notes
}

fn zero_note(settings: &Settings) -> Option<String> {
    settings.conventions.ids.reduces_zero.then(|| {
        "id 0 is the first class; mIoU without other, image accuracy, F-beta and object sizes take it for background".into()
    })
}

fn pairing_note(scored: &Scored) -> Option<String> {
    let by_name = scored.inputs.paired_by.as_deref() == Some("name");
    by_name.then(|| "paired by file name, since no path is in both folders".into())
}

fn same_folders_note(settings: &Settings) -> Option<String> {
    let is_same = is_same_file(settings.prediction, settings.compared?).unwrap_or(false);
    is_same.then(|| "A and B are the same folder: nothing is compared".into())
}

fn left_out_note(scored: &Scored) -> Option<String> {
    let left_out = scored.left_out.images;
    let all = left_out + scored.report.images;
    (left_out > 0).then(|| format!("{left_out} of {all} pictures left out (--allow-missing)"))
}

fn matching_note(scored: &Scored, settings: &Settings) -> Option<String> {
    let ties = scored.ties.as_ref()?;
    let matched = format!("matched by {}", matching_kind(settings));
    if ties.unique {
        return Some(format!("{matched}: the only optimal matching"));
    }
    let (least, n) = (
        if ties.assignments_exact {
            ""
        } else {
            "at least "
        },
        ties.assignments,
    );
    let range = ties.miou.map_or_else(String::new, |miou| {
        format!(
            ", mIoU {} to {} over them",
            percent(Some(miou.lowest)),
            percent(Some(miou.highest))
        )
    });
    Some(format!(
        "{matched}: {least}{n} matchings are optimal{range}"
    ))
}

fn threshold_note(scored: &Scored) -> Option<String> {
    let chosen = scored.threshold?;
    let (rule, labels) = (threshold_rule(chosen.rule), labels_used(chosen.labels_used));
    Some(format!(
        "attention threshold {} ({rule}; labels used: {labels})",
        chosen.threshold
    ))
}

fn interval_note(evaluation: &Evaluation) -> Option<String> {
    let intervals = evaluation.intervals.as_ref()?;
    let seams = if intervals.boundary_exact {
        ""
    } else {
        "; boundary scores with the seams of joined clusters"
    };
    let (n, seed) = (intervals.bootstrap.resamples, intervals.bootstrap.seed);
    Some(format!(
        "95 % intervals from {n} resamples of the pictures, seed {seed}{seams}"
    ))
}

/// The name of a label, or nothing.
pub(super) fn name<'a>(settings: &'a Settings, label: u16) -> &'a str {
    settings.names.as_ref().map_or("", |names| names.of(label))
}

/// The labels, if they are asked for.
pub(super) fn per_class<'a>(report: &'a Report, settings: &Settings) -> &'a [ClassScore] {
    if settings.arguments.per_class {
        &report.per_class
    } else {
        &[]
    }
}
