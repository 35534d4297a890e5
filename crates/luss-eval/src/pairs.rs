//! The pictures to score: which files belong together, and how their ids are encoded.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use luss_metrics::folder::{
    MaskFormat, Pairing, PairingRule, Problem, ProblemKind, Tree, mask_format,
};

use serde::{Deserialize, Serialize};

use crate::{arguments::FormatArgument, settings::Settings};

/// A true mask and what was made for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Picture {
    /// Path of the true mask below its folder, without the extension.
    pub(crate) key: PathBuf,
    pub(crate) truth: PathBuf,
    pub(crate) prediction: PathBuf,
    pub(crate) scores: Option<PathBuf>,
}

/// A folder of predictions, with attention maps if there are any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Submission<'a> {
    pub(crate) prediction: &'a Path,
    pub(crate) scores: Option<&'a Path>,
}

/// The pairs of both folders.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// In the order of their keys.
    pub(crate) pictures: Vec<Picture>,
    /// Number of true masks, complete or not.
    pub(crate) truths: usize,
    pub(crate) paired_by: PairingRule,
    /// `None` for any.
    pub(crate) truth_format: Option<MaskFormat>,
    /// `None` for any.
    pub(crate) prediction_format: Option<MaskFormat>,
    pub(crate) problems: Vec<Problem>,
    /// Attention maps without a true mask.
    pub(crate) spare_scores: usize,
}

impl Pairs {
    pub(crate) fn new(submission: Submission, settings: &Settings) -> Result<Self> {
        let truth = masks_below(settings.truth)?;
        let predictions = masks_below(submission.prediction)?;
        let pairing = Pairing::new(&truth, &predictions);
        let format = settings.arguments.mask_format;
        let mut pairs = Self {
            pictures: pictures(&pairing),
            truths: truth.len(),
            paired_by: pairing.rule(),
            truth_format: format_of(settings.arguments.truth_format.unwrap_or(format), &truth),
            prediction_format: format_of(format, &predictions),
            problems: pairing.problems().to_vec(),
            spare_scores: 0,
        };
        if let Some(folder) = submission.scores {
            pairs.add_scores(&Pairing::new(&truth, &Tree::of_scores(folder)?), folder);
        }
        Ok(pairs)
    }

    fn add_scores(&mut self, scores: &Pairing, folder: &Path) {
        let pictures = std::mem::take(&mut self.pictures);
        for mut picture in pictures {
            picture.scores = scores.get(&picture.key).map(Path::to_owned);
            match picture.scores {
                Some(_) => self.pictures.push(picture),
                None => self.problems.push(missing_scores(&picture, folder)),
            }
        }
        let problems = || scores.problems().iter();
        self.spare_scores = problems()
            .filter(|problem| problem.kind == ProblemKind::Extra)
            .count();
        let others = problems().filter(|problem| problem.kind == ProblemKind::Ambiguous);
        self.problems.extend(others.cloned());
    }
}

fn masks_below(folder: &Path) -> Result<Tree> {
    let tree = Tree::of_masks(folder)?;
    ensure!(
        !tree.is_empty() || !tree.problems().is_empty(),
        "there is no .png below {}; masks are PNG files",
        folder.display()
    );
    Ok(tree)
}

fn pictures(pairing: &Pairing) -> Vec<Picture> {
    let picture = |(key, truth, prediction): (&Path, &Path, &Path)| Picture {
        key: key.to_owned(),
        truth: truth.to_owned(),
        prediction: prediction.to_owned(),
        scores: None,
    };
    pairing.iter().map(picture).collect()
}

/// The format of the first file that has one.
fn format_of(argument: FormatArgument, tree: &Tree) -> Option<MaskFormat> {
    match argument {
        FormatArgument::Stated(format) => Some(format),
        FormatArgument::Mixed => None,
        FormatArgument::Auto => tree.iter().find_map(|(_, path)| mask_format(path).ok()),
    }
}

fn missing_scores(picture: &Picture, folder: &Path) -> Problem {
    Problem {
        path: picture.prediction.clone(),
        kind: ProblemKind::Missing,
        message: format!(
            "nothing under {} holds its attention; write one .npy for each prediction",
            folder.display()
        ),
    }
}
