//! One update of step 1, and what its checkpoints hold.

use std::{path::Path, sync::Arc};

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use pass_model::{
    loss::{LossTerms, LossValues, LossWeights, PretrainLossConfig, pretrain_loss_of_ranks},
    momentum_encoder::MomentumSchedule,
    norm::NormMode,
    pass_p_net::PassPNet,
    pretrain_net::{PretrainNet, PretrainOutput},
    queue::Queue,
    ranks::{Ranks, Solo},
};

use super::{
    fresh_queue,
    network::{Consistency, PretrainBatch, PretrainNetwork},
    pass_p_net, pretrain_net, share_of_queue, swapped_config, whole_queue,
};
use crate::{
    Error,
    health::{Assigning, Head, HeadSpread, Swapped, Vitals, spread_of_maps, spread_of_scores},
    probe::Probe,
    ranks::mean_over,
    run_file::{PretrainSection, RunFile},
    training::{Loss, Position, Terms, Trainee},
    training_plan::optimizer,
    training_state::{restore_queue, restore_training, save_training},
    view_batch::{
        Views, crop_groups, frame_batch, multi_crop_normalization, overlap_points,
        share_without_overlap,
    },
};

/// A network of step 1 in training.
pub(crate) struct Pretraining<N = PretrainNet> {
    /// The network.
    pub(crate) net: N,
    optimizer: ModuleOptimizer,
    pub(crate) queue: Option<Queue>,
    file: RunFile,
    loss: PretrainLossConfig,
    device: Device,
    /// What tells how good the embeddings are, for the log.
    pub(crate) probe: Option<Probe>,
    /// The processes that train together.
    pub(crate) ranks: Arc<dyn Ranks>,
}

impl Pretraining {
    /// A training of PASS_s from the initial weights.
    pub(crate) fn new(file: &RunFile, device: Device) -> Self {
        Self::of(pretrain_net(file, &device), file, device)
    }
}

impl Pretraining<PassPNet> {
    /// A training of PASS_p from the initial weights.
    pub(crate) fn pass_p(file: &RunFile, device: Device) -> Self {
        Self::of(pass_p_net(file, &device), file, device)
    }
}

impl<N: PretrainNetwork> Pretraining<N> {
    fn of(net: N, file: &RunFile, device: Device) -> Self {
        Self {
            net,
            optimizer: optimizer(&file.pretrain.optim),
            queue: None,
            file: file.clone(),
            loss: loss_config(&file.pretrain),
            device,
            probe: None,
            ranks: Arc::new(Solo),
        }
    }

    /// What the network sees of some pictures.
    pub(crate) fn batch(&self, views: &[Views]) -> PretrainBatch {
        let section = &self.file.pretrain;
        let normalization = multi_crop_normalization(self.file.data.red_deviation);
        PretrainBatch {
            groups: crop_groups(
                views,
                &section.views,
                &normalization,
                self.file.precision,
                &self.device,
            ),
            points: section
                .p2p
                .then(|| overlap_points(views, &section.alignment, &self.device)),
            frames: frame_batch(views, &self.device),
            positive_ratio: section.consistency.positive_ratio,
        }
    }

    /// The loss of a batch and its terms (section 5.1, steps 3 and 4, of the method's description).
    pub(crate) fn loss_of(&mut self, batch: PretrainBatch, seen: Option<&mut Vitals>) -> LossTerms {
        let section = &self.file.pretrain;
        let (output, consistency) = self.net.forward_train(batch, NormMode::Ranks(&*self.ranks));
        let prototypes = self.net.base().prototypes.weights();
        let looked_at = seen.map(|seen| {
            seen.heads = self.spreads_of_heads(&output, consistency.as_ref());
            (seen, output.scores.clone(), output.embeddings.clone())
        });
        let crops = section.views.crops();
        let loss = pretrain_loss_of_ranks(
            output,
            prototypes.clone(),
            self.queue.as_mut(),
            &self.loss,
            crops,
            &*self.ranks,
        );
        if let Some((seen, scores, embeddings)) = looked_at {
            let tensors = Swapped {
                scores: &scores,
                embeddings: &embeddings,
                crops: section.views.groups.iter().map(|of| of.count).collect(),
                prototypes: &prototypes,
                assignments: &loss.assignments,
                temperature: section.swapped.temperature,
            };
            let image = number(&loss.terms.image);
            seen.assigning = Some(Assigning::of(&tensors, image, &*self.ranks));
        }
        match consistency {
            Some(consistency) => loss
                .terms
                .with_consistency(consistency.loss, section.consistency.weight),
            None => loss.terms,
        }
    }

