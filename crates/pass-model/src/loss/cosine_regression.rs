//! Regression on the cosine: a prediction from one view follows what the other view gives, without
//! negatives.
//!
//! BYOL (Grill et al. 2020, <https://arxiv.org/abs/2006.07733>, eq. 2), SimSiam (Chen and He 2020,
//! <https://arxiv.org/abs/2011.10566>, eq. 2), and the similarity of patches of EMP-SSL (Tong et al.
//! 2023, <https://arxiv.org/abs/2304.03977>, eq. 2).

use burn::tensor::{Tensor, assert_shape};

use crate::normalize::l2_normalize;

/// BYOL's loss: the squared distance of each prediction, as a unit vector, from the target of the other
/// view; the sum of both directions, the mean over pictures. In `[0, 8]`: 0 where they agree, as they do
/// at collapse, and 4 at a right angle.
///
/// The gradient flows into the predictions only.
///
/// # Shapes
///
/// - `predictions`, `targets`, for each view: `[pictures, dim]`, of any length
/// - output: `[1]`
///
/// # Panics
///
/// If the shapes differ.
pub fn byol_loss(predictions: [Tensor<2>; 2], targets: [Tensor<2>; 2]) -> Tensor<1> {
    crossed_cosines(predictions, targets) * -2.0 + 4.0
}

/// SimSiam's loss: the negative mean cosine of each prediction and the projection of the other view. In
/// `[-1, 1]`: -1 where they agree, as they do at collapse.
///
/// The gradient flows into the predictions only.
///
/// # Shapes
///
/// As [`byol_loss`].
///
/// # Panics
///
/// As [`byol_loss`].
pub fn simsiam_loss(predictions: [Tensor<2>; 2], projections: [Tensor<2>; 2]) -> Tensor<1> {
    crossed_cosines(predictions, projections) / -2.0
}

/// EMP-SSL's similarity: the mean cosine of each view of a picture and the mean of all its views.
///
/// # Shapes
///
/// - `views`: `[views, pictures, dim]`, of unit length
/// - output: `[1]`, in `[0, 1]`
pub fn similarity_to_mean(views: Tensor<3>) -> Tensor<1> {
    let [count, pictures, _] = views.dims();
    let mean = l2_normalize(views.clone().mean_dim(0), 2);
    (l2_normalize(views, 2) * mean).sum() / (count * pictures) as f64
}

/// The mean cosine of each view's predictions and the other's targets, summed over both directions.
fn crossed_cosines(predictions: [Tensor<2>; 2], targets: [Tensor<2>; 2]) -> Tensor<1> {
    let [first, second] = targets;
    let [of_first, of_second] = predictions;
    mean_cosine(of_first, second) + mean_cosine(of_second, first)
}

/// The mean over rows; the gradient flows into `predicted`.
fn mean_cosine(predicted: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let [rows, dim] = predicted.dims();
    assert_shape!(target, [rows, dim]);
    (l2_normalize(predicted, 1) * l2_normalize(target.detach(), 1)).sum() / rows as f64
}
