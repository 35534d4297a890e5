//! The losses, one file for each: functions without a state.
//!
//! | of PASS | file | function |
//! |---|---|---|
//! | image-level loss of SwAV | [`swapped_prediction`](mod@swapped_prediction) | [`swapped_prediction()`] |
//! | deep-to-shallow supervision, eq. 4 | [`d2s`] | [`d2s_loss`] |
//! | pixel-to-pixel alignment, eq. 2 | [`p2p`] | [`p2p_loss`] |
//! | other kinds of it, Table VIII (a) | [`p2p_kinds`] | [`contrastive_p2p_loss`], [`clustering_p2p_loss`] |
//! | consistency of PixPro, in PASS_p | [`pixel_consistency`] | [`pixel_consistency_loss`] |
//! | their weighted sum, eq. 5 | [`total`] | [`total_loss`] |
//! | all of step 1 from a pass of its network | [`pretrain`] | [`pretrain_loss`] |
//! | fine-tuning on pseudo labels | [`pixel_cross_entropy`](mod@pixel_cross_entropy) | [`pixel_cross_entropy()`] |
//!
//! | of other methods | file | function |
//! |---|---|---|
//! | SimCLR; MoCo v3 | [`in_batch`] | [`nt_xent`]; [`key_contrast`] |
//! | BYOL; SimSiam | [`cosine_regression`] | [`byol_loss`]; [`simsiam_loss`] |
//! | Barlow Twins; VICReg | [`covariance`] | [`barlow_twins_loss`]; [`vicreg_loss`] |
//! | EMP-SSL | [`covariance`], [`cosine_regression`] | [`coding_rate`], [`similarity_to_mean`] |
//! | MoCo | [`info_nce`](mod@info_nce) | [`info_nce()`] |
//! | AdCo | [`bank_contrast`](mod@bank_contrast) | [`bank_contrast()`], [`bank_gradient`] |
//! | PCL | [`prototype_contrast`](mod@prototype_contrast) | [`prototype_contrast()`], [`concentrations`] |
//! | DenseCL | [`dense_contrast`](mod@dense_contrast) | [`matching_places`], [`dense_contrast()`] |
//! | DINO | [`self_distillation`] | [`dino_loss`] |

pub mod bank_contrast;
pub mod cosine_regression;
pub mod covariance;
pub mod d2s;
pub mod dense_contrast;
pub mod in_batch;
pub mod info_nce;
pub mod p2p;
pub mod p2p_kinds;
pub mod pixel_consistency;
pub mod pixel_cross_entropy;
pub mod pretrain;
pub mod prototype_contrast;
pub mod self_distillation;
pub mod swapped_prediction;
pub mod total;

pub use bank_contrast::{bank_contrast, bank_gradient};
pub use cosine_regression::{byol_loss, similarity_to_mean, simsiam_loss};
pub use covariance::{
    BarlowTerms, VarianceShare, VicRegTerms, VicRegWeights, barlow_twins_loss, coding_rate,
    vicreg_loss,
};
pub use d2s::d2s_loss;
pub use dense_contrast::{dense_contrast, matching_places};
pub use in_batch::{key_contrast, nt_xent};
pub use info_nce::info_nce;
pub use p2p::p2p_loss;
pub use p2p_kinds::{clustering_p2p_loss, contrastive_p2p_loss};
pub use pixel_consistency::{pixel_consistency_loss, positive_pairs};
pub use pixel_cross_entropy::{pixel_cross_entropy, pixel_cross_entropy_ignoring};
pub use pretrain::{PretrainLoss, PretrainLossConfig, pretrain_loss};
pub use prototype_contrast::{concentrations, prototype_contrast};
pub use self_distillation::{DinoTemperatures, dino_loss};
pub use swapped_prediction::{SwappedPrediction, SwappedPredictionConfig, swapped_prediction};
pub use total::{LossTerms, LossValues, LossWeights, total_loss};

use burn::tensor::{Int, Tensor, activation::log_softmax, assert_shape};

/// Mean over the rows of `-Σ_k target_k · log softmax(scores / temperature)_k`.
///
/// # Shapes
///
/// - `scores`, `targets`: `[rows, prototypes]`
/// - output: `[1]`
fn soft_cross_entropy(scores: Tensor<2>, targets: Tensor<2>, temperature: f64) -> Tensor<1> {
    let [rows, prototypes] = scores.dims();
    assert_shape!(targets, [rows, prototypes]);
    let log_probabilities = log_softmax(scores / temperature, 1);
    -(targets * log_probabilities).sum() / rows as f64
}

/// Mean over the rows of `-log softmax(scores)` at the column of each.
///
/// # Shapes
///
/// - `scores`: `[rows, columns]`
/// - `columns`: `[rows]`
/// - output: `[1]`
fn cross_entropy(scores: Tensor<2>, columns: Tensor<1, Int>) -> Tensor<1> {
    -log_softmax(scores, 1)
        .gather(1, columns.unsqueeze_dim(1))
        .mean()
}
