//! A backbone and a projector on its pooled features: what most methods train, and what a momentum
//! encoder follows.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use crate::{
    backbone::{Backbone, BackboneConfig},
    heads::{LayerConfig, Mlp, MlpConfig},
    init::WeightStream,
    momentum_encoder::follow,
    norm::NormMode,
};

/// Backbone and projector.
#[derive(Module, Debug)]
pub struct Encoder {
    /// What the later steps go on with.
    pub backbone: Backbone,
    /// On its pooled features.
    pub projector: Mlp,
}

impl Encoder {
    /// Draws the weights, those of the backbone first; of the projector as PyTorch does.
    pub fn new(
        backbone: &BackboneConfig,
        projector: Vec<LayerConfig>,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Self {
        Self {
            backbone: backbone.build(stream, device),
            projector: MlpConfig::new(backbone.channels(4), projector).init(stream, device),
        }
    }

    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - output: `[batch, outputs of the projector]`
    pub fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<2> {
        let pooled = self.backbone.pooled_by(pictures, mode);
        self.projector.forward(pooled, mode)
    }

    /// Follows the trained backbone and projector, see [`follow`].
    pub fn follow(&mut self, backbone: &Backbone, projector: &Mlp, momentum: f64) {
        let trained = Self {
            backbone: backbone.clone(),
            projector: projector.clone(),
        };
        follow(self, &trained, momentum);
    }
}
