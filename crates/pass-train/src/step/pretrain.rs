//! Step 1, representation learning, by the method of the run file or by one of your own.

mod task;

use std::{path::Path, sync::Arc, time::Instant};

use burn::tensor::Device;
use imagenet_s::{Sample, Split};
use pass_model::{
    backbone::Backbone,
    checkpoint::{load_field, load_module},
    loss::{LossWeights, PretrainLossConfig, SwappedPredictionConfig},
    method::{
        Method,
        pass::{Pass, PassConfig},
    },
    overlap::EmptyPairs,
    pass_p_net::PassPNet,
    pretrain_net::{PretrainNet, PretrainNetConfig},
    queue::SwavQueue,
};
use serde::Serialize;

use crate::{
    Context, Error, Step,
    probe::Probe,
    ranks::done_by_first,
    run_file::{self, RunFile},
    training::{Learner, Task, leave, train},
    training_plan::Plan,
    view_batch::{Views, make_views},
};

pub(crate) use task::Pretraining;

/// What the step leaves in `done/pretrain.json`.
#[derive(Debug, Serialize)]
struct Summary {
    epochs: usize,
    pictures: usize,
    seconds: f64,
    /// The loss over its value by chance, the mean of the last epoch: swapped prediction over ln K.
    #[serde(skip_serializing_if = "Option::is_none")]
    swapped_over_ln_k: Option<f64>,
}

/// Runs step 1 with the method of the run file and leaves `pretrain/weights.safetensors`.
///
/// # Errors
///
/// From the data, the disk, [`Error::Unhealthy`] if training goes wrong, or [`Error::Stopped`].
pub fn pretrain(context: &Context) -> Result<(), Error> {
    let (file, device) = (&context.file, context.device.clone().autodiff());
    match file.pretrain.method {
        run_file::Method::PassS => pretrain_with(context, pass_s(file, &device)),
        run_file::Method::PassP => pretrain_with(context, pass_p(file, &device)),
    }
}

/// Runs step 1 with any method, whose parameters lie on a device with gradients. Views, optimiser and
/// schedule are those of the section `pretrain`; checkpoints, log and health are those of any run.
/// Leaves [`Method::result`] as `pretrain/weights.safetensors`.
///
/// # Errors
///
/// As [`pretrain`].
pub fn pretrain_with<M: Method>(context: &Context, method: M) -> Result<(), Error> {
    let started = Instant::now();
    check_of_ranks(context)?;
    context.check_precision()?;
    done_by_first(&context.ranks, || context.run.begin(Step::Pretrain))?;
    let mut task = Pretraining::new(method, &context.file, context.device.clone().autodiff());
    task.probe = Probe::new(context);
    task.ranks = context.ranks.clone();
    let mut learner = Learner::new(task, &context.file.pretrain.optim);
    let (pictures, loss_over_chance) = train_on_views(context, &mut learner)?;
    let seconds = started.elapsed().as_secs_f64();
    leave(
        context,
        &learner.task.method.result(),
        Step::Pretrain,
        &Summary {
            epochs: context.file.pretrain.epochs,
            pictures,
            seconds,
            swapped_over_ln_k: loss_over_chance,
        },
    )
}

/// Trains on the views of the pictures of step 1, and says how many these are and what [`train`] does.
pub(crate) fn train_on_views<T: Task<Item = Views>>(
    context: &Context,
    learner: &mut Learner<T>,
) -> Result<(usize, Option<f64>), Error> {
    let file = &context.file;
    let section = &file.pretrain;
    let samples = training_samples(context)?;
    let pictures = samples.len();
    let make = make_views(
        samples,
        section.views.clone(),
        file.data.odd_pictures,
        file.seed,
    );
    let plan = Plan {
        step: Step::Pretrain,
        pictures,
        epochs: section.epochs,
        batch: section.batch,
        batch_rule: section.batch_rule,
        accumulate: section.accumulate,
        queue: learner.memory_rows(),
        optim: &section.optim,
    };
    let loss_over_chance = train(context, &plan, learner, make)?;
    Ok((pictures, loss_over_chance))
}

/// The pictures of step 1: those of `data.pretrain_pictures`, else the training pictures.
fn training_samples(context: &Context) -> Result<Arc<[Sample]>, Error> {
    let section = &context.file.data;
    let (run, classes) = (context.run.root(), context.data.classes());
    let Some(pictures) = section.open_pretrain_pictures(run, classes)? else {
        return Ok(context.data.samples(Split::Train).into());
    };
    let pictures = pictures.without(Split::Train, &context.left_out);
    Ok(pictures.samples(Split::Train).into())
}

/// PASS_s with the initial weights of the run's seed.
pub(crate) fn pass_s(file: &RunFile, device: &Device) -> Pass {
    Pass::pass_s(
        pass_config(file),
        pass_queue(file, device),
        file.seed,
        device,
    )
}

