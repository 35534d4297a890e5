//! What the command line asks for, checked before any picture is read.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use luss_metrics::{
    AbsentClass, BoundaryIgnore, IGNORE, LabelMask, Matching, MatchingRule, OTHER, OutOfRange,
    Protocol, ThresholdRule,
    folder::{ColorMap, MaskFormat, MaskReader},
};

use crate::{
    arguments::{Absent, Arguments, Boundary, FormatArgument, MatchArgument, OutOfRangeArgument},
    names::Names,
};

/// What predicted ids mean.
#[derive(Debug, Clone)]
pub(crate) enum Meaning {
    /// They are classes.
    Classes,
    /// A matching from a file.
    Fixed(Matching),
    /// The best matching under a rule.
    Fit(MatchingRule),
}

/// The checked settings.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) arguments: &'a Arguments,
    /// The true masks: a folder, a COCO file, or the list of pairs.
    pub(crate) truth: &'a Path,
    /// The predictions, likewise.
    pub(crate) prediction: &'a Path,
    /// The folder that it is compared with.
    pub(crate) compared: Option<&'a Path>,
    pub(crate) protocol: Protocol,
    pub(crate) truth_ids: TruthIds,
    pub(crate) truth_reader: MaskReader,
    pub(crate) prediction_reader: MaskReader,
    pub(crate) meaning: Meaning,
    /// Number of predicted ids, without "other".
    pub(crate) clusters: u16,
    pub(crate) names: Option<Names>,
    pub(crate) threads: usize,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(arguments: &'a Arguments) -> Result<Self> {
        let protocol = protocol_of(arguments)?;
        let classes = protocol.classes;
        let meaning = meaning_of(arguments, classes)?;
        let [truth, prediction] = sides_of(arguments);
        let truth_ids = TruthIds::new(arguments, &protocol);
        let settings = Self {
            arguments,
            truth,
            prediction,
            compared: compared_of(arguments)?,
            protocol,
            truth_reader: reader_of(arguments, &protocol, &truth_ids.ignored)?,
            prediction_reader: reader_of(arguments, &protocol, &[])?,
            truth_ids,
            clusters: clusters_of(arguments, classes, &meaning)?,
            meaning,
            names: arguments
                .names
                .as_deref()
                .map(|file| Names::read(file, classes))
                .transpose()?,
            threads: threads_of(arguments.threads),
        };
        settings.check_combinations()?;
        settings.check_outputs()?;
        Ok(settings)
    }

    /// How the threshold is chosen, if there are attention maps.
    pub(crate) fn threshold(&self) -> Option<ThresholdRule> {
        self.arguments.threshold
    }

    /// Whether all 81 thresholds are asked for.
    pub(crate) fn wants_curve(&self) -> bool {
        self.arguments.threshold_curve.is_some()
            || self.threshold() == Some(ThresholdRule::Validation)
    }

    /// Whether the counts of each picture are needed to the end.
    pub(crate) fn resamples(&self) -> bool {
        self.arguments.bootstrap.is_some() || self.compared.is_some()
    }

    fn check_combinations(&self) -> Result<()> {
        let Arguments {
            scores,
            compare_scores,
            save_match,
            ..
        } = self.arguments;
        if self.wants_curve() {
            ensure!(
                matches!(self.meaning, Meaning::Fit(MatchingRule::ImageLevel)),
                "--threshold best and --threshold-curve match at each threshold by pictures; add --match image"
            );
            ensure!(
                self.clusters == self.protocol.classes,
                "--threshold best and --threshold-curve need as many clusters as classes"
            );
        }
        ensure!(
            self.compared.is_none() || scores.is_some() == compare_scores.is_some(),
            "--compare with --scores needs the maps of the second folder too: --compare-scores DIR"
        );
        self.check_formats()?;
        ensure!(
            save_match.is_none() || !matches!(self.meaning, Meaning::Classes),
            "--save-match has nothing to save with --match none"
        );
        Ok(())
    }

    fn check_formats(&self) -> Result<()> {
        let Arguments {
            mask_format,
            truth_format,
            colors,
            binary,
            ..
        } = self.arguments;
        let formats = [Some(*mask_format), *truth_format];
        let names_colors = formats.contains(&Some(FormatArgument::Stated(MaskFormat::Colors)));
        ensure!(
            colors.is_some() || !names_colors,
            "colours need a map: --colors voc, cityscapes, or a label map"
        );
        ensure!(
            !binary || self.arguments.classes == 1,
            "--binary reads masks of one class: add --classes 1"
        );
        let both = self
            .truth_ids
            .ignored
            .iter()
            .find(|id| [0, 1, 255].contains(*id));
        if let (true, Some(id)) = (binary, both) {
            bail!("--binary reads 0, 1 and 255 as ids 0 and 1, so {id} cannot be ignored");
        }
        Ok(())
    }

    /// A run of hours should not end with a folder that does not exist.
    fn check_outputs(&self) -> Result<()> {
        let Arguments {
            json,
            csv,
            markdown,
            problems,
            save_match,
            threshold_curve,
            ..
        } = self.arguments;
        for file in [json, csv, markdown, problems, save_match, threshold_curve]
            .into_iter()
            .flatten()
        {
            let folder = file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            ensure!(
                folder.is_dir(),
                "{} cannot be written: there is no folder {}; create it",
                file.display(),
                folder.display()
            );
            ensure!(
                !file.is_dir(),
                "{} cannot be written: it is a folder; name a file",
                file.display()
            );
        }
        Ok(())
    }
}

