//! The network of step 2.1: pixel attention learned on top of a frozen pre-trained network.
//!
//! The loss is the swapped prediction of step 1 alone, on embeddings pooled from attended pixels.
//! Trained are the attention and, as the published code does and the paper does not say, the
//! prototypes ([`AttentionNet::with_frozen_prototypes`] for the paper's reading).

use std::path::Path;

use burn::{module::Module, tensor::Tensor};
use pass_model::{
    Error,
    backbone::Backbone,
    export::export_module,
    group::Group,
    heads::ProjectionHead,
    import::{Imported, import_module, pass_key},
    init::{WeightStream, name_parameters},
    norm::NormMode,
    normalize::l2_normalize,
    pretrain_net::PretrainNet,
    prototypes::Prototypes,
};

use crate::{
    attention::{Attended, PixelAttention, PixelAttentionConfig},
    pooling::{attended_clustering, attended_training},
};

/// Sets the attention's weights apart from those of a backbone of the same seed.
const ATTENTION_STREAM: u64 = 0x6174_7465_6e74_696f;

/// The network of step 2.1, which also makes the embeddings and the labels of steps 2.2 to 2.4.
///
/// [`pass_model::checkpoint`] saves and loads it; loading keeps what is frozen.
#[derive(Module, Debug)]
pub struct AttentionNet {
    /// The frozen backbone.
    pub backbone: Backbone,
    /// The attention, trained.
    pub attention: PixelAttention,
    /// The frozen projection head, through which the gradient reaches the attention.
    pub projection: ProjectionHead,
    /// The prototypes, trained by default.
    pub prototypes: Prototypes,
}

impl AttentionNet {
    /// A new attention, whose weights follow from the seed, between a pre-trained backbone and the head
    /// that its embeddings go through; `shared` is one attention for all channels, the alternative of
    /// table X (c).
    pub fn new(
        backbone: Backbone,
        projection: ProjectionHead,
        prototypes: Prototypes,
        shared: bool,
        seed: u64,
    ) -> Self {
        let device = prototypes.weight.val().device();
        let [channels, _] = projection.linear1.weight.dims();
        let stream = &mut WeightStream::new(seed ^ ATTENTION_STREAM);
        let attention = PixelAttentionConfig { channels, shared }.init(stream, &device);
        let net = name_parameters(Self {
            backbone,
            attention,
            projection,
            prototypes,
        });
        net.freeze_pretrained()
    }

    /// The same on the network of PASS_s, whose other heads are dropped.
    pub fn from_pretrained(net: PretrainNet, seed: u64) -> Self {
        Self::new(net.backbone, net.projection, net.prototypes, false, seed)
    }

    /// The same with prototypes that take no gradient.
    pub fn with_frozen_prototypes(self) -> Self {
        Self {
            prototypes: self.prototypes.no_grad(),
            ..self
        }
    }

    /// One training pass over all crops of a batch, or of a rank's share of it.
    ///
    /// No gradient enters the backbone, so none of its intermediate results is kept. The attention
    /// always uses the statistics of the batches of all ranks; `frozen_mode` says what the norms of the frozen parts use:
    /// [`NormMode::Group`] as the published code, whose moving statistics drift although the
    /// weights are frozen, or [`NormMode::Moving`] to leave the pre-trained network as it is.
    ///
    /// # Shapes
    ///
    /// - `groups`: one tensor for each resolution, `[crops · b, 3, size, size]`, crop-major
    /// - output: unit embeddings `[V·b, feature_dim]` and scores `[V·b, prototypes]` of all crops
    ///
    /// # Panics
    ///
    /// If there is no group of crops.
    pub fn forward_train(
        &mut self,
        groups: Vec<Tensor<4>>,
        frozen_mode: NormMode,
        ranks: &Group,
    ) -> (Tensor<2>, Tensor<2>) {
        assert!(!groups.is_empty(), "at least one group of crops is needed");
        let pool = |crops: Tensor<4>| {
            let features = self
                .backbone
                .forward(crops, frozen_mode)
                .into_last()
                .detach();
            let Attended {
                normalized,
                attention,
                ..
            } = self.attention.attend(features, NormMode::Group(ranks));
            attended_training(normalized, attention)
        };
        let pooled = Tensor::cat(groups.into_iter().map(pool).collect(), 0);
        let embeddings = l2_normalize(self.projection.forward(pooled, frozen_mode), 1);
        let scores = self.prototypes.forward(embeddings.clone());
        (embeddings, scores)
    }

    /// The attended embedding of each picture, for clustering; moving statistics.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - output: `[batch, D]`, not of unit length
    pub fn cluster_embedding(&mut self, pictures: Tensor<4>) -> Tensor<2> {
        let Attended {
            features,
            attention,
            ..
        } = self.attend(pictures);
        attended_clustering(features, attention)
    }

    /// The features of the backbone's last stage, neither upsampled nor attended; moving statistics.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - output: `[batch, D, h, w]`
    pub fn features(&mut self, pictures: Tensor<4>) -> Tensor<4> {
        self.backbone
            .forward(pictures, NormMode::Moving)
            .into_last()
            .detach()
    }

    /// What [`crate::label_generation::generate`] takes; moving statistics.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - output: un-attended features `[batch, D, 4h, 4w]` and attention `[batch, 1, 4h, 4w]`, the
    ///   mean over the channels, where `h` and `w` are the sizes of the backbone's map
    pub fn label_features(&mut self, pictures: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let Attended {
            features,
            attention,
            ..
        } = self.attend(pictures);
        (features, attention.mean_dim(1))
    }

    fn attend(&mut self, pictures: Tensor<4>) -> Attended {
        let features = self.features(pictures);
        self.attention.attend(features, NormMode::Moving)
    }

    fn freeze_pretrained(self) -> Self {
        Self {
            backbone: self.backbone.no_grad(),
            projection: self.projection.no_grad(),
            ..self
        }
    }
}

/// Loads the network of step 2.1 from a pixel attention checkpoint of the published code.
///
/// # Errors
///
/// As [`import_module`]; the network is then as before.
pub fn import_attention_net(net: &mut AttentionNet, path: &Path) -> Result<Imported, Error> {
    let is_counter = |key: &str| key.ends_with("num_batches_tracked");
    let key = net.backbone.key();
    import_module(
        net,
        path,
        &|parameter| published_key(key, parameter),
        &is_counter,
    )
}

/// Writes the network of step 2.1 with the keys of the published pixel attention checkpoints;
/// returns the number of tensors.
///
/// # Errors
///
/// As [`export_module`].
pub fn export_attention_net(net: &AttentionNet, path: &Path) -> Result<usize, Error> {
    let key = net.backbone.key();
    export_module(net, path, &|parameter| published_key(key, parameter))
}

/// The key of a parameter in the published checkpoints, where the attention is called `fbg`.
///
/// `backbone` gives the keys of the backbone, [`Backbone::key`](pass_model::backbone::Backbone::key).
pub fn published_key(backbone: fn(&str) -> String, parameter: &str) -> String {
    let Some(name) = parameter.strip_prefix("attention.") else {
        return pass_key(backbone, parameter, &[]);
    };
    let layers = [("conv1", "0"), ("bn1", "1"), ("conv2", "3"), ("bn2", "4")];
    match name.split_once('.') {
        Some((layer, last)) => {
            let index = layers.iter().find(|(known, _)| *known == layer);
            let index = index.map_or(layer, |(_, index)| index);
            format!("fbg.atten.{index}.{last}")
        }
        None => "fbg.threshold".to_owned(),
    }
}

#[cfg(test)]
mod tests;
