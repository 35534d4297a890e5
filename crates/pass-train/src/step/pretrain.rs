//! Step 1, representation learning: swapped prediction (SwAV) with pixel-to-pixel alignment (P2P)
//! and deep-to-shallow supervision (D2S), and in PASS_p the consistency of pixels of PixPro.

mod network;
mod trainee;

use std::{sync::Arc, time::Instant};

use burn::tensor::Device;
use imagenet_s::{Sample, Split};
use pass_model::{
    checkpoint::load_module,
    loss::SwappedPredictionConfig,
    pass_p_net::{PassPNet, PassPNetConfig},
    pretrain_net::{PretrainNet, PretrainNetConfig},
    queue::Queue,
    ranks::Ranks,
    sinkhorn::SinkhornConfig,
};
use serde::Serialize;

use crate::{
    Context, Error, Step,
    probe::Probe,
    ranks::done_by_first,
    run_file::{EmptyPairs, Method, RunFile, SwappedSection},
    training::{Trainee, leave, train},
    training_plan::Plan,
    view_batch::{Views, make_views},
};

use network::PretrainNetwork;
#[cfg(test)]
pub(crate) use trainee::named_terms;
pub(crate) use trainee::{Pretraining, number};

/// What the step leaves in `done/pretrain.json`.
#[derive(Debug, Serialize)]
struct Summary {
    epochs: usize,
    pictures: usize,
    seconds: f64,
    /// Swapped prediction over ln K, the mean of the last epoch; absent where it is not learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    swapped_over_ln_k: Option<f64>,
}

/// Runs step 1 and leaves `pretrain/weights.safetensors`: of either method the network of PASS_s,
/// which is all that the later steps use.
///
/// # Errors
///
/// From the data, the disk, [`Error::Unhealthy`] if training goes wrong, or [`Error::Stopped`].
pub fn pretrain(context: &Context) -> Result<(), Error> {
    let (file, device) = (&context.file, context.device.clone().autodiff());
    match file.pretrain.method {
        Method::PassS => pretrain_with(context, Pretraining::new(file, device)),
        Method::PassP => pretrain_with(context, Pretraining::pass_p(file, device)),
    }
}

fn pretrain_with<N: PretrainNetwork>(
    context: &Context,
    mut trainee: Pretraining<N>,
) -> Result<(), Error> {
    let started = Instant::now();
    check_of_ranks(context)?;
    context.check_precision()?;
    done_by_first(&*context.ranks, || context.run.begin(Step::Pretrain))?;
    trainee.probe = Probe::new(context);
    trainee.ranks = context.ranks.clone();
    let (pictures, swapped_over_ln_k) = train_on_views(context, &mut trainee)?;
    let seconds = started.elapsed().as_secs_f64();
    leave(
        context,
        trainee.net.base(),
        Step::Pretrain,
        &Summary {
            epochs: context.file.pretrain.epochs,
            pictures,
            seconds,
            swapped_over_ln_k,
        },
    )
}

/// Trains on the views of the pictures of step 1, and says how many these are and what [`train`] does.
pub(crate) fn train_on_views<T: Trainee<Item = Views>>(
    context: &Context,
    trainee: &mut T,
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
        queue: trainee.queue_length(),
        optim: &section.optim,
    };
    let swapped_over_ln_k = train(context, &plan, trainee, make)?;
    Ok((pictures, swapped_over_ln_k))
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

/// The network of PASS_s, with the initial weights of the run's seed.
pub(crate) fn pretrain_net(file: &RunFile, device: &Device) -> PretrainNet {
    net_config(file).init(file.seed, device)
}

/// The network of PASS_p, which contains that of PASS_s.
fn pass_p_net(file: &RunFile, device: &Device) -> PassPNet {
    let section = &file.pretrain.consistency;
    PassPNetConfig {
        base: net_config(file),
        consistency_hidden: section.hidden,
        consistency_dim: section.dim,
    }
    .init(file.seed, device)
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

/// The network as step 1 left it.
pub(crate) fn pretrained_net(context: &Context, device: &Device) -> Result<PretrainNet, Error> {
    let mut net = pretrain_net(&context.file, device);
    load_module(&mut net, &context.run.unchanged_weights(Step::Pretrain)?)?;
    Ok(net)
}

/// The settings of the swapped prediction, as the loss takes them.
pub(crate) fn swapped_config(section: &SwappedSection) -> SwappedPredictionConfig {
    SwappedPredictionConfig {
        temperature: section.temperature,
        sinkhorn: SinkhornConfig {
            epsilon: section.epsilon,
            iterations: section.sinkhorn_iterations,
        },
    }
}

/// An empty queue of `length` rows, if so many hold a batch.
pub(crate) fn fresh_queue(
    length: usize,
    [batch, dim]: [usize; 2],
    device: &Device,
) -> Option<Queue> {
    let wanted = length >= batch;
    wanted.then(|| Queue::new(length, batch, dim, device))
}

/// This rank's part of a queue of all ranks.
pub(crate) fn share_of_queue(whole: Option<Queue>, ranks: &dyn Ranks) -> Option<Queue> {
    whole.map(|queue| queue.share_of(ranks))
}

/// The queue of all ranks, which is what a checkpoint holds: any number of ranks can go on from it.
/// Collective.
pub(crate) fn whole_queue(own: Option<&Queue>, ranks: &dyn Ranks) -> Option<Queue> {
    own.map(|queue| queue.of_ranks(ranks))
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