/// PASS_p, which contains PASS_s.
pub(crate) fn pass_p(file: &RunFile, device: &Device) -> Pass<PassPNet> {
    Pass::pass_p(
        pass_config(file),
        pass_queue(file, device),
        file.seed,
        device,
    )
}

fn pass_config(file: &RunFile) -> PassConfig {
    let section = &file.pretrain;
    let stages = section.shallow.iter().copied();
    PassConfig {
        net: net_config(file),
        loss: PretrainLossConfig {
            swapped: section.swapped.clone(),
            teacher: section.supervision.teacher,
            taught_view: section.supervision.view,
            p2p: section.p2p.then_some(section.alignment.kind),
            weights: LossWeights {
                image: section.swapped_weight,
                d2s: stages
                    .zip(section.shallow_weights.iter().copied())
                    .collect(),
                p2p: section.p2p_weight,
            },
        },
        alignment: section.alignment.clone(),
        consistency: section.consistency.clone(),
        freeze_prototypes_iterations: section.freeze_prototypes_iterations,
    }
}

fn pass_queue(file: &RunFile, device: &Device) -> SwavQueue {
    let section = &file.pretrain;
    let part = section.batch / section.accumulate;
    swav_queue(
        &section.swapped,
        section
            .batch_rule
            .queue_length(section.swapped.queue_length, section.batch),
        [part, file.network.feature_dim],
        device,
    )
}

/// The queue of a training with swapped prediction, for parts of so many pictures.
pub(crate) fn swav_queue(
    swapped: &SwappedPredictionConfig,
    length: usize,
    [batch, dim]: [usize; 2],
    device: &Device,
) -> SwavQueue {
    SwavQueue::new(length, [batch, dim], swapped.queue_from_epoch, device)
}

/// The network of PASS_s, with the initial weights of the run's seed.
pub(crate) fn pretrain_net(file: &RunFile, device: &Device) -> PretrainNet {
    net_config(file).init(file.seed, device)
}

fn net_config(file: &RunFile) -> PretrainNetConfig {
    let network = &file.network;
    PretrainNetConfig {
        backbone: network.backbone.clone(),
        hidden: network.hidden,
        feature_dim: network.feature_dim,
        prototypes: network.prototypes,
        shallow: file.pretrain.shallow.clone(),
        p2p: file.pretrain.p2p,
        p2p_projection: file.pretrain.alignment.projection,
    }
}

/// The network of PASS_s as step 1 left it.
pub(crate) fn pretrained_net(context: &Context, device: &Device) -> Result<PretrainNet, Error> {
    let mut net = pretrain_net(&context.file, device);
    load_module(&mut net, &context.run.unchanged_weights(Step::Pretrain)?)?;
    Ok(net)
}

/// The backbone as step 1 left it, by whatever method.
pub(crate) fn pretrained_backbone(context: &Context, device: &Device) -> Result<Backbone, Error> {
    let file = &context.file;
    let mut backbone = file.network.backbone.init(file.seed, device);
    let weights = context.run.unchanged_weights(Step::Pretrain)?;
    load_pretrained(&mut backbone, "backbone", &weights)?;
    Ok(backbone)
}

/// Backbone, projection and prototypes as step 1 left them; what its method does not have keeps the
/// initial weights of the run's seed.
pub(crate) fn pretrained_heads(context: &Context, device: &Device) -> Result<PretrainNet, Error> {
    let mut net = pretrain_net(&context.file, device);
    let weights = context.run.unchanged_weights(Step::Pretrain)?;
    load_pretrained(&mut net.backbone, "backbone", &weights)?;
    load_field(&mut net.projection, "projection", &weights)?;
    load_field(&mut net.prototypes, "prototypes", &weights)?;
    Ok(net)
}

fn load_pretrained(backbone: &mut Backbone, field: &str, weights: &Path) -> Result<(), Error> {
    if load_field(backbone, field, weights)? {
        return Ok(());
    }
    Err(Error::Damaged {
        path: weights.into(),
        cause: format!("it has no tensor whose name begins with `{field}.`"),
    })
}

/// Refuses what differs from one process: with pictures left out, ranks compare different numbers of
/// them, and the norms behind count all ranks alike.
fn check_of_ranks(context: &Context) -> Result<(), Error> {
    let section = &context.file.pretrain;
    let leaves_out = section.p2p && section.alignment.empty_pairs == EmptyPairs::LeaveOut;
    if leaves_out && context.ranks.size() > 1 {
        return Err(Error::Value {
            place: "run.toml".into(),
            key: "pretrain.alignment.empty_pairs".into(),
            value: "\"leave_out\"".into(),
            rule:
                "with several ranks each would be left with another number of pictures; train in \
                   one process, or count them"
                    .into(),
        });
    }
    Ok(())
}
