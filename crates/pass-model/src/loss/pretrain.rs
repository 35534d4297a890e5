//! The loss of step 1, from a pass of its network to the weighted total.

use burn::tensor::Tensor;

use super::{
    LossTerms, LossWeights, SwappedPredictionConfig,
    d2s::{
        SupervisionConfig, TaughtView, Teacher, d2s_loss, d2s_loss_same_view,
        same_stage_assignments,
    },
    p2p_kinds::{P2pKind, clustering_p2p_loss, contrastive_p2p_loss},
    p2p_loss, swapped_prediction, total_loss,
};
use crate::{
    group::Group,
    pretrain_net::PretrainOutput,
    queue::{ASSIGNING_CROPS, Queue},
};

/// Settings of [`pretrain_loss`]; the default is the published one.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainLossConfig {
    /// Swapped prediction; its temperature and balance serve all losses that meet prototypes.
    pub swapped: SwappedPredictionConfig,
    /// What D2S teaches.
    pub supervision: SupervisionConfig,
    /// The kind of P2P, if it takes part.
    pub p2p: Option<P2pKind>,
    /// Weights of the terms.
    pub weights: LossWeights,
}

impl Default for PretrainLossConfig {
    fn default() -> Self {
        Self {
            swapped: SwappedPredictionConfig::default(),
            supervision: SupervisionConfig::default(),
            p2p: Some(P2pKind::NonContrastive),
            weights: LossWeights::default(),
        }
    }
}

/// What [`pretrain_loss`] returns.
#[derive(Clone, Debug)]
pub struct PretrainLoss {
    /// The total and its terms.
    pub terms: LossTerms,
    /// The assignments of the two large crops, each `[batch, prototypes]`, constants.
    pub assignments: [Tensor<2>; ASSIGNING_CROPS],
}

/// All terms of PASS_s and their total.
///
/// Where P2P takes part and a batch has nothing to compare, its term is 0.
///
/// # Shapes
///
/// - `output`: that of `crops` crops, the two large ones first
/// - `prototypes`: `[prototypes, feature_dim]`, of unit length
///
/// Of one rank's share of the batch: assignments are balanced over all ranks; all terms are means
/// over this rank's pictures, of which each rank has as many. Pictures that P2P leaves out are not:
/// their number differs from rank to rank.
///
/// # Panics
///
/// As [`swapped_prediction()`] and [`total_loss`].
pub fn pretrain_loss(
    output: PretrainOutput,
    prototypes: Tensor<2>,
    queue: Option<&mut Queue>,
    config: &PretrainLossConfig,
    crops: usize,
    ranks: &Group,
) -> PretrainLoss {
    let PretrainOutput {
        embeddings,
        scores,
        shallow_scores,
        projected,
        predicted,
        ..
    } = output;
    let constants = prototypes.clone().detach();
    let swapped = swapped_prediction(
        scores,
        embeddings,
        prototypes,
        queue,
        &config.swapped,
        crops,
        ranks,
    );
    let d2s = shallow_scores
        .into_iter()
        .map(|(stage, scores)| (stage, taught(&swapped.assignments, scores, config, ranks)))
        .collect();
    let p2p = config.p2p.map(|kind| match projected.zip(predicted) {
        Some((projected, predicted)) => aligned(
            kind,
            [projected, predicted],
            constants.clone(),
            config,
            ranks,
        ),
        None => Tensor::zeros([1], &constants.device()),
    });
    PretrainLoss {
        terms: total_loss(swapped.loss, d2s, p2p, &config.weights),
        assignments: swapped.assignments,
    }
}

/// D2S of one stage.
fn taught(
    deep: &[Tensor<2>; ASSIGNING_CROPS],
    scores: Tensor<2>,
    config: &PretrainLossConfig,
    ranks: &Group,
) -> Tensor<1> {
    let assignments = match config.supervision.teacher {
        Teacher::Deep => deep.clone(),
        Teacher::SameStage => {
            same_stage_assignments(scores.clone(), &config.swapped.sinkhorn(), ranks)
        }
    };
    let loss = match config.supervision.view {
        TaughtView::Cross => d2s_loss,
        TaughtView::Same => d2s_loss_same_view,
    };
    loss(&assignments, scores, config.swapped.temperature)
}

/// P2P of one kind.
fn aligned(
    kind: P2pKind,
    [projected, predicted]: [Tensor<4>; 2],
    prototypes: Tensor<2>,
    config: &PretrainLossConfig,
    ranks: &Group,
) -> Tensor<1> {
    match kind {
        P2pKind::NonContrastive => p2p_loss(projected, predicted),
        P2pKind::Contrastive => contrastive_p2p_loss(projected),
        P2pKind::Clustering => clustering_p2p_loss(projected, prototypes, &config.swapped, ranks),
    }
}
