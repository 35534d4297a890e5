//! The steps of PASS, one file each, and the table of what they read, leave and depend on.

pub mod attention;
pub mod cluster;
pub mod distance;
mod embeddings;
pub mod evaluate;
pub mod export;
pub mod finetune;
pub mod labels;
pub mod objects;
pub mod predict;
pub mod pretrain;
mod restarts;
pub mod threshold;
pub mod weights;

use imagenet_s::Split;
use pass_model::optim::OptimConfig;

use crate::{
    Context, Error, RunFile,
    ranks::done_by_first,
    run_file::{BatchRule, LabelWay, Predictor},
};

/// A step of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before all others: every picture and mask is read once, by [`Context::open`].
    CheckData,
    /// Step 1: [`pretrain::pretrain`].
    Pretrain,
    /// Step 2.1: [`attention::tune_attention`].
    TuneAttention,
    /// Step 2.1 of `cluster.way = "objects"`: [`objects::find_objects`].
    FindObjects,
    /// Step 2.2: [`cluster::cluster`].
    Cluster,
    /// Step 2.3: [`threshold::sweep_threshold`].
    SweepThreshold,
    /// Step 2.4: [`labels::generate_labels`].
    GenerateLabels,
    /// Step 3: [`finetune::finetune`].
    Finetune,
    /// Step 4: [`predict::predict`].
    Predict,
    /// The k-NN protocol: [`distance::distance_matching`].
    DistanceMatching,
    /// The numbers: [`evaluate::evaluate`].
    Evaluate,
}

/// What is known of a step.
struct Row {
    step: Step,
    /// On the command line, on the terminal, in the log and on disk.
    name: &'static str,
    /// What it does, in a line.
    about: &'static str,
    /// Steps that must have finished.
    reads: &'static [Step],
    /// Steps whose results it takes where they are there.
    may_read: &'static [Step],
    /// Files that later steps read; `SHA256SUMS` keeps their sums.
    results: &'static [&'static str],
    /// What else it leaves.
    leaves: &'static [&'static str],
    /// What it goes on from until it has finished, beside checkpoints and counts.
    partial: &'static [&'static str],
    /// Keys and sections of the run file that decide what it leaves.
    settings: &'static [&'static str],
    /// Splits that must have masks; the pipeline leaves it out where they have none.
    masks: &'static [Split],
    /// Whether all ranks take part, or rank 0 alone.
    of_all_ranks: bool,
    /// Why the settings of a run leave it out, if they do.
    left_out: fn(&RunFile) -> Option<&'static str>,
    /// Of a training.
    batches: Option<fn(&RunFile) -> Batches<'_>>,
    /// The option of `luss weights import` that takes another file for the first result.
    import: Option<&'static str>,
    run: fn(&Context) -> Result<(), Error>,
}

/// How a training goes through the pictures.
pub(crate) struct Batches<'a> {
    /// The section of the run file that says so.
    pub(crate) section: &'static str,
    pub(crate) epochs: usize,
    /// Pictures of all ranks in an iteration.
    pub(crate) batch: usize,
    /// How the rates meet this batch.
    pub(crate) batch_rule: BatchRule,
    /// Parts in which a batch goes through the network.
    pub(crate) accumulate: usize,
    /// Optimiser and schedule.
    pub(crate) optim: &'a OptimConfig,
}

macro_rules! batches {
    ($section:ident) => {
        Some(|file| Batches {
            section: stringify!($section),
            epochs: file.$section.epochs,
            batch: file.$section.batch,
            batch_rule: file.$section.batch_rule,
            accumulate: file.$section.accumulate,
            optim: &file.$section.optim,
        })
    };
}

/// The settings that decide what lies in `labels/`.
pub(crate) const LABEL_SETTINGS: &[&str] = &[
    "cluster.way",
    "cluster.cam",
    "predict.resize",
    "predict.batch",
    "predict.attention",
    "predict.refine",
];

/// What most steps have in common.
const ROW: Row = Row {
    step: Step::CheckData,
    name: "",
    about: "",
    reads: &[],
    may_read: &[],
    results: &[],
    leaves: &[],
    partial: &[],
    settings: &[],
    masks: &[],
    of_all_ranks: false,
    left_out: |_| None,
    batches: None,
    import: None,
    run: |_| Ok(()),
};

