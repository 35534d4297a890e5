//! PASS_s: swapped prediction (SwAV) with pixel-to-pixel alignment (P2P) and deep-to-shallow
//! supervision (D2S). PASS_p: all of it, and the consistency of pixels of PixPro with a momentum
//! encoder.

use burn::{
    module::{Module, ParamId},
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{
    Chance, HeadOutput, HeadSignal, Loss, Memory, Method, Position, Signals, SwappedSignal,
    ViewBatch,
};
use crate::{
    backbone::Backbone,
    group::Group,
    loss::{
        LossTerms, PretrainLoss, PretrainLossConfig, pixel_consistency_loss, positive_pairs,
        pretrain_loss,
    },
    momentum_encoder::MomentumSchedule,
    norm::NormMode,
    overlap::{AlignmentConfig, OverlapPoints},
    pass_p_net::{PassPNet, PassPNetConfig, PassPOutput},
    pretrain_net::{PretrainNet, PretrainNetConfig, PretrainOutput},
    queue::SwavQueue,
};

/// Settings of [`Pass`].
#[derive(Clone, Debug)]
pub struct PassConfig {
    /// The network of PASS_s.
    pub net: PretrainNetConfig,
    /// Swapped prediction, P2P and D2S.
    pub loss: PretrainLossConfig,
    /// Where P2P looks.
    pub alignment: AlignmentConfig,
    /// The part that PASS_p alone has.
    pub consistency: ConsistencyConfig,
    /// Iterations during which the prototypes keep still.
    pub freeze_prototypes_iterations: usize,
}

/// The part of PASS_p that comes from PixPro; without effect in PASS_s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsistencyConfig {
    /// Weight of the consistency loss, outside the average as that of P2P. Not published.
    pub weight: f64,
    /// Hidden channels of its projector.
    pub hidden: usize,
    /// Channels of the pixel embeddings.
    pub dim: usize,
    /// What the momentum encoder keeps of itself in the first iteration; it rises to 1.
    pub momentum: f64,
    /// Pixels are positive pairs below this distance, in pixel diagonals.
    pub positive_ratio: f64,
}

impl Default for ConsistencyConfig {
    fn default() -> Self {
        Self {
            weight: 1.0,
            hidden: 4096,
            dim: 256,
            momentum: 0.99,
            positive_ratio: 0.7,
        }
    }
}

/// PASS in training, on the network of PASS_s or of PASS_p.
#[derive(Debug)]
pub struct Pass<N = PretrainNet> {
    /// The network.
    pub net: N,
    /// The queue of swapped prediction.
    pub queue: SwavQueue,
    config: PassConfig,
}

impl Pass {
    /// PASS_s with the initial weights of a seed.
    ///
    /// # Panics
    ///
    /// If [`PretrainNetConfig::check`] fails.
    pub fn pass_s(config: PassConfig, queue: SwavQueue, seed: u64, device: &Device) -> Self {
        let net = config.net.init(seed, device);
        Self { net, queue, config }
    }
}

impl Pass<PassPNet> {
    /// PASS_p with the initial weights of a seed.
    ///
    /// # Panics
    ///
    /// As [`Pass::pass_s`].
    pub fn pass_p(config: PassConfig, queue: SwavQueue, seed: u64, device: &Device) -> Self {
        let net = PassPNetConfig {
            base: config.net.clone(),
            consistency: config.consistency.clone(),
        }
        .init(seed, device);
        Self { net, queue, config }
    }
}

/// The consistency of pixels, of PASS_p alone.
struct Consistency {
    loss: Tensor<1>,
    /// What the momentum encoder gives as targets, as [`PassPOutput::target`].
    target: Tensor<4>,
}

/// The two networks.
pub trait PassNet: Module {
    /// The part that both have.
    fn base(&self) -> &PretrainNet;

    /// The same.
    fn base_mut(&mut self) -> &mut PretrainNet;

    /// Lets a momentum encoder follow.
    fn follow(&mut self, _momentum: f64) {}

    /// One pass: what the losses of PASS_s need, and of PASS_p what its consistency compares.
    fn forward_train(
        &mut self,
        groups: Vec<Tensor<4>>,
        points: Option<OverlapPoints>,
        mode: NormMode,
    ) -> (PretrainOutput, Option<ConsistencyOutput>);
}

/// What the consistency of PASS_p compares, each `[2 · pictures, dim, height, width]`.
#[derive(Debug)]
pub struct ConsistencyOutput {
    propagated: Tensor<4>,
    target: Tensor<4>,
}

impl PassNet for PretrainNet {
    fn base(&self) -> &PretrainNet {
        self
    }

    fn base_mut(&mut self) -> &mut PretrainNet {
        self
    }

    fn forward_train(
        &mut self,
        groups: Vec<Tensor<4>>,
        points: Option<OverlapPoints>,
        mode: NormMode,
    ) -> (PretrainOutput, Option<ConsistencyOutput>) {
        (self.forward_at(groups, points, mode), None)
    }
}

impl PassNet for PassPNet {
    fn base(&self) -> &PretrainNet {
        &self.base
    }