/// What becomes of the ids of true masks.
#[derive(Debug, Clone)]
pub(crate) struct TruthIds {
    /// As the files have them.
    pub(crate) ignored: Vec<u16>,
    /// What they become.
    ignore: u16,
    /// Whether 0 is ignored and every other id goes down by one.
    reduces_zero: bool,
}

impl TruthIds {
    fn new(arguments: &Arguments, protocol: &Protocol) -> Self {
        Self {
            ignored: arguments.ignore.clone(),
            ignore: protocol.ignore,
            reduces_zero: arguments.reduce_zero_label,
        }
    }

    pub(crate) fn apply(&self, truth: &mut LabelMask) {
        if !self.reduces_zero && self.ignored == [self.ignore] {
            return;
        }
        for id in truth.labels_mut() {
            *id = match *id {
                id if self.ignored.contains(&id) || id == self.ignore => self.ignore,
                OTHER if self.reduces_zero => self.ignore,
                id => id - u16::from(self.reduces_zero),
            };
        }
    }
}

/// True masks and predictions; the latter may be the first folder of a comparison.
fn sides_of(arguments: &Arguments) -> [&Path; 2] {
    let list = arguments.pairs.as_deref();
    let truth = arguments.truth.as_deref().or(list);
    let prediction = arguments.pred.as_deref().or(list);
    let prediction = prediction.or_else(|| arguments.compare.first().map(PathBuf::as_path));
    [truth, prediction].map(|path| path.expect("required by the command line"))
}

/// The folder that the predictions are compared with.
fn compared_of(arguments: &Arguments) -> Result<Option<&Path>> {
    match (arguments.pred.as_deref(), arguments.compare.as_slice()) {
        (_, []) => Ok(None),
        (Some(_), [b]) | (None, [_, b]) => Ok(Some(b)),
        (Some(_), _) => bail!("--compare takes two folders without --pred, and one with it"),
        (None, _) => bail!("--compare takes two folders without --pred: --compare A B"),
    }
}

/// Who reads the masks of a side, of which so many ids count nowhere.
fn reader_of(arguments: &Arguments, protocol: &Protocol, ignored: &[u16]) -> Result<MaskReader> {
    let ignore = protocol.ignore;
    let map = match arguments.colors.as_deref() {
        None if arguments.binary => return Ok(MaskReader::of_two(ignored)),
        None => return Ok(MaskReader::default()),
        Some("voc") => ColorMap::voc(ignore),
        Some("cityscapes") => ColorMap::cityscapes(ignore),
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| {
                format!("--colors {file}: neither voc nor cityscapes, and no readable label map")
            })?;
            let map = ColorMap::from_label_map(&text, ignore);
            map.with_context(|| format!("--colors {file}"))?
        }
    };
    Ok(MaskReader::of_colors(map))
}

