//! The losses of PASS, one file for each term.
//!
//! | paper | file | function |
//! |---|---|---|
//! | image-level loss of SwAV | [`swapped_prediction`](mod@swapped_prediction) | [`swapped_prediction()`] |
//! | deep-to-shallow supervision, eq. 4 | [`d2s`] | [`d2s_loss`] |
//! | pixel-to-pixel alignment, eq. 2 | [`p2p`] | [`p2p_loss`] |
//! | other kinds of it, Table VIII (a) | [`p2p_kinds`] | [`contrastive_p2p_loss`], [`clustering_p2p_loss`] |
//! | consistency of PixPro, in PASS_p | [`pixel_consistency`] | [`pixel_consistency_loss`] |
//! | their weighted sum, eq. 5 | [`total`] | [`total_loss`] |
//! | all of step 1 from a pass of its network | [`pretrain`] | [`pretrain_loss`] |
//! | fine-tuning on pseudo labels | [`pixel_cross_entropy`](mod@pixel_cross_entropy) | [`pixel_cross_entropy()`] |

pub mod d2s;
pub mod p2p;
pub mod p2p_kinds;
pub mod pixel_consistency;
pub mod pixel_cross_entropy;
pub mod pretrain;
pub mod swapped_prediction;
pub mod total;

pub use d2s::d2s_loss;
pub use p2p::p2p_loss;
pub use p2p_kinds::{clustering_p2p_loss, contrastive_p2p_loss};
pub use pixel_consistency::{pixel_consistency_loss, positive_pairs};
pub use pixel_cross_entropy::{pixel_cross_entropy, pixel_cross_entropy_ignoring};
pub use pretrain::{PretrainLoss, PretrainLossConfig, pretrain_loss};
pub use swapped_prediction::{SwappedPrediction, SwappedPredictionConfig, swapped_prediction};
pub use total::{LossTerms, LossValues, LossWeights, total_loss};

use burn::tensor::{Tensor, activation::log_softmax, assert_shape};

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
