//! The choice of the attention threshold, before anything is scored.

use anyhow::{Context as _, Result};
use luss_metrics::{
    AttentionHistogram, ChosenThreshold, ThresholdCurve, ThresholdPoint, ThresholdRule,
    folder::{Problem, read_npy},
};

use crate::{
    pairs::{Pairs, Picture},
    pass::pass,
    picture::{Loader, problem_of},
    problems,
    progress::Progress,
    settings::Settings,
};

/// The threshold, and the scores at all thresholds if they were asked for.
pub(crate) struct Thresholding {
    pub(crate) chosen: Option<ChosenThreshold>,
    pub(crate) curve: Option<Vec<ThresholdPoint>>,
}

impl Thresholding {
    pub(crate) fn new(pairs: &Pairs, settings: &Settings) -> Result<Self> {
        let Some(rule) = settings.threshold() else {
            return Ok(Self {
                chosen: None,
                curve: None,
            });
        };
        let curve = match settings.wants_curve() {
            true => Some(curve(pairs, settings)?),
            false => None,
        };
        let chosen = match (rule, &curve) {
            (ThresholdRule::Validation, Some(curve)) => ThresholdRule::choose_by_masks(curve)?,
            (ThresholdRule::Fixed(_), _) => rule.choose_without_masks(&AttentionHistogram::new())?,
            _ => rule.choose_without_masks(&histogram(pairs, settings)?)?,
        };
        let curve = curve.map(|curve| curve.points()).transpose()?;
        Ok(Self {
            chosen: Some(chosen),
            curve,
        })
    }
}

/// All thresholds, from the masks and maps of all pictures.
fn curve(pairs: &Pairs, settings: &Settings) -> Result<ThresholdCurve> {
    let empty = || ThresholdCurve::new(settings.protocol);
    let work = |share: &mut (Loader, ThresholdCurve, Vec<Problem>), _, picture: &Picture| {
        let (loader, curve, problems) = share;
        match loader.load(picture) {
            Ok(loaded) => {
                let scores = loaded.scores.as_ref().map_or(&[][..], |map| map.scores());
                let added = curve.add(&loaded.prediction, scores, &loaded.truth);
                problems.extend(added.err().map(|error| problem_of(&error, picture)));
            }
            Err(found) => problems.extend(found),
        }
    };
    let progress = Progress::new("thresholds", pairs.pictures.len(), settings.arguments.quiet);
    let state = || (Loader::new(pairs, settings), empty(), Vec::new());
    let shares = pass(&pairs.pictures, settings.threads, &progress, state, work);
    let (mut sum, mut found) = (empty(), pairs.problems.clone());
    for (_, curve, problems) in shares {
        sum.merge(&curve)?;
        found.extend(problems);
    }
    if settings.arguments.allow_missing {
        pairs.check_evidence(settings)?; // the problems are met again
    } else {
        found.sort();
        problems::report(&[], &found, pairs, settings)?;
    }
    Ok(sum)
}

/// The attention of all pictures. Maps that cannot be read are met again when they are scored.
fn histogram(pairs: &Pairs, settings: &Settings) -> Result<AttentionHistogram> {
    let work = |histogram: &mut AttentionHistogram, _, picture: &Picture| {
        let map = picture
            .scores
            .as_deref()
            .and_then(|path| read_npy(path).ok());
        // A map holds no NaN, the only thing that a histogram refuses.
        let _ = map.map(|map| histogram.add(map.scores()));
    };
    let progress = Progress::new("attention", pairs.pictures.len(), settings.arguments.quiet);
    let shares = pass(
        &pairs.pictures,
        settings.threads,
        &progress,
        AttentionHistogram::new,
        work,
    );
    let mut sum = AttentionHistogram::new();
    shares
        .iter()
        .try_for_each(|share| sum.merge(share))
        .context("the attention of all pictures")?;
    Ok(sum)
}
