//! The pictures to score: which files belong together, and how their ids are encoded.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, bail, ensure};
use luss_metrics::folder::{
    MaskFiles, MaskFormat, MaskReader, MaskSource, Pairing, PairingRule, Problem, ProblemKind,
    Side, Tree, open_masks, read_pairs,
};
use serde::{Deserialize, Serialize};

use crate::{
    arguments::{Arguments, FormatArgument},
    evidence::Findings,
    settings::Settings,
};

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
    /// Whether colours may stand for ids.
    may_be_colored: bool,
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
    /// Files of another kind beside the masks, which are not read.
    pub(crate) others: u64,
    /// The photographs of the pictures, for the page.
    pub(crate) photographs: Option<Pairing>,
}

impl Masks {
    fn new(
        masks: Box<dyn MaskSource>,
        format: FormatArgument,
        reader: &MaskReader,
        has_map: bool,
    ) -> Self {
        let masks: Arc<dyn MaskSource> = masks.into();
        let format = match masks.format() {
            Some(_) => None,
            None => format_of(format, masks.tree(), reader),
        };
        Self {
            masks,
            format,
            reader: reader.clone().expecting(format),
            may_be_colored: has_map && matches!(format, None | Some(MaskFormat::Colors)),
        }
    }

    /// Whether the files hold ids, and neither annotations nor colours.
    pub(crate) fn hold_ids(&self) -> bool {
        self.masks.format().is_none() && !self.may_be_colored
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
        let [truth_format, format] = formats(settings.arguments);
        let has_map = settings.conventions.colors.is_some();
        let masks = |side, format, reader| Masks::new(side, format, reader, has_map);
        let others = [truth.tree(), prediction.tree()].map(|tree| others(tree, submission));
        let mut pairs = Self {
            pictures: pictures(&pairing),
            truths: truth.tree().len(),
            paired_by: pairing.rule(),
            problems: pairing.problems().to_vec(),
            truth: masks(truth, truth_format, &settings.conventions.truth),
            prediction: masks(prediction, format, &settings.conventions.prediction),
            spare_scores: 0,
            findings: Arc::default(),
            respelled: pairing.respelled(),
            others: others.into_iter().sum(),
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
        ensure!(
            !truths.is_empty(),
            "{}: there is no pair in it",
            list.display()
        );
        return Ok([Box::new(truths), Box::new(predictions)]);
    }
    let ignore = settings.protocol.ignore;
    let side = Side::Truth { ignore };
    let files = formats(arguments).map(files_of);
    let suffix = arguments.truth_suffix.as_deref();
    let truth = masks_of(settings.truth, files[0], suffix, side)?;
    let side = Side::Prediction { truth: &*truth };
    let suffix = arguments.pred_suffix.as_deref();
    let prediction = masks_of(submission.prediction, files[1], suffix, side)?;
    Ok([truth, prediction])
}

/// Of true masks and predictions.
fn formats(arguments: &Arguments) -> [FormatArgument; 2] {
    let format = arguments.mask_format;
    [arguments.truth_format.unwrap_or(format), format]
}

fn files_of(format: FormatArgument) -> MaskFiles {
    match format {
        FormatArgument::Auto => MaskFiles::FirstKind,
        FormatArgument::Mixed => MaskFiles::Mixed,
        FormatArgument::Stated(format) => MaskFiles::Of(format),
    }
}

/// How many files of another kind lie beside masks; attention may.
fn others(tree: &Tree, submission: Submission) -> u64 {
    let is_attention = |path: &&PathBuf| {
        submission.scores.is_some()
            && path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("npy"))
    };
    let others = tree.others().iter();
    others.filter(|path| !is_attention(path)).count() as u64
}

fn masks_of(
    path: &Path,
    files: MaskFiles,
    suffix: Option<&str>,
    side: Side,
) -> Result<Box<dyn MaskSource>> {
    let masks = open_masks(path, files, suffix.unwrap_or_default(), side)?;
    ensure!(
        suffix.is_none() || masks.format().is_none(),
        "{}: a suffix is that of files in a folder, and this is one file",
        path.display()
    );
    let tree = masks.tree();
    if tree.is_empty() && tree.problems().is_empty() {
        let name = suffix.map(|suffix| format!(" whose name ends with {suffix}"));
        let (name, path) = (name.unwrap_or_default(), path.display());
        match tree.others().len() {
            0 => bail!(
                "there is no .png below {path}{name}, and no .tif or .npy either; masks are such files, or those of a COCO .json"
            ),
            others => bail!(
                "there is no mask of the stated kind below {path}{name}, but {others} of another one (.png, .tif, .npy); state that, by --mask-format or the suffix"
            ),
        }
    }
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
    let message = format!(
        "nothing under {} holds its attention; write one .npy for each prediction",
        folder.display()
    );
    Problem::new(&picture.prediction, ProblemKind::Missing, message)
}