    fn base_mut(&mut self) -> &mut PretrainNet {
        &mut self.base
    }

    fn follow(&mut self, momentum: f64) {
        self.follow(momentum);
    }

    fn forward_train(
        &mut self,
        groups: Vec<Tensor<4>>,
        points: Option<OverlapPoints>,
        mode: NormMode,
    ) -> (PretrainOutput, Option<ConsistencyOutput>) {
        let PassPOutput {
            base,
            propagated,
            target,
        } = self.forward(groups, points, mode);
        (base, Some(ConsistencyOutput { propagated, target }))
    }
}

impl<N: PassNet> Method for Pass<N> {
    type Net = N;

    fn net(&self) -> &N {
        &self.net
    }

    fn net_mut(&mut self) -> &mut N {
        &mut self.net
    }

    fn backbone(&self) -> &Backbone {
        &self.net.base().backbone
    }

    /// The network of PASS_s, of either method.
    fn result(&self) -> impl Module {
        self.net.base().clone()
    }

    fn before_step(&mut self, at: Position, group: &Group) {
        let schedule = MomentumSchedule {
            base: self.config.consistency.momentum,
            total: at.iterations as u64,
        };
        self.queue.begin(at.epoch, group);
        self.net.base_mut().prototypes.normalize();
        self.net.follow(schedule.momentum(at.iteration as u64));
    }

    /// Section 5.1, steps 3 and 4, of the method's description.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let (output, compared) =
            self.net
                .forward_train(views.groups, views.overlap, NormMode::Group(group));
        let consistency = compared.map(|compared| self.consistency(compared, views.frames));
        let prototypes = self.net.base().prototypes.weights();
        let mut signals = Signals::default();
        if views.watched {
            signals.heads = self.heads(&output, consistency.as_ref());
        }
        let looked_at = views
            .watched
            .then(|| (output.scores.clone(), output.embeddings.clone()));
        let PretrainLoss { terms, assignments } = pretrain_loss(
            output,
            prototypes.clone(),
            self.queue.as_mut(),
            &self.config.loss,
            views.crops.iter().sum(),
            group,
        );
        signals.swapped = looked_at.map(|(scores, embeddings)| SwappedSignal {
            scores,
            embeddings,
            crops: views.crops,
            prototypes,
            assignments,
            temperature: self.config.loss.swapped.temperature,
            loss: terms.image.clone(),
        });
        let terms = match consistency {
            Some(of) => terms.with_consistency(of.loss, self.config.consistency.weight),
            None => terms,
        };
        let LossTerms { total, .. } = &terms;
        Loss {
            total: total.clone(),
            terms: terms.named(),
            signals,
        }
    }

    fn frozen(&self, at: Position) -> Vec<ParamId> {
        if at.iteration < self.config.freeze_prototypes_iterations {
            vec![self.net.base().prototypes.weight.id]
        } else {
            Vec::new()
        }
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        Some(&mut self.queue)
    }

    fn alignment(&self) -> Option<&AlignmentConfig> {
        self.config.net.p2p.then_some(&self.config.alignment)
    }

    fn chance(&self) -> Option<Chance> {
        let prototypes = self.config.net.network.prototypes;
        let learned = prototypes > 1 && self.config.loss.weights.image > 0.0;
        learned.then(|| Chance::of_swapped_prediction(prototypes))
    }
}

impl<N: PassNet> Pass<N> {
    fn consistency(&self, compared: ConsistencyOutput, frames: Tensor<2>) -> Consistency {
        let ConsistencyOutput { propagated, target } = compared;
        let [_, _, height, width] = target.dims();
        let ratio = self.config.consistency.positive_ratio;
        let pairs = positive_pairs(frames, [height, width], ratio);
        let loss = pixel_consistency_loss(propagated, target.clone(), pairs);
        Consistency { loss, target }
    }

    /// The outputs that may become alike beside the embeddings of pictures.
    fn heads(&self, output: &PretrainOutput, consistency: Option<&Consistency>) -> Vec<HeadSignal> {
        let p2p = output.projected.as_ref().map(|projected| HeadSignal {
            name: "p2p".into(),
            description: "the projector of P2P (`pretrain.p2p_weight`)".into(),
            output: HeadOutput::Maps(projected.clone()),
        });
        let consistency = consistency.map(|of| HeadSignal {
            name: "consistency".into(),
            description: "the momentum encoder of the consistency (`pretrain.consistency.weight`)"
                .into(),
            output: HeadOutput::Maps(of.target.clone()),
        });
        let dim = self.config.net.network.feature_dim;
        let shallow = output
            .shallow_scores
            .iter()
            .map(|(stage, scores)| HeadSignal {
                name: format!("d2s_{stage}").into(),
                description: format!(
                    "the head of D2S on stage {stage} (`pretrain.shallow_weights`)"
                ),
                output: HeadOutput::Scores {
                    scores: scores.clone(),
                    dim,
                },
            });
        p2p.into_iter().chain(consistency).chain(shallow).collect()
    }
}
