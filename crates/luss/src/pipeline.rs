//! All steps, one after the other.

use anyhow::anyhow;
use clap::Args;
use imagenet_s::terminal::show;
use pass_train::{
    Context, RunVerdict,
    pipeline::{self, Control},
    step::{objects::suggest::adopt_objects, weights::begin_with_backbone},
};

use crate::{BackboneFile, OrRefuse, RankedArguments, classes::suggest, metrics_table};

/// The command line of a whole run.
#[derive(Args, Clone, Debug)]
pub struct PipelineArguments {
    #[command(flatten)]
    run: RankedArguments,

    /// Begin with the published weights of a network in place of step 1, as resnet50=resnet50.pth.
    ///
    /// The file is .pth, .safetensors, or a .whl or .zip with one of them. NAME= may be left out where the keys tell.
    /// FILE may be hf:OWNER/REPO[/FILE][@REVISION] in a program built with the hub (docs/PIPELINE.md).
    #[arg(long, value_name = "NAME=FILE", help_heading = "Images")]
    backbone: Option<BackboneFile>,

    /// Results to compare with, comma-separated: single_cluster, random_cluster, colour_clusters,
    /// untrained, swav_only, or all. The last two train again.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        help_heading = "Run"
    )]
    controls: Vec<String>,
}

impl PipelineArguments {
    /// Runs all steps and prints the table of results, whether the run has worked, and what comes next.
    ///
    /// # Errors
    ///
    /// Whatever stops a step, or refuses the arguments.
    pub fn run(&self) -> anyhow::Result<()> {
        let controls = controls(&self.controls).or_refuse()?;
        let mut run = self.run.clone();
        if let Some(backbone) = &self.backbone {
            run = run.with_network(backbone.config().or_refuse()?);
        }
        if let Some(classes) = self.suggested(&run)? {
            run = run.with_classes(classes);
        }
        run.on_all_ranks(|context| {
            if let Some(backbone) = &self.backbone {
                begin_with_backbone(context, backbone.path().or_refuse()?).or_refuse()?;
                adopt_objects(context)?;
            }
            let metrics = pipeline::run(context, &controls)?;
            if context.speaks() {
                show(format_args!("{}\n", metrics_table(&metrics)))?;
                tell_verdict(context)?;
            }
            Ok(())
        })
    }

    /// The number of categories, if it is to be found.
    fn suggested(&self, run: &RankedArguments) -> anyhow::Result<Option<u16>> {
        match (run.for_suggestion().or_refuse()?, &self.backbone) {
            (None, _) => Ok(None),
            (Some(_), None) => Err(anyhow!(
                "--classes auto: a number is suggested by the features of a pretrained network; add --backbone \
                 NAME=FILE, or give --classes a number"
            ))
            .or_refuse(),
            (Some(inner), Some(backbone)) => {
                suggest(&inner.open_unheeding().or_refuse()?, backbone).map(Some)
            },
        }
    }
}

fn tell_verdict(context: &Context) -> anyhow::Result<()> {
    let verdict = RunVerdict::read(&context.run)?;
    let report = context.run.file("report.html");
    for line in verdict.lines(&context.run) {
        show(format_args!("{line}"))?;
    }
    show(format_args!("report: {}", report.display()))?;
    Ok(())
}

fn controls(names: &[String]) -> anyhow::Result<Vec<Control>> {
    if names.iter().any(|name| name == "all") {
        return Ok(Control::ALL.to_vec());
    }
    let control = |name: &String| {
        let known = Control::ALL.map(Control::name).join(", ");
        Control::named(name)
            .ok_or_else(|| anyhow!("--controls {name}: unknown; the controls are {known}, or all"))
    };
    names.iter().map(control).collect()
}
