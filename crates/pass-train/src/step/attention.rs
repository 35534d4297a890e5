//! Step 2.1, pixel attention: a gate on every pixel and channel, trained by swapped prediction on
//! the frozen backbone.

use std::{sync::Arc, time::Instant};

use burn::tensor::{Device, Tensor};
use imagenet_s::{Split, views::Normalization};
use pass_model::{
    checkpoint::load_module,
    group::Group,
    loss::swapped_prediction,
    method::{Memory, SwappedSignal},
    precision::Precision,
    pretrain_net::PretrainNet,
    queue::SwavQueue,
};
use pixel_attention::attention_net::AttentionNet;
use serde::Serialize;

use crate::{
    Context, Error, Step,
    health::{Assigning, Vitals},
    ranks::done_by_first,
    run_file::AttentionSection,
    step::pretrain::{pretrain_net, pretrained_heads, swav_queue},
    training::{Learner, Loss, Position, Task, leave, number, train},
    training_plan::Plan,
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
    done_by_first(&context.ranks, || context.run.begin(Step::TuneAttention))?;
    let file = &context.file;
    let section = &file.attention;
    let mut learner = Learner::new(Tuning::new(context)?, &section.optim);
    let samples: Arc<[_]> = context.data.samples(Split::Train).into();
    // Another stream than step 1: the same seed would repeat its crops.
    let seed = file.seed.wrapping_add(ATTENTION_STREAM);
    let make = make_views(samples, section.views.clone(), file.data.odd_pictures, seed);
    let pictures = context.data.samples(Split::Train).len();
    let plan = Plan::new(
        Step::TuneAttention,
        &context.file,
        pictures,
        learner.memory_rows(),
    );
    train(context, &plan, &mut learner, make)?;
    let seconds = started.elapsed().as_secs_f64();
    leave(
        context,
        &learner.task.net,
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

fn untuned_net(context: &Context, start: PretrainNet) -> AttentionNet {
    let (shared, seed) = (context.file.attention.shared, context.file.seed);
    AttentionNet::new(
        start.backbone,
        start.projection,
        start.prototypes,
        shared,
        seed,
    )
}

struct Tuning {
    net: AttentionNet,
    queue: SwavQueue,
    section: AttentionSection,
    normalization: Normalization,
    precision: Precision,
    device: Device,
    ranks: Group,
}

impl Tuning {
    fn new(context: &Context) -> Result<Self, Error> {
        let file = &context.file;
        let device = context.device.clone().autodiff();
        let section = &file.attention;
        let net = untuned_net(context, pretrained_heads(context, &device)?);
        let train_prototypes = file.attention.train_prototypes;
        Ok(Self {
            net: if train_prototypes {
                net
            } else {
                net.with_frozen_prototypes()
            },
            queue: swav_queue(
                &section.swapped,
                section
                    .batch_rule
                    .queue_length(section.swapped.queue_length, section.batch),
                [section.batch / section.accumulate, file.network.feature_dim],
                &device,
            ),
            section: file.attention.clone(),
            normalization: multi_crop_normalization(file),
            precision: file.precision,
            device,
            ranks: context.ranks.clone(),
        })
    }

    fn loss_of(&mut self, groups: Vec<Tensor<4>>, seen: Option<&mut Vitals>) -> Tensor<1> {
        let section = &self.section;
        let mode = section.frozen_norms.mode(&self.ranks);
        let ranks = &self.ranks;
        let (embeddings, scores) = self.net.forward_train(groups, mode, ranks);
        let looked_at = seen.map(|seen| (seen, scores.clone(), embeddings.clone()));
        let swapped = swapped_prediction(
            scores,
            embeddings,
            self.net.prototypes.weights(),
            self.queue.as_mut(),
            &section.swapped,
            section.views.crops(),
            &self.ranks,
        );
        if let Some((seen, scores, embeddings)) = looked_at {
            let signal = SwappedSignal {
                scores,
                embeddings,
                crops: section.views.groups.iter().map(|of| of.count).collect(),
                prototypes: self.net.prototypes.weights(),
                assignments: swapped.assignments,
                temperature: section.swapped.temperature,
                loss: swapped.loss.clone(),
            };
            seen.assigning = Some(Assigning::of(&signal, ranks));
        }
        swapped.loss
    }
}

impl Task for Tuning {
    type Item = Views;
    type Net = AttentionNet;

    fn begin(&mut self, at: Position) {
        self.queue.begin(at.epoch, &self.ranks);
        self.net.prototypes.normalize();
    }

    fn loss(&mut self, views: &[Views], seen: Option<&mut Vitals>) -> Loss {
        let groups = crop_groups(
            views,
            &self.section.views,
            &self.normalization,
            self.precision,
            &self.device,
        );
        let minimised = self.loss_of(groups, seen);
        Loss {
            terms: vec![("swapped".into(), number(&minimised))],
            minimised,
        }
    }

    fn net(&self) -> &AttentionNet {
        &self.net
    }

    fn net_mut(&mut self) -> &mut AttentionNet {
        &mut self.net
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        Some(&mut self.queue)
    }
}
