//! The sections of a run file that decide what is learned: `pretrain`, `attention`,
//! `finetune`.

use imagenet_s::views::{CropGroup, MultiCropConfig};
use pass_model::{
    group::Group,
    loss::{SwappedPredictionConfig, d2s::SupervisionConfig},
    method::{
        adco::AdCoConfig, barlow_twins::BarlowTwinsConfig, byol::ByolConfig,
        densecl::DenseClConfig, dino::DinoConfig, emp_ssl::EmpSslConfig, moco_v2::MoCoV2Config,
        moco_v3::MoCoV3Config, pass::ConsistencyConfig, pcl::PclConfig, pixpro::PixProConfig,
        simclr::SimClrConfig, simsiam::SimSiamConfig, supervised::SupervisedConfig,
        swav::SwavConfig, vicreg::VicRegConfig,
    },
    norm::NormMode,
    optim::OptimConfig,
    overlap::AlignmentConfig,
};
use serde::{Deserialize, Serialize};

use super::Method;

/// How settings that were published for a batch of [`PUBLISHED_BATCH`] meet another batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchRule {
    /// They stay as they are given.
    #[default]
    Off,
    /// Learning rates and queue length in proportion to the batch: so the queue reaches back over
    /// as many iterations as the published one.
    Linear,
}

/// Pictures in a batch of every published run.
pub const PUBLISHED_BATCH: usize = 256;

impl BatchRule {
    /// What learning rates are multiplied with.
    pub fn factor(self, batch: usize) -> f64 {
        match self {
            Self::Off => 1.0,
            Self::Linear => batch as f64 / PUBLISHED_BATCH as f64,
        }
    }

    /// The length of a queue for this batch.
    pub fn queue_length(self, given: usize, batch: usize) -> usize {
        match self {
            Self::Off => given,
            Self::Linear => given * batch / PUBLISHED_BATCH,
        }
    }
}

/// Step 1: representation learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainSection {
    /// What is trained.
    pub method: Method,
    /// Passes over the training pictures; 0 leaves the backbone untrained (a control).
    pub epochs: usize,
    /// Epochs are raised until there are so many updates on the training images; 0 leaves them. A run that
    /// begins resolves this: its `run.toml` has the epochs that it takes.
    pub least_updates: usize,
    /// Pictures per step.
    pub batch: usize,
    /// How rates and queue meet another batch than the published one.
    pub batch_rule: BatchRule,
    /// Parts of a batch that go through the network one after the other before each update; batch
    /// statistics and assignments are those of a part.
    pub accumulate: usize,
    /// Optimiser and schedule.
    pub optim: OptimConfig,
    /// Multi-crop views.
    pub views: MultiCropConfig,
    /// Swapped prediction.
    pub swapped: SwappedPredictionConfig,
    /// Iterations during which the prototypes keep still.
    pub freeze_prototypes_iterations: usize,
    /// Weight of the swapped prediction among the averaged terms.
    pub swapped_weight: f64,
    /// Shallow stages that D2S supervises (1 to 3), none to leave D2S out.
    pub shallow: Vec<usize>,
    /// Weight of each of them.
    pub shallow_weights: Vec<f64>,
    /// Whether P2P takes part.
    pub p2p: bool,
    /// Weight of P2P, outside the average.
    pub p2p_weight: f64,
    /// Variants of P2P.
    pub alignment: AlignmentConfig,
    /// Variants of D2S.
    pub supervision: SupervisionConfig,
    /// The part of PASS_p that PASS_s does not have.
    pub consistency: ConsistencyConfig,
    /// The constants of this method, as of the following.
    pub supervised: SupervisedConfig,
    /// SimCLR.
    pub simclr: SimClrConfig,
    /// MoCo v2.
    pub moco_v2: MoCoV2Config,
    /// AdCo.
    pub adco: AdCoConfig,
    /// BYOL.
    pub byol: ByolConfig,
    /// SimSiam.
    pub simsiam: SimSiamConfig,
    /// PCL v2.
    pub pcl: PclConfig,
    /// DenseCL.
    pub densecl: DenseClConfig,
    /// SwAV, beside `swapped` and `freeze_prototypes_iterations`.
    pub swav: SwavConfig,
    /// PixPro.
    pub pixpro: PixProConfig,
    /// Barlow Twins.
    pub barlow_twins: BarlowTwinsConfig,
    /// VICReg.
    pub vicreg: VicRegConfig,
    /// MoCo v3.
    pub moco_v3: MoCoV3Config,
    /// DINO.
    pub dino: DinoConfig,
    /// EMP-SSL.
    pub emp_ssl: EmpSslConfig,
}

impl PretrainSection {
    /// The crops that are drawn: those that the method looks at.
    pub(crate) fn drawn_views(&self) -> MultiCropConfig {
        let first = |crops| self.views.first(crops);
        self.method
            .crops()
            .map_or_else(|| self.views.clone(), first)
    }
}

