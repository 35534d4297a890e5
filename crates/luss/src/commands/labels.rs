//! Pseudo labels of a run as PNG files.

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand};
use imagenet_s::{Split, terminal::show};
use luss::{Arguments, OrRefuse, share};
use pass_train::{Context, step::export::export_labels};

use super::split_of;

/// Works with the pseudo labels of a run.
///
/// Example: luss labels export --run runs/mine --split train
///
/// Leaves nothing but what its subcommand says.
#[derive(Subcommand)]
pub(crate) enum Labels {
    Export(Export),
}

impl Labels {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Export(export) => export.run(),
        }
    }
}

/// Writes the pseudo labels of a split as full-size PNG masks, of any threshold and in the form of the run's
/// own (predict.masks), 0 being OTHER.
///
/// Example: luss labels export --run runs/mine --split train
///
/// Needs step 2.3 in the same --run directory, or step 2.2 and --threshold. The steps themselves
/// need no such files: they read the label store, which is smaller and holds every threshold.
/// Started again after a kill, it goes on. Ends with the bytes that both take.
///
/// Leaves FOLDER/CLASS/PICTURE.png, by default in exported/SPLIT of the run.
#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    arguments: Arguments,

    /// Which pictures.
    #[arg(long, value_parser = split_of(&Split::ALL), default_value = "train")]
    split: Split,

    /// Where the masks go, as FOLDER/CLASS/PICTURE.png [default: exported/SPLIT in the run].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Attention below this is OTHER, 0 to 1 [default: the threshold of step 2.3].
    #[arg(long, value_name = "T", value_parser = share)]
    threshold: Option<f32>,
}

impl Export {
    fn run(&self) -> anyhow::Result<()> {
        let context = self.arguments.open_begun()?;
        self.check_pictures(&context).or_refuse()?;
        let in_run = || context.run.file("exported").join(self.split.name());
        let folder = self.out.clone().unwrap_or_else(in_run);
        let done = export_labels(&context, self.split, &folder, self.threshold)?;
        show(format_args!(
            "{} masks at threshold {} in {}: {} bytes of PNG, {} bytes of labels and attention in {}",
            done.masks,
            done.threshold,
            folder.display(),
            done.png_bytes,
            done.store_bytes,
            context.run.labels(self.split.name()).display()
        ))?;
        Ok(())
    }

    fn check_pictures(&self, context: &Context) -> anyhow::Result<()> {
        ensure!(
            !context.data.samples(self.split).is_empty(),
            "--split {}: {} has no such pictures",
            self.split.name(),
            context.data.root().display()
        );
        Ok(())
    }
}
