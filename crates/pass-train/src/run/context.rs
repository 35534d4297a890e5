//! What every step is given: the run, the data, the device, and how loudly to speak.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use imagenet_s::{Dataset, Sample, Split, read_mask, terminal::tell};
use luss_metrics::LabelMask;
use pass_model::{
    group::Group,
    precision::{ROUNDED, check_device, float32_product_error, product_error},
};
use pixel_attention::{
    kmeans::{KMeans, KMeansConfig},
    rows::Rows,
};

use crate::{
    Error, RunDir, RunFile, Step, StopRequest, Verbosity,
    ranks::{first_then_others, first_with},
    run::{
        check_data::check_data,
        check_summary::CheckSummary,
        enough::{check_counts, check_synthetic_counts},
        lock::RunLock,
        mask_paths::check_mask_paths,
        masks::settled_form,
        pictures::keep_or_compare,
    },
    run_file::{Amount, KMeansPlace, LabelWay, Memory, Source, ThresholdRule, machine_memory},
    watch::findings,
};

/// What every step is given.
#[derive(Debug)]
pub struct Context {
    /// Where the run lies.
    pub run: RunDir,
    /// What the run is to do.
    pub file: RunFile,
    /// The pictures, without those that are left out.
    pub data: Dataset,
    /// Bad training pictures that every step leaves out (`data.bad_pictures = "skip"`).
    pub left_out: BTreeSet<PathBuf>,
    /// Where tensors live; training steps differentiate on it.
    pub device: Device,
    /// Bars, lines or silence.
    pub verbosity: Verbosity,
    /// Through this a program asks trainings to stop.
    pub stop: StopRequest,
    /// The processes that train together; this one alone by default.
    pub ranks: Group,
    /// Of rank 0, for all.
    _lock: Option<RunLock>,
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
    /// [`Error::TooFewPictures`], [`Error::Value`], [`Error::InUse`] while another process works on
    /// this run, and as [`RunDir::open`].
    pub fn open(
        root: &Path,
        file: RunFile,
        device: Device,
        verbosity: Verbosity,
    ) -> Result<Self, Error> {
        Self::open_of_ranks(root, file, device, verbosity, Group::default(), None)
    }

    /// [`Context::open`] for one of several processes that train together. They share the folders of
    /// run and pictures; rank 0 checks, writes and speaks for all.
    ///
    /// Finished steps that depend on a setting which has changed are to run again. For `pretrain`, which
    /// takes hours, that is refused unless it is `rerun`.
    ///
    /// # Errors
    ///
    /// As [`Context::open`]; where rank 0 failed, on the others [`Error::AnotherRank`].
    pub fn open_of_ranks(
        root: &Path,
        file: RunFile,
        device: Device,
        verbosity: Verbosity,
        ranks: Group,
        rerun: Option<Step>,
    ) -> Result<Self, Error> {
        let verbosity = if ranks.is_first() {
            verbosity
        } else {
            Verbosity::Silent
        };
        first_then_others(&ranks, || {
            Self::open_here(root, file, device, verbosity, ranks.clone(), rerun)
        })
    }

    fn open_here(
        root: &Path,
        mut file: RunFile,
        device: Device,
        verbosity: Verbosity,
        ranks: Group,
        rerun: Option<Step>,
    ) -> Result<Self, Error> {
        file.check("the command line")?;
        check_places(&file, &device, &ranks)?;
        if let Source::Synthetic(config) = &file.data.source {
            check_synthetic_counts(&file, config)?; // before they are drawn
        }
        file.data.settle();
        let data = file.data.open(root)?;
        let amount = amount_of(&data, &ranks);
        file.check_memory(amount, &memory_of(&device))?;
        file.threshold.rule = settled_rule(&file, &data)?;
        file.predict.masks = Some(settled_form(&file, &data)?);
        let images = data.samples(Split::Train).len();
        let raised = file.settle_epochs(images, RunDir::stored(root)?.as_ref());
        let run = RunDir::find(root, &file)?;
        run.check_changes(rerun)?;
        let is_new = !run.is_done(Step::CheckData);
        let checked = if is_new {
            check_mask_paths(&run, &data)?;
            let summary = check_data(root, &file, &data, verbosity)?;
            tell_checked(&summary, verbosity);
            summary
        } else {
            run.summary(Step::CheckData)?
        };
        let left_out = checked.left_out();
        let data = data.without(Split::Train, &left_out);
        let extra = match ranks.is_first() {
            true => file.data.open_pretrain_pictures(root, data.classes())?,
            false => None,
        };
        let extra = extra.map(|extra| extra.without(Split::Train, &left_out));
        if ranks.is_first() {
            check_counts(&file, &data, extra.as_ref())?; // batches may have changed
        }
        let lock = lock_of(root, &ranks)?; // a run that cannot start leaves no file
        start(&run, &file, verbosity)?;
        if is_new {
            run.finish(Step::CheckData, &checked)?;
        }
        if ranks.is_first() {
            keep_or_compare(&run, &data, extra.as_ref(), is_new)?;
        }
        let context = Self {
            run,
            file,
            data,
            left_out,
            device,
            verbosity,
            stop: StopRequest::default(),
            ranks,
            _lock: lock,
        };
        context.say_what_is_left_out();
        raised.iter().for_each(|line| context.say(line));
        if is_new {
            context.warn_of_few_images();
        }
        Ok(context)
    }

