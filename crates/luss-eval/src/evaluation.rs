//! Everything that one call of the program finds out.

use anyhow::{Context as _, Result};
use luss_metrics::{Comparison, Intervals};

use crate::{
    comparison::{compare, intervals},
    pairs::Submission,
    scoring::{
        Scored,
        shards::{self, Shard},
    },
    settings::Settings,
};

/// The scores of one folder, or of two and their comparison.
pub(crate) struct Evaluation {
    pub(crate) scored: Scored,
    pub(crate) intervals: Option<Intervals>,
    pub(crate) other: Option<Other>,
}

/// The second folder of a comparison.
pub(crate) struct Other {
    pub(crate) scored: Scored,
    pub(crate) comparison: Comparison,
}

impl Evaluation {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let arguments = settings.arguments;
        let first = Submission {
            prediction: settings.prediction,
            scores: arguments.scores.as_deref(),
        };
        let scored = Scored::new(first, &[], settings)?;
        let intervals = resampled(&scored, settings)?;
        let other = settings.compared.map(|prediction| {
            let second = Submission {
                prediction,
                scores: arguments.compare_scores.as_deref(),
            };
            Other::new(second, &scored, settings)
                .with_context(|| format!("--compare {}", prediction.display()))
        });
        Ok(Self {
            scored,
            intervals,
            other: other.transpose()?,
        })
    }

    /// The scores of pictures that were counted before.
    pub(crate) fn of_shards(shard: Shard, settings: &Settings) -> Result<Self> {
        let scored = shards::score(shard, settings)?;
        Ok(Self {
            intervals: resampled(&scored, settings)?,
            scored,
            other: None,
        })
    }
}

fn resampled(scored: &Scored, settings: &Settings) -> Result<Option<Intervals>> {
    let resamples = settings.arguments.bootstrap;
    let resampled = resamples.map(|n| intervals(scored, n, settings));
    resampled.transpose()
}

impl Other {
    fn new(submission: Submission, first: &Scored, settings: &Settings) -> Result<Self> {
        let scored = Scored::new(submission, &first.problems, settings)?;
        let comparison = compare(first, &scored, settings)?;
        Ok(Self { scored, comparison })
    }
}
