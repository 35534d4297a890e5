//! Where the scored masks come from, and which of them are not scored.

use std::{collections::BTreeMap, path::Path};

use luss_metrics::folder::Problem;
use serde::{Deserialize, Serialize};

use crate::{
    pairs::{Pairs, Submission},
    problems,
    settings::Settings,
};

/// The folders, as given, and how their files were read; nothing where merged shards differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    pub(crate) prediction: Option<String>,
    pub(crate) truth: Option<String>,
    pub(crate) scores: Option<String>,
    pub(crate) paired_by: Option<String>,
    pub(crate) prediction_format: Option<String>,
    pub(crate) truth_format: Option<String>,
}

impl Inputs {
    pub(crate) fn new(submission: Submission, pairs: &Pairs, settings: &Settings) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Self {
            prediction: Some(text(submission.prediction)),
            truth: Some(text(settings.truth)),
            scores: submission.scores.map(text),
            paired_by: Some(pairs.paired_by.name().to_string()),
            prediction_format: Some(pairs.prediction.format_name().to_string()),
            truth_format: Some(pairs.truth.format_name().to_string()),
        }
    }

    /// Forgets what is not the same in `other`.
    pub(crate) fn keep_common(&mut self, other: &Self) {
        for (ours, theirs) in [
            (&mut self.prediction, &other.prediction),
            (&mut self.truth, &other.truth),
            (&mut self.scores, &other.scores),
            (&mut self.paired_by, &other.paired_by),
            (&mut self.prediction_format, &other.prediction_format),
            (&mut self.truth_format, &other.truth_format),
        ] {
            ours.take_if(|ours| Some(&*ours) != theirs.as_ref());
        }
    }
}

/// True masks that are not scored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    /// Their number.
    pub(crate) images: u64,
    /// The problems of the folders, by kind.
    pub(crate) problems: BTreeMap<String, u64>,
}

impl LeftOut {
    pub(crate) fn new(truths: usize, scored: usize, problems: &[Problem]) -> Self {
        let counts = problems::counts(problems).into_iter();
        Self {
            images: (truths - scored) as u64,
            problems: counts
                .map(|(kind, count)| (kind.name().to_string(), count))
                .collect(),
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.images += other.images;
        for (kind, count) in other.problems {
            *self.problems.entry(kind).or_default() += count;
        }
    }
}
