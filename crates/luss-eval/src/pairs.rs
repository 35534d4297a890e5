//! The pictures to score: which files belong together, and how their ids are encoded.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, ensure};
use luss_metrics::folder::{
    MaskFormat, MaskReader, MaskSource, Pairing, PairingRule, Problem, ProblemKind, Side, Tree,
    open_masks, read_pairs,
};
use serde::{Deserialize, Serialize};

use crate::{arguments::FormatArgument, evidence::Findings, settings::Settings};

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

/// The masks of one side, and who reads them.
#[derive(Debug, Clone)]
pub(crate) struct Masks {
    pub(crate) masks: Arc<dyn MaskSource>,
    /// `None` for any.
    pub(crate) format: Option<MaskFormat>,
    pub(crate) reader: MaskReader,
}

/// The pairs of both folders.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// In the order of their keys.
    pub(crate) pictures: Vec<Picture>,
    /// Number of true masks, complete or not.
    pub(crate) truths: usize,
    pub(crate) paired_by: PairingRule,
    pub(crate) truth: Masks,
    pub(crate) prediction: Masks,
    pub(crate) problems: Vec<Problem>,
    /// Attention maps without a true mask.
    pub(crate) spare_scores: usize,
    pub(crate) findings: Arc<Findings>,
    /// Pairs whose names are spelled in different forms of Unicode.
    pub(crate) respelled: u64,
    /// The photographs of the pictures, for the page.
    pub(crate) photographs: Option<Pairing>,
}

impl Masks {
    fn new(masks: Box<dyn MaskSource>, format: FormatArgument, reader: &MaskReader) -> Self {
        let masks: Arc<dyn MaskSource> = masks.into();
        let format = match masks.format() {
            Some(_) => None,
            None => format_of(format, masks.tree(), reader),
        };
        Self {
            masks,
            format,
            reader: reader.clone().expecting(format),
        }
    }

    /// How the ids are encoded.
    pub(crate) fn format_name(&self) -> &'static str {
        let format = self.format.map_or("mixed", MaskFormat::name);
        self.masks.format().unwrap_or(format)
    }
}

impl Pairs {
    pub(crate) fn new(submission: Submission, settings: &Settings) -> Result<Self> {
        let [truth, prediction] = sources(submission, settings)?;
        let pairing = Pairing::new(truth.tree(), prediction.tree());
        let photographs = settings.arguments.images.as_deref();
        let photographs = photographs.map(|folder| photographs_of(truth.tree(), folder));
        let format = settings.arguments.mask_format;
        let truth_format = settings.arguments.truth_format.unwrap_or(format);
        let mut pairs = Self {
            pictures: pictures(&pairing),
            truths: truth.tree().len(),
            paired_by: pairing.rule(),
            problems: pairing.problems().to_vec(),
            truth: Masks::new(truth, truth_format, &settings.conventions.truth),
            prediction: Masks::new(prediction, format, &settings.conventions.prediction),
            spare_scores: 0,
            findings: Arc::default(),
            respelled: pairing.respelled(),
            photographs: photographs.transpose()?,
        };
        if let Some(folder) = submission.scores {
            let scores = Pairing::new(pairs.truth.masks.tree(), &Tree::of_scores(folder)?);
            pairs.add_scores(&scores, folder);
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

/// True masks and predictions.
fn sources(submission: Submission, settings: &Settings) -> Result<[Box<dyn MaskSource>; 2]> {
    let arguments = settings.arguments;
    if let Some(list) = &arguments.pairs {
        let [predictions, truths] = read_pairs(list)?;
        let is_empty = truths.is_empty() && truths.problems().is_empty();
        ensure!(!is_empty, "{}: there is no pair in it", list.display());
        return Ok([Box::new(truths), Box::new(predictions)]);
    }
    let ignore = settings.protocol.ignore;
    let side = Side::Truth { ignore };
    let truth = masks_of(settings.truth, arguments.truth_suffix.as_deref(), side)?;
    let side = Side::Prediction { truth: &*truth };
    let suffix = arguments.pred_suffix.as_deref();
    let prediction = masks_of(submission.prediction, suffix, side)?;
    Ok([truth, prediction])
}

fn masks_of(path: &Path, suffix: Option<&str>, side: Side) -> Result<Box<dyn MaskSource>> {
    let masks = open_masks(path, suffix, side)?;
    ensure!(
        suffix.is_none() || masks.format().is_none(),
        "{}: a suffix is that of files in a folder, and this is one file",
        path.display()
    );
    let tree = masks.tree();
    let name = suffix.map_or_else(String::new, |suffix| {
        format!(" whose name ends with {suffix}")
    });
    ensure!(
        !tree.is_empty() || !tree.problems().is_empty(),
        "there is no .png below {}{name}, and no .tif or .npy either; masks are such files, or those of a COCO .json",
        path.display()
    );
    Ok(masks)
}

fn photographs_of(truth: &Tree, folder: &Path) -> Result<Pairing> {
    let pairing = Pairing::new(truth, &Tree::of_photographs(folder)?);
    ensure!(
        !pairing.is_empty(),
        "--images {}: no photograph (.jpg, .png, .webp, .bmp) has the path or the name of a true mask",
        folder.display()
    );
    Ok(pairing)
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
fn format_of(argument: FormatArgument, tree: &Tree, reader: &MaskReader) -> Option<MaskFormat> {
    match argument {
        FormatArgument::Stated(format) => Some(format),
        FormatArgument::Mixed => None,
        FormatArgument::Auto => tree
            .iter()
            .find_map(|(_, path)| reader.format_of(path).ok()),
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
