//! What every step is given: the run, the data, the device, and how loudly to speak.

use std::{fs, path::Path};

use burn::tensor::Device;
use imagenet_s::{Dataset, Sample, Split, picture_size, read_mask, synthetic::write_synthetic};
use luss_metrics::LabelMask;

use crate::{
    Error, RunDir, RunFile, Step, Verbosity,
    check_data::check_data,
    run_file::{Source, ThresholdRule},
};

/// What every step is given.
#[derive(Debug)]
pub struct Context {
    /// Where the run lies.
    pub run: RunDir,
    /// What the run is to do.
    pub file: RunFile,
    /// The pictures.
    pub data: Dataset,
    /// Where tensors live; training steps differentiate on it.
    pub device: Device,
    /// Bars, lines or silence.
    pub verbosity: Verbosity,
}

impl Context {
    /// Opens the data of `file`, settles what it leaves open, and starts or goes on with the run in
    /// `root`.
    ///
    /// The first start reads every picture and mask once, and leaves no `run.toml` behind when one
    /// of them is bad.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the pictures are missing, [`Error::Faults`] if files are bad,
    /// [`Error::TooFewPictures`], [`Error::Value`], and as [`RunDir::open`].
    pub fn open(
        root: &Path,
        mut file: RunFile,
        device: Device,
        verbosity: Verbosity,
    ) -> Result<Self, Error> {
        file.check("with the command line")?;
        let data = open_data(root, &file.data.source)?;
        file.threshold.rule = Some(settled_rule(&file, &data)?);
        let run = RunDir::find(root, &file)?;
        if run.is_done(Step::CheckData) {
            run.start(&file)?;
        } else {
            let summary = check_data(&file, &data, verbosity)?;
            run.start(&file)?;
            run.finish(Step::CheckData, &summary)?;
        }
        Ok(Self {
            run,
            file,
            data,
            device,
            verbosity,
        })
    }

    /// Another run on the same pictures, which need no second check.
    ///
    /// # Errors
    ///
    /// As [`RunDir::open`].
    pub(crate) fn sibling(&self, root: &Path, mut file: RunFile) -> Result<Self, Error> {
        file.threshold.rule = self.file.threshold.rule;
        let run = RunDir::open(root, &file)?;
        run.finish(
            Step::CheckData,
            &"with the run that this one is a control of",
        )?;
        Ok(Self {
            run,
            file,
            data: self.data.clone(),
            device: self.device.clone(),
            verbosity: self.verbosity,
        })
    }

    /// The splits whose pictures are labelled for people to look at and to be scored: validation and
    /// test, or the training pictures of data that has neither.
    pub fn shown_splits(&self) -> Vec<Split> {
        let shown = [Split::Validation, Split::Test];
        let present: Vec<Split> = shown
            .into_iter()
            .filter(|&split| !self.data.samples(split).is_empty())
            .collect();
        if present.is_empty() {
            vec![Split::Train]
        } else {
            present
        }
    }

    /// The mask of a sample, checked against its picture and the class count.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] naming the mask.
    ///
    /// # Panics
    ///
    /// If the sample has no mask.
    pub fn truth(&self, sample: &Sample) -> Result<LabelMask, Error> {
        let path = sample
            .mask
            .as_deref()
            .expect("asked only for samples with masks");
        let mask = read_mask(path)?;
        self.data
            .check_mask(&mask, path, picture_size(&sample.picture)?)?;
        Ok(mask)
    }

    /// A line on the terminal, unless quiet.
    pub fn say(&self, line: &str) {
        if self.verbosity != Verbosity::Quiet {
            eprintln!("{line}");
        }
    }
}

/// The pictures of a run; the embedded dataset is written into the run directory first.
fn open_data(root: &Path, source: &Source) -> Result<Dataset, Error> {
    Ok(match source {
        Source::Synthetic(config) => {
            fs::create_dir_all(root).map_err(Error::io(root, "create the run directory"))?;
            let place = root.join("data");
            write_synthetic(&place, config)?;
            Dataset::open(&place)?
        }
        Source::Layout { path } => Dataset::open(path)?,
        Source::Pictures { path, classes } => Dataset::open_pictures(path, *classes)?,
    })
}

/// The threshold rule that the data allows, or the one that was asked for.
fn settled_rule(file: &RunFile, data: &Dataset) -> Result<ThresholdRule, Error> {
    let masks = data.has_masks(Split::Validation);
    match file.threshold.rule {
        None if masks => Ok(ThresholdRule::Validation),
        None => Ok(ThresholdRule::Otsu),
        Some(ThresholdRule::Validation) if !masks => Err(Error::NoMasks {
            what: "`threshold.rule = \"validation\"`",
            split: Split::Validation.name(),
            data: data.root().display().to_string(),
            remedy: "set `threshold.rule` to \"otsu\", or leave it out",
        }),
        Some(rule) => Ok(rule),
    }
}
