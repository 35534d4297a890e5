//! Step 1, representation learning: swapped prediction (SwAV) with pixel-to-pixel alignment (P2P)
//! and deep-to-shallow supervision (D2S).

use std::{path::Path, sync::Arc, time::Instant};

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use imagenet_s::{Sample, Split, views::MULTI_CROP};
use pass_model::{
    checkpoint::load_module,
    loss::{
        LossTerms, LossValues, LossWeights, SwappedPredictionConfig, d2s_loss, p2p_loss,
        swapped_prediction, total_loss,
    },
    norm::NormMode,
    pretrain_net::{PretrainNet, PretrainNetConfig},
    queue::Queue,
    sinkhorn::SinkhornConfig,
};
use serde::Serialize;

use crate::{
    Context, Error, Step,
    run_file::{PretrainSection, RunFile, SwappedSection},
    training::{Plan, Position, Terms, Trainee, finish_training, optimizer, save_weights, train},
    training_state::{restore_queue, restore_training, save_training},
    view_batch::{Views, crop_groups, grid_batch, make_views},
};

/// What the step leaves in `done/pretrain.json`.
#[derive(Debug, Serialize)]
struct Summary {
    epochs: usize,
    pictures: usize,
    seconds: f64,
}

/// Runs step 1 and leaves `pretrain/weights.safetensors`.
///
/// # Errors
///
/// From the data, the disk, or [`Error::NotFinite`] if training diverges.
pub fn pretrain(context: &Context) -> Result<(), Error> {
    let started = Instant::now();
    context.run.begin(Step::Pretrain)?;
    let file = &context.file;
    let section = &file.pretrain;
    let mut trainee = Pretraining::new(file, context.device.clone().autodiff());
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
        optim: &section.optim,
        checkpoint_epochs: section.checkpoint_epochs,
    };
    train(context, &plan, &mut trainee, make)?;
    save_weights(context, &trainee.net, Step::Pretrain)?;
    let seconds = started.elapsed().as_secs_f64();
    finish_training(
        context,
        Step::Pretrain,
        &Summary {
            epochs: section.epochs,
            pictures,
            seconds,
        },
    )
}

/// The pictures of step 1: those of `data.pretrain_pictures`, else the training pictures.
fn training_samples(context: &Context) -> Result<Arc<[Sample]>, Error> {
    let section = &context.file.data;
    let Some(pictures) = section.open_pretrain_pictures(context.data.classes())? else {
        return Ok(context.data.samples(Split::Train).into());
    };
    let pictures = pictures.without(Split::Train, &context.left_out);
    Ok(pictures.samples(Split::Train).into())
}

/// The network that step 1 trains, with the initial weights of the run's seed.
pub(crate) fn pretrain_net(file: &RunFile, device: &Device) -> PretrainNet {
    let network = &file.network;
    PretrainNetConfig {
        backbone: network.backbone.clone(),
        hidden: network.hidden,
        feature_dim: network.feature_dim,
        prototypes: network.prototypes,
        shallow: file.pretrain.shallow.clone(),
        p2p: file.pretrain.p2p,
    }
    .init(file.seed, device)
}

/// The network as step 1 left it.
pub(crate) fn pretrained_net(context: &Context, device: &Device) -> Result<PretrainNet, Error> {
    let mut net = pretrain_net(&context.file, device);
    load_module(&mut net, &context.run.weights(Step::Pretrain))?;
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

/// An empty queue as the run asks for it, if it does.
pub(crate) fn fresh_queue(
    section: &SwappedSection,
    [batch, dim]: [usize; 2],
    device: &Device,
) -> Option<Queue> {
    let wanted = section.queue_length >= batch;
    wanted.then(|| Queue::new(section.queue_length, batch, dim, device))
}

/// The names and values of the loss terms, the total first.
fn named_terms(values: &LossValues) -> Terms {
    const D2S: [&str; 4] = ["d2s_0", "d2s_1", "d2s_2", "d2s_3"];
    let mut terms = vec![("total", values.total), ("swapped", values.image)];
    terms.extend(
        values
            .d2s
            .iter()
            .map(|(&stage, &value)| (D2S[stage], value)),
    );
    terms.extend(values.p2p.map(|value| ("p2p", value)));
    terms
}

fn loss_weights(section: &PretrainSection) -> LossWeights {
    let stages = section.shallow.iter().copied();
    LossWeights {
        image: section.swapped_weight,
        d2s: stages
            .zip(section.shallow_weights.iter().copied())
            .collect(),
        p2p: section.p2p_weight,
    }
}

struct Pretraining {
    net: PretrainNet,
    optimizer: ModuleOptimizer,
    queue: Option<Queue>,
    section: PretrainSection,
    feature_dim: usize,
    device: Device,
}

impl Pretraining {
    fn new(file: &RunFile, device: Device) -> Self {
        Self {
            net: pretrain_net(file, &device),
            optimizer: optimizer(&file.pretrain.optim),
            queue: None,
            section: file.pretrain.clone(),
            feature_dim: file.network.feature_dim,
            device,
        }
    }

    /// The loss of a batch and its terms (section 5.1, steps 3 and 4, of the method's description).
    fn loss(&mut self, views: &[Views]) -> LossTerms {
        let section = &self.section;
        let groups = crop_groups(views, &section.views, &MULTI_CROP, &self.device);
        let grids = section.p2p.then(|| grid_batch(views, &self.device));
        let output = self.net.forward(groups, grids, NormMode::Batch);
        let swapped = swapped_prediction(
            output.scores,
            output.embeddings,
            self.net.prototypes.weights(),
            self.queue.as_mut(),
            &swapped_config(&section.swapped),
            section.views.crops(),
        );
        let shallow: Vec<(usize, Tensor<1>)> = output
            .shallow_scores
            .into_iter()
            .map(|(stage, scores)| {
                (
                    stage,
                    d2s_loss(&swapped.assignments, scores, section.swapped.temperature),
                )
            })
            .collect();
        let p2p = output
            .projected
            .zip(output.predicted)
            .map(|(z, q)| p2p_loss(z, q));
        total_loss(swapped.loss, shallow, p2p, &loss_weights(section))
    }

    fn queue_shape(&self) -> [usize; 2] {
        [self.section.batch, self.feature_dim]
    }
}

impl Trainee for Pretraining {
    type Item = Views;

    fn step(&mut self, views: Vec<Views>, at: Position) -> Terms {
        if self.queue.is_none() && at.epoch >= self.section.swapped.queue_from_epoch {
            self.queue = fresh_queue(&self.section.swapped, self.queue_shape(), &self.device);
        }
        self.net.prototypes.normalize();
        let terms = self.loss(&views);
        let values = terms.values();
        let mut gradients = GradientsParams::from_grads(terms.total.backward(), &self.net);
        if at.iteration < self.section.freeze_prototypes_iterations {
            gradients.remove::<2>(self.net.prototypes.weight.id);
        }
        self.net = self.optimizer.step(at.lr, self.net.clone(), gradients);
        named_terms(&values)
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
