//! Hands the networks of a run to PyTorch programs.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Parser;
use imagenet_s::terminal::show;
use luss_examples::Arguments;
use pass_train::step::weights::{Weights, export_weights};

/// Writes networks of a run as .safetensors with the keys that PyTorch programs expect.
///
/// --backbone has torchvision's keys, without the classifier. In Python:
///
///   state = safetensors.torch.load_file("backbone.safetensors")
///   torchvision.models.resnet50().load_state_dict(state, strict=False)      # misses fc alone
///   timm.create_model("resnet50").load_state_dict(state, strict=False)
///
/// detectron2 and mmsegmentation fine-tune from torchvision's keys with their own converters. The others have
/// the keys of the published checkpoints of PASS. Takes seconds.
#[derive(Parser)]
#[command(verbatim_doc_comment)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,

    /// The backbone of step 1.
    #[arg(long, value_name = "FILE")]
    backbone: Option<PathBuf>,

    /// The whole network of step 1.
    #[arg(long, value_name = "FILE")]
    pretrained: Option<PathBuf>,

    /// The network of step 2.1.
    #[arg(long, value_name = "FILE")]
    pixelatt: Option<PathBuf>,

    /// The network of step 3.
    #[arg(long, value_name = "FILE")]
    finetuning: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let all = [
        (Weights::Backbone, &cli.backbone),
        (Weights::Pretrained, &cli.pretrained),
        (Weights::PixelAttention, &cli.pixelatt),
        (Weights::FineTuned, &cli.finetuning),
    ];
    ensure!(
        all.iter().any(|(_, path)| path.is_some()),
        "nothing to export: name a file with --backbone, --pretrained, --pixelatt or --finetuning"
    );
    let context = cli.arguments.open_begun()?;
    for (weights, path) in all {
        if let Some(path) = path {
            let tensors = export_weights(&context, weights, path)?;
            show(format_args!("{}: {tensors} tensors", path.display()))?;
        }
    }
    Ok(())
}
