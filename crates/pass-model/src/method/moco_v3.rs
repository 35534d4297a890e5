//! MoCo v3 (Chen et al. 2021, <https://arxiv.org/abs/2104.02057>): a prediction from each view finds the
//! momentum encoder's embedding of the other among those of the batch.

use burn::{
    module::{Module, ParamId},
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{Chance, HeadSignal, Loss, Method, Position, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, LayerConfig, LayerNorm, Mlp, MlpConfig},
    init::{WeightStream, name_parameters},
    loss::key_contrast,
    momentum_encoder::{MomentumSchedule, frozen_copy},
    norm::NormMode,
};

/// Settings of [`MoCoV3`]; the defaults are those of a ResNet-50 for 100 epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MoCoV3Config {
    /// τ; 0.2 for a ViT.
    pub temperature: f64,
    /// What the momentum encoder keeps of itself in the first iteration; it rises to 1.
    pub momentum: f64,
    /// Layers of the projector; 3 for a ViT.
    pub projector_layers: usize,
    /// Whether the predictor ends in a norm without scale and shift, as for a ViT.
    pub predictor_norm: bool,
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Length of the embeddings.
    pub dim: usize,
    /// Whether the first layer of a ViT keeps its random weights.
    pub freeze_patches: bool,
}

impl Default for MoCoV3Config {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            momentum: 0.99,
            projector_layers: 2,
            predictor_norm: false,
            hidden: 4096,
            dim: 256,
            freeze_patches: true,
        }
    }
}

impl MoCoV3Config {
    fn hidden(&self) -> LayerConfig {
        let layer = LayerConfig::new(self.hidden).without_bias();
        layer.norm(LayerNorm::Affine).activation(Activation::Relu)
    }

    fn last(&self) -> LayerConfig {
        LayerConfig::new(self.dim).without_bias()
    }

    fn projector(&self) -> Vec<LayerConfig> {
        let mut layers = vec![self.hidden(); self.projector_layers.saturating_sub(1)];
        layers.push(self.last().norm(LayerNorm::Plain));
        layers
    }

    fn predictor(&self) -> MlpConfig {
        let norm = match self.predictor_norm {
            true => LayerNorm::Plain,
            false => LayerNorm::None,
        };
        MlpConfig::new(self.dim, vec![self.hidden(), self.last().norm(norm)])
    }
}

/// The network of [`MoCoV3`].
#[derive(Module, Debug)]
pub struct MoCoV3Net {
    /// What the later steps go on with.
    pub backbone: Backbone,
    /// On its pooled features.
    pub projector: Mlp,
    /// From an embedding to the other view's.
    pub predictor: Mlp,
    /// Gives the keys.
    pub momentum: Encoder,
}

impl MoCoV3Net {
    fn queries(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<2> {
        let pooled = self.backbone.pooled_by(pictures, mode);
        let projected = self.projector.forward(pooled, mode);
        self.predictor.forward(projected, mode)
    }
}

/// MoCo v3 in training.
#[derive(Debug)]
pub struct MoCoV3 {
    /// The network.
    pub net: MoCoV3Net,
    config: MoCoV3Config,
    batch: usize,
}

impl MoCoV3 {
    /// The method with the initial weights of a seed, for batches of `batch` pictures on all ranks.
    pub fn new(
        config: MoCoV3Config,
        backbone: &BackboneConfig,
        batch: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let stream = &mut WeightStream::new(seed);
        let online = Encoder::new(backbone, config.projector(), stream, device);
        let momentum = frozen_copy(&online);
        let net = MoCoV3Net {
            backbone: online.backbone,
            projector: online.projector,
            predictor: config.predictor().init(stream, device),
            momentum,
        };
        Self {
            net: name_parameters(net),
            config,
            batch,
        }
    }
}

impl Method for MoCoV3 {
    type Net = MoCoV3Net;

    fn net(&self) -> &MoCoV3Net {
        &self.net
    }

    fn net_mut(&mut self) -> &mut MoCoV3Net {
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

    fn before_step(&mut self, at: Position, _group: &Group) {
        let schedule = MomentumSchedule {
            base: self.config.momentum,
            total: at.iterations as u64,
        };
        let momentum = schedule.momentum(at.iteration as u64);
        let net = &mut self.net;
        net.momentum.follow(&net.backbone, &net.projector, momentum);
    }

    /// Each view in a batch of its own, through either encoder.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let (pair, mode) = (views.pair(), NormMode::Group(group));
        let [first, second] = pair.clone().map(|view| self.net.queries(view, mode));
        let [first_key, second_key] = pair.map(|view| self.net.momentum.forward(view, mode));
        let watched = Tensor::cat(vec![first.clone(), second.clone()], 0);
        let contrast = |queries, keys| key_contrast(queries, keys, self.config.temperature, group);
        let loss = contrast(first, second_key) + contrast(second, first_key);
        Loss::new("contrast", loss).with_heads(HeadSignal::of_embeddings(
            views.watched,
            "prediction",
            "the predictor of MoCo v3 (`pretrain.moco_v3.temperature`)",
            || watched,
        ))
    }

    fn across_batch(&self) -> Option<&'static str> {
        Some("the keys of a batch are each other's negatives")
    }

    fn frozen(&self, _at: Position) -> Vec<ParamId> {
        match self.config.freeze_patches {
            true => self.net.backbone.patch_parameters(),
            false => Vec::new(),
        }
    }

    fn chance(&self) -> Option<Chance> {
        Some(Chance {
            term: "contrast",
            value: 4.0 * self.config.temperature * (self.batch as f64).ln(),
            called: "4 τ ln B",
            remedy: "a lower `moco_v3.temperature`, a larger `batch`, a longer warm-up",
            rises_first: false,
        })
    }
}