    fn say_what_is_left_out(&self) {
        if !self.left_out.is_empty() {
            let count = self.left_out.len();
            let list = self.run.done_mark(Step::CheckData);
            self.say(&format!(
                "{count} bad training pictures are left out: see {}",
                list.display()
            ));
        }
    }

    /// Once a run, before its first step.
    fn warn_of_few_images(&self) {
        let images = self.data.samples(Split::Train).len();
        let few = findings::of_few_images(images, self.data.classes().into());
        if self.speaks() {
            findings::tell(self, few.as_slice());
        }
    }

    /// Another run on the same pictures, which need no second check.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`], and as [`RunDir::open`].
    pub(crate) fn sibling(&self, root: &Path, file: RunFile) -> Result<Self, Error> {
        first_then_others(&self.ranks, || self.sibling_here(root, file))
    }

    fn sibling_here(&self, root: &Path, mut file: RunFile) -> Result<Self, Error> {
        file.threshold.rule = self.file.threshold.rule;
        file.predict.masks = self.file.predict.masks;
        file.check("this control")?;
        let run = RunDir::find(root, &file)?;
        // It follows this run, which has been asked.
        run.check_changes(Some(Step::Pretrain))?;
        let lock = lock_of(root, &self.ranks)?;
        start(&run, &file, self.verbosity)?;
        let checked: CheckSummary = self.run.summary(Step::CheckData)?;
        run.finish(Step::CheckData, &checked)?;
        Ok(Self {
            run,
            file,
            data: self.data.clone(),
            left_out: self.left_out.clone(),
            device: self.device.clone(),
            verbosity: self.verbosity,
            stop: self.stop.clone(),
            ranks: self.ranks.clone(),
            _lock: lock,
        })
    }

    /// The splits whose pictures are labelled for people to look at and to be scored: validation and
    /// test, or the training pictures of data that has neither.
    pub fn shown_splits(&self) -> Vec<Split> {
        shown_splits(&self.data)
    }

    /// Refuses to do what needs the masks of a split where there are none.
    ///
    /// # Errors
    ///
    /// [`Error::NoMasks`].
    pub fn require_masks(&self, what: &'static str, split: Split) -> Result<(), Error> {
        if self.data.has_masks(split) {
            return Ok(());
        }
        Err(Error::NoMasks {
            what,
            split: split.name(),
            data: self.data.root().display().to_string(),
            remedy: "there is nothing to score; the images and their masks are in report.html",
        })
    }

    /// The folder of the masks that are the result of the run, and their name in `metrics.json`.
    pub fn result(&self) -> &'static str {
        self.file.predict.predictor.result()
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
        self.data.check_mask(&mask, path, sample.picture_size()?)?;
        Ok(mask)
    }

    /// Gives another name to a file that is not what was made, and says so: it is to be made anew.
    pub(crate) fn set_aside_if_changed(&self, path: &Path) -> Result<(), Error> {
        if let Some(aside) = self.run.set_aside_if_changed(path)? {
            self.warn(&format!(
                "warning: {} is not what was made: it is now {}, and is made anew",
                path.display(),
                aside.display()
            ));
        }
        Ok(())
    }

    /// A line on the terminal that is told in any case.
    pub(crate) fn warn(&self, line: &str) {
        warn(line);
    }

    /// The rows of all ranks, ready to be clustered where `cluster.kmeans` says; `own` are this one's.
    /// A device says how it works.
    pub(crate) fn kmeans<'a>(
        &'a self,
        own: &'a dyn Rows,
        config: &'a KMeansConfig,
    ) -> Result<KMeans<'a>, Error> {
        let (device, ranks) = (&self.device, &self.ranks);
        let kmeans = match &self.file.cluster.kmeans {
            KMeansPlace::Host => KMeans::new(own, config, ranks)?,
            KMeansPlace::Device(options) => KMeans::on_device(own, config, device, options, ranks)?,
        };
        if let Some(plan) = kmeans.device_plan() {
            self.say(&format!("k-means on the device: {plan}"));
        }
        Ok(kmeans)
    }

    /// Refuses a device that does not compute in the precision of the run, and says where it computes
    /// float32 in TF32. Collective.
    ///
    /// # Errors
    ///
    /// [`pass_model::Error::Precision`]; where another rank's device is refused, [`Error::AnotherRank`].
    pub(crate) fn check_precision(&self) -> Result<(), Error> {
        let checked = check_device(&self.device, self.file.precision);
        match first_with(&self.ranks, checked.is_err()) {
            Some(rank) if rank != self.ranks.rank() => return Err(Error::AnotherRank),
            _ => checked?,
        }
        self.tell_tf32();
        Ok(())
    }

    /// Says where float32 is TF32: no setting of a run asks for it, and none of burn turns it off.
    fn tell_tf32(&self) {
        let [theirs, ours] = [float32_product_error, product_error].map(|of| of(&self.device));
        if theirs > ROUNDED {
            self.say(&format!(
                "products of float32 numbers are off by {theirs:.0e} on this device, as in TF32, which \
                 rounds their factors to 10 bits: so are convolutions and resizing; heads on vectors, \
                 scores and losses are off by {ours:.0e}"
            ));
        }
    }

    /// Whether this process speaks for all that train together.
    pub fn speaks(&self) -> bool {
        self.ranks.is_first()
    }

    /// A line on the terminal, unless quiet.
    pub fn say(&self, line: &str) {
        if self.verbosity == Verbosity::Auto {
            tell(format_args!("{line}"));
        }
    }
}

