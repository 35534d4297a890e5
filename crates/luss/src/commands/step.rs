//! One step of a run, and a line or two of what came out.

use std::io;

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use imagenet_s::{Split, terminal::show};
use luss::{RankedArguments, metrics_table, tell_weights};
use pass_train::{
    Context, Step,
    step::{cluster, evaluate::evaluate, labels::generate_labels, threshold::sweep_threshold},
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
        let step = self.name;
        let begins = step.reads().iter().all(|read| *read == Step::CheckData);
        if begins {
            self.run.on_all_ranks(|context| carry_out(step, context))
        } else if step.is_of_all_ranks() {
            let of_begun = |context: &Context| carry_out(step, context);
            self.run.on_all_ranks_of_begun(of_begun)
        } else {
            carry_out(step, &self.run.open_alone()?)
        }
    }
}

/// The steps by their names, with what they do and leave.
fn steps() -> impl TypedValueParser<Value = Step> {
    let help = |step: Step| {
        let leaves: Vec<&str> = step.leaves().collect();
        format!("{}; {}", step.describe(), leaves.join(", "))
    };
    let named = |step: Step| PossibleValue::new(step.name()).help(help(step));
    PossibleValuesParser::new(Step::all().map(named))
        .map(|name| Step::from_name(&name).expect("one of them"))
}

fn carry_out(step: Step, context: &Context) -> anyhow::Result<()> {
    match step {
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
        Step::Evaluate => {
            context.require_masks("step `evaluate`", Split::Validation)?;
            show(format_args!("{}", metrics_table(&evaluate(context)?)))?;
        }
        other => other.run(context)?,
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
