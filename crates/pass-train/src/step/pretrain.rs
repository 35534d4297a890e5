//! Step 1, representation learning: swapped prediction (SwAV) with pixel-to-pixel alignment (P2P)
//! and deep-to-shallow supervision (D2S).

use std::{path::Path, sync::Arc, time::Instant};

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use imagenet_s::{Dataset, Sample, Split, views::MULTI_CROP};
use pass_model::{
    checkpoint::load_module,
    loss::{
        LossTerms, LossValues, LossWeights, SwappedPredictionConfig, d2s_loss, p2p_loss,
        swapped_prediction_of_ranks, total_loss,
    },
    norm::NormMode,
    pretrain_net::{PretrainNet, PretrainNetConfig},
    queue::Queue,
    ranks::{Ranks, Solo},
    sinkhorn::SinkhornConfig,
};
use serde::Serialize;

use crate::{
    Context, Error, Step,
    health::{Assigning, Swapped, Vitals},
    probe::Probe,
    ranks::done_by_first,
    run_file::{PretrainSection, RunFile, SwappedSection},
    training::{Loss, Position, Terms, Trainee, leave, train},
    training_plan::{Plan, optimizer},
    training_state::{restore_queue, restore_training, save_training},
    view_batch::{Views, crop_groups, grid_batch, make_views, share_without_overlap},
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
/// From the data, the disk, [`Error::Unhealthy`] if training goes wrong, or [`Error::Stopped`].
pub fn pretrain(context: &Context) -> Result<(), Error> {
    let started = Instant::now();
    done_by_first(&*context.ranks, || context.run.begin(Step::Pretrain))?;
    let file = &context.file;
    let section = &file.pretrain;
    let mut trainee = Pretraining {
        probe: Probe::new(context),
        ranks: context.ranks.clone(),
        ..Pretraining::new(file, context.device.clone().autodiff())
    };
    let pictures = train_on_views(context, &mut trainee)?;
    let seconds = started.elapsed().as_secs_f64();
    leave(
        context,
        &trainee.net,
        Step::Pretrain,
        &Summary {
            epochs: section.epochs,
            pictures,
            seconds,
        },
    )
}

/// Trains on the views of the pictures of step 1, and says how many these are.
pub(crate) fn train_on_views<T: Trainee<Item = Views>>(
    context: &Context,
    trainee: &mut T,
) -> Result<usize, Error> {
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
    train(context, &plan, trainee, make)?;
    Ok(pictures)
}

/// The pictures of step 1: those of `data.pretrain_pictures`, else the training pictures.
fn training_samples(context: &Context) -> Result<Arc<[Sample]>, Error> {
    let Some(folder) = &context.file.data.pretrain_pictures else {
        return Ok(context.data.samples(Split::Train).into());
    };
    let pictures = Dataset::open_pictures(folder, context.data.classes())?;
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

/// The names and values of the loss terms, the total first.
pub(crate) fn named_terms(values: &LossValues) -> Terms {
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

/// The network of step 1 in training.
pub(crate) struct Pretraining {
    pub(crate) net: PretrainNet,
    optimizer: ModuleOptimizer,
    pub(crate) queue: Option<Queue>,
    section: PretrainSection,
    feature_dim: usize,
    device: Device,
    /// What tells how good the embeddings are, for the log.
    pub(crate) probe: Option<Probe>,
    /// The processes that train together.
    pub(crate) ranks: Arc<dyn Ranks>,
}

impl Pretraining {
    pub(crate) fn new(file: &RunFile, device: Device) -> Self {
        Self {
            net: pretrain_net(file, &device),
            optimizer: optimizer(&file.pretrain.optim),
            queue: None,
            section: file.pretrain.clone(),
            feature_dim: file.network.feature_dim,
            device,
            probe: None,
            ranks: Arc::new(Solo),
        }
    }

    /// The loss of pictures as tensors (section 5.1, steps 3 and 4, of the method's description).
    pub(crate) fn loss_of(
        &mut self,
        groups: Vec<Tensor<4>>,
        grids: Option<Tensor<3>>,
        seen: Option<&mut Vitals>,
    ) -> LossTerms {
        let section = &self.section;
        let ranks = &*self.ranks;
        let output = self.net.forward(groups, grids, NormMode::Ranks(ranks));
        let looked_at = seen.map(|seen| (seen, output.scores.clone(), output.embeddings.clone()));
        let swapped = swapped_prediction_of_ranks(
            output.scores,
            output.embeddings,
            self.net.prototypes.weights(),
            self.queue.as_mut(),
            &swapped_config(&section.swapped),
            section.views.crops(),
            ranks,
        );
        if let Some((seen, scores, embeddings)) = looked_at {
            let tensors = Swapped {
                scores: &scores,
                embeddings: &embeddings,
                prototypes: &self.net.prototypes.weights(),
                assignments: &swapped.assignments,
                temperature: section.swapped.temperature,
            };
            seen.assigning = Some(Assigning::of(&tensors, number(&swapped.loss)));
        }
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

    /// The empty queue of all ranks.
    fn fresh_queue(&self) -> Option<Queue> {
        let PretrainSection {
            batch, accumulate, ..
        } = self.section;
        let given = self.section.swapped.queue_length;
        let length = self.section.batch_rule.queue_length(given, batch);
        let shape = [batch / accumulate, self.feature_dim];
        fresh_queue(length, shape, &self.device)
    }
}

/// The value of a loss.
pub(crate) fn number(loss: &Tensor<1>) -> f64 {
    f64::from(loss.clone().into_scalar::<f32>())
}

impl Trainee for Pretraining {
    type Item = Views;
    type Net = PretrainNet;

    fn begin(&mut self, at: Position) {
        if self.queue.is_none() && at.epoch >= self.section.swapped.queue_from_epoch {
            self.queue = share_of_queue(self.fresh_queue(), &*self.ranks);
        }
        self.net.prototypes.normalize();
    }

    fn loss(&mut self, views: &[Views], mut seen: Option<&mut Vitals>) -> Loss {
        let groups = crop_groups(views, &self.section.views, &MULTI_CROP, &self.device);
        let grids = self.section.p2p.then(|| grid_batch(views, &self.device));
        if let Some(seen) = seen.as_deref_mut() {
            seen.no_overlap = self.section.p2p.then(|| share_without_overlap(views));
        }
        let terms = self.loss_of(groups, grids, seen);
        Loss {
            terms: named_terms(&terms.values()),
            minimised: terms.total,
        }
    }

    fn restrain(&self, gradients: &mut GradientsParams, at: Position) {
        if at.iteration < self.section.freeze_prototypes_iterations {
            gradients.remove::<2>(self.net.prototypes.weight.id);
        }
    }

    fn queue_length(&self) -> Option<usize> {
        self.fresh_queue().map(|queue| queue.length())
    }

    fn net(&self) -> &PretrainNet {
        &self.net
    }

    fn update(&mut self, lr: f64, gradients: GradientsParams) {
        self.net = self.optimizer.step(lr, self.net.clone(), gradients);
    }

    fn after_epoch(&self, epochs: usize) -> Result<Terms, Error> {
        let probe = self.probe.as_ref();
        probe.map_or(Ok(Vec::new()), |probe| probe.after_epoch(&self.net, epochs))
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
