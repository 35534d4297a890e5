//! The steps of PASS, one file each: what they read, compute and leave in the run directory.

pub mod attention;
pub mod cluster;
pub mod distance;
mod embeddings;
pub mod evaluate;
pub mod export;
pub mod finetune;
pub mod labels;
pub mod predict;
pub mod pretrain;
mod restarts;
pub mod threshold;
pub mod weights;

/// A step of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before all others: every picture and mask is read once.
    CheckData,
    /// Step 1: representation learning.
    Pretrain,
    /// The k-NN protocol, from the weights of step 1.
    DistanceMatching,
    /// Step 2.1: pixel attention.
    TuneAttention,
    /// Step 2.2: clustering.
    Cluster,
    /// Step 2.3: the attention threshold.
    SweepThreshold,
    /// Step 2.4: pseudo labels.
    GenerateLabels,
    /// Step 3: fine-tuning.
    Finetune,
    /// Step 4: inference.
    Predict,
    /// The numbers.
    Evaluate,
}

impl Step {
    /// All steps, each after those it needs.
    pub(crate) const ALL: [Self; 10] = [
        Self::CheckData,
        Self::Pretrain,
        Self::DistanceMatching,
        Self::TuneAttention,
        Self::Cluster,
        Self::SweepThreshold,
        Self::GenerateLabels,
        Self::Finetune,
        Self::Predict,
        Self::Evaluate,
    ];

    /// The name on the terminal, in the log and on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::CheckData => "check_data",
            Self::Pretrain => "pretrain",
            Self::TuneAttention => "tune_attention",
            Self::Cluster => "cluster",
            Self::SweepThreshold => "sweep_threshold",
            Self::GenerateLabels => "generate_labels",
            Self::Finetune => "finetune",
            Self::Predict => "predict",
            Self::DistanceMatching => "distance_matching",
            Self::Evaluate => "evaluate",
        }
    }

    /// This step and those whose result follows from its own.
    pub(crate) fn and_dependents(self) -> Vec<Self> {
        if self == Self::DistanceMatching {
            return vec![Self::DistanceMatching, Self::Evaluate];
        }
        let own = Self::ALL
            .into_iter()
            .position(|step| step == self)
            .expect("all are listed");
        Self::ALL[own..].to_vec()
    }
}
