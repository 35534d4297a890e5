//! A trained encoder and its momentum encoder, which gives the keys that queries of the other view have
//! to find: what MoCo, AdCo and PCL train.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use crate::{
    backbone::{Backbone, BackboneConfig},
    encoder::Encoder,
    group::Group,
    heads::{Activation, LayerConfig, Mlp},
    init::{WeightStream, name_parameters},
    momentum_encoder::frozen_copy,
    norm::NormMode,
    normalize::l2_normalize,
    shuffle::KeyNorms,
};

/// Backbone and projector, and what follows them.
#[derive(Module, Debug)]
pub struct MomentumPair {
    /// What the later steps go on with.
    pub backbone: Backbone,
    /// On its pooled features.
    pub projector: Mlp,
    /// Gives the keys.
    pub momentum: Encoder,
}

impl MomentumPair {
    /// The weights of a seed; the projector has one hidden layer, as wide as the pooled features, and
    /// gives embeddings of `dim` numbers. The momentum encoder starts as a copy.
    pub fn new(backbone: &BackboneConfig, dim: usize, seed: u64, device: &Device) -> Self {
        let hidden = LayerConfig::new(backbone.channels(4)).activation(Activation::Relu);
        let layers = vec![hidden, LayerConfig::new(dim)];
        let encoder = Encoder::new(backbone, layers, &mut WeightStream::new(seed), device);
        name_parameters(Self {
            momentum: frozen_copy(&encoder),
            backbone: encoder.backbone,
            projector: encoder.projector,
        })
    }

    /// The trained encoder.
    pub fn encoder(&self) -> Encoder {
        Encoder {
            backbone: self.backbone.clone(),
            projector: self.projector.clone(),
        }
    }

    /// Lets the momentum encoder follow.
    pub fn follow(&mut self, momentum: f64) {
        (self.momentum).follow(&self.backbone, &self.projector, momentum);
    }

    /// Makes the momentum encoder a copy of the trained one, moving statistics of norms excepted.
    pub fn catch_up(&mut self) {
        self.follow(0.0);
    }

    /// Embeddings of one view as queries and of the other as keys, each in a batch of its own.
    /// Collective.
    ///
    /// # Shapes
    ///
    /// - each of `views`: `[pictures, 3, side, side]`, normalised
    /// - output: twice `[pictures, dim]`, of unit length; the keys take no gradient
    pub fn encode(
        &mut self,
        [query_view, key_view]: [Tensor<4>; 2],
        norms: &mut KeyNorms,
        group: &Group,
    ) -> [Tensor<2>; 2] {
        let pictures = query_view.dims()[0];
        let mode = norms.mode(pictures, group);
        let queries = self.queries(query_view, mode);
        let order = norms.key_order(pictures, group);
        let keys = self.keys(order.shuffled(key_view, group), mode);
        [queries, order.restored(keys, group)]
    }

    fn queries(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<2> {
        let pooled = self.backbone.pooled_by(pictures, mode);
        l2_normalize(self.projector.forward(pooled, mode), 1)
    }

    /// Embeddings of the momentum encoder, `[pictures, dim]`, of unit length.
    pub fn keys(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<2> {
        l2_normalize(self.momentum.forward(pictures, mode), 1).inner()
    }
}
