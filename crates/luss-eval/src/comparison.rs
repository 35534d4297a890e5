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
    let images: Vec<ImageCounts> = scored
        .counts
        .iter()
        .map(|(_, counts)| counts.clone())
        .collect();
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

/// The counts of the pictures that both have, in the order of their keys.
fn common(a: &Scored, b: &Scored) -> (Vec<ImageCounts>, Vec<ImageCounts>) {
    let key = |scored: &Scored, index: usize| scored.pairs.pictures[index].key.clone();
    let mut theirs = b
        .counts
        .iter()
        .map(|(index, counts)| (key(b, *index), counts))
        .peekable();
    let mut both = (Vec::new(), Vec::new());
    for (index, counts) in &a.counts {
        let wanted = key(a, *index);
        while theirs.next_if(|(key, _)| *key < wanted).is_some() {}
        if let Some((_, other)) = theirs.next_if(|(key, _)| *key == wanted) {
            both.0.push(counts.clone());
            both.1.push(other.clone());
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
        Meaning::Classes => Fit::AsTheyAre,
        Meaning::Fixed(matching) => Fit::Fixed(matching.clone()),
        Meaning::Fit(rule) => Fit::Refit {
            rule: *rule,
            clusters: settings.clusters,
        },
    }
}
