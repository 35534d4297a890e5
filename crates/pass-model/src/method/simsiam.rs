//! SimSiam (Chen and He 2020, <https://arxiv.org/abs/2011.10566>): a prediction from each view follows
//! the projection of the other, which takes no gradient. The only twin is the network itself.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{HeadSignal, Loss, Method, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, LayerConfig, LayerNorm, Mlp, MlpConfig},
    init::{WeightStream, name_parameters},
    loss::simsiam_loss,
    norm::NormMode,
    optim::{GroupRate, ParameterGroup, parameters_of},
};

/// Settings of [`SimSiam`]; the defaults are the published ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimSiamConfig {
    /// Length of projections and predictions.
    pub dim: usize,
    /// Hidden width of the predictor.
    pub predictor_hidden: usize,
    /// Whether the learning rate of the predictor stays at the base rate.
    pub constant_predictor_lr: bool,
}

impl Default for SimSiamConfig {
    fn default() -> Self {
        Self {
            dim: 2048,
            predictor_hidden: 512,
            constant_predictor_lr: true,
        }
    }
}

impl SimSiamConfig {
    /// Two hidden layers as wide as the features. The published last layer has a bias that is never
    /// trained, and that its norm takes out again.
    fn projector(&self, features: usize) -> Vec<LayerConfig> {
        let hidden = hidden(features);
        let last = LayerConfig::new(self.dim).without_bias();
        vec![hidden, hidden, last.norm(LayerNorm::Plain)]
    }

    fn predictor(&self) -> MlpConfig {
        let layers = vec![hidden(self.predictor_hidden), LayerConfig::new(self.dim)];
        MlpConfig::new(self.dim, layers)
    }
}

fn hidden(width: usize) -> LayerConfig {
    let layer = LayerConfig::new(width).without_bias();
    layer.norm(LayerNorm::Affine).activation(Activation::Relu)
}

/// The network of [`SimSiam`].
#[derive(Module, Debug)]
pub struct SimSiamNet {
    /// What the later steps go on with.
    pub backbone: Backbone,
    /// On its pooled features.
    pub projector: Mlp,
    /// From a projection to the other view's.
    pub predictor: Mlp,
}

impl SimSiamNet {
    /// Prediction and projection of one view, each `[pictures, dim]`.
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> [Tensor<2>; 2] {
        let pooled = self.backbone.pooled_by(pictures, mode);
        let projection = self.projector.forward(pooled, mode);
        [self.predictor.forward(projection.clone(), mode), projection]
    }
}

/// SimSiam in training.
#[derive(Debug)]
pub struct SimSiam {
    /// The network.
    pub net: SimSiamNet,
    config: SimSiamConfig,
}

impl SimSiam {
    /// The method with the initial weights of a seed.
    pub fn new(
        config: SimSiamConfig,
        backbone: &BackboneConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        let stream = &mut WeightStream::new(seed);
        let projector = config.projector(backbone.channels(4));
        let encoder = Encoder::new(backbone, projector, stream, device);
        let net = SimSiamNet {
            backbone: encoder.backbone,
            projector: encoder.projector,
            predictor: config.predictor().init(stream, device),
        };
        Self {
            net: name_parameters(net),
            config,
        }
    }
}

impl Method for SimSiam {
    type Net = SimSiamNet;

    const CROPS: Option<usize> = Some(2);

    fn net(&self) -> &SimSiamNet {
        &self.net
    }

    fn net_mut(&mut self) -> &mut SimSiamNet {
        &mut self.net
    }

    fn backbone(&self) -> &Backbone {
        &self.net.backbone
    }

    /// Each view in a batch of its own.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let mode = NormMode::Group(group);
        let [first, second] = views.pair().map(|view| self.net.forward(view, mode));
        let ([first, first_target], [second, second_target]) = (first, second);
        let targets = [first_target, second_target];
        let watched = targets.clone();
        let loss = simsiam_loss([first, second], targets);
        Loss::new("similarity", loss).with_heads(HeadSignal::of_embeddings(
            views.watched,
            "projection",
            "the projector of SimSiam (`pretrain.simsiam.predictor_hidden`)",
            || Tensor::cat(watched.into(), 0),
        ))
    }

    fn parameter_groups(&self) -> Vec<ParameterGroup> {
        let predictor = ParameterGroup {
            rate: GroupRate::Constant(1.0),
            ..ParameterGroup::new(parameters_of(&self.net.predictor))
        };
        let constant = self.config.constant_predictor_lr.then_some(predictor);
        constant.into_iter().collect()
    }
}
