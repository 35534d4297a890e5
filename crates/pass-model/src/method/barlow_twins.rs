//! Barlow Twins (Zbontar et al. 2021, <https://arxiv.org/abs/2103.03230>): the cross-correlation of the
//! views' embeddings becomes the identity.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Chance, HeadSignal, Loss, Method, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, LayerConfig, LayerNorm},
    init::{WeightStream, name_parameters},
    loss::{BarlowTerms, barlow_twins_loss},
    norm::NormMode,
    optim::{GroupRate, ParameterGroup, vectors_of},
};

/// Settings of [`BarlowTwins`]; the defaults are those of the published program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BarlowTwinsConfig {
    /// λ, the weight of the off-diagonal correlations.
    pub lambda: f64,
    /// Width of the two hidden layers of the projector.
    pub hidden: usize,
    /// Length of the embeddings.
    pub dim: usize,
    /// Learning rate of biases and norms, as a share of that of weights: 0.0048 of 0.2 in the program,
    /// whose gradient of these is a sixteenth of the one here.
    pub vector_rate: f64,
}

impl Default for BarlowTwinsConfig {
    fn default() -> Self {
        Self {
            lambda: 0.0051,
            hidden: 8192,
            dim: 8192,
            vector_rate: 0.024,
        }
    }
}

/// Barlow Twins in training.
#[derive(Debug)]
pub struct BarlowTwins {
    /// The network.
    pub net: Encoder,
    config: BarlowTwinsConfig,
}

impl BarlowTwins {
    /// The method with the initial weights of a seed.
    pub fn new(
        config: BarlowTwinsConfig,
        backbone: &BackboneConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        let hidden = LayerConfig::new(config.hidden).without_bias();
        let hidden = hidden.norm(LayerNorm::Affine).activation(Activation::Relu);
        let last = LayerConfig::new(config.dim).without_bias();
        let stream = &mut WeightStream::new(seed);
        let net = Encoder::new(backbone, vec![hidden, hidden, last], stream, device);
        Self {
            net: name_parameters(net),
            config,
        }
    }
}

impl Method for BarlowTwins {
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
        let terms = barlow_twins_loss(pair.clone(), group);
        let heads = HeadSignal::of_embeddings(
            views.watched,
            "projection",
            "the projector of Barlow Twins (`pretrain.barlow_twins.lambda`)",
            || Tensor::cat(pair.into(), 0),
        );
        let total = terms.total(self.config.lambda);
        let BarlowTerms {
            diagonal,
            off_diagonal,
        } = terms;
        let terms = [("diagonal", diagonal), ("off_diagonal", off_diagonal)];
        Loss::of_terms(total, terms).with_heads(heads)
    }

    fn parameter_groups(&self) -> Vec<ParameterGroup> {
        vec![ParameterGroup {
            rate: GroupRate::Scheduled(self.config.vector_rate),
            ..ParameterGroup::new(vectors_of(&self.net))
        }]
    }

    fn across_batch(&self) -> Option<&'static str> {
        Some("the correlations are those of the whole batch")
    }

    fn chance(&self) -> Option<Chance> {
        Some(Chance {
            term: "diagonal",
            value: self.config.dim as f64,
            called: "the length of the embeddings",
            remedy: "a lower learning rate, a longer warm-up, a larger `batch`",
            rises_first: false,
        })
    }
}
