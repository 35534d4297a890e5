//! What the command line asks for, checked before any picture is read.

use std::{fs, path::Path, thread};

use anyhow::{Context as _, Result, bail, ensure};
use luss_metrics::{
    AbsentClass, BoundaryIgnore, Matching, MatchingRule, OTHER, OutOfRange, Protocol, ThresholdRule,
};
use serde_json::Value;

use crate::{
    arguments::{Absent, Arguments, Boundary, MatchArgument, OutOfRangeArgument},
    conventions::{Conventions, ignored_id, scored_classes},
    names::Names,
    scoring::shards::Shard,
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
    /// The policies of the counts to merge, as the JSON has them.
    pub(crate) merged_policies: Option<Value>,
    /// The predictions: a folder, a COCO file, or the list of pairs; empty where counts are merged.
    pub(crate) prediction: &'a Path,
    /// The true masks, likewise.
    pub(crate) truth: &'a Path,
    /// The folder that it is compared with.
    pub(crate) compared: Option<&'a Path>,
    pub(crate) protocol: Protocol,
    pub(crate) conventions: Conventions,
    pub(crate) meaning: Meaning,
    /// Number of predicted ids, without "other".
    pub(crate) clusters: u16,
    pub(crate) names: Option<Names>,
    pub(crate) threads: usize,
}

impl<'a> Settings<'a> {
    /// For masks, or for counts to merge.
    pub(crate) fn new(arguments: &'a Arguments, shard: Option<&Shard>) -> Result<Self> {
        let settings = match shard {
            Some(shard) => Self::of_shard(arguments, shard)?,
            None => Self::of_folders(arguments)?,
        };
        settings.check_combinations()?;
        settings.check_outputs()?;
        Ok(settings)
    }

    fn of_folders(arguments: &'a Arguments) -> Result<Self> {
        let classes = scored_classes(arguments)?;
        let protocol = protocol_of(arguments, classes)?;
        let meaning = meaning_of(arguments, classes)?;
        let (prediction, compared) = folders_of(arguments)?;
        Ok(Self {
            arguments,
            merged_policies: None,
            prediction,
            truth: truth_of(arguments),
            compared,
            conventions: Conventions::new(arguments, &protocol)?,
            protocol,
            clusters: clusters_of(arguments, classes, &meaning)?,
            meaning,
            names: names_of(arguments, classes)?,
            threads: threads_of(arguments.threads),
        })
    }

    fn of_shard(arguments: &'a Arguments, shard: &Shard) -> Result<Self> {
        let classes = shard.protocol.classes;
        let meaning = match (meaning_of(arguments, classes)?, &shard.matching) {
            (Meaning::Classes, Some(matching)) => Meaning::Fixed(matching.clone()),
            (Meaning::Classes, None) if let Some(rule) = shard.rule() => bail!(
                "these counts are of clusters, made with --match {rule}; say how they are matched: --match {rule}, or another rule"
            ),
            (Meaning::Fixed(_), _) => bail!(
                "a match file is applied to masks; give it where they are: --match FILE --save-counts FILE"
            ),
            (Meaning::Fit(_), Some(_)) => {
                bail!("the counts were made with a match file, so they are not matched again")
            }
            (meaning, None) => meaning,
        };
        Ok(Self {
            arguments,
            merged_policies: Some(shard.policies.clone()),
            prediction: Path::new(""),
            truth: Path::new(""),
            compared: None,
            protocol: shard.protocol,
            conventions: Conventions::of_counts(shard.reduces_zero()),
            clusters: shard.clusters,
            meaning,
            names: names_of(arguments, classes)?,
            threads: threads_of(arguments.threads),
        })
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

    fn check_combinations(&self) -> Result<()> {
        let Arguments {
            scores,
            compare_scores,
            save_match,
            save_counts,
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
        ensure!(
            save_match.is_none() || !matches!(self.meaning, Meaning::Classes),
            "--save-match has nothing to save with --match none"
        );
        ensure!(
            save_counts.is_none()
                || matches!(self.threshold(), None | Some(ThresholdRule::Fixed(_))),
            "--save-counts takes a fixed threshold: one that follows from the pictures would differ between machines"
        );
        ensure!(
            !self.conventions.ids.reduces_zero
                || matches!(self.meaning, Meaning::Classes) && scores.is_none(),
            "with --reduce-zero-label id 0 is a class, and --match and --scores turn pixels into \"other\", which is 0 too; score class ids, with --match none and without --scores"
        );
        Ok(())
    }

    /// A run of hours should not end with a folder that does not exist.
    fn check_outputs(&self) -> Result<()> {
        for file in self.arguments.outputs() {
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

fn truth_of(arguments: &Arguments) -> &Path {
    let truth = arguments.truth.as_deref();
    let truth = truth.or(arguments.pairs.as_deref());
    truth.expect("required by the command line")
}

/// The folder to score and the one to compare it with.
fn folders_of(arguments: &Arguments) -> Result<(&Path, Option<&Path>)> {
    if let Some(list) = &arguments.pairs {
        return Ok((list, None));
    }
    match (arguments.pred.as_deref(), arguments.compare.as_slice()) {
        (Some(a), []) => Ok((a, None)),
        (Some(a), [b]) => Ok((a, Some(b))),
        (None, [a, b]) => Ok((a, Some(b))),
        (Some(_), _) => bail!("--compare takes two folders without --pred, and one with it"),
        (None, _) => bail!("--compare takes two folders without --pred: --compare A B"),
    }
}

fn names_of(arguments: &Arguments, classes: u16) -> Result<Option<Names>> {
    let file = arguments.names.as_deref();
    file.map(|file| Names::read(file, classes)).transpose()
}

fn protocol_of(arguments: &Arguments, classes: u16) -> Result<Protocol> {
    let protocol = Protocol {
        ignore: ignored_id(arguments, classes)?,
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
        score_other: arguments.reduce_zero_label || !arguments.ignore.contains(&OTHER),
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
    let matched = (1..=matching.clusters()).map(|cluster| matching.class_of(cluster));
    let highest = matched.max().unwrap_or_default();
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
