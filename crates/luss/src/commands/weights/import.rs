//! Starts a run from weights of other programs: PASS, SwAV, torchvision, timm.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use imagenet_s::terminal::show;
use luss::{Arguments, BackboneFile, OrRefuse};
use pass_model::import::Imported;
use pass_train::step::weights::{Weights, import_centroids, import_weights};

/// Takes weights of other programs as the results of steps of a run, which then goes on from there.
///
/// Example: luss weights import --run runs/released --data ImageNetS50 --pretrained pass50_pretrained.pth.tar
///
/// Reads .pth, .pth.tar, .pt and .safetensors. Strict: every key that is missing, unexpected or of another
/// shape is listed, and nothing is changed. The network must be that of the run file
/// (examples/configs/s50_resnet18.toml for the released ResNet-18). Takes seconds.
///
/// From the released files of PASS to its numbers, without any training:
///
///   luss weights import --config examples/configs/s50_resnet18.toml --data ImageNetS50 --run runs/released \
///     --pretrained pass50_pretrained.pth.tar --pixelatt pass50_pixelatt.pth.tar \
///     --centroids pass50_centroids.npy
///   then luss step sweep_threshold, generate_labels, evaluate, distance_matching with --run runs/released;
///   with --finetuning pass50_finetuning.pth.tar also predict. The licence of these files is their own.
///
/// Leaves in the run directory what the steps would: their weights or centroids, and done/NAME.json.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Import {
    #[command(flatten)]
    arguments: Arguments,

    /// A backbone of torchvision, timm or another program as the result of step 1, as resnet50=FILE;
    /// without a name that of the run file. The heads keep their initial weights: enough for
    /// distance_matching; step 2.1 would learn from random prototypes.
    #[arg(long, value_name = "NAME=FILE", conflicts_with = "pretrained")]
    backbone: Option<BackboneFile>,

    /// A pre-training checkpoint of PASS: step 1.
    #[arg(long, value_name = "FILE")]
    pretrained: Option<PathBuf>,

    /// A pixel attention checkpoint of PASS: step 2.1.
    #[arg(long, value_name = "FILE")]
    pixelatt: Option<PathBuf>,

    /// centroids.npy: step 2.2.
    #[arg(long, value_name = "FILE")]
    centroids: Option<PathBuf>,

    /// A fine-tuning checkpoint of PASS: step 3.
    #[arg(long, value_name = "FILE")]
    finetuning: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let backbone = self.backbone.as_ref().map(BackboneFile::path);
        let backbone = backbone.transpose().or_refuse()?.map(Path::to_owned);
        let before = [
            (Weights::Backbone, &backbone),
            (Weights::Pretrained, &self.pretrained),
            (Weights::PixelAttention, &self.pixelatt),
        ];
        let after = [(Weights::FineTuned, &self.finetuning)];
        let named = before.iter().chain(&after).any(|(_, path)| path.is_some());
        check_named(named || self.centroids.is_some()).or_refuse()?;
        let mut arguments = self.arguments.clone();
        if let Some(file) = self.backbone.as_ref().filter(|file| file.is_named()) {
            arguments = arguments.with_network(file.config().or_refuse()?);
        }
        let context = arguments.open()?;
        let import = |(weights, path): (Weights, &Option<PathBuf>)| match path {
            Some(path) => {
                let imported = import_weights(&context, weights, path).or_refuse()?;
                tell(weights.step().name(), path, &imported)
            }
            None => Ok(()),
        };
        before.into_iter().try_for_each(import)?;
        if let Some(path) = &self.centroids {
            import_centroids(&context, path).or_refuse()?;
            let one = Imported {
                loaded: 1,
                ..Imported::default()
            };
            tell("cluster", path, &one)?;
        }
        after.into_iter().try_for_each(import)
    }
}

fn check_named(named: bool) -> anyhow::Result<()> {
    ensure!(
        named,
        "nothing to import: name a file with --backbone, --pretrained, --pixelatt, --centroids or --finetuning"
    );
    Ok(())
}

fn tell(step: &str, path: &Path, imported: &Imported) -> anyhow::Result<()> {
    const SHOWN: usize = 10;
    let path = path.display();
    show(format_args!(
        "{step}: {} tensors from {path}",
        imported.loaded
    ))?;
    if !imported.wrapper.is_empty() {
        let (wrapper, outside) = (&imported.wrapper, imported.outside);
        let words = "tensors lie elsewhere and are not read";
        show(format_args!("  under `{wrapper}`; {outside} {words}"))?;
    }
    let heads = |key: &&String| !key.ends_with("num_batches_tracked");
    let heads: Vec<&str> = imported
        .ignored
        .iter()
        .filter(heads)
        .map(String::as_str)
        .collect();
    if !heads.is_empty() {
        let (first, count) = (heads[..heads.len().min(SHOWN)].join(", "), heads.len());
        let more = if count > SHOWN { ", …" } else { "" };
        show(format_args!("  {count} passed over: {first}{more}"))?;
    }
    Ok(())
}