/// Every step, behind those that it reads.
static TABLE: &[Row] = &[
    Row {
        step: Step::CheckData,
        name: "check_data",
        about: "reads every picture and mask once, before all others",
        leaves: &["pictures.jsonl"],
        settings: &[
            "data.source",
            "data.pattern",
            "data.orientation",
            "data.stretch",
            "data.bands",
            "data.background",
            "data.odd_pictures",
            "data.bad_pictures",
            "data.pretrain_pictures",
            "data.validation",
        ],
        ..ROW
    },
    Row {
        step: Step::Pretrain,
        name: "pretrain",
        about: "1: learns a representation of the pictures, without labels",
        reads: &[Step::CheckData],
        results: &["pretrain/weights.safetensors"],
        settings: &["seed", "data.red_deviation", "network", "pretrain"],
        of_all_ranks: true,
        batches: batches!(pretrain),
        import: Some("--pretrained"),
        run: pretrain::pretrain,
        ..ROW
    },
    Row {
        step: Step::TuneAttention,
        name: "tune_attention",
        about: "2.1: learns which pixels matter, on the frozen backbone",
        reads: &[Step::Pretrain],
        results: &["tune_attention/weights.safetensors"],
        settings: &["seed", "data.red_deviation", "network", "attention"],
        of_all_ranks: true,
        left_out: |file| {
            let without = file.cluster.way == LabelWay::Objects;
            without.then_some("`cluster.way` = \"objects\" learns no attention")
        },
        batches: batches!(attention),
        import: Some("--pixelatt"),
        run: attention::tune_attention,
        ..ROW
    },
    Row {
        step: Step::FindObjects,
        name: "find_objects",
        about: "2.1: finds objects on the map of the frozen backbone, without training",
        reads: &[Step::Pretrain],
        results: &["find_objects/map.json"],
        leaves: &["find_objects/"],
        settings: &["network.backbone", "objects"],
        left_out: |file| {
            let without = file.cluster.way != LabelWay::Objects;
            without.then_some("only `cluster.way` = \"objects\" takes it")
        },
        run: |context| objects::find_objects(context).map(drop),
        ..ROW
    },
    Row {
        step: Step::Cluster,
        name: "cluster",
        about: "2.2: clusters the embeddings of the training pictures, or of their objects",
        reads: &[Step::TuneAttention, Step::FindObjects],
        results: &["cluster/centroids.npy", "cluster/assignments.json"],
        leaves: &[
            "cluster/embeddings.npy",
            "cluster/report.json",
            "cluster/whitening.json",
        ],
        partial: &["cluster/restarts"],
        settings: &[
            "seed",
            "network.backbone",
            "cluster.way",
            "cluster.metric",
            "cluster.whitened_dims",
            "cluster.restarts",
            "cluster.iterations",
            "cluster.kmeans",
            "cluster.resize",
            "cluster.crop",
            "cluster.batch",
            "cluster.embeddings",
        ],
        of_all_ranks: true,
        import: Some("--centroids"),
        run: |context| cluster::cluster(context).map(drop),
        ..ROW
    },
    Row {
        step: Step::SweepThreshold,
        name: "sweep_threshold",
        about: "2.3: chooses the attention below which a pixel is OTHER",
        reads: &[Step::Cluster],
        results: &["threshold.json"],
        settings: &[
            "cluster.way",
            "cluster.cam",
            "predict.resize",
            "predict.batch",
            "predict.attention",
            "threshold",
        ],
        run: |context| threshold::sweep_threshold(context).map(drop),
        ..ROW
    },
    Row {
        step: Step::GenerateLabels,
        name: "generate_labels",
        about: "2.4: labels the pixels of the training pictures by the nearest centroid",
        reads: &[Step::SweepThreshold],
        leaves: &["labels/", "pseudo_labels/"],
        settings: LABEL_SETTINGS,
        run: |context| labels::generate_labels(context).map(drop),
        ..ROW
    },
    Row {
        step: Step::Finetune,
        name: "finetune",
        about: "3: fine-tunes the backbone of step 1 on the pseudo labels",
        reads: &[Step::Pretrain, Step::GenerateLabels],
        results: &["finetune/weights.safetensors"],
        settings: &["seed", "network.backbone", "finetune"],
        of_all_ranks: true,
        left_out: without_network,
        batches: batches!(finetune),
        import: Some("--finetuning"),
        run: finetune::finetune,
        ..ROW
    },
    Row {
        step: Step::Predict,
        name: "predict",
        about: "4: labels every pixel of the validation and test pictures",
        reads: &[Step::Finetune],
        leaves: &["fine_tuned/"],
        settings: &[
            "network.backbone",
            "predict.resize",
            "predict.batch",
            "predict.longer_side_cap",
            "predict.inference",
        ],
        left_out: without_network,
        run: predict::predict,
        ..ROW
    },
    Row {
        step: Step::DistanceMatching,
        name: "distance_matching",
        about: "labels the validation pictures by their nearest labelled pixels (k-NN)",
        reads: &[Step::Pretrain],
        leaves: &["distance_matching/"],
        settings: &["predict.resize", "predict.batch", "distance_matching"],
        masks: &[Split::TrainSemi, Split::Validation],
        run: distance::distance_matching,
        ..ROW
    },
    Row {
        step: Step::Evaluate,
        name: "evaluate",
        about: "scores the labels against the validation masks",
        reads: &[Step::GenerateLabels, Step::Predict],
        may_read: &[Step::DistanceMatching],
        leaves: &[
            "metrics.json",
            "match.json",
            "categories.json",
            "evaluation/",
        ],
        settings: &["predict.predictor"],
        run: |context| evaluate::evaluate(context).map(drop),
        ..ROW
    },
];

