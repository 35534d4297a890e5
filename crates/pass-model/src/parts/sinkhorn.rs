//! Sinkhorn-Knopp: turns prototype scores into balanced soft assignments.
//!
//! SwAV (Caron et al. 2020, <https://arxiv.org/abs/2006.09882>, §3.1) assigns a batch of
//! embeddings to `K` prototypes under one constraint: every prototype receives the same total
//! weight. PASS reuses the assignments as targets for the image-level loss
//! ([`crate::loss::swapped_prediction()`]) and for deep-to-shallow supervision
//! ([`crate::loss::d2s`]).

use burn::{
    config::Config,
    tensor::{FloatDType, Tensor, assert_shape},
};

use crate::group::Group;

/// Settings of [`sinkhorn_knopp`].
#[derive(Config, Debug, Copy, PartialEq)]
pub struct SinkhornConfig {
    /// Entropy regularisation ε, in units of cosine similarity; smaller is sharper.
    ///
    /// Below about 0.025 the smallest weights of cosine similarities leave the range of float32.
    #[config(default = 0.05)]
    pub epsilon: f64,
    /// Alternating column and row normalisations, at least 1.
    #[config(default = 3)]
    pub iterations: usize,
}

/// Balanced soft assignment of each sample to the prototypes.
///
/// The assignments are constants of the loss: no gradient flows through them. They are computed
/// in float32 whatever the type of the scores.
///
/// The samples are those of all ranks together; each rank gives and gets its own rows. As in the
/// reference, the sums over samples run over ranks, those over prototypes do not.
///
/// # Shapes
///
/// - `scores`: `[batch, prototypes]`, cosine similarities in `[-1, 1]`
/// - output: `[batch, prototypes]`; each row sums to 1, each column to about
///   `batch / prototypes`
///
/// # Panics
///
/// If `config.iterations` is zero: the rows would not be distributions.
pub fn sinkhorn_knopp(scores: Tensor<2>, config: &SinkhornConfig, ranks: &Group) -> Tensor<2> {
    assert!(
        config.iterations > 0,
        "Sinkhorn-Knopp needs at least one iteration"
    );
    let [batch, prototypes] = scores.dims();
    let scores = scores.inner().cast(FloatDType::F32);
    // The first normalisation cancels any constant, so the largest exponent may as well be 0.
    let largest = ranks.max_constant(scores.clone().max().reshape([1, 1]));
    let mut weights = ((scores - largest) / config.epsilon).exp();

    for _ in 0..config.iterations {
        weights = weights.clone() / ranks.sum_of(weights.sum_dim(0)); // equal weight per prototype
        weights = weights.clone() / weights.sum_dim(1); // a distribution per sample
    }

    assert_shape!(weights, [batch, prototypes]);
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use golden::assert_near;

    fn scores() -> Tensor<2> {
        let rows = [
            [0.9, 0.1, -0.3],
            [0.8, 0.2, 0.0],
            [0.7, -0.1, 0.4],
            [-0.2, 0.5, 0.6],
        ];
        Tensor::from_floats(rows, &Device::default())
    }

    /// Dividing by ε = 0.05 turns a score's rounding of 6e-8 into 1e-6 of the weight.
    #[track_caller]
    fn assert_close(actual: Tensor<2>, expected: impl Into<TensorData>) {
        assert_near(actual, expected, [0.0, 1e-5]);
    }

    #[test]
    fn rows_are_distributions() {
        let q = sinkhorn_knopp(scores(), &SinkhornConfig::new(), &Group::default());
        assert_close(q.sum_dim(1), [[1.0], [1.0], [1.0], [1.0]]);
    }

    #[test]
    fn prototypes_share_the_batch_equally_once_converged() {
        let q = sinkhorn_knopp(
            scores(),
            &SinkhornConfig::new().with_iterations(200),
            &Group::default(),
        );
        assert_close(q.sum_dim(0), [[4.0 / 3.0; 3]]);
    }

    #[test]
    fn adding_a_constant_to_every_score_changes_nothing() {
        let config = SinkhornConfig::new();
        let shifted = sinkhorn_knopp(scores() + 0.25, &config, &Group::default());
        assert_close(
            shifted,
            sinkhorn_knopp(scores(), &config, &Group::default()).into_data(),
        );
    }

    #[test]
    fn no_gradient_flows_through_the_assignments() {
        let scores = Tensor::<2>::from_data(scores().into_data(), &Device::default().autodiff());
        let q = sinkhorn_knopp(
            scores.require_grad(),
            &SinkhornConfig::new(),
            &Group::default(),
        );
        assert!(!q.is_autodiff());
    }

    #[test]
    #[should_panic(expected = "at least one iteration")]
    fn zero_iterations_are_refused() {
        sinkhorn_knopp(
            scores(),
            &SinkhornConfig::new().with_iterations(0),
            &Group::default(),
        );
    }

    /// Oracle: the K-by-B form printed in the SwAV paper, computed in float64 with numpy:
    /// `Q = exp(scores / eps).T; Q /= Q.sum()`, three times
    /// `Q /= Q.sum(1, keepdims=True) * K; Q /= Q.sum(0, keepdims=True) * B`, then `(Q * B).T`.
    #[test]
    fn agrees_with_the_paper_formulation() {
        let q = sinkhorn_knopp(scores(), &SinkhornConfig::new(), &Group::default());
        assert_close(
            q,
            [
                [0.994_847_6, 0.005_152_297, 8.373_388e-8],
                [0.779_414_9, 0.220_389_53, 0.000_195_555_14],
                [0.153_101_43, 0.000_792_909_4, 0.846_105_66],
                [1.330_550_7e-11, 0.736_394, 0.263_606_05],
            ],
        );
    }

    /// The reference's own function, to six decimals.
    #[test]
    fn agrees_with_the_reference_on_four_samples() {
        let rows = [
            [0.9, 0.1, 0.0],
            [0.8, 0.2, -0.1],
            [0.7, 0.6, 0.1],
            [0.75, -0.2, 0.3],
        ];
        let q = sinkhorn_knopp(
            Tensor::from_floats(rows, &Device::default()),
            &SinkhornConfig::new(),
            &Group::default(),
        );
        assert_close(
            q,
            [
                [0.98781, 0.000233, 0.011957],
                [0.975647, 0.012542, 0.01181],
                [0.00346, 0.979645, 0.016895],
                [0.010092, 0.0, 0.989908],
            ],
        );
    }

    #[test]
    fn agrees_with_the_golden_cases() {
        let mut golden = golden::open("sinkhorn.npz");
        // Case 3 has no iteration; the reference then returns no distributions, and we refuse.
        for case in [0, 1, 2, 4, 5, 6, 7, 8] {
            let config = SinkhornConfig {
                epsilon: golden.number(&format!("case{case}_eps")),
                iterations: golden.number(&format!("case{case}_iters")) as usize,
            };
            let scores = golden.tensor(&format!("case{case}_scores"), &Device::default());
            assert_close(
                sinkhorn_knopp(scores, &config, &Group::default()),
                golden.data(&format!("case{case}_q")),
            );
        }
    }
}
