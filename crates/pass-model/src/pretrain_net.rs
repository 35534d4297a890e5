//! The network of step 1, pre-training: backbone, image-level head with prototypes, and the
//! optional heads of pixel-to-pixel alignment (P2P) and deep-to-shallow supervision (D2S).

use burn::{
    module::Module,
    tensor::{Device, Tensor, assert_shape},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    backbone::{Backbone, BackboneConfig, Features},
    heads::{
        PixelProjection, PixelProjectionConfig, Predictor, PredictorConfig, ProjectionHead,
        ProjectionHeadConfig, ShallowHead, ShallowHeadConfig,
    },
    init::{WeightStream, name_parameters},
    norm::NormMode,
    normalize::{global_average_pool, l2_normalize},
    overlap::{OverlapPoints, rows_of_pictures, sample_overlap},
    prototypes::{Prototypes, PrototypesConfig},
};

/// Backbone, heads and prototypes; the default is the published one for 50 classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// The backbone: its name, or its settings.
    pub backbone: BackboneConfig,
    /// Hidden channels of all heads.
    pub hidden: usize,
    /// Dimensions of the embeddings that meet the prototypes.
    pub feature_dim: usize,
    /// Number of prototypes, K.
    pub prototypes: usize,
}

/// Settings of a [`PretrainNet`]; the default is the published one for 50 classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PretrainNetConfig {
    /// Backbone, widths of the heads, and prototypes.
    pub network: NetworkConfig,
    /// Stages of D2S, each in `1..=3` and at most once; empty without D2S.
    pub shallow: Vec<usize>,
    /// Whether the heads of P2P exist.
    pub p2p: bool,
    /// Whether P2P has a projector of its own; without it the predictor works on the last feature
    /// map (an ablation, Table VIII (b) of the paper).
    pub p2p_projection: bool,
}

/// The network of step 1.
#[derive(Module, Debug)]
pub struct PretrainNet {
    /// The backbone.
    pub backbone: Backbone,
    /// Image-level projection `P_4`.
    pub projection: ProjectionHead,
    /// The prototypes.
    pub prototypes: Prototypes,
    /// Heads of P2P.
    pub pixel: Option<PixelAlignment>,
    /// One head for each stage of D2S, in the order of the configuration.
    pub shallow: Vec<ShallowHead>,
}

/// The heads of pixel-to-pixel alignment (P2P), PASS equation (2).
#[derive(Module, Debug)]
pub struct PixelAlignment {
    /// Projector of the last feature map, if it has one.
    pub projection: Option<PixelProjection>,
    /// Predictor `q` of the sampled embeddings.
    pub predictor: Predictor,
}

/// What one pre-training pass returns: everything that the losses need.
///
/// `V` crops of `b` pictures each: rows `[v·b, (v+1)·b)` belong to crop `v`. The two global crops
/// are crops 0 and 1.
#[derive(Debug, Clone)]
pub struct PretrainOutput {
    /// Unit embeddings of all crops `[V·b, feature_dim]`.
    pub embeddings: Tensor<2>,
    /// Their products with the prototypes `[V·b, prototypes]`.
    pub scores: Tensor<2>,
    /// For each stage of D2S its number and the scores of the two global crops
    /// `[2·b, prototypes]`; prototypes are constants here.
    pub shallow_scores: Vec<(usize, Tensor<2>)>,
    /// Projected pixel embeddings `z` of the two global crops at the points where they overlap
    /// `[2·b, feature_dim, 7, 7]`.
    pub projected: Option<Tensor<4>>,
    /// Their predictions `q(z)`, of the same shape.
    pub predicted: Option<Tensor<4>>,
    /// The last feature map of the two global crops `[2·b, channels, height, width]`.
    pub features: Tensor<4>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            backbone: BackboneConfig::default(),
            hidden: 512,
            feature_dim: 128,
            prototypes: 500,
        }
    }
}

impl Default for PretrainNetConfig {
    fn default() -> Self {
        Self {
            network: NetworkConfig::default(),
            shallow: vec![3],
            p2p: true,
            p2p_projection: true,
        }
    }
}

impl PretrainNetConfig {
    /// Checks what the types do not.
    pub fn check(&self) -> Result<(), Error> {
        for (index, &stage) in self.shallow.iter().enumerate() {
            if !(1..=3).contains(&stage) || self.shallow[..index].contains(&stage) {
                return Err(Error::ShallowStage {
                    stage,
                    stages: self.shallow.clone(),
                });
            }
        }
        Ok(())
    }

    /// A network with the initial weights of a seed.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) fails.
    pub fn init(&self, seed: u64, device: &Device) -> PretrainNet {
        name_parameters(self.init_from(&mut WeightStream::new(seed), device))
    }

