//! What can go wrong in a run: each message names the path or key, the cause and the remedy.

use std::{
    borrow::Cow,
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{
    health::Fault,
    run::{check_data::Faults, pictures::ChangedPictures},
};

/// An error of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The run file is not TOML, has an unknown key or a value of the wrong type.
    #[error("{path}: {cause}")]
    RunFile {
        /// What was read, with its path or name.
        path: String,
        /// The parser's message, with line and key.
        cause: String,
    },
    /// A setting of the command line has no such key, or a value of the wrong type.
    #[error("--set {setting}: {cause}")]
    Setting {
        /// The setting as it was given; several where they are at fault together.
        setting: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A value of the run file is impossible.
    #[error("{place}: `{key}` = {value}: {rule}")]
    Value {
        /// The run file or the part of the command line that says so.
        place: String,
        /// The key, dotted.
        key: String,
        /// The value that was given.
        value: String,
        /// What is allowed.
        rule: String,
    },
    /// A file of the run could not be read or written.
    #[error("{path}: cannot {action}: {source}; {}", remedy(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The run directory was started with other settings.
    #[error(
        "{} belongs to another run, with other settings:{}\n{why}\ngive --run {} alone to go on with its \
         stored settings, or name another folder with --run for a new run",
        path.display(), lines(differences), quoted(path)
    )]
    AnotherRun {
        /// The run directory.
        path: PathBuf,
        /// Every setting that differs.
        differences: Vec<Difference>,
        /// Why the run cannot go on with them.
        why: WhyRefused,
    },
    /// There is no run where one was expected.
    #[error("no run at {}: it holds no run.toml; check --run", path.display())]
    NoRun {
        /// The run directory.
        path: PathBuf,
    },
    /// A file that a step leaves behind is missing or cannot be understood.
    #[error(
        "{path}: {cause}; move it out of the run, and done/STEP.json of the step that made it, then start again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A step was started before the one it needs.
    #[error(
        "step `{step}` needs the result of `{needs}`: run `luss step {needs}` on the same --run \
         folder first"
    )]
    StepMissing {
        /// The step that was started.
        step: &'static str,
        /// The step that has not finished.
        needs: &'static str,
    },
    /// A run has a result of step 1 already, from elsewhere than the weights that were named.
    #[error(
        "the run in {run} has a backbone already: {found}, not {weights}; begin another run with --run, \
         or leave out --backbone to go on with this one"
    )]
    OtherBackbone {
        /// The run directory.
        run: PathBuf,
        /// Where its backbone comes from.
        found: String,
        /// The weights that were named.
        weights: PathBuf,
    },
    /// There are fewer pictures than a batch or than clusters.
    #[error("{step}: {pictures} pictures are too few for {what} {needed}: {remedy}")]
    TooFewPictures {
        /// The step.
        step: &'static str,
        /// Pictures found.
        pictures: usize,
        /// What needs more.
        what: &'static str,
        /// How many are needed.
        needed: usize,
        /// What to change.
        remedy: Cow<'static, str>,
    },
    /// Pictures or masks are bad.
    #[error("{0}")]
    Faults(Faults),
    /// A protocol needs masks which the data does not have.
    #[error("{what} needs masks of the {split} pictures, which {data} does not have: {remedy}")]
    NoMasks {
        /// What was asked for.
        what: &'static str,
        /// The split.
        split: &'static str,
        /// The data.
        data: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Fine-tuning would learn that there is nothing.
    #[error(
        "finetune: the pseudo labels have no foreground, every pixel is OTHER (below the threshold, \
         {threshold}), so there is nothing to learn: {advice}"
    )]
    NoForeground {
        /// Of the attention, or of the scores of objects.
        threshold: f32,
        /// What to try.
        advice: String,
    },
    /// A checkpoint could not be written.
    #[error(
        "the checkpoint {path} was not written: {cause}; {}; start the same command again when \
         that is mended", kept_words(kept.as_deref())
    )]
    CheckpointNotWritten {
        /// The checkpoint that is not there.
        path: PathBuf,
        /// The newest one that is.
        kept: Option<PathBuf>,
        /// What went wrong.
        cause: Box<Error>,
    },
    /// There are checkpoints, and none of them is what was written.
    #[error(
        "all {count} of the checkpoints in {dir} are damaged, the newest in {path}: {cause}; \
         move them elsewhere to begin this step anew"
    )]
    NoSoundCheckpoint {
        /// The folder of the step.
        dir: PathBuf,
        /// Checkpoints found.
        count: usize,
        /// The bad file of the newest.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Someone asked for a stop, and everything that was done is kept.
    #[error("{step}: stopped as asked, {done}; the same command goes on from there")]
    Stopped {
        /// The step.
        step: &'static str,
        /// How far it came, and where that is kept.
        done: String,
    },
    /// Training has gone wrong: see [`Fault`](crate::health::Fault).
    #[error("{step}, iteration {iteration}: {fault}")]
    Unhealthy {
        /// The step.
        step: &'static str,
        /// Iteration, from 0.
        iteration: usize,
        /// What was seen and what usually helps.
        fault: Fault,
    },
    /// A network has computed numbers that are not finite.
    #[error(
        "{step}, {}: {cause}; nothing of these pictures is written",
        span(first, last)
    )]
    NotFinite {
        /// The step, and the split.
        step: String,
        /// The first of the pictures that were looked at together.
        first: String,
        /// The last of them.
        last: String,
        /// What is not finite.
        cause: Box<pixel_attention::Error>,
    },
    /// A method could not begin an epoch.
    #[error("{step}, before an epoch: {cause}")]
    BeforeEpoch {
        /// The step.
        step: &'static str,
        /// What the method says.
        cause: pass_model::method::EpochError,
    },
    /// The result of a step could not be kept.
    #[error("{step}: {cause}")]
    NotKept {
        /// The step.
        step: &'static str,
        /// What is wrong with it.
        cause: Box<pass_model::Error>,
    },
    /// A file that a step left is another one now.
    #[error(
        "{path} is not what `{step}` left: {cause}; put that file back, or run `luss step {step}` again on \
         --run {run}, where it is made anew{}", own_words(*own)
    )]
    ChangedFile {
        /// The file.
        path: PathBuf,
        /// The step that made it.
        step: &'static str,
        /// The run directory.
        run: PathBuf,
        /// What differs.
        cause: String,
        /// The option of `luss weights import` that takes a file of one's own in its place.
        own: Option<&'static str>,
    },
    /// The pictures are not those that the run began with.
    #[error("{0}")]
    ChangedPictures(ChangedPictures),
    /// Another process works on the run.
    #[error(
        "{}: another process works on this run ({holder}): wait for it or stop it, or take another \
         directory with --run",
        path.display()
    )]
    InUse {
        /// The run directory.
        path: PathBuf,
        /// The process, as it has named itself.
        holder: String,
    },
    /// A file that is not what `luss model export` writes.
    #[error(
        "{}: {cause}; write it again with `luss model export --run DIR --out {}`, or name another file",
        path.display(), quoted(path)
    )]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A batch cannot be dealt out to the ranks.
    #[error(
        "{step}: a batch of {batch} pictures cannot be dealt out evenly to {ranks} ranks in {parts} \
         parts each: start another number of ranks, or change `batch` or `accumulate` of this step"
    )]
    BatchOfRanks {
        /// The step.
        step: &'static str,
        /// Pictures per iteration, of all ranks.
        batch: usize,
        /// Parts in which a batch goes through the network.
        parts: usize,
        /// Number of ranks.
        ranks: usize,
    },
    /// The ranks do not hold the same weights any more.
    #[error(
        "{step}: the weights of rank {rank} are not those of rank 0, although both computed the same \
         updates: a machine or its network is at fault; start the same command again, which goes on \
         from the last checkpoint"
    )]
    RanksDiffer {
        /// The step.
        step: &'static str,
        /// The lowest rank that differs.
        rank: usize,
    },
    /// Another rank has stopped and says why.
    #[error("stopped, because another rank has stopped; its message says why")]
    AnotherRank,
    /// From the data.
    #[error(transparent)]
    Data(#[from] imagenet_s::Error),
    /// From the networks.
    #[error(transparent)]
    Model(#[from] pass_model::Error),
    /// From clustering and label generation.
    #[error(transparent)]
    Attention(#[from] pixel_attention::Error),
    /// From the optimiser's stored state.
    #[error(transparent)]
    Optimizer(#[from] pass_model::optim::OptimizerError),
    /// From the metrics.
    #[error(transparent)]
    Metrics(#[from] luss_metrics::Error),
}

/// Pictures that went together.
fn span(first: &str, last: &str) -> String {
    match first == last {
        true => format!("picture {first}"),
        false => format!("pictures {first} to {last}"),
    }
}

/// How a file of one's own takes the place of a step's.
fn own_words(option: Option<&str>) -> String {
    option.map_or(String::new(), |option| {
        format!("; `luss weights import {option} FILE` takes one of your own")
    })
}

/// A setting that a stored run has otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key, dotted.
    pub key: String,
    /// Its value in the run directory.
    pub theirs: String,
    /// Its value in this start.
    pub ours: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { key, theirs, ours } = self;
        write!(f, "`{key}` is {theirs} there and {ours} here")
    }
}

/// Why a run cannot go on with other settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyRefused {
    /// They decide which pictures it is about.
    Pictures,
    /// A training is half done with those before; its folder.
    HalfDone(PathBuf),
    /// This step, which takes hours, would run again.
    Hours(&'static str),
}

impl fmt::Display for WhyRefused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Pictures => f.write_str("a run keeps to the pictures that it began with"),
            Self::HalfDone(folder) => write!(
                f,
                "a training is half done with the former ones: to begin it anew with these, move the \
                 checkpoints out of {} and start again",
                folder.display()
            ),
            Self::Hours(step) => write!(
                f,
                "`{step}` and every step behind it would run again: if that is meant, add --rerun {step}"
            ),
        }
    }
}

fn lines(differences: &[Difference]) -> String {
    let lines = differences.iter().map(|of| format!("\n  {of}"));
    lines.collect()
}

/// A path as a word of a command line.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@%=".contains(letter);
    match text.chars().all(plain) && !text.is_empty() {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// What is left after a checkpoint failed.
fn kept_words(kept: Option<&Path>) -> String {
    match kept {
        Some(path) => format!("{} is kept", path.display()),
        None => "there is no earlier one, so the step will begin anew".to_owned(),
    }
}

/// What to do about an error of the file system.
fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::NotADirectory => {
            "a part of the path is a file: name another folder, where you may write"
        }
        _ => "check that the disk has room and that you may read and write there",
    }
}

impl Error {
    /// An [`Error::Io`] of `path`.
    pub(crate) fn io(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }
}
