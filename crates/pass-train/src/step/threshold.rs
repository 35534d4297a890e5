//! Step 2.3, the attention threshold: by the validation masks as the reference, or by a rule that
//! uses no mask.

use std::time::Instant;

use imagenet_s::Split;
use luss_metrics::{AttentionHistogram, ThresholdCurve};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Progress, Step, run_file::ThresholdRule, step::labels::ensure_store,
    watch::findings,
};

/// `threshold.json`: the chosen threshold and what it was chosen by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChosenThreshold {
    /// Attention below this is OTHER.
    pub threshold: f32,
    /// The rule of the run file.
    pub rule: ThresholdRule,
    /// Which labels the choice used, in words.
    pub labels_used: String,
    /// Threshold and matched validation mIoU, when the rule swept them.
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
pub fn sweep_threshold(context: &Context) -> Result<ChosenThreshold, Error> {
    let started = Instant::now();
    context.run.begin(Step::SweepThreshold)?;
    let rule = context
        .file
        .threshold
        .rule
        .expect("settled when the context was opened");
    let mut best_without_foreground = None;
    let (threshold, curve) = match rule {
        ThresholdRule::Validation => {
            let (best, curve) = sweep(context)?;
            let chosen = best_with_foreground(context, &curve)?;
            best_without_foreground = (chosen != best).then_some(best);
            (chosen, curve)
        }
        ThresholdRule::Otsu => (attention_histogram(context)?.otsu()?, Vec::new()),
        ThresholdRule::ForegroundShare(share) => {
            let histogram = attention_histogram(context)?;
            (histogram.threshold_of_share(share)?, Vec::new())
        }
        ThresholdRule::Fixed(threshold) => (threshold, Vec::new()),
    };
    let labels_used = match rule {
        ThresholdRule::Validation => "validation masks: the best mIoU of 81 thresholds",
        ThresholdRule::Otsu => "none: Otsu's threshold of the training attention",
        ThresholdRule::ForegroundShare(_) => "none: a fixed share of foreground",
        ThresholdRule::Fixed(_) => "none: given in the run file",
    };
    let chosen = ChosenThreshold {
        threshold,
        rule,
        labels_used: labels_used.into(),
        curve,
        best_without_foreground,
    };
    let found = findings::of_threshold(&chosen);
    findings::tell(context, Step::SweepThreshold, &found);
    context
        .run
        .write_json(&context.run.file("threshold.json"), &chosen)?;
    context
        .run
        .finish(Step::SweepThreshold, &started.elapsed().as_secs_f64())?;
    Ok(chosen)
}

/// The threshold that step 2.3 chose.
pub(crate) fn chosen_threshold(context: &Context) -> Result<f32, Error> {
    let path = context.run.unchanged(&context.run.file("threshold.json"))?;
    Ok(context.run.read_json::<ChosenThreshold>(&path)?.threshold)
}

/// The best validation mIoU over 81 thresholds, each with its own matching.
fn sweep(context: &Context) -> Result<(f32, Vec<(f32, f64)>), Error> {
    let store = ensure_store(context, Step::SweepThreshold, Split::Validation)?;
    let samples = context.data.samples(Split::Validation);
    let mut curve = ThresholdCurve::new(context.data.classes());
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
        .map(|point| (point.threshold, point.miou))
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