/// [`Context::shown_splits`] of data without a run.
pub(crate) fn shown_splits(data: &Dataset) -> Vec<Split> {
    let shown = [Split::Validation, Split::Test];
    let present: Vec<Split> = shown
        .into_iter()
        .filter(|&split| !data.samples(split).is_empty())
        .collect();
    if present.is_empty() {
        vec![Split::Train]
    } else {
        present
    }
}

/// Starts a run, and says what runs again for settings that have changed.
fn start(run: &RunDir, file: &RunFile, verbosity: Verbosity) -> Result<(), Error> {
    let changes = run.describe_changes()?;
    run.start(file)?;
    if let Some(changes) = changes.filter(|_| verbosity != Verbosity::Silent) {
        warn(&changes);
    }
    Ok(())
}

/// What is left out, and what is worth knowing of the rest: told once, when the data is checked.
fn tell_checked(checked: &CheckSummary, verbosity: Verbosity) {
    const SHOWN: usize = 5;
    if verbosity != Verbosity::Silent {
        checked.notes.iter().for_each(|line| warn(line));
    }
    let folders = &checked.left_out_folders;
    if verbosity == Verbosity::Silent || folders.is_empty() {
        return;
    }
    folders.iter().take(SHOWN).for_each(|line| warn(line));
    if folders.len() > SHOWN {
        let more = folders.len() - SHOWN;
        warn(&format!(
            "{more} more such folders: see done/check_data.json"
        ));
    }
}

/// Rank 0 takes the run for all.
fn lock_of(root: &Path, ranks: &Group) -> Result<Option<RunLock>, Error> {
    match ranks.is_first() {
        true => RunLock::take(root, warn),
        false => Ok(None),
    }
}

fn warn(line: &str) {
    tell(format_args!("{line}"));
}

/// Refuses what the device does not allow, be it of a late step.
fn check_places(file: &RunFile, device: &Device, ranks: &Group) -> Result<(), Error> {
    if let KMeansPlace::Device(options) = &file.cluster.kmeans {
        options.check(device)?;
    }
    if let Source::Synthetic(config) = &file.data.source {
        let amount = Amount {
            pictures: config.train,
            classes: config.classes.into(),
            ranks: ranks.size(),
        };
        file.check_memory(amount, &memory_of(device))?;
    }
    Ok(())
}

fn amount_of(data: &Dataset, ranks: &Group) -> Amount {
    Amount {
        pictures: data.samples(Split::Train).len(),
        classes: data.classes().into(),
        ranks: ranks.size(),
    }
}

/// The memory for the tensors on a device. That of a GPU is known only when it is used up.
fn memory_of(device: &Device) -> Memory {
    let on_host = device.memory_pool_usage().is_none();
    let of_machine = on_host.then(machine_memory).flatten();
    of_machine.unwrap_or(Memory::LARGEST)
}

/// The threshold rule that the data allows, or the one that was asked for; objects need none.
fn settled_rule(file: &RunFile, data: &Dataset) -> Result<Option<ThresholdRule>, Error> {
    let masks = data.has_masks(Split::Validation);
    match file.threshold.rule {
        None if file.cluster.way == LabelWay::Objects => Ok(None),
        None if masks => Ok(Some(ThresholdRule::Validation)),
        None => Ok(Some(ThresholdRule::Otsu)),
        Some(ThresholdRule::Validation) if !masks => Err(Error::NoMasks {
            what: "`threshold.rule = \"validation\"`",
            split: Split::Validation.name(),
            data: data.root().display().to_string(),
            remedy: "set `threshold.rule` to \"otsu\", or leave it out",
        }),
        rule => Ok(rule),
    }
}