/// The classes of the scores: those of the files, which count from 0 where that is reduced.
fn classes_of(arguments: &Arguments) -> Result<u16> {
    ensure!(
        !arguments.reduce_zero_label || arguments.classes > 1,
        "--reduce-zero-label makes class 1 id 0; it needs two classes at least"
    );
    Ok(arguments.classes - u16::from(arguments.reduce_zero_label))
}

/// The id that stands for all that are ignored.
fn ignore_of(arguments: &Arguments, classes: u16) -> Result<u16> {
    let ignored = &arguments.ignore;
    if let Some(id) = ignored
        .iter()
        .find(|id| (1..=arguments.classes).contains(*id))
    {
        bail!(
            "--ignore {id}: it is one of the {} classes; ignore 0, or an id above them",
            arguments.classes
        );
    }
    let largest = ignored.iter().copied().max().filter(|id| *id != OTHER);
    Ok(largest.unwrap_or(if classes < IGNORE { IGNORE } else { u16::MAX }))
}

fn protocol_of(arguments: &Arguments) -> Result<Protocol> {
    let classes = classes_of(arguments)?;
    let protocol = Protocol {
        ignore: ignore_of(arguments, classes)?,
        out_of_range: match arguments.out_of_range {
            OutOfRangeArgument::Error => OutOfRange::Error,
            OutOfRangeArgument::Reference => OutOfRange::Drop,
        },
        absent_class: match arguments.absent {
            Absent::Zero => AbsentClass::Zero,
            Absent::Skip => AbsentClass::Skip,
        },
        boundary_ignore: match arguments.boundary_ignore {
            Boundary::Edge => BoundaryIgnore::Edge,
            Boundary::Transparent => BoundaryIgnore::Transparent,
        },
        boundary_ratio: arguments.boundary_ratio,
        ..Protocol::new(classes)
    };
    protocol.check()?;
    Ok(protocol)
}

fn meaning_of(arguments: &Arguments, classes: u16) -> Result<Meaning> {
    let file = match &arguments.matching {
        MatchArgument::None => return Ok(Meaning::Classes),
        MatchArgument::Fit(rule) => return Ok(Meaning::Fit(*rule)),
        MatchArgument::File(file) => file,
    };
    let text = fs::read_to_string(file).with_context(|| {
        format!(
            "--match {}: no rule (none, image, pixel, iou, many-to-one) and no readable file",
            file.display()
        )
    })?;
    let matching = Matching::from_json(&text).with_context(|| file.display().to_string())?;
    let taken = (1..=matching.clusters()).map(|cluster| matching.class_of(cluster));
    let highest = taken.max().unwrap_or_default();
    if highest > classes {
        bail!(
            "{}: it leads to class {highest}, but there are {classes} classes; was it made for another subset?",
            file.display()
        );
    }
    Ok(Meaning::Fixed(matching))
}

fn clusters_of(arguments: &Arguments, classes: u16, meaning: &Meaning) -> Result<u16> {
    let known = match meaning {
        Meaning::Fixed(matching) => matching.clusters(),
        _ => classes,
    };
    let clusters = arguments.clusters.unwrap_or(known);
    match meaning {
        Meaning::Classes => ensure!(
            clusters == classes,
            "--clusters {clusters} differs from --classes {classes}: choose a --match, or leave --clusters out"
        ),
        Meaning::Fixed(_) => ensure!(
            clusters <= known,
            "--clusters {clusters}, but the match file knows {known}; use the one made for these predictions"
        ),
        Meaning::Fit(_) => {}
    }
    Ok(clusters)
}

fn threads_of(asked: usize) -> usize {
    match asked {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads.min(1024),
    }
}
