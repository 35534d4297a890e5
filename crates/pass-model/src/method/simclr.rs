//! SimCLR (Chen et al. 2020, <https://arxiv.org/abs/2002.05709>): each view finds the other view of its
//! picture among all views of the batch.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Chance, HeadSignal, Loss, Method, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, InitialWeights, LayerConfig, LayerNorm, MlpConfig},
    init::{WeightStream, name_parameters},
    loss::nt_xent,
    norm::NormMode,
};

/// Settings of [`SimClr`]; the defaults are those of OpenSelfSup for a batch of 256.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimClrConfig {
    /// τ
    pub temperature: f64,
    /// Layers of the projector before its last, each as wide as the backbone's features: 1 in the
    /// paper, 2 in the later program.
    pub hidden_layers: usize,
    /// Length of the embeddings.
    pub dim: usize,
}

impl Default for SimClrConfig {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            hidden_layers: 1,
            dim: 128,
        }
    }
}

/// SimCLR in training.
#[derive(Debug)]
pub struct SimClr {
    /// The network.
    pub net: Encoder,
    config: SimClrConfig,
    batch: usize,
}

impl SimClr {
    /// The method with the initial weights of a seed, for batches of `batch` pictures on all ranks.
    pub fn new(
        config: SimClrConfig,
        backbone: &BackboneConfig,
        batch: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let stream = &mut WeightStream::new(seed);
        let net = Encoder {
            backbone: backbone.build(stream, device),
            projector: config.projector(backbone.channels(4)).init(stream, device),
        };
        Self {
            net: name_parameters(net),
            config,
            batch,
        }
    }
}

impl SimClrConfig {
    /// Layers without bias, the last with a scale alone.
    fn projector(&self, features: usize) -> MlpConfig {
        let layer = |width| LayerConfig::new(width).without_bias();
        let hidden = layer(features).norm(LayerNorm::Affine);
        let mut layers = vec![hidden.activation(Activation::Relu); self.hidden_layers];
        layers.push(layer(self.dim).norm(LayerNorm::Scale));
        MlpConfig::new(features, layers).weights(InitialWeights::Narrow)
    }
}

impl Method for SimClr {
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

    /// Both views in one batch.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let pictures = Tensor::cat(views.pair().into(), 0);
        let rows = self.net.forward(pictures, NormMode::Group(group));
        let pair = halves(rows.clone());
        let loss = nt_xent(pair, self.config.temperature, group);
        Loss::new("contrast", loss).with_heads(HeadSignal::of_embeddings(
            views.watched,
            "projection",
            "the projector of SimCLR (`pretrain.simclr.temperature`)",
            || rows,
        ))
    }

    fn across_batch(&self) -> Option<&'static str> {
        Some("the pictures of a batch are each other's negatives")
    }

    fn chance(&self) -> Option<Chance> {
        Some(Chance {
            term: "contrast",
            value: ((2 * self.batch - 1) as f64).ln(),
            called: "ln(2B - 1)",
            remedy: "a larger `batch`, a higher learning rate, a higher `simclr.temperature`, more \
                     epochs",
            rises_first: false,
        })
    }
}

/// The rows of each of two views.
pub(super) fn halves(rows: Tensor<2>) -> [Tensor<2>; 2] {
    let count = rows.dims()[0] / 2;
    [0, 1].map(|view| rows.clone().narrow(0, view * count, count))
}
