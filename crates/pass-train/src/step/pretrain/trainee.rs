//! One update of step 1, and what its checkpoints hold.

use std::path::Path;

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::Device,
};
use pass_model::{
    loss::{LossTerms, LossValues, LossWeights, PretrainLossConfig, pretrain_loss},
    momentum_encoder::MomentumSchedule,
    queue::Queue,
};

use super::{
    fresh_queue,
    network::{PretrainBatch, PretrainNetwork},
    swapped_config,
};
use crate::{
    Error,
    run_file::{PretrainSection, RunFile},
    training::{Position, Terms, Trainee, optimizer},
    training_state::{restore_queue, restore_training, save_training},
    view_batch::{Views, crop_groups, frame_batch, multi_crop_normalization, overlap_points},
};

/// A network of step 1 in training.
pub(super) struct Pretraining<N> {
    /// The network.
    pub(super) net: N,
    optimizer: ModuleOptimizer,
    queue: Option<Queue>,
    file: RunFile,
    loss: PretrainLossConfig,
    momentum: MomentumSchedule,
    device: Device,
}

impl<N: PretrainNetwork> Pretraining<N> {
    /// A training of `iterations` in all.
    pub(super) fn new(net: N, file: &RunFile, iterations: usize, device: Device) -> Self {
        Self {
            net,
            optimizer: optimizer(&file.pretrain.optim),
            queue: None,
            file: file.clone(),
            loss: loss_config(&file.pretrain),
            momentum: MomentumSchedule {
                base: file.pretrain.consistency.momentum,
                total: iterations as u64,
            },
            device,
        }
    }

    /// The loss of a batch and its terms (section 5.1, steps 3 and 4, of the method's description).
    fn loss(&mut self, views: &[Views], at: Position) -> LossTerms {
        let batch = self.batch(views, at);
        let section = &self.file.pretrain;
        let (output, consistency) = self.net.forward_train(batch);
        let prototypes = self.net.base().prototypes.weights();
        let crops = section.views.crops();
        let loss = pretrain_loss(output, prototypes, self.queue.as_mut(), &self.loss, crops);
        match consistency {
            Some(term) => loss
                .terms
                .with_consistency(term, section.consistency.weight),
            None => loss.terms,
        }
    }

    fn batch(&self, views: &[Views], at: Position) -> PretrainBatch {
        let section = &self.file.pretrain;
        let normalization = multi_crop_normalization(self.file.data.red_deviation);
        PretrainBatch {
            groups: crop_groups(views, &section.views, &normalization, &self.device),
            points: section
                .p2p
                .then(|| overlap_points(views, &section.alignment, &self.device)),
            frames: frame_batch(views, &self.device),
            momentum: self.momentum.momentum(at.iteration as u64),
            positive_ratio: section.consistency.positive_ratio,
        }
    }

    fn queue_for(&self, epoch: usize) -> Option<Queue> {
        let (section, dim) = (&self.file.pretrain, self.file.network.feature_dim);
        let begun = epoch >= section.swapped.queue_from_epoch;
        begun
            .then(|| fresh_queue(&section.swapped, [section.batch, dim], &self.device))
            .flatten()
    }
}

impl<N: PretrainNetwork> Trainee for Pretraining<N> {
    type Item = Views;

    fn step(&mut self, views: Vec<Views>, at: Position) -> Terms {
        if self.queue.is_none() {
            self.queue = self.queue_for(at.epoch);
        }
        self.net.base_mut().prototypes.normalize();
        let terms = self.loss(&views, at);
        let values = terms.values();
        let mut gradients = GradientsParams::from_grads(terms.total.backward(), &self.net);
        if at.iteration < self.file.pretrain.freeze_prototypes_iterations {
            gradients.remove::<2>(self.net.base().prototypes.weight.id);
        }
        self.net = self.optimizer.step(at.lr, self.net.clone(), gradients);
        named_terms(&values)
    }

    fn save(&self, dir: &Path) -> Result<(), Error> {
        save_training(dir, &self.net, &self.optimizer, self.queue.as_ref())
    }

    fn restore(&mut self, dir: &Path) -> Result<(), Error> {
        restore_training(dir, &mut self.net, &mut self.optimizer)?;
        self.queue = restore_queue(dir, self.queue_for(usize::MAX))?;
        Ok(())
    }
}

/// The losses that a run asks for.
fn loss_config(section: &PretrainSection) -> PretrainLossConfig {
    PretrainLossConfig {
        swapped: swapped_config(&section.swapped),
        teacher: section.supervision.teacher,
        taught_view: section.supervision.view,
        p2p: section.p2p.then_some(section.alignment.kind),
        weights: loss_weights(section),
    }
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
    terms.extend(values.consistency.map(|value| ("consistency", value)));
    terms
}

#[cfg(test)]
mod tests;
