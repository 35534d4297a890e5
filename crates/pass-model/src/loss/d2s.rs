//! Deep-to-shallow supervision (D2S): shallow stages learn the deep stage's assignments.
//!
//! PASS (§4.1.2, eq. 3 and 4) gives the output of a shallow residual stage a head of its own and
//! lets it predict the prototypes that the deepest stage assigned to the *other* large crop. The
//! paper's ablations (Table VIII (c) and (d)) take the stage itself as the teacher, or the same
//! crop.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::soft_cross_entropy;
use crate::{
    group::Group,
    queue::ASSIGNING_CROPS,
    sinkhorn::{SinkhornConfig, sinkhorn_knopp},
};

/// Whose assignments a shallow stage learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Teacher {
    /// Those of the deepest stage.
    #[default]
    Deep,
    /// Its own ([`same_stage_assignments`]).
    SameStage,
}

/// Which of the two large crops the assignments come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaughtView {
    /// The other crop.
    #[default]
    Cross,
    /// The crop itself.
    Same,
}

/// Variants of D2S (Table VIII (c) and (d)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisionConfig {
    /// Whose assignments a shallow stage learns.
    pub teacher: Teacher,
    /// From which of the two crops.
    pub view: TaughtView,
}

/// The balanced assignments of a shallow stage's own scores, one for each large crop.
///
/// The paper does not say what balances them; here it is the batch of all ranks alone, since the
/// queue holds embeddings of the deepest stage. Collective.
///
/// # Shapes
///
/// - `shallow_scores`: `[2 · batch, prototypes]` of this rank, all pictures of crop 0 first
/// - output: two times `[batch, prototypes]`
pub fn same_stage_assignments(
    shallow_scores: Tensor<2>,
    config: &SinkhornConfig,
    ranks: &Group,
) -> [Tensor<2>; ASSIGNING_CROPS] {
    let batch = shallow_scores.dims()[0] / ASSIGNING_CROPS;
    [0, 1].map(|crop| {
        let own = shallow_scores.clone().narrow(0, crop * batch, batch);
        sinkhorn_knopp(own, config, ranks)
    })
}

/// As [`d2s_loss`], with the crop's own assignment in place of the other's.
///
/// # Shapes
///
/// As [`d2s_loss`].
pub fn d2s_loss_same_view(
    assignments: &[Tensor<2>; ASSIGNING_CROPS],
    shallow_scores: Tensor<2>,
    temperature: f64,
) -> Tensor<1> {
    let [first, second] = assignments.clone();
    d2s_loss(&[second, first], shallow_scores, temperature)
}

/// D2S loss of one shallow stage, across the two large crops: the mean over both directions.
///
/// Call it for each stage; [`super::total_loss`] adds them up. Score the shallow embeddings with
/// prototypes that carry no gradient, as the reference does: D2S then never moves the prototypes.
///
/// # Shapes
///
/// - `assignments`: two times `[batch, prototypes]`, those of
///   [`super::SwappedPrediction::assignments`]
/// - `shallow_scores`: `[2 · batch, prototypes]`, cosine similarities of the stage's embeddings,
///   all pictures of crop 0 first
/// - output: `[1]`
///
/// # Panics
///
/// If the shapes disagree.
pub fn d2s_loss(
    assignments: &[Tensor<2>; ASSIGNING_CROPS],
    shallow_scores: Tensor<2>,
    temperature: f64,
) -> Tensor<1> {
    let [first, second] = assignments.clone().map(Tensor::inner);
    soft_cross_entropy(
        shallow_scores,
        Tensor::cat(vec![second, first], 0),
        temperature,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use golden::{Arrays, assert_near};

    /// Scores are rounded to 6e-8 and divided by τ = 0.1; the losses are near 7.
    const ROUNDING: [f64; 2] = [2e-6, 1e-6];

    fn one_hot(first: [f32; 2]) -> Tensor<2> {
        Tensor::from_floats([first], &Device::default())
    }

    #[test]
    fn each_crop_is_asked_for_the_assignment_of_the_other() {
        let (left, right) = (one_hot([1.0, 0.0]), one_hot([0.0, 1.0]));
        let swapped = Tensor::cat(vec![right.clone(), left.clone()], 0);
        let same = Tensor::cat(vec![left.clone(), right.clone()], 0);
        let assignments = [left, right];
        let right_answer = d2s_loss(&assignments, swapped, 0.1).into_scalar::<f32>();
        let wrong_answer = d2s_loss(&assignments, same, 0.1).into_scalar::<f32>();
        assert!(
            right_answer < 1e-4 && wrong_answer > 9.9,
            "{right_answer} {wrong_answer}"
        );
    }

    /// The reference keeps the stages' scores in one matrix, stage 3 first.
    fn check_golden(golden: &mut Arrays, case: &str) {
        let device = Device::default().autodiff();
        let assignments = ["q0", "q1"].map(|q| golden.tensor(&format!("{case}_{q}"), &device));
        let all = golden
            .tensor::<2>(&format!("{case}_output"), &device)
            .require_grad();
        let losses = golden.numbers(&format!("{case}_losses"));
        let mut sum = Tensor::<1>::zeros([1], &device);
        for (position, &expected) in losses.iter().enumerate() {
            let scores = all.clone().narrow(0, position * 12, 12);
            let loss = d2s_loss(&assignments, scores, 0.1);
            assert_near(loss.clone(), [expected as f32], ROUNDING);
            sum = sum + loss;
        }
        let gradient = all.grad(&sum.backward()).unwrap();
        assert_near(
            gradient,
            golden.data(&format!("{case}_grad_output")),
            ROUNDING,
        );
    }

    #[test]
    fn agrees_with_the_golden_cases() {
        let mut golden = golden::open("d2s_loss.npz");
        for case in ["s3", "s32", "s321"] {
            check_golden(&mut golden, case);
        }
    }
}
