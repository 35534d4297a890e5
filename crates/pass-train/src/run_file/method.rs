//! What step 1 trains: the method, and the variants of its parts that the paper compares.

use pass_model::loss::{d2s, p2p_kinds::P2pKind};
use serde::{Deserialize, Serialize};

/// The method of step 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// On SwAV: swapped prediction, P2P, D2S.
    #[default]
    PassS,
    /// On PixPro: its consistency of pixels with a momentum encoder, and all of `pass_s`.
    PassP,
}

/// The part of PASS_p that comes from PixPro; without effect in PASS_s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsistencySection {
    /// Weight of the consistency loss, outside the average as that of P2P. Not published.
    pub weight: f64,
    /// Hidden channels of its projector.
    pub hidden: usize,
    /// Channels of the pixel embeddings.
    pub dim: usize,
    /// What the momentum encoder keeps of itself in the first iteration; it rises to 1.
    pub momentum: f64,
    /// Pixels are positive pairs below this distance, in pixel diagonals.
    pub positive_ratio: f64,
}

impl Default for ConsistencySection {
    fn default() -> Self {
        Self {
            weight: 1.0,
            hidden: 4096,
            dim: 256,
            momentum: 0.99,
            positive_ratio: 0.7,
        }
    }
}

/// Pictures whose two crops do not overlap, in P2P.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyPairs {
    /// They count as 0 in the mean, and the predictor sees zeros: as the reference.
    #[default]
    Count,
    /// Neither the predictor nor the loss sees them.
    LeaveOut,
}

/// Where P2P samples the overlap of the two crops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapSampling {
    /// From edge to edge of the overlap: as the reference, where points on the rim of a crop weigh
    /// half.
    #[default]
    Edges,
    /// At the centres of 7×7 equal cells.
    CellCentres,
}

/// Variants of P2P; the defaults are the published ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlignmentSection {
    /// How pixels are compared (Table VIII (a)).
    pub kind: P2pKind,
    /// Whether P2P has a projector of its own (Table VIII (b)).
    pub projection: bool,
    /// Pictures whose crops do not overlap.
    pub empty_pairs: EmptyPairs,
    /// Where the overlap is sampled.
    pub sampling: OverlapSampling,
}

impl Default for AlignmentSection {
    fn default() -> Self {
        Self {
            kind: P2pKind::NonContrastive,
            projection: true,
            empty_pairs: EmptyPairs::Count,
            sampling: OverlapSampling::Edges,
        }
    }
}

/// Variants of D2S (Table VIII (c) and (d)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisionSection {
    /// Whose assignments a shallow stage learns.
    pub teacher: d2s::Teacher,
    /// From which of the two crops.
    pub view: d2s::TaughtView,
}
