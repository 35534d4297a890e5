//! Hands the networks of a run to PyTorch programs.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use imagenet_s::terminal::show;
use luss::{Arguments, OrRefuse};
use pass_train::step::weights::{Weights, export_weights};

/// Writes networks of a run as .safetensors with the keys that PyTorch programs expect.
///
/// Example: luss weights export --run runs/mine --backbone backbone.safetensors
///
/// --backbone has torchvision's keys, without the classifier. In Python:
///
///   state = safetensors.torch.load_file("backbone.safetensors")
///   torchvision.models.resnet50().load_state_dict(state, strict=False)      # misses fc alone
///   timm.create_model("resnet50").load_state_dict(state, strict=False)
///
/// detectron2 and mmsegmentation fine-tune from torchvision's keys with their own converters. The others have
/// the keys of the published checkpoints of PASS. Takes seconds.
///
/// Leaves the files that are named.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Export {
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

impl Export {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let all = [
            (Weights::Backbone, &self.backbone),
            (Weights::Pretrained, &self.pretrained),
            (Weights::PixelAttention, &self.pixelatt),
            (Weights::FineTuned, &self.finetuning),
        ];
        check_named(all.iter().any(|(_, path)| path.is_some())).or_refuse()?;
        let context = self.arguments.open_begun()?;
        for (weights, path) in all {
            if let Some(path) = path {
                let tensors = export_weights(&context, weights, path)?;
                show(format_args!("{}: {tensors} tensors", path.display()))?;
            }
        }
        Ok(())
    }
}

fn check_named(named: bool) -> anyhow::Result<()> {
    ensure!(
        named,
        "nothing to export: name a file with --backbone, --pretrained, --pixelatt or --finetuning"
    );
    Ok(())
}
