//! BYOL (Grill et al. 2020, <https://arxiv.org/abs/2006.07733>): a prediction from each view follows what
//! the momentum encoder makes of the other.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{HeadSignal, Loss, Method, Position, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, InitialWeights, LayerConfig, LayerNorm, Mlp, MlpConfig},
    init::{WeightStream, name_parameters},
    loss::byol_loss,
    momentum_encoder::{MomentumSchedule, frozen_copy},
    norm::NormMode,
};

/// Settings of [`Byol`]; the defaults are the published ones for 100 epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ByolConfig {
    /// What the momentum encoder keeps of itself in the first iteration; it rises to 1.
    pub momentum: f64,
    /// Hidden width of projector and predictor.
    pub hidden: usize,
    /// Length of projections and predictions.
    pub dim: usize,
}

impl Default for ByolConfig {
    fn default() -> Self {
        Self {
            momentum: 0.99,
            hidden: 4096,
            dim: 256,
        }
    }
}

impl ByolConfig {
    /// Projector and predictor differ in what enters.
    fn head(&self, inputs: usize) -> MlpConfig {
        let hidden = LayerConfig::new(self.hidden).norm(LayerNorm::Affine);
        let hidden = hidden.activation(Activation::Relu);
        let last = LayerConfig::new(self.dim).without_bias();
        MlpConfig::new(inputs, vec![hidden, last]).weights(InitialWeights::Truncated)
    }
}

/// The network of [`Byol`].
#[derive(Module, Debug)]
pub struct ByolNet {
    /// What the later steps go on with.
    pub backbone: Backbone,
    /// On its pooled features.
    pub projector: Mlp,
    /// From a projection to the other view's.
    pub predictor: Mlp,
    /// Gives the targets.
    pub momentum: Encoder,
}

impl ByolNet {
    /// `[pictures, dim]`
    fn predictions(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<2> {
        let pooled = self.backbone.pooled_by(pictures, mode);
        let projection = self.projector.forward(pooled, mode);
        self.predictor.forward(projection, mode)
    }
}

/// BYOL in training.
#[derive(Debug)]
pub struct Byol {
    /// The network.
    pub net: ByolNet,
    config: ByolConfig,
}

impl Byol {
    /// The method with the initial weights of a seed; the momentum encoder starts as a copy.
    pub fn new(config: ByolConfig, backbone: &BackboneConfig, seed: u64, device: &Device) -> Self {
        let stream = &mut WeightStream::new(seed);
        let encoder = Encoder {
            backbone: backbone.build(stream, device),
            projector: config.head(backbone.channels(4)).init(stream, device),
        };
        let net = ByolNet {
            momentum: frozen_copy(&encoder),
            backbone: encoder.backbone,
            projector: encoder.projector,
            predictor: config.head(config.dim).init(stream, device),
        };
        Self {
            net: name_parameters(net),
            config,
        }
    }
}

impl Method for Byol {
    type Net = ByolNet;

    const CROPS: Option<usize> = Some(2);

    fn net(&self) -> &ByolNet {
        &self.net
    }

    fn net_mut(&mut self) -> &mut ByolNet {
        &mut self.net
    }

    fn backbone(&self) -> &Backbone {
        &self.net.backbone
    }

    fn result(&self) -> impl Module {
        Encoder {
            backbone: self.net.backbone.clone(),
            projector: self.net.projector.clone(),
        }
    }

    /// Each view in a batch of its own, through either encoder.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let (pair, mode) = (views.pair(), NormMode::Group(group));
        let predictions = pair.clone().map(|view| self.net.predictions(view, mode));
        let targets = pair.map(|view| self.net.momentum.forward(view, mode));
        let watched = targets.clone();
        let loss = byol_loss(predictions, targets);
        Loss::new("distance", loss).with_heads(HeadSignal::of_embeddings(
            views.watched,
            "projection",
            "the momentum encoder of BYOL (`pretrain.byol.momentum`)",
            || Tensor::cat(watched.into(), 0),
        ))
    }

    /// The momentum encoder follows the weights as this iteration has left them.
    fn after_update(&mut self, at: Position, _group: &Group) {
        let schedule = MomentumSchedule {
            base: self.config.momentum,
            total: at.iterations as u64,
        };
        let momentum = schedule.momentum(at.iteration as u64);
        let net = &mut self.net;
        net.momentum.follow(&net.backbone, &net.projector, momentum);
    }
}
