//! How far annotators agree on the same pictures (Table III): the metrics between each two of them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use luss_metrics::{
    AbsentClass, BoundaryIgnore, Evaluator, IGNORE, LabelMask, OTHER, Protocol, Report,
};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    Error,
    dataset::{
        samples::is_mask,
        scan::{Found, scan},
    },
    layout::MASK_EXTENSION,
    pictures::mask_png::read_mask,
    progress::{Counter, Watcher},
};

/// Thicknesses of the boundary in Table III, as shares of the diagonal.
const BOUNDARY_RATIOS: [f64; 3] = [0.02, 0.03, 0.04];

/// Ids that a mask can have besides other and ignore.
const CLASSES: u16 = IGNORE - 1;

/// How far annotators agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Pictures that all of them labelled.
    pub pictures: u64,
    /// Pairs of annotators, over which every number is averaged.
    pub pairs: u64,
    /// Boundary mIoU at 2, 3 and 4 %, and mask mIoU.
    pub rows: Vec<AgreementRow>,
}

/// A row of Table III; numbers in `0..=1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgreementRow {
    /// Thickness of the boundary as a share of the diagonal; `None` for whole masks.
    pub boundary_ratio: Option<f64>,
    /// Over all objects; `None` where nothing counts.
    pub all: Option<f64>,
    /// By size groups, S, MS, ML, L; `None` where no picture has such an object.
    pub sizes: [Option<f64>; 4],
}

/// Compares the masks of each two folders, which are those of annotators of the same pictures.
///
/// A class that neither of two annotators saw is left out of their mean. What one of them ignores
/// counts for neither, and boundaries look through it, so that equal masks agree fully. Sizes are
/// those of the first of the two.
///
/// # Errors
///
/// [`Error::UnpairedMask`] when the folders differ in their files, [`Error::UnlikeMasks`] when two
/// masks differ in size, [`Error::NoMasks`] for an empty folder, those of
/// [`read_mask`](crate::read_mask).
///
/// # Panics
///
/// With fewer than two folders.
pub fn agreement(folders: &[PathBuf], watcher: Watcher<'_>) -> Result<Agreement, Error> {
    assert!(folders.len() > 1, "{} annotators", folders.len());
    let files = folders.iter().map(|folder| masks_of(folder));
    let files: Vec<Vec<Found>> = files.collect::<Result<_, _>>()?;
    for (folder, others) in folders.iter().zip(&files) {
        check_same(folders, &files[0], folder, others)?;
    }
    let pairs: Vec<[usize; 2]> = (0..folders.len())
        .flat_map(|second| (0..second).map(move |first| [first, second]))
        .collect();
    let counter = Counter::new("comparing masks", pairs.len() * files[0].len(), watcher);
    let reports = pairs
        .iter()
        .map(|&[first, second]| compare(&files[first], &files[second], &counter));
    let reports: Vec<Vec<Report>> = reports.collect::<Result<_, _>>()?;
    Ok(Agreement {
        pictures: files[0].len() as u64,
        pairs: pairs.len() as u64,
        rows: rows(&reports),
    })
}

fn masks_of(folder: &Path) -> Result<Vec<Found>, Error> {
    let files = scan(folder, is_mask)?.files;
    match files.is_empty() {
        true => Err(Error::NoMasks {
            path: folder.to_owned(),
        }),
        false => Ok(files),
    }
}

fn check_same(
    folders: &[PathBuf],
    expected: &[Found],
    folder: &Path,
    files: &[Found],
) -> Result<(), Error> {
    let unpaired = |key: &str, path: &Path, other: &Path| Error::UnpairedMask {
        path: path.join(format!("{key}.{MASK_EXTENSION}")),
        other: other.join(format!("{key}.{MASK_EXTENSION}")),
    };
    let keys = |files: &[Found]| -> BTreeSet<String> {
        files.iter().map(|file| file.key.clone()).collect()
    };
    let (expected, found) = (keys(expected), keys(files));
    if let Some(key) = expected.difference(&found).next() {
        return Err(unpaired(key, folder, &folders[0]));
    }
    match found.difference(&expected).next() {
        Some(key) => Err(unpaired(key, &folders[0], folder)),
        None => Ok(()),
    }
}

/// The reports of two annotators, one for each thickness.
fn compare(first: &[Found], second: &[Found], counter: &Counter<'_>) -> Result<Vec<Report>, Error> {
    let evaluators = || BOUNDARY_RATIOS.map(|ratio| Evaluator::new(protocol(ratio)));
    let pairs = first.par_iter().zip(second);
    let evaluators = pairs
        .map(|(first, second)| {
            let (truth, prediction) = comparable(&first.path, &second.path)?;
            let mut evaluators = evaluators();
            for evaluator in &mut evaluators {
                evaluator
                    .add(&prediction, &truth)
                    .expect("equal sizes, and ids below ignore");
            }
            counter.step();
            Ok(evaluators)
        })
        .try_reduce(evaluators, |mut all, more| {
            for (all, more) in all.iter_mut().zip(&more) {
                all.merge(more).expect("the same protocol, and few pixels");
            }
            Ok(all)
        })?;
    Ok(evaluators.iter().map(Evaluator::report).collect())
}

fn protocol(boundary_ratio: f64) -> Protocol {
    Protocol {
        absent_class: AbsentClass::Skip,
        boundary_ignore: BoundaryIgnore::Transparent,
        boundary_ratio,
        ..Protocol::new(CLASSES)
    }
}

/// Two masks of a picture: what one of them ignores, the first ignores and the second calls other.
fn comparable(first: &Path, second: &Path) -> Result<(LabelMask, LabelMask), Error> {
    let (mut truth, mut prediction) = (read_mask(first)?, read_mask(second)?);
    if truth.size() != prediction.size() {
        return Err(Error::UnlikeMasks {
            path: second.to_owned(),
            mask_px: prediction.size(),
            other: first.to_owned(),
            other_px: truth.size(),
        });
    }
    for (path, mask) in [(first, &truth), (second, &prediction)] {
        if let Some(&id) = mask.labels().iter().find(|&&id| id > IGNORE) {
            let path = path.to_owned();
            return Err(Error::IdOutOfRange {
                path,
                id,
                classes: CLASSES,
            });
        }
    }
    for (a, b) in truth.labels_mut().iter_mut().zip(prediction.labels_mut()) {
        if *a == IGNORE || *b == IGNORE {
            (*a, *b) = (IGNORE, OTHER);
        }
    }
    Ok((truth, prediction))
}

/// Means over the pairs.
fn rows(pairs: &[Vec<Report>]) -> Vec<AgreementRow> {
    let boundary = BOUNDARY_RATIOS
        .iter()
        .enumerate()
        .map(|(at, &ratio)| AgreementRow {
            boundary_ratio: Some(ratio),
            all: mean(pairs.iter().map(|reports| reports[at].boundary_miou)),
            sizes: std::array::from_fn(|group| {
                mean(
                    pairs
                        .iter()
                        .map(|reports| reports[at].sizes[group].boundary_miou),
                )
            }),
        });
    let whole = AgreementRow {
        boundary_ratio: None,
        all: mean(pairs.iter().map(|reports| reports[0].miou)),
        sizes: std::array::from_fn(|group| {
            mean(pairs.iter().map(|reports| reports[0].sizes[group].miou))
        }),
    };
    boundary.chain([whole]).collect()
}

/// Of what is there.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.flatten().collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
