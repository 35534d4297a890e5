//! Scores of stored labels against a folder of masks.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use imagenet_s::{Sample, read_mask, write_mask};
use luss_metrics::{
    AttentionHistogram, ChosenThreshold, ImageCounts, LabelMask, MatchedEvaluator, Matching,
    MatchingRule, Protocol, Report, ThresholdRule,
};
use pass_train::step::threshold::threshold_curve;
use pixel_attention::label_store::LabelStore;
use rayon::prelude::*;

/// The threshold for these labels; the rule that takes the best on masks needs `masks`.
///
/// # Errors
///
/// Masks that are missing or do not fit; an attention without two values.
pub fn choose_threshold(
    rule: ThresholdRule,
    store: &LabelStore,
    masks: Option<&Path>,
) -> anyhow::Result<ChosenThreshold> {
    if rule == ThresholdRule::Validation {
        let masks = masks.context("--threshold best needs --masks")?;
        let curve = threshold_curve(store.classes(), store.keys(), |key| {
            Ok::<_, anyhow::Error>((store.get(key)?, truth(masks, key)?))
        })?;
        return Ok(ThresholdRule::choose_by_masks(&curve)?);
    }
    let mut histogram = AttentionHistogram::new();
    if !matches!(rule, ThresholdRule::Fixed(_)) {
        for key in store.keys() {
            histogram.add(&store.get(key)?.attention)?;
        }
    }
    Ok(rule.choose_without_masks(&histogram)?)
}

/// Looks whether every picture has a mask.
///
/// # Errors
///
/// How many are missing, and the first.
pub fn check_masks(store: &LabelStore, masks: &Path) -> anyhow::Result<()> {
    let missing: Vec<PathBuf> = store
        .keys()
        .iter()
        .map(|key| mask_path(masks, key))
        .filter(|path| !path.is_file())
        .collect();
    ensure!(
        missing.is_empty(),
        "{} of {} masks are missing, the first is {}; masks lie where the keys say, as KEY.png",
        missing.len(),
        store.len(),
        missing[0].display()
    );
    Ok(())
}

/// Matches clusters to classes on these masks (image level) and scores the labels.
///
/// # Errors
///
/// Masks that cannot be read, or hold ids above the number of clusters.
pub fn score(
    store: &LabelStore,
    masks: &Path,
    threshold: f32,
) -> anyhow::Result<(Report, Matching)> {
    let classes = store.classes();
    let rule = MatchingRule::ImageLevel;
    let protocol = Protocol::new(classes);
    let mut evaluator = MatchedEvaluator::new(protocol, rule);
    let count = |key: &String| {
        let truth = truth(masks, key)?;
        let labels = predicted(store, key, threshold, truth.size())?;
        ImageCounts::new(&labels, &truth, classes, &protocol)
            .with_context(|| format!("the mask {}", mask_path(masks, key).display()))
    };
    let counts: Vec<ImageCounts> = store
        .keys()
        .par_iter()
        .map(count)
        .collect::<Result<_, _>>()?;
    let mut counts = counts.into_iter();
    counts.try_for_each(|counts| evaluator.add_counts(counts))?;
    let matched = evaluator.finish()?;
    Ok((matched.report, matched.matching))
}

/// Writes `FOLDER/KEY.png`: at the size of the mask where there are masks, else of the features.
///
/// # Errors
///
/// Masks that cannot be read; a failed write.
pub fn label_masks(
    store: &LabelStore,
    masks: Option<&Path>,
    threshold: f32,
    folder: &Path,
) -> anyhow::Result<()> {
    let write = |key: &String| {
        let labels = store.get(key)?;
        let (width, height) = match masks {
            Some(masks) => Sample::of_file(key, mask_path(masks, key), None).picture_size()?,
            None => (labels.width, labels.height),
        };
        let mask = labels.to_mask(width, height, threshold);
        Ok(write_mask(&mask_path(folder, key), &mask)?)
    };
    store.keys().par_iter().try_for_each(write)
}

fn mask_path(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.png"))
}

fn truth(masks: &Path, key: &str) -> anyhow::Result<LabelMask> {
    Ok(read_mask(&mask_path(masks, key))?)
}

fn predicted(
    store: &LabelStore,
    key: &str,
    threshold: f32,
    (width, height): (usize, usize),
) -> anyhow::Result<LabelMask> {
    Ok(store.get(key)?.to_mask(width, height, threshold))
}
