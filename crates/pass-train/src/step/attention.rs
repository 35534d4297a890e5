//! Step 2.1, pixel attention: a gate on every pixel and channel, trained by swapped prediction on
//! the frozen backbone.

use std::{path::Path, sync::Arc, time::Instant};

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use imagenet_s::Split;
use pass_model::{
    checkpoint::load_module, loss::swapped_prediction_of_ranks, norm::NormMode,
    precision::Precision, pretrain_net::PretrainNet, queue::Queue, ranks::Ranks,
};
use pixel_attention::attention_net::AttentionNet;
use serde::Serialize;

use crate::{
    Context, Error, Step,
    health::{Assigning, Swapped, Vitals},
    ranks::done_by_first,
    run_file::{AttentionSection, FrozenNorms, RedDeviation},
    step::pretrain::{
        fresh_queue, number, pretrain_net, pretrained_net, share_of_queue, swapped_config,
        whole_queue,
    },
    training::{Loss, Position, Trainee, leave, train},
    training_plan::{Plan, optimizer},
    training_state::{restore_queue, restore_training, save_training},
    view_batch::{Views, crop_groups, make_views, multi_crop_normalization},
};

#[derive(Debug, Serialize)]
struct Summary {
    epochs: usize,
    seconds: f64,
}

/// Runs step 2.1 on the weights of step 1 and leaves `tune_attention/weights.safetensors`.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 1; else as [`super::pretrain::pretrain`].
pub fn tune_attention(context: &Context) -> Result<(), Error> {
    let started = Instant::now();
    context.run.require(Step::TuneAttention, Step::Pretrain)?;
    context.check_precision()?;
    done_by_first(&*context.ranks, || context.run.begin(Step::TuneAttention))?;
    let file = &context.file;
    let section = &file.attention;
    let mut trainee = Tuning::new(context)?;
    let samples: Arc<[_]> = context.data.samples(Split::Train).into();
    // Another stream than step 1: the same seed would repeat its crops.
    let seed = file.seed.wrapping_add(ATTENTION_STREAM);
    let make = make_views(samples, section.views.clone(), file.data.odd_pictures, seed);
    let plan = Plan {
        step: Step::TuneAttention,
        pictures: context.data.samples(Split::Train).len(),
        epochs: section.epochs,
        batch: section.batch,
        batch_rule: section.batch_rule,
        accumulate: section.accumulate,
        queue: trainee.queue_length(),
        optim: &section.optim,
    };
    train(context, &plan, &mut trainee, make)?;
    let seconds = started.elapsed().as_secs_f64();
    leave(
        context,
        &trainee.net,
        Step::TuneAttention,
        &Summary {
            epochs: section.epochs,
            seconds,
        },
    )
}

/// Sets the views of step 2.1 apart from those of step 1.
const ATTENTION_STREAM: u64 = 0x5174;

/// The attention network as step 2.1 left it.
pub(crate) fn tuned_net(context: &Context, step: Step) -> Result<AttentionNet, Error> {
    context.run.require(step, Step::TuneAttention)?;
    let start = pretrain_net(&context.file, &context.device);
    let mut net = untuned_net(context, start);
    load_module(
        &mut net,
        &context.run.unchanged_weights(Step::TuneAttention)?,
    )?;
    Ok(net)
}

fn untuned_net(context: &Context, pretrained: PretrainNet) -> AttentionNet {
    let seed = context.file.seed;
    match context.file.attention.shared {
        false => AttentionNet::from_pretrained(pretrained, seed),
        true => AttentionNet::from_pretrained_shared(pretrained, seed),
    }
}

struct Tuning {
    net: AttentionNet,
    optimizer: ModuleOptimizer,
    queue: Option<Queue>,
    section: AttentionSection,
    red_deviation: RedDeviation,
    feature_dim: usize,
    precision: Precision,
    device: Device,
    ranks: Arc<dyn Ranks>,
}

