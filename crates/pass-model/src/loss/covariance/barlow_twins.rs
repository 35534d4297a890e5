//! Barlow Twins (Zbontar et al. 2021, <https://arxiv.org/abs/2103.03230>, eq. 1).

use burn::tensor::{Tensor, assert_shape};

use crate::{group::Group, norm::standardized, precision::product};

/// Added to the variance, as in the published program.
const EPSILON: f64 = 1e-5;

/// The terms of [`barlow_twins_loss`], each `[1]`.
#[derive(Clone, Debug)]
pub struct BarlowTerms {
    /// `Σ_j (C_jj - 1)²`, the `dim` at collapse.
    pub diagonal: Tensor<1>,
    /// `Σ_{j≠l} C_jl²`
    pub off_diagonal: Tensor<1>,
}

impl BarlowTerms {
    /// The loss: off-diagonal terms weigh λ.
    pub fn total(&self, lambda: f64) -> Tensor<1> {
        self.diagonal.clone() + self.off_diagonal.clone() * lambda
    }
}

/// The distance of the views' cross-correlation `C` from the identity.
///
/// Each coordinate is standardised over the batch, each view by itself. Batch and `C` are those of all
/// ranks, and the gradient is that of one process with the whole batch. Collective.
///
/// # Shapes
///
/// - each of `views`: `[pictures, dim]`
///
/// # Panics
///
/// If the shapes differ, or there is one picture on one rank.
pub fn barlow_twins_loss(views: [Tensor<2>; 2], group: &Group) -> BarlowTerms {
    let [pictures, dim] = views[0].dims();
    assert_shape!(views[1], [pictures, dim]);
    let batch = (group.size() * pictures) as f64;
    let [first, second] = views.map(|view| standardized(view, EPSILON, group));
    let on_diagonal = (first.clone() * second.clone()).sum_dim(0);
    let correlation = group.sum_of(product(first.transpose(), second)) / batch;
    let on_diagonal = group.sum_of(on_diagonal) / batch;
    let squares = correlation.square().sum();
    BarlowTerms {
        off_diagonal: squares - on_diagonal.clone().square().sum(),
        diagonal: (on_diagonal - 1.0).square().sum(),
    }
}
