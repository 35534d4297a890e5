//! Pseudo labels as PNG files.

use std::path::PathBuf;

use clap::Parser;
use imagenet_s::{Split, terminal::show};
use luss_examples::{Arguments, share};
use pass_train::step::export::export_labels;

/// Writes the pseudo labels of a split as full-size PNG masks (id = R + 256 G, 0 is OTHER).
///
/// Needs step 2.3 in the same --run directory, or step 2.2 and --threshold. The steps themselves
/// need no such files: they read the label store, which is smaller and holds every threshold.
/// Started again after a kill, it goes on. Ends with the bytes that both take.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,

    /// Which pictures: train, train-semi, validation or test.
    #[arg(long, value_parser = split_named, default_value = "train")]
    split: Split,

    /// Where the masks go, as FOLDER/CLASS/PICTURE.png [default: exported/SPLIT in the run].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Attention below this is OTHER, 0 to 1 [default: the threshold of step 2.3].
    #[arg(long, value_name = "T", value_parser = share)]
    threshold: Option<f32>,
}

fn split_named(name: &str) -> Result<Split, String> {
    let named = Split::ALL.into_iter().find(|split| split.name() == name);
    named.ok_or_else(|| "one of train, train-semi, validation, test".into())
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Some(threshold) = cli.threshold {
        anyhow::ensure!(
            (0.0..=1.0).contains(&threshold),
            "--threshold {threshold}: attention lies in 0 to 1"
        );
    }
    let context = cli.arguments.open_begun()?;
    let pictures = context.data.samples(cli.split).len();
    anyhow::ensure!(
        pictures > 0,
        "--split {}: {} has no such pictures",
        cli.split.name(),
        context.data.root().display()
    );
    let in_run = || context.run.file("exported").join(cli.split.name());
    let folder = cli.out.clone().unwrap_or_else(in_run);
    let done = export_labels(&context, cli.split, &folder, cli.threshold)?;
    show(format_args!(
        "{} masks at threshold {} in {}: {} bytes of PNG, {} bytes of labels and attention in {}",
        done.masks,
        done.threshold,
        folder.display(),
        done.png_bytes,
        done.store_bytes,
        context.run.labels(cli.split.name()).display()
    ))?;
    Ok(())
}
