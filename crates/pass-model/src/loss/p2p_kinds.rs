//! The other kinds of pixel-to-pixel alignment that the paper compares with its own (Table VIII (a)):
//! contrastive and clustering P2P.
//!
//! "Pixels at the same position of two views are positive pairs and other pixels negative ones" is
//! all that the paper says (§5.3.1). What it leaves open is chosen here and said at each function.

use burn::tensor::{Tensor, activation::log_softmax, assert_shape};
use serde::{Deserialize, Serialize};

use super::{SwappedPredictionConfig, d2s_loss};
use crate::{
    group::Group, normalize::l2_normalize, overlap::OVERLAP_GRID, precision::product,
    queue::ASSIGNING_CROPS, sinkhorn::sinkhorn_knopp,
};

/// How P2P compares the pixels of two views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum P2pKind {
    /// Prediction from one view follows the projection of the other ([`super::p2p_loss`]).
    #[default]
    NonContrastive,
    /// [`contrastive_p2p_loss`].
    Contrastive,
    /// [`clustering_p2p_loss`].
    Clustering,
}

/// Temperature of [`contrastive_p2p_loss`], that of PixContrast.
pub const CONTRAST_TEMPERATURE: f64 = 0.3;

/// Contrastive P2P: each pixel has to find the pixel of its own place among all of the other view.
///
/// The mean over pictures, places and both directions of `-log softmax(cos / τ)` at the same
/// place. Ours, where the paper is silent: negatives are the other places of the same picture, τ is
/// PixContrast's, there is no predictor, and the gradient flows into both views. A picture without
/// overlap comes in as zeros and adds the constant `ln 49`.
///
/// # Shapes
///
/// - `projected`: `[2 · batch, channels, 7, 7]`, all pictures of crop 0 first
/// - output: `[1]`
///
/// # Panics
///
/// If the rows are not those of two crops.
pub fn contrastive_p2p_loss(projected: Tensor<4>) -> Tensor<1> {
    let [first, second] = unit_pixels(projected);
    let logits = product(first, second.swap_dims(1, 2)) / CONTRAST_TEMPERATURE; // [b, 49, 49]
    let [batch, places, _] = logits.dims();
    let same_place = Tensor::<2>::eye(places, &logits.device()).unsqueeze_dim::<3>(0);
    let found = log_softmax(logits.clone(), 2) + log_softmax(logits, 1);
    -(found * same_place).sum() / (2 * batch * places) as f64
}

/// Clustering P2P: each pixel predicts the prototype assigned to the pixel of its place in the other
/// view.
///
/// The swapped prediction of two crops, pixel by pixel. Ours, where the paper is silent: the
/// prototypes are those of the pictures, as constants; the pixels of the batch of all ranks balance
/// themselves, without a queue. Collective.
///
/// # Shapes
///
/// - `projected`: `[2 · batch, feature_dim, 7, 7]`, all pictures of crop 0 first
/// - `prototypes`: `[prototypes, feature_dim]`, of unit length
/// - output: `[1]`
///
/// # Panics
///
/// If the rows are not those of two crops, or the prototypes have another dimension.
pub fn clustering_p2p_loss(
    projected: Tensor<4>,
    prototypes: Tensor<2>,
    config: &SwappedPredictionConfig,
    ranks: &Group,
) -> Tensor<1> {
    let views = unit_pixels(projected).map(|view| view.flatten::<2>(0, 1));
    let [pixels, feature_dim] = views[0].dims();
    assert_shape!(prototypes, [_, feature_dim]);
    let scores = product(
        Tensor::cat(views.into(), 0),
        prototypes.detach().transpose(),
    );
    let assignments = [0, 1].map(|view| {
        let own = scores.clone().narrow(0, view * pixels, pixels);
        sinkhorn_knopp(own, &config.sinkhorn(), ranks)
    });
    d2s_loss(&assignments, scores, config.temperature)
}

/// The pixels of each view as unit vectors, `[batch, 49, channels]`.
fn unit_pixels(projected: Tensor<4>) -> [Tensor<3>; ASSIGNING_CROPS] {
    let [rows, channels, height, width] = projected.dims();
    assert!(rows % 2 == 0, "{rows} maps are not those of two crops");
    assert_eq!([height, width], [OVERLAP_GRID; 2], "places of the grid");
    let pixels = l2_normalize(projected, 1)
        .reshape([rows, channels, height * width])
        .swap_dims(1, 2);
    [0, 1].map(|view| pixels.clone().narrow(0, view * rows / 2, rows / 2))
}
