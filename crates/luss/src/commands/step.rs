//! One step of a run, and a line or two of what came out.

use std::io;

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use imagenet_s::terminal::show;
use luss::{RankedArguments, metrics_table, tell_weights};
use pass_train::{
    Context, Step,
    step::{
        attention::tune_attention, cluster, distance::distance_matching, evaluate::evaluate,
        finetune::finetune, labels::generate_labels, predict::predict, pretrain::pretrain,
        threshold::sweep_threshold,
    },
};

/// Does one step of a run, also again where it has finished.
///
/// Example: luss step pretrain --images ~/pictures --classes 12 --run runs/mine
///
/// The steps after `pretrain` take pictures and settings from the run directory: --run alone suffices.
/// Several devices or processes share pretrain, tune_attention, cluster and finetune.
///
/// Leaves in the run directory what is said at each name below, and done/NAME.json.
#[derive(Args)]
pub(crate) struct StepOfRun {
    /// The step.
    #[arg(value_parser = steps())]
    name: Step,

    #[command(flatten)]
    run: RankedArguments,
}

impl StepOfRun {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match self.name {
            step @ (Step::CheckData | Step::Pretrain) => {
                self.run.on_all_ranks(|context| carry_out(step, context))
            }
            step @ (Step::TuneAttention | Step::Cluster | Step::Finetune) => self
                .run
                .on_all_ranks_of_begun(|context| carry_out(step, context)),
            step => carry_out(step, &self.run.open_alone()?),
        }
    }
}

const STEPS: [Step; 10] = [
    Step::CheckData,
    Step::Pretrain,
    Step::TuneAttention,
    Step::Cluster,
    Step::SweepThreshold,
    Step::GenerateLabels,
    Step::Finetune,
    Step::Predict,
    Step::DistanceMatching,
    Step::Evaluate,
];

/// The steps by their names.
fn steps() -> impl TypedValueParser<Value = Step> {
    let named = |step: Step| PossibleValue::new(step.name()).help(description(step));
    let of_name = |name: String| STEPS.into_iter().find(|step| step.name() == name);
    PossibleValuesParser::new(STEPS.map(named)).map(move |name| of_name(name).expect("one of them"))
}

/// What a step does, and what it leaves.
fn description(step: Step) -> &'static str {
    match step {
        Step::CheckData => "every picture and mask is read once; nothing but its end",
        Step::Pretrain => "step 1, representation learning; pretrain/weights.safetensors",
        Step::TuneAttention => {
            "step 2.1, pixel attention on the frozen backbone; tune_attention/weights.safetensors"
        }
        Step::Cluster => "step 2.2, k-means of the embeddings; cluster/centroids.npy, report.json",
        Step::SweepThreshold => {
            "step 2.3, the attention below which a pixel is OTHER: threshold.json; it takes the best on the \
             validation masks, or with threshold.rule = \"otsu\" uses no mask"
        }
        Step::GenerateLabels => {
            "step 2.4, a pseudo label for every training picture; labels/, pseudo_labels/"
        }
        Step::Finetune => "step 3, the pseudo labels are learned; finetune/weights.safetensors",
        Step::Predict => {
            "step 4, predictions of the validation and test pictures, or of the training pictures where \
             there are neither; fine_tuned/SPLIT/"
        }
        Step::DistanceMatching => {
            "pixels take the class of their nearest labelled embeddings: needs step 1 and the masks of \
             train-semi; distance_matching/"
        }
        Step::Evaluate => "scores by the validation masks; metrics.json, match.json, evaluation/",
    }
}

fn carry_out(step: Step, context: &Context) -> anyhow::Result<()> {
    match step {
        Step::CheckData => {} // whoever opens a run checks its data
        Step::Pretrain => pretrain(context)?,
        Step::TuneAttention => tune_attention(context)?,
        Step::Finetune => finetune(context)?,
        Step::Predict => predict(context)?,
        Step::DistanceMatching => distance_matching(context)?,
        Step::Cluster => return carry_out_clustering(context),
        Step::SweepThreshold => {
            let chosen = sweep_threshold(context)?.chosen;
            let (threshold, used) = (chosen.threshold, chosen.labels_used);
            show(format_args!("threshold {threshold}, labels used: {used}"))?;
        }
        Step::GenerateLabels => {
            let done = generate_labels(context)?;
            let (pictures, percent) = (done.pictures, 100.0 * done.foreground);
            show(format_args!(
                "{pictures} pictures, {percent:.1} % foreground"
            ))?;
        }
        Step::Evaluate => show(format_args!("{}", metrics_table(&evaluate(context)?)))?,
    }
    Ok(tell_place(step, context)?)
}

/// Says where the result of a step lies.
fn tell_place(step: Step, context: &Context) -> io::Result<()> {
    let predictions = match step {
        Step::Pretrain | Step::TuneAttention | Step::Finetune => {
            return tell_weights(context, step);
        }
        Step::Predict => "fine_tuned",
        Step::DistanceMatching => "distance_matching",
        _ => return Ok(()),
    };
    let predictions = context.run.file(predictions);
    show(format_args!("predictions: {}", predictions.display()))
}

fn carry_out_clustering(context: &Context) -> anyhow::Result<()> {
    let summary = cluster::cluster(context)?;
    if context.speaks() {
        tell_clusters(context, &summary)?;
    }
    Ok(())
}

fn tell_clusters(context: &Context, summary: &cluster::ClusterSummary) -> io::Result<()> {
    let sizes = &summary.sizes;
    show(format_args!(
        "inertia {:.3}; {} clusters of {} to {} pictures, imbalance {:.3}",
        summary.inertia,
        sizes.len(),
        sizes.iter().min().unwrap_or(&0),
        sizes.iter().max().unwrap_or(&0),
        summary.imbalance
    ))?;
    if let Some(stability) = summary.stability {
        show(format_args!(
            "mean NMI of the other restarts with the best: {stability:.4}"
        ))?;
    }
    if let (Some(nmi), Some(accuracy)) = (summary.nmi, summary.accuracy) {
        show(format_args!(
            "against the folders: NMI {nmi:.4}, accuracy {accuracy:.4}"
        ))?;
    }
    let centroids = context.run.centroids();
    show(format_args!("centroids: {}", centroids.display()))
}
