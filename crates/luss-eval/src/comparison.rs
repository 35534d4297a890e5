//! Intervals, and the comparison of two folders of predictions.

use anyhow::{Result, ensure};
use luss_metrics::{Bootstrap, Comparison, Fit, ImageCounts, Intervals, Predictions};

use crate::{
    scoring::Scored,
    settings::{Meaning, Settings},
};

/// Resamples of a comparison that does not say how many.
const COMPARISON_RESAMPLES: u32 = 1000;

/// The intervals of one folder's scores.
pub(crate) fn intervals(scored: &Scored, resamples: u32, settings: &Settings) -> Result<Intervals> {
    let images: Vec<ImageCounts> = counts(scored).cloned().collect();
    let predictions = Predictions {
        images: &images,
        fit: fit(settings),
    };
    Ok(bootstrap(resamples, settings).intervals(&predictions, &settings.protocol)?)
}

/// Two folders, over the pictures that are complete in both.
pub(crate) fn compare(a: &Scored, b: &Scored, settings: &Settings) -> Result<Comparison> {
    let (ours, theirs) = common(a, b);
    ensure!(
        !ours.is_empty(),
        "the two folders have no complete picture in common"
    );
    let resamples = settings.arguments.bootstrap.unwrap_or(COMPARISON_RESAMPLES);
    let predictions = |images| Predictions {
        images,
        fit: fit(settings),
    };
    let (ours, theirs) = (predictions(&ours), predictions(&theirs));
    Ok(bootstrap(resamples, settings).compare(&ours, &theirs, &settings.protocol)?)
}

fn counts(scored: &Scored) -> impl Iterator<Item = &ImageCounts> {
    scored.pictures.iter().map(|picture| &picture.counts)
}

/// The counts of the pictures that both have, in the order of their keys.
fn common(a: &Scored, b: &Scored) -> (Vec<ImageCounts>, Vec<ImageCounts>) {
    let mut theirs = b.pictures.iter().peekable();
    let mut both = (Vec::new(), Vec::new());
    for ours in &a.pictures {
        let wanted = &ours.picture.key;
        while theirs.next_if(|it| it.picture.key < *wanted).is_some() {}
        if let Some(other) = theirs.next_if(|it| it.picture.key == *wanted) {
            both.0.push(ours.counts.clone());
            both.1.push(other.counts.clone());
        }
    }
    both
}

fn bootstrap(resamples: u32, settings: &Settings) -> Bootstrap {
    Bootstrap {
        threads: settings.threads,
        ..Bootstrap::new(settings.arguments.seed, resamples)
    }
}

fn fit(settings: &Settings) -> Fit {
    match &settings.meaning {
        Meaning::Classes | Meaning::Fixed(_) => Fit::AsTheyAre,
        Meaning::Fit(rule) => Fit::Refit {
            rule: *rule,
            clusters: settings.clusters,
        },
    }
}