impl Tuning {
    fn new(context: &Context) -> Result<Self, Error> {
        let file = &context.file;
        let device = context.device.clone().autodiff();
        let net = untuned_net(context, pretrained_net(context, &device)?);
        let train_prototypes = file.attention.train_prototypes;
        Ok(Self {
            net: if train_prototypes {
                net
            } else {
                net.with_frozen_prototypes()
            },
            optimizer: optimizer(&file.attention.optim),
            queue: None,
            section: file.attention.clone(),
            red_deviation: file.data.red_deviation,
            feature_dim: file.network.feature_dim,
            precision: file.precision,
            device,
            ranks: context.ranks.clone(),
        })
    }

    fn loss_of(&mut self, groups: Vec<Tensor<4>>, seen: Option<&mut Vitals>) -> Tensor<1> {
        let section = &self.section;
        let mode = match section.frozen_norms {
            FrozenNorms::Batch => NormMode::Ranks(&*self.ranks),
            FrozenNorms::Moving => NormMode::Moving,
        };
        let ranks = &*self.ranks;
        let (embeddings, scores) = self.net.forward_train_of_ranks(groups, mode, ranks);
        let looked_at = seen.map(|seen| (seen, scores.clone(), embeddings.clone()));
        let swapped = swapped_prediction_of_ranks(
            scores,
            embeddings,
            self.net.prototypes.weights(),
            self.queue.as_mut(),
            &swapped_config(&section.swapped),
            section.views.crops(),
            &*self.ranks,
        );
        if let Some((seen, scores, embeddings)) = looked_at {
            let tensors = Swapped {
                scores: &scores,
                embeddings: &embeddings,
                crops: section.views.groups.iter().map(|of| of.count).collect(),
                prototypes: &self.net.prototypes.weights(),
                assignments: &swapped.assignments,
                temperature: section.swapped.temperature,
            };
            seen.assigning = Some(Assigning::of(&tensors, number(&swapped.loss), ranks));
        }
        swapped.loss
    }

    /// The empty queue of all ranks.
    fn fresh_queue(&self) -> Option<Queue> {
        let AttentionSection {
            batch, accumulate, ..
        } = self.section;
        let given = self.section.swapped.queue_length;
        let length = self.section.batch_rule.queue_length(given, batch);
        let shape = [batch / accumulate, self.feature_dim];
        fresh_queue(length, shape, &self.device)
    }
}

impl Trainee for Tuning {
    type Item = Views;
    type Net = AttentionNet;

    fn begin(&mut self, at: Position) {
        if self.queue.is_none() && at.epoch >= self.section.swapped.queue_from_epoch {
            self.queue = share_of_queue(self.fresh_queue(), &*self.ranks);
        }
        self.net.prototypes.normalize();
    }

    fn loss(&mut self, views: &[Views], seen: Option<&mut Vitals>) -> Loss {
        let normalization = multi_crop_normalization(self.red_deviation);
        let groups = crop_groups(
            views,
            &self.section.views,
            &normalization,
            self.precision,
            &self.device,
        );
        let minimised = self.loss_of(groups, seen);
        Loss {
            terms: vec![("swapped", number(&minimised))],
            minimised,
        }
    }

    fn queue_length(&self) -> Option<usize> {
        self.fresh_queue().map(|queue| queue.length())
    }

    fn net(&self) -> &AttentionNet {
        &self.net
    }

    fn update(&mut self, lr: f64, gradients: GradientsParams) {
        self.net = self.optimizer.step(lr, self.net.clone(), gradients);
    }

    fn save(&self, dir: &Path) -> Result<(), Error> {
        let queue = whole_queue(self.queue.as_ref(), &*self.ranks);
        save_training(dir, &self.net, &self.optimizer, queue.as_ref())
    }

    fn contribute(&self) {
        whole_queue(self.queue.as_ref(), &*self.ranks);
    }

    fn restore(&mut self, dir: &Path) -> Result<(), Error> {
        restore_training(dir, &mut self.net, &mut self.optimizer)?;
        let whole = restore_queue(dir, self.fresh_queue())?;
        self.queue = share_of_queue(whole, &*self.ranks);
        Ok(())
    }
}
