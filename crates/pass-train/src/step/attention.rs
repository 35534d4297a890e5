//! Step 2.1, pixel attention: a gate on every pixel and channel, trained by swapped prediction on
//! the frozen backbone.

use std::{path::Path, sync::Arc, time::Instant};

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use imagenet_s::Split;
use pass_model::{checkpoint::load_module, loss::swapped_prediction, norm::NormMode, queue::Queue};
use pixel_attention::attention_net::AttentionNet;
use serde::Serialize;

use crate::{
    Context, Error, Step,
    run_file::{AttentionSection, FrozenNorms, RedDeviation},
    step::pretrain::{fresh_queue, pretrain_net, pretrained_net, swapped_config},
    training::{Plan, Position, Terms, Trainee, finish_training, optimizer, save_weights, train},
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
    context.run.begin(Step::TuneAttention)?;
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
        optim: &section.optim,
        checkpoint_epochs: section.checkpoint_epochs,
    };
    train(context, &plan, &mut trainee, make)?;
    save_weights(context, &trainee.net, Step::TuneAttention)?;
    let seconds = started.elapsed().as_secs_f64();
    finish_training(
        context,
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
    let mut net = AttentionNet::from_pretrained(start, context.file.seed);
    load_module(&mut net, &context.run.weights(Step::TuneAttention))?;
    Ok(net)
}

struct Tuning {
    net: AttentionNet,
    optimizer: ModuleOptimizer,
    queue: Option<Queue>,
    section: AttentionSection,
    red_deviation: RedDeviation,
    feature_dim: usize,
    device: Device,
}

impl Tuning {
    fn new(context: &Context) -> Result<Self, Error> {
        let file = &context.file;
        let device = context.device.clone().autodiff();
        let net = AttentionNet::from_pretrained(pretrained_net(context, &device)?, file.seed);
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
            device,
        })
    }

    fn loss(&mut self, views: &[Views]) -> Tensor<1> {
        let section = &self.section;
        let normalization = multi_crop_normalization(self.red_deviation);
        let groups = crop_groups(views, &section.views, &normalization, &self.device);
        let mode = match section.frozen_norms {
            FrozenNorms::Batch => NormMode::Batch,
            FrozenNorms::Moving => NormMode::Moving,
        };
        let (embeddings, scores) = self.net.forward_train(groups, mode);
        swapped_prediction(
            scores,
            embeddings,
            self.net.prototypes.weights(),
            self.queue.as_mut(),
            &swapped_config(&section.swapped),
            section.views.crops(),
        )
        .loss
    }

    fn queue_shape(&self) -> [usize; 2] {
        [self.section.batch, self.feature_dim]
    }
}

impl Trainee for Tuning {
    type Item = Views;

    fn step(&mut self, views: Vec<Views>, at: Position) -> Terms {
        if self.queue.is_none() && at.epoch >= self.section.swapped.queue_from_epoch {
            self.queue = fresh_queue(&self.section.swapped, self.queue_shape(), &self.device);
        }
        self.net.prototypes.normalize();
        let loss = self.loss(&views);
        let value = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.net);
        self.net = self.optimizer.step(at.lr, self.net.clone(), gradients);
        vec![("swapped", f64::from(value))]
    }

    fn save(&self, dir: &Path) -> Result<(), Error> {
        save_training(dir, &self.net, &self.optimizer, self.queue.as_ref())
    }

    fn restore(&mut self, dir: &Path) -> Result<(), Error> {
        restore_training(dir, &mut self.net, &mut self.optimizer)?;
        let fresh = fresh_queue(&self.section.swapped, self.queue_shape(), &self.device);
        self.queue = restore_queue(dir, fresh)?;
        Ok(())
    }
}
