//! Counts of several machines: written by one run, merged by another into one report.
//!
//! The file has two lines of JSON: which program wrote it and the CRC-32 of the second, and the
//! counts with all that decides what they mean.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use luss_metrics::{
    AttentionHistogram, Evaluator, Matching, MatchingRule, Protocol, ThresholdRule,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Failed,
    evidence::Facts,
    output::{policies, write_file},
    scoring::{Counted, Counts, Inputs, LeftOut, Scored},
    settings::{Meaning, Settings},
};

/// Version of the file.
const FORMAT: u32 = 1;

/// How to make a file again.
const REMEDY: &str = "write it again with luss-eval --save-counts";

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    luss_eval_counts: u32,
    crc32: u32,
}

/// The counts of some pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub(crate) protocol: Protocol,
    /// Number of predicted ids, without "other".
    pub(crate) clusters: u16,
    /// The matching from a file that the counts were made with.
    pub(crate) matching: Option<Matching>,
    threshold: Option<f32>,
    /// The settings as the JSON has them.
    pub(crate) policies: Value,
    inputs: Inputs,
    facts: Facts,
    left_out: LeftOut,
    pictures: Vec<Counted>,
}

/// Writes the counts of all scored pictures.
pub(crate) fn save(file: &Path, scored: &Scored, settings: &Settings) -> Result<()> {
    let shard = Shard {
        protocol: settings.protocol,
        clusters: settings.clusters,
        matching: match &settings.meaning {
            Meaning::Fixed(matching) => Some(matching.clone()),
            _ => None,
        },
        threshold: scored.threshold.map(|chosen| chosen.threshold),
        policies: policies(settings)?,
        inputs: scored.inputs.clone(),
        facts: scored.facts,
        left_out: scored.left_out.clone(),
        pictures: scored.pictures.clone(),
    };
    let text = serde_json::to_string(&shard)
        .with_context(|| Failed(format!("the counts for {}", file.display())))?;
    let header = Header {
        luss_eval_counts: FORMAT,
        crc32: crc32fast::hash(text.as_bytes()),
    };
    write_file(
        file,
        &format!("{}\n{text}\n", serde_json::to_string(&header)?),
    )
}

impl Shard {
    /// The counts of all files as those of one run, in whatever order they are named.
    pub(crate) fn merged(files: &[PathBuf]) -> Result<Self> {
        let shards = files.iter().map(|file| Ok((file, Self::read(file)?)));
        let mut shards = shards.collect::<Result<Vec<_>>>()?.into_iter();
        let (first, mut sum) = shards.next().context("merge needs files")?;
        let mut origins = vec![first; sum.pictures.len()];
        for (file, shard) in shards {
            sum.check_same_settings(first, &shard, file)?;
            if sum.rule().is_none() {
                sum.policies = shard.policies;
            }
            origins.extend(vec![file; shard.pictures.len()]);
            sum.inputs.keep_common(&shard.inputs);
            sum.facts.add(shard.facts);
            sum.left_out.add(shard.left_out);
            sum.pictures.extend(shard.pictures);
        }
        let mut pictures: Vec<_> = sum.pictures.into_iter().zip(origins).collect();
        pictures.sort_by(|a, b| a.0.picture.key.cmp(&b.0.picture.key));
        check_distinct(&pictures)?;
        sum.pictures = pictures.into_iter().map(|(picture, _)| picture).collect();
        Ok(sum)
    }

    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Self::parse(&text).with_context(|| format!("{}: {REMEDY}", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let (header, text) = text.split_once('\n').context("no file of counts")?;
        let header: Header = serde_json::from_str(header).context("no file of counts")?;
        let version = header.luss_eval_counts;
        ensure!(
            version == FORMAT,
            "version {version}, this program reads {FORMAT}"
        );
        let text = text.strip_suffix('\n').context("the file is cut off")?;
        let sum = crc32fast::hash(text.as_bytes());
        ensure!(
            sum == header.crc32,
            "the file is damaged: its checksum does not fit"
        );
        let shard: Self = serde_json::from_str(text)?;
        shard.protocol.check()?;
        Ok(shard)
    }

    fn check_same_settings(&self, ours: &Path, other: &Self, theirs: &Path) -> Result<()> {
        let [a, b] = [self, other].map(Self::settings);
        let Some(name) = a
            .keys()
            .chain(b.keys())
            .find(|name| a.get(*name) != b.get(*name))
        else {
            return Ok(());
        };
        let value =
            |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or_default();
        bail!(
            "{} and {} were counted with different settings: {name} is {} and {}; count them with the same options",
            ours.display(),
            theirs.display(),
            value(&a),
            value(&b)
        )
    }

    /// The rule that the pictures were counted for, whose predicted labels are clusters then.
    pub(crate) fn rule(&self) -> Option<MatchingRule> {
        let name = self.policies["match"].as_str()?;
        MatchingRule::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
    }

    /// Whether id 0 was ignored and every other true id is one less than in the files.
    pub(crate) fn reduces_zero(&self) -> bool {
        self.policies["reduce_zero_label"] == true
    }

    /// All that two shards must agree in. The rule of a matching is chosen when they are merged.
    fn settings(&self) -> serde_json::Map<String, Value> {
        let mut all = self.policies.as_object().cloned().unwrap_or_default();
        all.remove("match");
        all.insert("threshold".into(), self.threshold.map(f64::from).into());
        let pairs = self.matching.as_ref().map(Matching::to_json);
        all.insert("match file".into(), pairs.into());
        all
    }

    /// What the program knows of a folder whose files it has read.
    pub(crate) fn into_counts(self) -> Result<Counts> {
        let fixed = |t| ThresholdRule::Fixed(t).choose_without_masks(&AttentionHistogram::new());
        Ok(Counts {
            inputs: self.inputs,
            facts: self.facts,
            left_out: self.left_out,
            problems: Vec::new(),
            pictures: self.pictures,
            threshold: self.threshold.map(fixed).transpose()?,
            curve: None,
        })
    }
}

fn check_distinct(pictures: &[(Counted, &PathBuf)]) -> Result<()> {
    let same = |pair: &&[(Counted, &PathBuf)]| pair[0].0.picture.key == pair[1].0.picture.key;
    match pictures.windows(2).find(same) {
        Some(pair) => bail!(
            "the picture {} is in {} and in {}; each may be counted once",
            pair[0].0.picture.key.display(),
            pair[0].1.display(),
            pair[1].1.display()
        ),
        None => Ok(()),
    }
}

/// Scores merged counts.
pub(crate) fn score(shard: Shard, settings: &Settings) -> Result<Scored> {
    let counts = shard.into_counts()?;
    let command = command(&counts.inputs, settings);
    Scored::of(counts, settings, |_, pictures| {
        masks_needed(pictures.len(), &command)
    })
}

fn masks_needed(pictures: usize, command: &str) -> Result<Evaluator> {
    Err(anyhow!(
        "the matching joins clusters of {pictures} pictures, and where their boundaries then run is in the masks alone; run where these are: {command}"
    ))
}

/// The command that scores the same from masks.
fn command(inputs: &Inputs, settings: &Settings) -> String {
    let folder = |folder: &Option<String>| folder.clone().unwrap_or_else(|| "DIR".into());
    let rule = match &settings.meaning {
        Meaning::Fit(rule) => rule.name(),
        _ => "none",
    };
    format!(
        "luss-eval --pred {} --truth {} --classes {} --clusters {} --match {rule}",
        folder(&inputs.prediction),
        folder(&inputs.truth),
        settings.protocol.classes,
        settings.clusters
    )
}
