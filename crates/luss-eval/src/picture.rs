//! One picture: its files read, checked against each other, thresholded and counted.

use std::{io::ErrorKind, path::Path, sync::Arc};

use luss_metrics::{
    Error, ImageCounts, LabelMask, Matching, OTHER, Protocol,
    folder::{FileError, Problem, ProblemKind, ScoreMap, read_npy},
};

use crate::{
    conventions::TruthIds,
    evidence::{Evidence, Findings},
    pairs::{Masks, Pairs, Picture},
    settings::Settings,
};

/// Reads pictures one after the other.
pub(crate) struct Loader {
    truth: Masks,
    prediction: Masks,
    truth_ids: TruthIds,
    findings: Arc<Findings>,
}

/// The masks of one picture, of one size.
pub(crate) struct Loaded {
    pub(crate) truth: LabelMask,
    /// Predicted ids, before any threshold.
    pub(crate) prediction: LabelMask,
    pub(crate) scores: Option<ScoreMap>,
}

impl Masks {
    fn read(&mut self, path: &Path) -> Result<LabelMask, FileError> {
        #[cfg(test)]
        crate::scoring::tests::note_read(path);
        self.masks.read(path, &mut self.reader)
    }
}

impl Loader {
    pub(crate) fn new(pairs: &Pairs, settings: &Settings) -> Self {
        Self {
            truth: pairs.truth.clone(),
            prediction: pairs.prediction.clone(),
            truth_ids: settings.conventions.ids.clone(),
            findings: pairs.findings.clone(),
        }
    }

    /// Reads all files of a picture; says of each what is wrong with it.
    pub(crate) fn load(&mut self, picture: &Picture) -> Result<Loaded, Vec<Problem>> {
        let mut problems = Vec::new();
        let truth = noted(
            self.truth.read(&picture.truth),
            &picture.truth,
            &mut problems,
        );
        let prediction = noted(
            self.prediction.read(&picture.prediction),
            &picture.prediction,
            &mut problems,
        );
        let look = |side: &Evidence, mask: &Option<LabelMask>, ignored| {
            mask.iter().for_each(|mask| side.look(mask, ignored));
        };
        look(&self.findings.truth, &truth, &self.truth_ids.ignored);
        look(&self.findings.prediction, &prediction, &[]);
        let scores = picture
            .scores
            .as_deref()
            .map(|path| noted(read_npy(path), path, &mut problems));
        match (
            truth,
            prediction,
            scores.map_or(Some(None), |scores| scores.map(Some)),
        ) {
            (Some(truth), Some(prediction), Some(scores)) => {
                let mut loaded = Loaded {
                    truth,
                    prediction,
                    scores,
                };
                loaded
                    .check_sizes(picture)
                    .and_then(|()| self.scored_ids(&mut loaded.truth, picture))
                    .map_err(|problem| vec![problem])?;
                Ok(loaded)
            }
            _ => Err(problems),
        }
    }

    /// Turns the ids of a true mask into those that are scored.
    fn scored_ids(&self, truth: &mut LabelMask, picture: &Picture) -> Result<(), Problem> {
        let is_of_ids = self.truth.hold_ids();
        let applied = self.truth_ids.apply(truth, is_of_ids);
        applied.map_err(|cause| Problem::new(&picture.truth, ProblemKind::UnknownId, cause))
    }
}

fn noted<T>(read: Result<T, FileError>, path: &Path, problems: &mut Vec<Problem>) -> Option<T> {
    let kind = |error: &FileError| match error {
        FileError::Format { .. } => ProblemKind::MixedFormat,
        FileError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            ProblemKind::Missing // a list names it
        }
        _ => ProblemKind::Undecodable,
    };
    read.map_err(|error| {
        let message = format!("{error}{}", option_for(&error));
        problems.push(Problem::new(path, kind(&error), message));
    })
    .ok()
}

/// The options that read such a file.
fn option_for(error: &FileError) -> &'static str {
    match error {
        FileError::Unsupported { .. } | FileError::UnknownColor { .. } => {
            " (colours: --colors voc, cityscapes, or a label map)"
        }
        FileError::Blue { .. } => {
            " (colours: --colors voc, cityscapes, or a label map; 0/255 masks: --binary; \
             COCO panoptic masks: their JSON as --pred or --truth)"
        }
        FileError::FewBits { .. } => " (classes 0 and 1: --binary)",
        FileError::NotBinary { .. } => " (--binary)",
        FileError::Format { .. } => " (--mask-format mixed)",
        _ => "",
    }
}

impl Loaded {
    fn check_sizes(&self, picture: &Picture) -> Result<(), Problem> {
        let (truth, prediction) = (self.truth.size(), self.prediction.size());
        if truth != prediction {
            let message = Error::SizeMismatch { prediction, truth }.to_string();
            let path = &picture.prediction;
            return Err(Problem::new(path, ProblemKind::WrongSize, message));
        }
        let (Some(scores), Some(path)) = (&self.scores, &picture.scores) else {
            return Ok(());
        };
        if (scores.width(), scores.height()) == truth {
            return Ok(());
        }
        let message = format!(
            "the scores are {}x{} but the mask is {}x{} (width x height); resize them (bilinear) to the mask's size, in the order height x width",
            scores.width(),
            scores.height(),
            truth.0,
            truth.1
        );
        Err(Problem::new(path, ProblemKind::WrongSize, message))
    }

    /// Turns the pixels whose attention is below the threshold, compared in `f32`, into "other".
    pub(crate) fn apply_threshold(&mut self, threshold: Option<f32>) {
        let (Some(threshold), Some(scores)) = (threshold, &self.scores) else {
            return;
        };
        for (id, score) in self.prediction.labels_mut().iter_mut().zip(scores.scores()) {
            if *score < threshold {
                *id = OTHER;
            }
        }
    }

    /// The picture's counts, with predicted ids as they are.
    pub(crate) fn count(&self, clusters: u16, protocol: &Protocol) -> Result<ImageCounts, Error> {
        ImageCounts::new(&self.prediction, &self.truth, clusters, protocol)
    }

    /// The picture's counts with each cluster replaced by its class.
    pub(crate) fn count_matched(
        &self,
        matching: &Matching,
        protocol: &Protocol,
    ) -> Result<ImageCounts, Error> {
        let matched = matching.apply_under(&self.prediction, protocol)?;
        ImageCounts::new(&matched, &self.truth, protocol.classes, protocol)
    }
}

/// What is wrong with a picture that was read.
pub(crate) fn problem_of(error: &Error, picture: &Picture) -> Problem {
    let (path, kind) = match error {
        Error::SizeMismatch { .. } => (&picture.prediction, ProblemKind::WrongSize),
        Error::TruthOutOfRange { .. } => (&picture.truth, ProblemKind::UnknownId),
        Error::PictureTooLarge { .. } => (&picture.truth, ProblemKind::Undecodable),
        _ => (&picture.prediction, ProblemKind::UnknownId),
    };
    Problem::new(path, kind, error.to_string())
}
