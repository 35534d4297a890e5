//! The network of step 1, pre-training: backbone, image-level head with prototypes, and the
//! optional heads of pixel-to-pixel alignment (P2P) and deep-to-shallow supervision (D2S).

use burn::{
    module::Module,
    tensor::{Device, Tensor, assert_shape},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    backbone::{ResNet, ResNetConfig, Stages},
    heads::{
        PixelProjection, PixelProjectionConfig, Predictor, PredictorConfig, ProjectionHead,
        ProjectionHeadConfig, ShallowHead, ShallowHeadConfig,
    },
    init::{WeightStream, name_parameters},
    norm::NormMode,
    normalize::{global_average_pool, l2_normalize},
    overlap::sample_overlap,
    prototypes::{Prototypes, PrototypesConfig},
};

/// Settings of a [`PretrainNet`]; the default is the published one for 50 classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainNetConfig {
    /// The backbone.
    pub backbone: ResNetConfig,
    /// Width of the hidden layers of all heads.
    pub hidden: usize,
    /// Length of an embedding.
    pub feature_dim: usize,
    /// Number of prototypes `K`.
    pub prototypes: usize,
    /// Stages of D2S, each in `1..=3` and at most once; empty without D2S.
    pub shallow: Vec<usize>,
    /// Whether the heads of P2P exist.
    pub p2p: bool,
}

/// The network of step 1.
#[derive(Module, Debug)]
pub struct PretrainNet {
    /// The backbone.
    pub backbone: ResNet,
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
    /// Projector of the last feature map.
    pub projection: PixelProjection,
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
}

