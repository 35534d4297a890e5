//! Step 2.3, the attention threshold: by the validation masks as the reference, or by a rule that
//! uses no mask.

use std::time::Instant;

use imagenet_s::Split;
use luss_metrics::{AttentionHistogram, ChosenThreshold, Protocol, ThresholdCurve, ThresholdRule};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Progress, Step, run_file::LabelWay, step::labels::ensure_store, watch::findings,
};

/// `threshold.json`: the chosen threshold and what it was chosen from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweptThreshold {
    /// The threshold, the rule of the run file and the labels it used.
    #[serde(flatten)]
    pub chosen: ChosenThreshold,
    /// Threshold and matched validation mIoU, when the rule swept them and a pixel was counted.
    pub curve: Vec<(f32, f64)>,
    /// The threshold of the best mIoU, where it leaves no foreground on the training pictures and the
    /// best one that does was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_without_foreground: Option<f32>,
}

/// Runs step 2.3 and leaves `threshold.json`.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 2.2; else from data or disk.
pub fn sweep_threshold(context: &Context) -> Result<SweptThreshold, Error> {
    let started = Instant::now();
    context.run.begin(Step::SweepThreshold)?;
    let rule = match context.file.cluster.way {
        LabelWay::Objects => ThresholdRule::Fixed(0.0), // where their scores end
        _ => {
            let rule = context.file.threshold.rule;
            rule.expect("settled when the context was opened")
        }
    };
    let swept = match rule {
        ThresholdRule::Validation => by_validation(context)?,
        ThresholdRule::Fixed(_) => without_masks(rule, &AttentionHistogram::new())?,
        _ => without_masks(rule, &attention_histogram(context)?)?,
    };
    findings::tell(context, &findings::of_threshold(&swept));
    context
        .run
        .write_json(&context.run.file("threshold.json"), &swept)?;
    context
        .run
        .finish(Step::SweepThreshold, &started.elapsed().as_secs_f64())?;
    Ok(swept)
}

/// The threshold of the best validation mIoU that leaves foreground on the training pictures.
fn by_validation(context: &Context) -> Result<SweptThreshold, Error> {
    let (best, curve) = sweep(context)?;
    let threshold = best_with_foreground(context, &curve)?;
    let rule = ThresholdRule::Validation;
    Ok(SweptThreshold {
        chosen: ChosenThreshold {
            threshold,
            rule,
            labels_used: rule.labels_used(),
        },
        curve,
        best_without_foreground: (threshold != best).then_some(best),
    })
}

fn without_masks(
    rule: ThresholdRule,
    attention: &AttentionHistogram,
) -> Result<SweptThreshold, Error> {
    Ok(SweptThreshold {
        chosen: rule.choose_without_masks(attention)?,
        curve: Vec::new(),
        best_without_foreground: None,
    })
}

/// The threshold that step 2.3 chose.
pub(crate) fn chosen_threshold(context: &Context) -> Result<f32, Error> {
    let path = context.run.unchanged(&context.run.file("threshold.json"))?;
    let swept: SweptThreshold = context.run.read_json(&path)?;
    Ok(swept.chosen.threshold)
}

/// The best validation mIoU over 81 thresholds, each with its own matching.
fn sweep(context: &Context) -> Result<(f32, Vec<(f32, f64)>), Error> {
    let store = ensure_store(context, Step::SweepThreshold, Split::Validation)?;
    let samples = context.data.samples(Split::Validation);
    let mut curve = ThresholdCurve::new(Protocol::new(context.data.classes()));
    let mut progress = Progress::new(
        context.verbosity,
        Step::SweepThreshold.name(),
        samples.len() as u64,
        "masks",
    );
    for sample in samples {
        let truth = context.truth(sample)?;
        let labels = store.get(&sample.key)?;
        let ids = labels.to_mask(truth.width(), truth.height(), 0.0);
        let attention = labels.full_attention(truth.width(), truth.height());
        curve.add(&ids, &attention, &truth)?;
        progress.advance(1);
    }
    progress.finish();
    let points: Vec<(f32, f64)> = curve
        .points()?
        .iter()
        .filter_map(|point| Some((point.threshold, point.miou?)))
        .collect();
    Ok((first_best(&points), points))
}

/// The same among the thresholds that leave a cell of the training pictures foreground: there would be
/// nothing to learn from the others.
fn best_with_foreground(context: &Context, curve: &[(f32, f64)]) -> Result<f32, Error> {
    let store = ensure_store(context, Step::SweepThreshold, Split::Train)?;
    let mut highest = 0.0;
    for sample in context.data.samples(Split::Train) {
        let attention = store.get(&sample.key)?.attention;
        highest = attention.into_iter().fold(highest, f32::max);
    }
    let left = curve.iter().copied();
    let left: Vec<_> = left
        .filter(|(threshold, _)| *threshold <= highest)
        .collect();
    Ok(first_best(&left))
}

/// The threshold of the highest mIoU, the lowest one of equals.
fn first_best(points: &[(f32, f64)]) -> f32 {
    let better =
        |best: (f32, f64), point: &(f32, f64)| if point.1 > best.1 { *point } else { best };
    points.iter().fold((0.0, f64::MIN), better).0
}

/// The attention of all feature-map cells of the training pictures.
fn attention_histogram(context: &Context) -> Result<AttentionHistogram, Error> {
    let store = ensure_store(context, Step::SweepThreshold, Split::Train)?;
    let mut histogram = AttentionHistogram::new();
    for sample in context.data.samples(Split::Train) {
        histogram.add(&store.get(&sample.key)?.attention)?;
    }
    Ok(histogram)
}