fn without_network(file: &RunFile) -> Option<&'static str> {
    let labels = file.predict.predictor == Predictor::Labels;
    labels.then_some("the pseudo labels are the result: `predict.predictor` = \"labels\"")
}

impl Step {
    /// All steps, each behind those that it reads.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.step)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The name on the command line, on the terminal, in the log and on disk.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The step of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|step| step.name() == name)
    }

    /// What it does, in a line.
    pub fn describe(self) -> &'static str {
        self.row().about
    }

    /// The steps that must have finished before this one.
    pub fn reads(self) -> &'static [Self] {
        self.row().reads
    }

    /// The files and folders that it leaves in the run directory.
    pub fn leaves(self) -> impl Iterator<Item = &'static str> {
        let row = self.row();
        row.results.iter().chain(row.leaves).copied()
    }

    /// The keys and sections of the run file that decide what it leaves.
    pub fn settings(self) -> &'static [&'static str] {
        self.row().settings
    }

    /// Whether all ranks take part, or rank 0 alone.
    pub fn is_of_all_ranks(self) -> bool {
        self.row().of_all_ranks
    }

    /// Runs it, whether or not it has finished before. Collective.
    ///
    /// # Errors
    ///
    /// [`Error::StepMissing`] before the steps that it reads, [`Error::Stopped`], and its own.
    pub fn run(self, context: &Context) -> Result<(), Error> {
        let row = self.row();
        if row.of_all_ranks {
            (row.run)(context)
        } else {
            done_by_first(&context.ranks, || (row.run)(context))
        }
    }

    /// This step and those whose results follow from its own, in their order.
    pub(crate) fn and_dependents(self) -> Vec<Self> {
        let mut found = vec![self];
        for row in TABLE {
            let mut inputs = row.reads.iter().chain(row.may_read);
            if inputs.any(|input| found.contains(input)) {
                found.push(row.step);
            }
        }
        found
    }

    /// Why the settings of a run leave it out, if they do.
    pub fn left_out(self, file: &RunFile) -> Option<&'static str> {
        (self.row().left_out)(file)
    }

    /// Files that later steps read, whose sums are kept.
    pub(crate) fn results(self) -> &'static [&'static str] {
        self.row().results
    }

    /// What it goes on from until it has finished, beside checkpoints and counts.
    pub(crate) fn partial(self) -> &'static [&'static str] {
        self.row().partial
    }

    /// The splits that must have masks.
    pub(crate) fn masks(self) -> &'static [Split] {
        self.row().masks
    }

    /// The option of `luss weights import` that takes another file for its first result.
    pub(crate) fn import_option(self) -> Option<&'static str> {
        self.row().import
    }

    /// How a training goes through the pictures; `None` for other steps.
    pub(crate) fn batches(self, file: &RunFile) -> Option<Batches<'_>> {
        self.row().batches.map(|of| of(file))
    }

    /// Whether it trains a network.
    pub(crate) fn trains(self) -> bool {
        self.row().batches.is_some()
    }

    /// The steps that train a network.
    pub(crate) fn trainings() -> impl Iterator<Item = Self> {
        Self::all().filter(|step| step.trains())
    }
}

#[cfg(test)]
mod tests;