impl Default for PretrainSection {
    fn default() -> Self {
        Self {
            method: Method::PassS,
            epochs: 200,
            least_updates: 0,
            batch: 256,
            batch_rule: BatchRule::Off,
            accumulate: 1,
            optim: OptimConfig::default(),
            views: MultiCropConfig {
                groups: vec![
                    CropGroup::new(2, 224, [0.14, 1.0]),
                    CropGroup::new(6, 96, [0.05, 0.14]),
                ],
                ..Default::default()
            },
            swapped: SwappedPredictionConfig::default(),
            freeze_prototypes_iterations: 1001,
            swapped_weight: 1.0,
            shallow: vec![3],
            shallow_weights: vec![1.0],
            p2p: true,
            p2p_weight: 1.0,
            alignment: AlignmentConfig::default(),
            supervision: SupervisionConfig::default(),
            consistency: ConsistencyConfig::default(),
            supervised: SupervisedConfig::default(),
            simclr: SimClrConfig::default(),
            moco_v2: MoCoV2Config::default(),
            adco: AdCoConfig::default(),
            byol: ByolConfig::default(),
            simsiam: SimSiamConfig::default(),
            pcl: PclConfig::default(),
            densecl: DenseClConfig::default(),
            swav: SwavConfig::default(),
            pixpro: PixProConfig::default(),
            barlow_twins: BarlowTwinsConfig::default(),
            vicreg: VicRegConfig::default(),
            moco_v3: MoCoV3Config::default(),
            dino: DinoConfig::default(),
            emp_ssl: EmpSslConfig::default(),
        }
    }
}

/// How a pretrained backbone normalises while something learns on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrozenNorms {
    /// Batch statistics, running ones drift: as the reference.
    Batch,
    /// The running statistics of step 1.
    Moving,
}

impl FrozenNorms {
    /// How the norms of a network compute, on all of these ranks.
    pub(crate) fn mode(self, ranks: &Group) -> NormMode<'_> {
        match self {
            Self::Batch => NormMode::Group(ranks),
            Self::Moving => NormMode::Moving,
        }
    }
}

/// Step 2.1: pixel attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentionSection {
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Epochs are raised until there are so many updates on the training images; 0 leaves them. A run that
    /// begins resolves this: its `run.toml` has the epochs that it takes.
    pub least_updates: usize,
    /// Pictures per step.
    pub batch: usize,
    /// How rates and queue meet another batch than the published one.
    pub batch_rule: BatchRule,
    /// Parts of a batch that go through the network one after the other before each update; batch
    /// statistics and assignments are those of a part.
    pub accumulate: usize,
    /// Optimiser and schedule.
    pub optim: OptimConfig,
    /// Views: two global crops.
    pub views: MultiCropConfig,
    /// Swapped prediction.
    pub swapped: SwappedPredictionConfig,
    /// Statistics of the frozen backbone.
    pub frozen_norms: FrozenNorms,
    /// Whether the prototypes learn too.
    pub train_prototypes: bool,
    /// One attention for all channels instead of one for each (table X (c) of the paper).
    pub shared: bool,
}

impl Default for AttentionSection {
    fn default() -> Self {
        Self {
            epochs: 20,
            least_updates: 0,
            batch: 256,
            batch_rule: BatchRule::Off,
            accumulate: 1,
            optim: OptimConfig {
                base_lr: 6.0,
                ..Default::default()
            },
            views: MultiCropConfig {
                groups: vec![CropGroup::new(2, 224, [0.08, 1.0])],
                ..Default::default()
            },
            swapped: SwappedPredictionConfig {
                queue_length: 3840,
                queue_from_epoch: 0,
                ..Default::default()
            },
            frozen_norms: FrozenNorms::Batch,
            train_prototypes: true,
            shared: false,
        }
    }
}

/// Step 3: fine-tuning on the pseudo labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinetuneSection {
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Epochs are raised until there are so many updates on the training images; 0 leaves them. A run that
    /// begins resolves this: its `run.toml` has the epochs that it takes.
    pub least_updates: usize,
    /// Pictures per step.
    pub batch: usize,
    /// How rates and queue meet another batch than the published one.
    pub batch_rule: BatchRule,
    /// Parts of a batch that go through the network one after the other before each update; batch
    /// statistics and assignments are those of a part.
    pub accumulate: usize,
    /// Optimiser and schedule.
    pub optim: OptimConfig,
    /// Side of the crop, in pixels.
    pub crop: usize,
    /// Smallest area of the crop, as a share of the picture.
    pub min_scale: f64,
    /// Largest area of the crop, as a share of the picture.
    pub max_scale: f64,
    /// Labels are brought to 1/this of the crop before the loss.
    pub label_stride: usize,
    /// Statistics of the backbone's norms, whose scales and offsets learn either way.
    pub norms: FrozenNorms,
    /// How the head's weights are drawn.
    pub head: HeadDraw,
}

/// How the weights of the head of step 3 are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadDraw {
    /// Normal, with a deviation that follows the number of classes: the published draw.
    #[default]
    He,
    /// Uniform in `±1/√channels`: logits begin near 0 for any number of classes.
    Uniform,
}

impl Default for FinetuneSection {
    fn default() -> Self {
        Self {
            epochs: 20,
            least_updates: 0,
            batch: 256,
            batch_rule: BatchRule::Off,
            accumulate: 1,
            optim: OptimConfig::default(),
            crop: 224,
            min_scale: 0.08,
            max_scale: 1.0,
            label_stride: 2,
            norms: FrozenNorms::Batch,
            head: HeadDraw::He,
        }
    }
}
