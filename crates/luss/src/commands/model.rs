//! A finished run as one file.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use burn::tensor::Device;
use clap::{Args, Subcommand};
use imagenet_s::terminal::show;
use luss::{OrRefuse, pick_device};
use pass_train::apply::{Model, export_model};

/// Packs the model of a finished run into one file, and tells what is in one.
///
/// Example: luss model export --run runs/mine --out mine.safetensors
///
/// Leaves nothing but what its subcommands say.
#[derive(Subcommand)]
pub(crate) enum OfModel {
    Export(Export),
    Show(Show),
}

impl OfModel {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Export(export) => export.run(),
            Self::Show(show) => show.run(),
        }
    }
}

/// Writes all of a finished run that new pictures need as one file.
///
/// Example: luss model export --run runs/mine --out mine.safetensors
///
/// `luss segment --model mine.safetensors` makes the masks that --run runs/mine would. Takes seconds.
///
/// Leaves the file: weights, and as metadata the network, sizes, normalisation, names and matched classes of the
/// categories.
#[derive(Args)]
pub(crate) struct Export {
    /// The directory of a run that has made its result.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,

    /// The file, NAME.safetensors.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Export {
    fn run(&self) -> anyhow::Result<()> {
        check_name(&self.out).or_refuse()?;
        let about = export_model(&self.run, &self.out).or_refuse()?;
        let (out, categories) = (self.out.display(), about.categories());
        show(format_args!("{out}: a model of {categories} categories"))?;
        Ok(())
    }
}

fn check_name(out: &Path) -> anyhow::Result<()> {
    ensure!(
        out.extension()
            .is_some_and(|extension| extension == "safetensors"),
        "--out {}: a model is a file NAME.safetensors",
        out.display()
    );
    Ok(())
}

/// Says what is in a file of a model, as JSON.
///
/// Example: luss model show mine.safetensors
///
/// Leaves nothing.
#[derive(Args)]
pub(crate) struct Show {
    /// A file of `luss model export`.
    #[arg(value_name = "FILE")]
    model: PathBuf,
}

impl Show {
    fn run(&self) -> anyhow::Result<()> {
        let device: Device = pick_device("cpu").or_refuse()?;
        let model = Model::read(&self.model, device).or_refuse()?;
        let text = serde_json::to_string_pretty(model.about())?;
        show(format_args!("{text}"))?;
        Ok(())
    }
}