impl Default for PretrainNetConfig {
    fn default() -> Self {
        Self {
            backbone: ResNetConfig::resnet18(),
            hidden: 512,
            feature_dim: 128,
            prototypes: 500,
            shallow: vec![3],
            p2p: true,
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
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let stream = &mut WeightStream::new(seed);
        let (hidden, embedding) = (self.hidden, self.feature_dim);
        let features = self.backbone.channels(4);
        let net = PretrainNet {
            backbone: self.backbone.init_from(stream, device),
            projection: ProjectionHeadConfig {
                features,
                hidden,
                embedding,
            }
            .init(stream, device),
            prototypes: PrototypesConfig {
                prototypes: self.prototypes,
                embedding,
            }
            .init(stream, device),
            pixel: self.p2p.then(|| self.init_pixel(stream, device)),
            shallow: self
                .shallow
                .iter()
                .map(|&s| self.init_shallow(s, stream, device))
                .collect(),
        };
        name_parameters(net)
    }

    fn init_pixel(&self, stream: &mut WeightStream, device: &Device) -> PixelAlignment {
        let projection = PixelProjectionConfig {
            channels_in: self.backbone.channels(4),
            hidden: self.hidden,
            channels_out: self.feature_dim,
        };
        PixelAlignment {
            projection: projection.init(stream, device),
            predictor: PredictorConfig {
                channels: self.feature_dim,
            }
            .init(stream, device),
        }
    }

    fn init_shallow(
        &self,
        stage: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> ShallowHead {
        let channels = self.backbone.channels(stage);
        let (hidden, embedding) = (self.hidden, self.feature_dim);
        ShallowHeadConfig {
            stage,
            channels,
            hidden,
            embedding,
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
        let mut groups = groups.into_iter();
        let global = groups
            .next()
            .expect("the first group holds the two global crops");
        let stages = self.backbone.forward(global, mode);
        let (projected, predicted) = self.align_pixels(&stages, grids, mode).unzip();

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
        }
    }

    /// `z` sampled where the two views overlap, and `q(z)`.
    fn align_pixels(
        &mut self,
        stages: &Stages,
        grids: Option<Tensor<3>>,
        mode: NormMode,
    ) -> Option<(Tensor<4>, Tensor<4>)> {
        let pixel = self.pixel.as_mut()?;
        let grids = grids?;
        let map = pixel.projection.forward(stages.stage(4), mode);
        let rows = map.dims()[0];
        assert_shape!(grids, [rows, 49, 2]);
        let projected = sample_overlap(map, grids);
        let predicted = pixel.predictor.forward(projected.clone(), mode);
        Some((projected, predicted))
    }

    fn shallow_scores(&mut self, stages: &Stages, mode: NormMode) -> Vec<(usize, Tensor<2>)> {
        let prototypes = &self.prototypes;
        let score = |head: &mut ShallowHead| {
            let embeddings = l2_normalize(head.forward(stages.stage(head.stage), mode), 1);
            (head.stage, prototypes.forward_detached(embeddings))
        };
        self.shallow.iter_mut().map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    fn config() -> PretrainNetConfig {
        PretrainNetConfig {
            backbone: ResNetConfig {
                width: 3,
                ..ResNetConfig::small()
            },
            hidden: 7,
            feature_dim: 5,
            prototypes: 4,
            shallow: vec![3, 1],
            p2p: true,
        }
    }

    fn crops(count: usize, size: usize, device: &Device) -> Tensor<4> {
        Tensor::random([count, 3, size, size], Distribution::Default, device)
    }

    #[track_caller]
    fn assert_equal<const D: usize>(a: Tensor<D>, b: Tensor<D>) {
        a.into_data()
            .assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn every_output_has_its_documented_shape() {
        let device = Device::default();
        let mut net = config().init(0, &device);
        let groups = vec![crops(2 * 3, 32, &device), crops(4 * 3, 16, &device)];
        let grids = Tensor::zeros([6, 49, 2], &device);
        let output = net.forward(groups, Some(grids), NormMode::Batch);
        assert_eq!(output.embeddings.dims(), [18, 5]);
        assert_eq!(output.scores.dims(), [18, 4]);
        assert_eq!(output.projected.unwrap().dims(), [6, 5, 7, 7]);
        assert_eq!(output.predicted.unwrap().dims(), [6, 5, 7, 7]);
        let shallow: Vec<_> = output
            .shallow_scores
            .iter()
            .map(|(s, t)| (*s, t.dims()))
            .collect();
        assert_eq!(shallow, [(3, [6, 4]), (1, [6, 4])]);
    }

    #[test]
    fn optional_heads_are_absent_when_not_asked_for() {
        let device = Device::default();
        let config = PretrainNetConfig {
            shallow: vec![],
            p2p: false,
            ..config()
        };
        let mut net = config.init(0, &device);
        let grids = Tensor::zeros([6, 49, 2], &device);
        let output = net.forward(vec![crops(6, 32, &device)], Some(grids), NormMode::Batch);
        assert!(net.pixel.is_none() && net.shallow.is_empty());
        assert!(output.projected.is_none() && output.predicted.is_none());
        assert!(output.shallow_scores.is_empty());
    }

    #[test]
    fn with_moving_statistics_a_group_does_not_feel_the_others() {
        let device = Device::default();
        let mut net = config().init(0, &device);
        let (global, local) = (crops(6, 32, &device), crops(3, 16, &device));
        let both = net.forward(vec![global.clone(), local.clone()], None, NormMode::Moving);
        let first = net.forward(vec![global], None, NormMode::Moving).embeddings;
        let second = net.forward(vec![local], None, NormMode::Moving).embeddings;
        assert_equal(both.embeddings, Tensor::cat(vec![first, second], 0));
    }

    #[test]
    fn each_group_moves_the_statistics_by_itself() {
        let device = Device::default();
        let mut net = config().init(0, &device);
        let mut twin = net.clone();
        let (global, local) = (crops(6, 32, &device), crops(3, 16, &device));
        net.forward(vec![global.clone(), local.clone()], None, NormMode::Batch);
        twin.backbone.forward(global, NormMode::Batch);
        twin.backbone.forward(local, NormMode::Batch);
        assert_equal(
            net.backbone.bn1.running_var.val(),
            twin.backbone.bn1.running_var.val(),
        );
    }

    #[test]
    fn deep_to_shallow_supervision_does_not_move_the_prototypes() {
        let device = Device::default().autodiff();
        let mut net = config().init(0, &device);
        let output = net.forward(vec![crops(6, 32, &device)], None, NormMode::Batch);
        let (_, scores) = &output.shallow_scores[0];
        let gradients = scores.clone().powi_scalar(2).sum().backward();
        assert!(net.prototypes.weight.val().grad(&gradients).is_none());
        assert!(
            net.shallow[0]
                .projection
                .linear1
                .weight
                .val()
                .grad(&gradients)
                .is_some()
        );
        assert!(net.backbone.conv1.weight.val().grad(&gradients).is_some());
    }

    #[test]
    fn a_stage_named_twice_or_stage_four_is_refused() {
        for shallow in [vec![3, 3], vec![4], vec![0]] {
            assert!(
                PretrainNetConfig {
                    shallow,
                    ..config()
                }
                .check()
                .is_err()
            );
        }
    }
}