    /// How far the outputs of the other heads lie apart; not of a single picture. Collective.
    fn spreads_of_heads(
        &self,
        output: &PretrainOutput,
        consistency: Option<&Consistency>,
    ) -> Vec<HeadSpread> {
        let ranks = &*self.ranks;
        let p2p = output.projected.as_ref();
        let target = consistency.map(|consistency| &consistency.target);
        let maps = [(Head::P2p, p2p), (Head::Consistency, target)].into_iter();
        let maps = maps.filter_map(|(head, map)| Some((head, spread_of_maps(map?, ranks)?)));
        let dim = self.file.network.feature_dim;
        let shallow = output.shallow_scores.iter().filter_map(|(stage, scores)| {
            Some((Head::D2s(*stage), spread_of_scores(scores, dim, ranks)?))
        });
        let heads = maps.chain(shallow);
        heads
            .map(|(head, spread)| HeadSpread { head, spread })
            .collect()
    }

    /// The empty queue of all ranks.
    fn fresh_queue(&self) -> Option<Queue> {
        let section = &self.file.pretrain;
        let given = section.swapped.queue_length;
        let length = section.batch_rule.queue_length(given, section.batch);
        let batch = section.batch / section.accumulate;
        fresh_queue(length, [batch, self.file.network.feature_dim], &self.device)
    }
}

/// The value of a loss.
pub(crate) fn number(loss: &Tensor<1>) -> f64 {
    f64::from(loss.clone().into_scalar::<f32>())
}

impl<N: PretrainNetwork> Trainee for Pretraining<N> {
    type Item = Views;
    type Net = N;

    fn begin(&mut self, at: Position) {
        let section = &self.file.pretrain;
        let schedule = MomentumSchedule {
            base: section.consistency.momentum,
            total: at.iterations as u64,
        };
        if self.queue.is_none() && at.epoch >= section.swapped.queue_from_epoch {
            self.queue = share_of_queue(self.fresh_queue(), &*self.ranks);
        }
        self.net.base_mut().prototypes.normalize();
        self.net.begin(schedule.momentum(at.iteration as u64));
    }

    fn loss(&mut self, views: &[Views], mut seen: Option<&mut Vitals>) -> Loss {
        let batch = self.batch(views);
        if let Some(seen) = seen.as_deref_mut() {
            let p2p = self.file.pretrain.p2p;
            let share = || mean_over(&*self.ranks, share_without_overlap(views));
            seen.no_overlap = p2p.then(share);
        }
        let terms = self.loss_of(batch, seen);
        Loss {
            terms: named_terms(&terms.values()),
            minimised: terms.total,
        }
    }

    fn restrain(&self, gradients: &mut GradientsParams, at: Position) {
        if at.iteration < self.file.pretrain.freeze_prototypes_iterations {
            gradients.remove::<2>(self.net.base().prototypes.weight.id);
        }
    }

    fn queue_length(&self) -> Option<usize> {
        self.fresh_queue().map(|queue| queue.length())
    }

    fn prototypes(&self) -> Option<usize> {
        let several = self.file.network.prototypes > 1;
        let learned = several && self.file.pretrain.swapped_weight > 0.0;
        learned.then_some(self.file.network.prototypes)
    }

    fn net(&self) -> &N {
        &self.net
    }

    fn update(&mut self, lr: f64, gradients: GradientsParams) {
        self.net = self.optimizer.step(lr, self.net.clone(), gradients);
    }

    fn after_epoch(&self, epochs: usize) -> Result<Terms, Error> {
        let probe = self.probe.as_ref();
        probe.map_or(Ok(Vec::new()), |probe| {
            probe.after_epoch(self.net.base(), epochs)
        })
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
    terms.extend(values.consistency.map(|value| ("consistency", value)));
    terms
}

#[cfg(test)]
mod tests;
