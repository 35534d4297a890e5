//! PixPro (Xie et al. 2021, <https://arxiv.org/abs/2011.10043>): the propagated embedding of each pixel
//! follows what the momentum encoder makes of the pixels of the other view that lie near it.

use burn::{
    module::Module,
    nn::conv::Conv2dConfig,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{HeadOutput, HeadSignal, Loss, Method, Position, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, LayerConfig, LayerNorm, Mlp, MlpConfig},
    init::{WeightStream, name_parameters},
    loss::{byol_loss, pixel_consistency_loss, positive_pairs},
    momentum_encoder::{MomentumSchedule, follow, frozen_copy},
    norm::NormMode,
    normalize::{global_average_pool, l2_normalize},
    propagation::PixelPropagation,
};

/// Settings of [`PixPro`]; the defaults are the published ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PixProConfig {
    /// Hidden channels of the projector.
    pub hidden: usize,
    /// Channels of the pixel embeddings.
    pub dim: usize,
    /// What the momentum encoder keeps of itself in the first iteration; it rises to 1.
    pub momentum: f64,
    /// Pixels are positive pairs below this distance, in pixel diagonals.
    pub positive_ratio: f64,
    /// Weight of the loss of whole pictures beside that of pixels; 0 in the published run, where its
    /// heads are left out.
    pub instance_weight: f64,
}

impl Default for PixProConfig {
    fn default() -> Self {
        Self {
            hidden: 4096,
            dim: 256,
            momentum: 0.99,
            positive_ratio: 0.7,
            instance_weight: 0.0,
        }
    }
}

impl PixProConfig {
    /// All heads are alike but for what enters: 1×1 convolutions with bias, a norm and ReLU between.
    fn head(&self, channels_in: usize) -> MlpConfig {
        let hidden = LayerConfig::new(self.hidden).norm(LayerNorm::Affine);
        let hidden = hidden.activation(Activation::Relu);
        MlpConfig::new(channels_in, vec![hidden, LayerConfig::new(self.dim)])
    }

    fn propagation(&self, stream: &mut WeightStream, device: &Device) -> PixelPropagation {
        let transform = Conv2dConfig::new([self.dim, self.dim], [1, 1]);
        PixelPropagation {
            transform: stream.uniform_conv2d(&transform, device),
        }
    }

    fn instance(
        &self,
        features: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Option<InstanceHeads> {
        (self.instance_weight > 0.0).then(|| {
            let projector = self.head(features).init(stream, device);
            InstanceHeads {
                momentum: frozen_copy(&projector),
                projector,
                predictor: self.head(self.dim).init(stream, device),
            }
        })
    }
}

/// The network of [`PixPro`].
#[derive(Module, Debug)]
pub struct PixProNet {
    /// What the later steps go on with.
    pub backbone: Backbone,
    /// On each place of its last map.
    pub projector: Mlp,
    /// On the projected map.
    pub propagation: PixelPropagation,
    /// Gives the targets.
    pub momentum: Encoder,
    /// The heads of whole pictures, where they take part.
    pub instance: Option<InstanceHeads>,
}

/// Heads whose output is the mean over the places of a map.
#[derive(Module, Debug)]
pub struct InstanceHeads {
    /// On the last map of the backbone.
    pub projector: Mlp,
    /// From a projection to the other view's.
    pub predictor: Mlp,
    /// Follows the projector.
    pub momentum: Mlp,
}

/// What one view gives.
struct ViewOutput {
    /// `[pictures, dim, height, width]`, of unit length.
    propagated: Tensor<4>,
    /// The same of the momentum encoder.
    target: Tensor<4>,
    /// Prediction and target of whole pictures, each `[pictures, dim]`.
    instance: Option<[Tensor<2>; 2]>,
}

impl PixProNet {
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> ViewOutput {
        let map = self.backbone.forward(pictures.clone(), mode).into_last();
        let target_map = self.momentum.backbone.forward(pictures, mode).into_last();
        let projected = self.projector.forward_map(map.clone(), mode);
        let target = (self.momentum.projector).forward_map(target_map.clone(), mode);
        let instance = self.instance.as_mut();
        ViewOutput {
            propagated: self.propagation.forward(projected),
            target: l2_normalize(target, 1).detach(),
            instance: instance.map(|heads| heads.forward([map, target_map], mode)),
        }
    }

