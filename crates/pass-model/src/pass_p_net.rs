//! The network of step 1 for PASS_p: that of PASS_s, and on the same backbone the pixel-level method
//! PixPro with its momentum encoder.
//!
//! The paper builds PASS_p on PixPro (Xie et al. 2021, <https://arxiv.org/abs/2011.10043>), the
//! clustering loss of SwAV, P2P and D2S of the stages 3 and 2; no program of it was published. The
//! later steps use [`PassPNet::base`] alone, so a run of PASS_p goes on like one of PASS_s.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use crate::{
    backbone::Backbone,
    heads::{ConsistencyProjection, ConsistencyProjectionConfig},
    init::{WeightStream, name_parameters},
    method::pass::ConsistencyConfig,
    momentum_encoder::{follow, frozen_copy},
    norm::NormMode,
    normalize::l2_normalize,
    overlap::OverlapPoints,
    pretrain_net::{PretrainNet, PretrainNetConfig, PretrainOutput},
    propagation::PixelPropagation,
};

/// Settings of a [`PassPNet`].
#[derive(Debug, Clone, PartialEq)]
pub struct PassPNetConfig {
    /// The part that PASS_s has too.
    pub base: PretrainNetConfig,
    /// Widths of the consistency's heads.
    pub consistency: ConsistencyConfig,
}

/// The network of PASS_p in step 1.
#[derive(Module, Debug)]
pub struct PassPNet {
    /// Backbone, heads and prototypes of PASS_s.
    pub base: PretrainNet,
    /// The trained side of the consistency loss.
    pub consistency: ConsistencyHeads,
    /// The side that gives the targets.
    pub momentum: MomentumEncoder,
}

/// Projector and pixel propagation module on the last feature map.
#[derive(Module, Debug)]
pub struct ConsistencyHeads {
    /// The projector.
    pub projection: ConsistencyProjection,
    /// The pixel propagation module.
    pub propagation: PixelPropagation,
}

/// Backbone and projector without gradients.
///
/// Its norms use batch statistics and keep moving ones of their own; only parameters follow.
#[derive(Module, Debug)]
pub struct MomentumEncoder {
    /// Follows the backbone.
    pub backbone: Backbone,
    /// Follows the projector of the consistency loss.
    pub projection: ConsistencyProjection,
}

/// What one pass of [`PassPNet`] returns.
#[derive(Debug, Clone)]
pub struct PassPOutput {
    /// What the losses of PASS_s need.
    pub base: PretrainOutput,
    /// Propagated embeddings of the two global crops `[2·b, dim, height, width]`, unit
    /// vectors at each pixel.
    pub propagated: Tensor<4>,
    /// Their targets from the momentum encoder, of the same shape and without a gradient.
    pub target: Tensor<4>,
}

impl PassPNetConfig {
    /// A network with the initial weights of a seed; those of the part that PASS_s has too are those
    /// of [`PretrainNetConfig::init`].
    ///
    /// # Panics
    ///
    /// If [`PretrainNetConfig::check`] fails.
    pub fn init(&self, seed: u64, device: &Device) -> PassPNet {
        let stream = &mut WeightStream::new(seed);
        let base = self.base.init_from(stream, device);
        let projection = ConsistencyProjectionConfig {
            channels_in: self.base.network.backbone.channels(4),
            hidden: self.consistency.hidden,
            channels_out: self.consistency.dim,
        }
        .init(stream, device);
        let propagation = PixelPropagation::new(self.consistency.dim, stream, device);
        name_parameters(PassPNet {
            momentum: frozen_copy(&MomentumEncoder {
                backbone: base.backbone.clone(),
                projection: projection.clone(),
            }),
            base,
            consistency: ConsistencyHeads {
                projection,
                propagation,
            },
        })
    }
}

impl MomentumEncoder {
    /// Targets of the consistency loss: unit vectors at each pixel, without a gradient.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - output: `[batch, channels, height / stride, width / stride]`
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let features = self.backbone.forward(pictures, mode).into_last();
        l2_normalize(self.projection.forward(features, mode), 1).detach()
    }
}

impl PassPNet {
    /// Lets the momentum encoder follow; once in each iteration, before [`forward`](Self::forward).
    pub fn follow(&mut self, momentum: f64) {
        let trained = MomentumEncoder {
            backbone: self.base.backbone.clone(),
            projection: self.consistency.projection.clone(),
        };
        follow(&mut self.momentum, &trained, momentum);
    }

    /// One pass over all crops of a batch; only the two global ones take part in the consistency.
    ///
    /// Both views go through each encoder in one batch, as in PASS_s; PixPro normalises each view by
    /// itself, and the paper does not say which it did.
    ///
    /// # Shapes and panics
    ///
    /// As [`PretrainNet::forward_at`].
    pub fn forward(
        &mut self,
        groups: Vec<Tensor<4>>,
        points: Option<OverlapPoints>,
        mode: NormMode,
    ) -> PassPOutput {
        let global = groups
            .first()
            .expect("the first group holds the two global crops")
            .clone();
        let base = self.base.forward_at(groups, points, mode);
        let ConsistencyHeads {
            projection,
            propagation,
        } = &mut self.consistency;
        let propagated = propagation.forward(projection.forward(base.features.clone(), mode));
        PassPOutput {
            base,
            propagated,
            target: self.momentum.forward(global, mode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backbone::ResNetConfig, pretrain_net::NetworkConfig};

    fn config() -> PassPNetConfig {
        let backbone = ResNetConfig {
            width: 2,
            ..ResNetConfig::small()
        };
        let base = PretrainNetConfig {
            network: NetworkConfig {
                backbone: backbone.into(),
                hidden: 5,
                feature_dim: 3,
                prototypes: 7,
            },
            shallow: vec![3, 2],
            ..Default::default()
        };
        PassPNetConfig {
            base,
            consistency: ConsistencyConfig {
                hidden: 6,
                dim: 4,
                ..Default::default()
            },
        }
    }

    #[test]
    fn the_part_of_pass_s_starts_as_in_pass_s() {
        let device = Device::default();
        let weight = |net: &PretrainNet| net.shallow[1].projection.linear2.weight.val().into_data();
        let alone = config().base.init(5, &device);
        assert_eq!(weight(&config().init(5, &device).base), weight(&alone));
    }

    #[test]
    fn at_the_start_both_encoders_are_the_same() {
        let device = Device::default();
        let net = config().init(5, &device);
        let [own, copy] = [&net.base.backbone, &net.momentum.backbone]
            .map(|backbone| &backbone.as_resnet().unwrap().layer2[0].conv1.weight);
        assert_eq!(own.val().into_data(), copy.val().into_data());
        assert_ne!(own.id, copy.id);
        assert!(!net.momentum.projection.conv1.weight.is_require_grad());
    }

    #[test]
    fn embeddings_and_targets_have_their_documented_shape() {
        let device = Device::default();
        let mut net = config().init(5, &device);
        let crops = Tensor::ones([2 * 3, 3, 32, 48], &device);
        let output = net.forward(vec![crops], None, NormMode::Batch);
        assert_eq!(output.propagated.dims(), [6, 4, 2, 3]);
        assert_eq!(output.target.dims(), [6, 4, 2, 3]);
    }
}
