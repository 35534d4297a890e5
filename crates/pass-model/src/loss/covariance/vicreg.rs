//! VICReg: variance, invariance, covariance (Bardes et al. 2021, <https://arxiv.org/abs/2105.04906>, §4).

use burn::tensor::{Tensor, assert_shape};
use fast_ops::relu;
use serde::{Deserialize, Serialize};

use crate::{group::Group, precision::product};

/// Added to the variance before the square root.
const EPSILON: f64 = 1e-4;

/// Weights of the terms of VICReg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VicRegWeights {
    /// Of the squared distance of the views.
    pub invariance: f64,
    /// Of the hinge on the deviations.
    pub variance: f64,
    /// Of the covariances.
    pub covariance: f64,
}

/// How the hinges of the two views are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VarianceShare {
    /// By their mean, as in the published program.
    #[default]
    Mean,
    /// By their sum, as in the paper.
    Sum,
}

/// The terms of [`vicreg_loss`], each `[1]` and before weighting.
#[derive(Clone, Debug)]
pub struct VicRegTerms {
    /// Mean squared difference of the views' coordinates.
    pub invariance: Tensor<1>,
    /// Mean over coordinates of `max(0, 1 - deviation)`, of both views by their [`VarianceShare`].
    pub variance: Tensor<1>,
    /// Squared covariances of each two coordinates, over `dim`, the sum of both views.
    pub covariance: Tensor<1>,
}

impl VicRegTerms {
    /// The weighted sum.
    pub fn total(&self, weights: &VicRegWeights) -> Tensor<1> {
        self.invariance.clone() * weights.invariance
            + self.variance.clone() * weights.variance
            + self.covariance.clone() * weights.covariance
    }
}

/// The three terms of VICReg.
///
/// Variances and covariances are those of the batch of all ranks, and their gradient is that of one
/// process with the whole batch; the invariance is that of this rank's pictures. Collective.
///
/// # Shapes
///
/// - each of `views`: `[pictures, dim]`
///
/// # Panics
///
/// If the shapes differ, or there is one picture on one rank.
pub fn vicreg_loss(views: [Tensor<2>; 2], share: VarianceShare, group: &Group) -> VicRegTerms {
    let [pictures, dim] = views[0].dims();
    assert_shape!(views[1], [pictures, dim]);
    let invariance = (views[0].clone() - views[1].clone()).square().mean();
    let [first, second] = views.map(|view| spread(view, group));
    let hinges = first.hinge + second.hinge;
    VicRegTerms {
        invariance,
        variance: match share {
            VarianceShare::Mean => hinges / 2.0,
            VarianceShare::Sum => hinges,
        },
        covariance: first.covariance + second.covariance,
    }
}

/// What a view adds to variance and covariance.
struct Spread {
    hinge: Tensor<1>,
    covariance: Tensor<1>,
}

fn spread(view: Tensor<2>, group: &Group) -> Spread {
    let [pictures, dim] = view.dims();
    let batch = group.size() * pictures;
    assert!(batch > 1, "a covariance needs more than one picture");
    let mean = group.sum_of(view.clone().sum_dim(0)) / batch as f64;
    let centred = view - mean;
    let degrees = (batch - 1) as f64;
    let variances = group.sum_of(centred.clone().square().sum_dim(0)) / degrees;
    let covariances = product(centred.clone().transpose(), centred);
    let covariances = group.sum_of(covariances) / degrees;
    let off_diagonal = covariances.square().sum() - variances.clone().square().sum();
    Spread {
        hinge: relu(-(variances + EPSILON).sqrt() + 1.0).mean(),
        covariance: off_diagonal / dim as f64,
    }
}
