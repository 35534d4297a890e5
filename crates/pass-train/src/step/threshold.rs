//! Step 2.3, the attention threshold: by the validation masks as the reference, or by a rule that
//! uses no mask.

use std::{sync::Mutex, time::Instant};

use imagenet_s::Split;
use luss_metrics::{
    AttentionHistogram, ChosenThreshold, LabelMask, Protocol, ThresholdCurve, ThresholdRule,
};
use pixel_attention::label_generation::FeatureLabels;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Progress, Step,
    run_file::LabelWay,
    step::{labels::ensure_store, objects::labels::THRESHOLD},
    watch::findings,
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
        LabelWay::Objects => ThresholdRule::Fixed(THRESHOLD),
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
    let (name, total) = (Step::SweepThreshold.name(), samples.len() as u64);
    let progress = Mutex::new(Progress::new(context.verbosity, name, total, "masks"));
    let curve = threshold_curve(context.data.classes(), samples, |sample| {
        let pair = (store.get(&sample.key)?, context.truth(sample)?);
        progress.lock().expect("no thread panicked").advance(1);
        Ok::<_, Error>(pair)
    })?;
    progress.into_inner().expect("no thread panicked").finish();
    let points: Vec<(f32, f64)> = curve
        .points()?
        .iter()
        .filter_map(|point| Some((point.threshold, point.miou?)))
        .collect();
    Ok((first_best(&points), points))
}

/// The scores of the labels of pictures at each threshold, counted on all threads; `read` gives labels and
/// truth of a picture.
///
/// # Errors
///
/// What `read` says; masks that do not fit.
pub fn threshold_curve<P: Sync, E: From<luss_metrics::Error> + Send>(
    classes: u16,
    pictures: &[P],
    read: impl Fn(&P) -> Result<(FeatureLabels, LabelMask), E> + Sync,
) -> Result<ThresholdCurve, E> {
    let share = pictures.len().div_ceil(rayon::current_num_threads()).max(1);
    let curve = |pictures: &[P]| {
        let mut curve = ThresholdCurve::new(Protocol::new(classes));
        for picture in pictures {
            let (labels, truth) = read(picture)?;
            let (width, height) = truth.size();
            let attention = labels.full_attention(width, height);
            curve.add(&labels.to_mask(width, height, 0.0), &attention, &truth)?;
        }
        Ok(curve)
    };
    let parts = pictures.par_chunks(share).map(curve);
    let parts = parts.collect::<Result<Vec<_>, E>>()?;
    let mut all = ThresholdCurve::new(Protocol::new(classes));
    for part in &parts {
        all.merge(part)?;
    }
    Ok(all)
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
