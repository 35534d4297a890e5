//! EMP-SSL (Tong et al. 2023, <https://arxiv.org/abs/2304.03977>): many patches of a picture agree with
//! their mean, and each set of patches takes as many directions as it can.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Chance, HeadSignal, Loss, Method, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, LayerConfig, LayerNorm},
    init::{WeightStream, name_parameters},
    loss::{coding_rate, similarity_to_mean},
    norm::NormMode,
    normalize::l2_normalize,
};

/// Settings of [`EmpSsl`]; the defaults are those of the published program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmpSslConfig {
    /// Weight of the similarity of patches.
    pub similarity_weight: f64,
    /// Weight of the coding rate.
    pub rate_weight: f64,
    /// ε of the coding rate: the squared error up to which directions count.
    pub epsilon: f64,
    /// Width of the two hidden layers of the projector.
    pub hidden: usize,
    /// Length of the embeddings.
    pub dim: usize,
}

impl Default for EmpSslConfig {
    fn default() -> Self {
        Self {
            similarity_weight: 200.0,
            rate_weight: 1.0,
            epsilon: 0.2,
            hidden: 4096,
            dim: 1024,
        }
    }
}

/// EMP-SSL in training.
#[derive(Debug)]
pub struct EmpSsl {
    /// The network.
    pub net: Encoder,
    config: EmpSslConfig,
}

impl EmpSsl {
    /// The method with the initial weights of a seed.
    pub fn new(
        config: EmpSslConfig,
        backbone: &BackboneConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        let hidden = LayerConfig::new(config.hidden).norm(LayerNorm::Affine);
        let hidden = hidden.activation(Activation::Relu);
        let layers = vec![hidden, hidden, LayerConfig::new(config.dim)];
        let stream = &mut WeightStream::new(seed);
        Self {
            net: name_parameters(Encoder::new(backbone, layers, stream, device)),
            config,
        }
    }
}

impl Method for EmpSsl {
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

    /// All patches of a resolution in one batch.
    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let pictures = views.pictures.len();
        let rows = views.groups.into_iter();
        let rows = rows.map(|patches| self.net.forward(patches, NormMode::Group(group)));
        let rows = l2_normalize(Tensor::cat(rows.collect(), 0), 1);
        let [count, dim] = rows.dims();
        let patches = rows.clone().reshape([count / pictures, pictures, dim]);
        let similarity = -similarity_to_mean(patches.clone());
        let rate = -coding_rate(patches, self.config.epsilon, group);
        let total = similarity.clone() * self.config.similarity_weight
            + rate.clone() * self.config.rate_weight;
        let heads = HeadSignal::of_embeddings(
            views.watched,
            "projection",
            "the projector of EMP-SSL (`pretrain.emp_ssl.rate_weight`)",
            || rows.narrow(0, 0, (2 * pictures).min(count)),
        );
        Loss::of_terms(total, [("similarity", similarity), ("rate", rate)]).with_heads(heads)
    }

    fn across_batch(&self) -> Option<&'static str> {
        Some("the coding rate is that of the whole batch")
    }

    /// One direction, in which all embeddings lie.
    fn chance(&self) -> Option<Chance> {
        let EmpSslConfig { dim, epsilon, .. } = self.config;
        Some(Chance {
            term: "rate",
            value: -0.5 * (dim as f64 / epsilon).ln_1p(),
            called: "the rate of one direction",
            remedy: "a higher `emp_ssl.rate_weight`, a lower learning rate, a larger `batch`",
            rises_first: false,
        })
    }
}
