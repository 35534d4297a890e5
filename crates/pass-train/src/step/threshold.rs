//! Step 2.3, the attention threshold: by the validation masks as the reference, or by a rule that
//! uses no mask.

use std::time::Instant;

use imagenet_s::Split;
use luss_metrics::ThresholdCurve;
use serde::{Deserialize, Serialize};

use crate::{Context, Error, Progress, Step, run_file::ThresholdRule, step::labels::ensure_store};

/// Bins of the attention histogram that the rules without masks use.
const BINS: usize = 1000;

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
}

/// Runs step 2.3 and leaves `threshold.json`.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 2.2; else from data or disk.
pub fn sweep_threshold(context: &Context) -> Result<ChosenThreshold, Error> {
    let started = Instant::now();
    context.run.require(Step::SweepThreshold, Step::Cluster)?;
    context.run.begin(Step::SweepThreshold)?;
    let rule = context
        .file
        .threshold
        .rule
        .expect("settled when the context was opened");
    let (threshold, curve) = match rule {
        ThresholdRule::Validation => sweep(context)?,
        ThresholdRule::Otsu => (otsu(&attention_histogram(context)?), Vec::new()),
        ThresholdRule::ForegroundShare(share) => (
            threshold_of_share(&attention_histogram(context)?, share),
            Vec::new(),
        ),
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
    };
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
    let path = context.run.file("threshold.json");
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

/// The threshold of the highest mIoU, the lowest one of equals.
fn first_best(points: &[(f32, f64)]) -> f32 {
    let better =
        |best: (f32, f64), point: &(f32, f64)| if point.1 > best.1 { *point } else { best };
    points.iter().fold((0.0, f64::MIN), better).0
}

/// Counts of the attention of all feature-map cells of the training pictures, over 0..=1.
fn attention_histogram(context: &Context) -> Result<Vec<u64>, Error> {
    let store = ensure_store(context, Step::SweepThreshold, Split::Train)?;
    let mut counts = vec![0; BINS];
    for sample in context.data.samples(Split::Train) {
        for value in store.get(&sample.key)?.attention {
            counts[((value * BINS as f32) as usize).min(BINS - 1)] += 1;
        }
    }
    Ok(counts)
}

/// The lower edge of bin `bin`.
fn edge(bin: usize) -> f32 {
    bin as f32 / BINS as f32
}

/// Otsu's threshold (IEEE Trans. SMC 9, 1979): the split with the largest variance between sides.
fn otsu(counts: &[u64]) -> f32 {
    let total: u64 = counts.iter().sum();
    let moment: f64 = counts
        .iter()
        .enumerate()
        .map(|(bin, &n)| bin as f64 * n as f64)
        .sum();
    let (mut below, mut moment_below) = (0u64, 0.0);
    let mut best = (f64::MIN, 0);
    for (bin, &n) in counts.iter().enumerate() {
        let above = total - below;
        if below > 0 && above > 0 {
            let gap = moment_below / below as f64 - (moment - moment_below) / above as f64;
            let between = below as f64 * above as f64 * gap * gap;
            if between > best.0 {
                best = (between, bin);
            }
        }
        below += n;
        moment_below += bin as f64 * n as f64;
    }
    edge(best.1)
}

/// The lowest threshold that leaves at most `share` of the counts at or above it.
fn threshold_of_share(counts: &[u64], share: f64) -> f32 {
    let allowed = (counts.iter().sum::<u64>() as f64 * share).floor() as u64;
    let mut above = 0;
    for bin in (0..counts.len()).rev() {
        above += counts[bin];
        if above > allowed {
            return edge(bin + 1);
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_humps() -> Vec<u64> {
        let mut counts = vec![0; BINS];
        counts[200..210].fill(30);
        counts[600..610].fill(10);
        counts
    }

    #[test]
    fn otsu_parts_two_humps() {
        let threshold = otsu(&two_humps());
        assert!((0.21..=0.6).contains(&threshold), "{threshold}");
    }

    #[test]
    fn a_share_of_foreground_is_kept() {
        assert_eq!(threshold_of_share(&two_humps(), 0.25), 0.21);
        assert_eq!(threshold_of_share(&two_humps(), 1.0), 0.0);
    }
}