    fn follow(&mut self, momentum: f64) {
        (self.momentum).follow(&self.backbone, &self.projector, momentum);
        if let Some(heads) = &mut self.instance {
            follow(&mut heads.momentum, &heads.projector, momentum);
        }
    }
}

impl InstanceHeads {
    /// Prediction and target, from the map of the backbone and that of its momentum encoder.
    fn forward(&mut self, [map, target_map]: [Tensor<4>; 2], mode: NormMode) -> [Tensor<2>; 2] {
        let projected = self.projector.forward_map(map, mode);
        let prediction = self.predictor.forward_map(projected, mode);
        let target = self.momentum.forward_map(target_map, mode);
        [prediction, target].map(global_average_pool)
    }
}

/// PixPro in training.
#[derive(Debug)]
pub struct PixPro {
    /// The network.
    pub net: PixProNet,
    config: PixProConfig,
}

impl PixPro {
    /// The method with the initial weights of a seed; the momentum encoder starts as a copy.
    pub fn new(
        config: PixProConfig,
        backbone: &BackboneConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        let (stream, features) = (&mut WeightStream::new(seed), backbone.channels(4));
        let encoder = Encoder {
            backbone: backbone.build(stream, device),
            projector: config.head(features).init(stream, device),
        };
        let net = PixProNet {
            momentum: frozen_copy(&encoder),
            backbone: encoder.backbone,
            projector: encoder.projector,
            propagation: config.propagation(stream, device),
            instance: config.instance(features, stream, device),
        };
        Self {
            net: name_parameters(net),
            config,
        }
    }

    fn pixel_loss(&self, maps: [[Tensor<4>; 2]; 2], frames: Tensor<2>) -> Tensor<1> {
        let [propagated, target] = maps.map(|views| Tensor::cat(views.into(), 0));
        let [_, _, height, width] = target.dims();
        let pairs = positive_pairs(frames, [height, width], self.config.positive_ratio);
        pixel_consistency_loss(propagated, target, pairs)
    }
}

/// The sum of both directions of `-2` times the cosine, in `[-4, 4]`: BYOL's distance but for a constant.
fn instance_loss(views: [[Tensor<2>; 2]; 2]) -> Tensor<1> {
    let [[first, first_target], [second, second_target]] = views;
    byol_loss([first, second], [first_target, second_target]) - 4.0
}

impl Method for PixPro {
    type Net = PixProNet;

    const CROPS: Option<usize> = Some(2);

    fn net(&self) -> &PixProNet {
        &self.net
    }

    fn net_mut(&mut self) -> &mut PixProNet {
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
        self.net.follow(schedule.momentum(at.iteration as u64));
    }

    /// Each view in a batch of its own, through either encoder.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let mode = NormMode::Group(group);
        let [first, second] = views.pair().map(|view| self.net.forward(view, mode));
        let targets = [first.target, second.target];
        let watched = targets.clone();
        let pixels = self.pixel_loss(
            [[first.propagated, second.propagated], targets],
            views.frames,
        );
        let instance = first.instance.zip(second.instance);
        let loss = match instance.map(|(first, second)| instance_loss([first, second])) {
            None => Loss::new("pixels", pixels),
            Some(instance) => {
                let total = pixels.clone() + instance.clone() * self.config.instance_weight;
                Loss::of_terms(total, [("pixels", pixels), ("instance", instance)])
            }
        };
        let head = views.watched.then(|| HeadSignal {
            name: "projection".into(),
            description: "the momentum encoder of PixPro (`pretrain.pixpro.momentum`)".into(),
            output: HeadOutput::Maps(Tensor::cat(watched.into(), 0)),
        });
        loss.with_heads(head.into_iter().collect())
    }
}
