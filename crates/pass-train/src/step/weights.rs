//! Weights of other programs as results of steps, and results of steps for other programs.

use std::path::{Path, PathBuf};

use imagenet_s::views::Normalization;
use pass_model::{
    checkpoint::save_module,
    export::{export_backbone, export_pretrain_net, export_segmentation_net},
    import::{Imported, import_backbone, import_pretrain_net, import_segmentation_net},
};
use pixel_attention::{
    Error as AttentionError,
    attention_net::{AttentionNet, export_attention_net, import_attention_net},
    centroids::{read_centroids, write_centroids},
};
use serde::{Deserialize, Serialize};

use crate::{
    Context, Error, Step,
    ranks::done_by_first,
    step::{
        attention::tuned_net,
        finetune::{finetuned_net, fresh_net},
        pretrain::{pretrain_net, pretrained_backbone, pretrained_net},
    },
    sum_of,
    view_batch::normalization,
};

/// What a file of weights holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// A ResNet: of torchvision, timm or SwAV, or the backbone of any checkpoint of PASS. Imported, it
    /// is the result of step 1; the heads keep their initial weights.
    Backbone,
    /// The network of step 1 (`pass50_pretrained.pth.tar`).
    Pretrained,
    /// The network of step 2.1 (`pass50_pixelatt.pth.tar`).
    PixelAttention,
    /// The network of step 3 (`pass50_finetuning.pth.tar`).
    FineTuned,
}

/// What an imported step leaves in `done/STEP.json`.
#[derive(Debug, Serialize)]
struct ImportSummary<'a> {
    imported: &'a Path,
    sha256: String,
    tensors: usize,
    ignored: &'a [String],
    /// What the network's pictures are normalised with.
    normalization: Normalization,
}

/// What [`begin_with_backbone`] looks at of an [`ImportSummary`]; a trained network has none of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Origin {
    imported: Option<PathBuf>,
    sha256: Option<String>,
}

/// Takes a file of weights as the result of step 1, unless the run has begun with it before. Collective.
///
/// # Errors
///
/// As [`import_weights`]; [`Error::OtherBackbone`] for a run that has another result of step 1.
pub fn begin_with_backbone(context: &Context, path: &Path) -> Result<(), Error> {
    done_by_first(&context.ranks, || {
        let run = &context.run;
        let other = |found: String| Error::OtherBackbone {
            run: run.root().to_owned(),
            found,
            weights: path.to_owned(),
        };
        if !run.is_done(Step::Pretrain) {
            if run.has_checkpoints(Step::Pretrain) {
                return Err(other("half trained here".to_owned()));
            }
            let imported = import_weights(context, Weights::Backbone, path)?;
            let (tensors, path) = (imported.loaded, path.display());
            context.say(&format!("pretrain: {tensors} tensors from {path}"));
            return Ok(());
        }
        let origin: Origin = run.summary(Step::Pretrain)?;
        let sum = sum_of(path).map_err(Error::io(path, "read"))?;
        if origin.sha256 == Some(sum) {
            return Ok(());
        }
        Err(other(match origin.imported {
            Some(file) => format!("that of {}", file.display()),
            None => "trained here".to_owned(),
        }))
    })
}

/// Takes a file of weights as the result of its step; what later steps made no longer counts.
///
/// The network must be that of the run file. Formats: see [`pass_model::import`].
///
/// # Errors
///
/// A file that cannot be read or does not fit, with every key at fault; [`Error::Io`].
pub fn import_weights(context: &Context, weights: Weights, path: &Path) -> Result<Imported, Error> {
    let step = weights.step();
    let place = context.run.weights(step);
    let (file, device) = (&context.file, &context.device);
    context.run.make_room_for(&place)?;
    let imported = match weights {
        Weights::Backbone | Weights::Pretrained => {
            let mut net = pretrain_net(file, device);
            let imported = match weights {
                Weights::Backbone => import_backbone(&mut net.backbone, path)?,
                _ => import_pretrain_net(&mut net, path)?,
            };
            context.run.invalidate(step)?;
            save_module(&net, &place)?;
            imported
        }
        Weights::PixelAttention => {
            let start = pretrain_net(file, device);
            let mut net = AttentionNet::from_pretrained(start, file.seed);
            let imported = import_attention_net(&mut net, path)?;
            context.run.invalidate(step)?;
            save_module(&net, &place)?;
            imported
        }
        Weights::FineTuned => {
            let mut net = fresh_net(context, device);
            let imported = import_segmentation_net(&mut net, path)?;
            context.run.invalidate(step)?;
            save_module(&net, &place)?;
            imported
        }
    };
    finish(context, step, path, &imported)?;
    Ok(imported)
}

/// Takes centroids (`pass50_centroids.npy`) as the result of step 2.2.
///
/// # Errors
///
/// Those of [`read_centroids`]; another number of centroids than classes, or of another length than
/// the backbone's features; [`Error::Io`].
pub fn import_centroids(context: &Context, path: &Path) -> Result<(), Error> {
    let centroids = read_centroids(path)?;
    let channels = context.file.network.backbone.channels(4);
    let expected = (usize::from(context.data.classes()), channels);
    if centroids.dim() != expected {
        let reason = format!(
            "{} has {} rows of {} values; this run has {} classes and features of {} channels",
            path.display(),
            centroids.nrows(),
            centroids.ncols(),
            expected.0,
            expected.1
        );
        let what = "centroids";
        return Err(AttentionError::Shape { what, reason }.into());
    }
    context.run.invalidate(Step::Cluster)?;
    context.run.make_room_for(&context.run.centroids())?;
    write_centroids(&context.run.centroids(), centroids.view())?;
    let imported = Imported {
        loaded: 1,
        ..Imported::default()
    };
    finish(context, Step::Cluster, path, &imported)
}

/// Writes the result of a step as `.safetensors` with the keys that PyTorch programs expect; returns
/// the number of tensors. See [`pass_model::export`].
///
/// # Errors
///
/// [`Error::StepMissing`] before the step has finished; a file that cannot be written.
pub fn export_weights(context: &Context, weights: Weights, path: &Path) -> Result<usize, Error> {
    let step = weights.step();
    context.run.require(step, step)?;
    Ok(match weights {
        Weights::Backbone => {
            export_backbone(&pretrained_backbone(context, &context.device)?, path)?
        }
        Weights::Pretrained => {
            export_pretrain_net(&pretrained_net(context, &context.device)?, path)?
        }
        Weights::PixelAttention => export_attention_net(&tuned_net(context, step)?, path)?,
        Weights::FineTuned => export_segmentation_net(&finetuned_net(context, step)?, path)?,
    })
}

impl Weights {
    /// The step whose result they are.
    pub fn step(self) -> Step {
        match self {
            Self::Backbone | Self::Pretrained => Step::Pretrain,
            Self::PixelAttention => Step::TuneAttention,
            Self::FineTuned => Step::Finetune,
        }
    }
}

fn finish(context: &Context, step: Step, path: &Path, imported: &Imported) -> Result<(), Error> {
    let summary = ImportSummary {
        imported: path,
        sha256: sum_of(path).map_err(Error::io(path, "read"))?,
        normalization: normalization(&context.file),
        tensors: imported.loaded,
        ignored: &imported.ignored,
    };
    context.run.finish(step, &summary)
}
