//! VICReg (Bardes et al. 2021, <https://arxiv.org/abs/2105.04906>): embeddings of the views agree, each
//! coordinate varies over the batch, and no two vary together.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Chance, HeadSignal, Loss, Method, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, LayerConfig, LayerNorm},
    init::{WeightStream, name_parameters},
    loss::{VarianceShare, VicRegWeights, vicreg_loss},
    norm::NormMode,
};

/// Settings of [`VicReg`]; the defaults are those of the published program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VicRegConfig {
    /// Weight of the squared distance of the views.
    pub invariance_weight: f64,
    /// Weight of the hinge on the deviations.
    pub variance_weight: f64,
    /// Weight of the covariances.
    pub covariance_weight: f64,
    /// How the hinges of the two views are joined.
    pub variance: VarianceShare,
    /// Width of the two hidden layers of the projector.
    pub hidden: usize,
    /// Length of the embeddings.
    pub dim: usize,
}

impl Default for VicRegConfig {
    fn default() -> Self {
        Self {
            invariance_weight: 25.0,
            variance_weight: 25.0,
            covariance_weight: 1.0,
            variance: VarianceShare::Mean,
            hidden: 8192,
            dim: 8192,
        }
    }
}

impl VicRegConfig {
    fn weights(&self) -> VicRegWeights {
        VicRegWeights {
            invariance: self.invariance_weight,
            variance: self.variance_weight,
            covariance: self.covariance_weight,
        }
    }
}

/// VICReg in training.
#[derive(Debug)]
pub struct VicReg {
    /// The network.
    pub net: Encoder,
    config: VicRegConfig,
}

impl VicReg {
    /// The method with the initial weights of a seed.
    pub fn new(
        config: VicRegConfig,
        backbone: &BackboneConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        let hidden = LayerConfig::new(config.hidden).norm(LayerNorm::Affine);
        let hidden = hidden.activation(Activation::Relu);
        let last = LayerConfig::new(config.dim).without_bias();
        let stream = &mut WeightStream::new(seed);
        let net = Encoder::new(backbone, vec![hidden, hidden, last], stream, device);
        Self {
            net: name_parameters(net),
            config,
        }
    }
}

impl Method for VicReg {
    type Net = Encoder;

    fn net(&self) -> &Encoder {
        &self.net
    }

    fn net_mut(&mut self) -> &mut Encoder {
        &mut self.net
    }

    fn backbone(&self) -> &Backbone {
        &self.net.backbone
    }

    /// Each view in a batch of its own.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let pair = views.pair();
        let pair = pair.map(|view| self.net.forward(view, NormMode::Group(group)));
        let terms = vicreg_loss(pair.clone(), self.config.variance, group);
        let heads = HeadSignal::of_embeddings(
            views.watched,
            "projection",
            "the projector of VICReg (`pretrain.vicreg.variance_weight`)",
            || Tensor::cat(pair.into(), 0),
        );
        let total = terms.total(&self.config.weights());
        let terms = [
            ("invariance", terms.invariance),
            ("variance", terms.variance),
            ("covariance", terms.covariance),
        ];
        Loss::of_terms(total, terms).with_heads(heads)
    }

    fn across_batch(&self) -> Option<&'static str> {
        Some("variances and covariances are those of the whole batch")
    }

    fn chance(&self) -> Option<Chance> {
        let views = match self.config.variance {
            VarianceShare::Mean => 1.0,
            VarianceShare::Sum => 2.0,
        };
        Some(Chance {
            term: "variance",
            value: 0.99 * views, // of a deviation of √1e-4
            called: "the hinge of embeddings that are all alike",
            remedy: "a higher `vicreg.variance_weight`, a lower learning rate, a larger `batch`",
            rises_first: false,
        })
    }
}