    /// A network whose weights are the next ones of a stream.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) fails.
    pub fn init_from(&self, stream: &mut WeightStream, device: &Device) -> PretrainNet {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let NetworkConfig {
            ref backbone,
            hidden,
            feature_dim: embedding,
            prototypes,
        } = self.network;
        let features = backbone.channels(4);
        PretrainNet {
            backbone: backbone.build(stream, device),
            projection: ProjectionHeadConfig {
                features,
                hidden,
                embedding,
            }
            .init(stream, device),
            prototypes: PrototypesConfig {
                prototypes,
                embedding,
            }
            .init(stream, device),
            pixel: self.p2p.then(|| self.init_pixel(stream, device)),
            shallow: self
                .shallow
                .iter()
                .map(|&s| self.init_shallow(s, stream, device))
                .collect(),
        }
    }

    fn init_pixel(&self, stream: &mut WeightStream, device: &Device) -> PixelAlignment {
        let network = &self.network;
        let features = network.backbone.channels(4);
        let projection = PixelProjectionConfig {
            channels_in: features,
            hidden: network.hidden,
            channels_out: network.feature_dim,
        };
        let channels = if self.p2p_projection {
            network.feature_dim
        } else {
            features
        };
        PixelAlignment {
            projection: self.p2p_projection.then(|| projection.init(stream, device)),
            predictor: PredictorConfig { channels }.init(stream, device),
        }
    }

    fn init_shallow(
        &self,
        stage: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> ShallowHead {
        ShallowHeadConfig {
            stage,
            channels: self.network.backbone.channels(stage),
            hidden: self.network.hidden,
            embedding: self.network.feature_dim,
        }
        .init(stream, device)
    }
}

impl PretrainNet {
    /// One pass over all crops of a batch.
    ///
    /// Each resolution goes through the backbone by itself, hence with batch statistics of its
    /// own. Without `grids` the P2P outputs are absent.
    ///
    /// # Shapes
    ///
    /// - `groups`: one tensor for each resolution, `[crops · b, 3, size, size]`, crop-major; the
    ///   first holds the two global crops
    /// - `grids`: `[2·b, 49, 2]`, for each row of the first group the 7×7 points (x, y) of the
    ///   overlap in `-1..=1`
    ///
    /// # Panics
    ///
    /// If there is no group, or `grids` has not one entry for each row of the first.
    pub fn forward(
        &mut self,
        groups: Vec<Tensor<4>>,
        grids: Option<Tensor<3>>,
        mode: NormMode,
    ) -> PretrainOutput {
        self.forward_at(groups, grids.map(OverlapPoints::all), mode)
    }

    /// The same, where P2P may leave pictures out: `P` of them are compared, and its outputs have
    /// `2·P` rows. They are absent where no picture is left.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_at(
        &mut self,
        groups: Vec<Tensor<4>>,
        points: Option<OverlapPoints>,
        mode: NormMode,
    ) -> PretrainOutput {
        let mut groups = groups.into_iter();
        let global = groups
            .next()
            .expect("the first group holds the two global crops");
        let stages = self.backbone.forward(global, mode);
        let (projected, predicted) = self.align_pixels(&stages, points, mode).unzip();

        let mut pooled = vec![global_average_pool(stages.stage(4))];
        for crops in groups {
            pooled.push(global_average_pool(
                self.backbone.forward(crops, mode).into_last(),
            ));
        }
        let embeddings = l2_normalize(self.projection.forward(Tensor::cat(pooled, 0), mode), 1);
        let shallow_scores = self.shallow_scores(&stages, mode);
        let scores = self.prototypes.forward(embeddings.clone());
        PretrainOutput {
            embeddings,
            scores,
            shallow_scores,
            projected,
            predicted,
            features: stages.into_last(),
        }
    }

    /// `z` sampled where the two views overlap, and `q(z)`.
    fn align_pixels(
        &mut self,
        stages: &Features,
        points: Option<OverlapPoints>,
        mode: NormMode,
    ) -> Option<(Tensor<4>, Tensor<4>)> {
        let pixel = self.pixel.as_mut()?;
        let OverlapPoints { grids, pictures } = points?;
        let map = match &mut pixel.projection {
            Some(projection) => projection.forward(stages.stage(4), mode),
            None => stages.stage(4),
        };
        let rows = map.dims()[0];
        assert_shape!(grids, [rows, 49, 2]);
        let (map, grids) = match pictures {
            None => (map, grids),
            Some(pictures) if pictures.is_empty() => return None,
            Some(pictures) => {
                let rows = rows_of_pictures(&pictures, rows / 2, &map.device());
                (map.select(0, rows.clone()), grids.select(0, rows))
            }
        };
        let projected = sample_overlap(map, grids);
        let predicted = pixel.predictor.forward(projected.clone(), mode);
        Some((projected, predicted))
    }

    fn shallow_scores(&mut self, stages: &Features, mode: NormMode) -> Vec<(usize, Tensor<2>)> {
        let prototypes = &self.prototypes;
        let score = |head: &mut ShallowHead| {
            let embeddings = l2_normalize(head.forward(stages.stage(head.stage), mode), 1);
            (head.stage, prototypes.forward_detached(embeddings))
        };
        self.shallow.iter_mut().map(score).collect()
    }
}

#[cfg(test)]
mod tests;
