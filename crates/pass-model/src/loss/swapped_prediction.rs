//! Swapped prediction: each crop predicts the prototypes assigned to the other crops.
//!
//! The image-level loss of PASS is SwAV's (Caron et al. 2020, <https://arxiv.org/abs/2006.09882>,
//! eq. 2 and §3.2). The two large crops are assigned to prototypes in a balanced way
//! ([`crate::sinkhorn::sinkhorn_knopp`]); from every other crop of the same picture the assignment is predicted.

use burn::tensor::{Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use super::soft_cross_entropy;
use crate::{
    group::Group,
    precision::product,
    queue::{ASSIGNING_CROPS, Queue},
    sinkhorn::{SinkhornConfig, sinkhorn_knopp},
};

/// Settings of [`swapped_prediction`] over a training; the default is the published one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwappedPredictionConfig {
    /// Softmax temperature τ of the prediction, in units of cosine similarity.
    pub temperature: f64,
    /// Sinkhorn's ε.
    pub epsilon: f64,
    /// Sinkhorn iterations.
    pub sinkhorn_iterations: usize,
    /// Embeddings that each assigning crop remembers; rounded down to whole batches; 0 for none.
    pub queue_length: usize,
    /// First epoch with a queue.
    pub queue_from_epoch: usize,
}

impl Default for SwappedPredictionConfig {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            epsilon: 0.05,
            sinkhorn_iterations: 3,
            queue_length: 2048,
            queue_from_epoch: 15,
        }
    }
}

impl SwappedPredictionConfig {
    /// How the assignments are balanced.
    pub fn sinkhorn(&self) -> SinkhornConfig {
        SinkhornConfig {
            epsilon: self.epsilon,
            iterations: self.sinkhorn_iterations,
        }
    }
}

/// What [`swapped_prediction`] returns.
#[derive(Clone, Debug)]
pub struct SwappedPrediction {
    /// The loss, `[1]`; its gradient flows into the scores only.
    pub loss: Tensor<1>,
    /// The assignments of the two large crops, each `[batch, prototypes]`, constants; they are
    /// also the targets of deep-to-shallow supervision.
    pub assignments: [Tensor<2>; ASSIGNING_CROPS],
}

/// Image-level loss: the mean over the two large crops of the mean cross-entropy between their
/// assignment and the prediction of every other crop.
///
/// An active queue takes part in the assignment, scored with the prototypes as they are now;
/// afterwards the batch's embeddings are pushed, whether the queue is active or not.
///
/// # Shapes
///
/// - `scores`: `[crops · batch, prototypes]`, all pictures of crop 0 first
/// - `embeddings`: `[crops · batch, feature_dim]`, in the same order, of unit length
/// - `prototypes`: `[prototypes, feature_dim]`, of unit length
///
/// Of one rank's share of the batch: assignments are balanced over the batches and queues of all
/// ranks, the loss is the mean over this rank's pictures.
///
/// # Panics
///
/// If `crops` is below 2 or does not divide the rows, or the shapes disagree.
pub fn swapped_prediction(
    scores: Tensor<2>,
    embeddings: Tensor<2>,
    prototypes: Tensor<2>,
    mut queue: Option<&mut Queue>,
    config: &SwappedPredictionConfig,
    crops: usize,
    ranks: &Group,
) -> SwappedPrediction {
    let [rows, count] = scores.dims();
    let [_, feature_dim] = embeddings.dims();
    assert!(
        crops >= 2 && rows % crops == 0,
        "{rows} rows are not those of {crops} >= 2 crops"
    );
    assert_shape!(embeddings, [rows, feature_dim]);
    assert_shape!(prototypes, [count, feature_dim]);

    let (embeddings, prototypes) = (embeddings.inner(), prototypes.inner());
    let assignments = [0, 1].map(|crop| {
        let own = rows_of(scores.clone().inner(), crop, rows / crops);
        let kept = queue.as_deref().and_then(|queue| queue.active(crop));
        if let Some(queue) = queue.as_deref_mut() {
            queue.push(crop, rows_of(embeddings.clone(), crop, rows / crops));
        }
        let kept_scores = kept.map(|kept| product(kept, prototypes.clone().transpose()));
        balanced_assignment(own, kept_scores, &config.sinkhorn(), ranks)
    });
    let loss = soft_cross_entropy(
        scores,
        swapped_targets(&assignments, crops),
        config.temperature,
    );
    // Each large crop is predicted by `crops - 1` others: 2 (crops - 1) terms in `crops` rows.
    let loss = loss * (crops as f64 / (2 * (crops - 1)) as f64);
    SwappedPrediction { loss, assignments }
}

/// The rows of one crop.
fn rows_of(tensor: Tensor<2>, crop: usize, batch: usize) -> Tensor<2> {
    tensor.narrow(0, crop * batch, batch)
}

/// Assignment of the batch alone, or together with the queue, whose own rows are then dropped.
fn balanced_assignment(
    own: Tensor<2>,
    kept: Option<Tensor<2>>,
    config: &SinkhornConfig,
    ranks: &Group,
) -> Tensor<2> {
    let Some(kept) = kept else {
        return sinkhorn_knopp(own, config, ranks);
    };
    let [length, _] = kept.dims();
    let [batch, _] = own.dims();
    let together = Tensor::cat(vec![kept, own], 0);
    sinkhorn_knopp(together, config, ranks).narrow(0, length, batch)
}

/// `[crops · batch, prototypes]`: for each crop the sum of the assignments it has to predict, so
/// that all pairs of crops become one cross-entropy.
fn swapped_targets([first, second]: &[Tensor<2>; ASSIGNING_CROPS], crops: usize) -> Tensor<2> {
    let mut targets = vec![second.clone(), first.clone()];
    if crops > 2 {
        targets.push((first.clone() + second.clone()).repeat_dim(0, crops - 2));
    }
    Tensor::cat(targets, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinkhorn::sinkhorn_knopp;
    use burn::tensor::{Device, Distribution, TensorData, activation::log_softmax};
    use golden::{Arrays, assert_near, data_of};
    use ndarray::Axis;
    use std::collections::BTreeMap;

    /// Scores are rounded to 6e-8 and divided by ε = 0.05 and τ = 0.1; the loss is near 6.
    const ROUNDING: [f64; 2] = [2e-6, 1e-5];

    fn random(shape: [usize; 2], seed: u64) -> Tensor<2> {
        let device = Device::default();
        device.seed(seed);
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device)
    }

    fn predict(scores: &Tensor<2>, queue: Option<&mut Queue>, crops: usize) -> SwappedPrediction {
        let [rows, count] = scores.dims();
        let (embeddings, prototypes) = (random([rows, 5], 8), random([count, 5], 9));
        let config = SwappedPredictionConfig::default();
        swapped_prediction(
            scores.clone(),
            embeddings,
            prototypes,
            queue,
            &config,
            crops,
            &Group::default(),
        )
    }

    /// The definition, pair of crops by pair of crops.
    #[test]
    fn one_cross_entropy_equals_the_sum_over_pairs_of_crops() {
        let (crops, batch) = (5, 3);
        let scores = random([crops * batch, 7], 1);
        let swapped = predict(&scores, None, crops);
        let mut expected = 0.0;
        for (own, targets) in swapped.assignments.iter().enumerate() {
            for other in (0..crops).filter(|&other| other != own) {
                let predicted = log_softmax(rows_of(scores.clone(), other, batch) / 0.1, 1);
                let terms = (targets.clone() * predicted).sum().into_scalar::<f32>();
                expected -= terms / batch as f32 / (crops - 1) as f32 / 2.0;
            }
        }
        assert_near(swapped.loss, [expected], ROUNDING);
    }

    #[test]
    fn assignments_are_those_of_sinkhorn_for_each_large_crop() {
        let scores = random([6, 4], 2);
        let swapped = predict(&scores, None, 2);
        for (crop, assignment) in swapped.assignments.into_iter().enumerate() {
            let own = sinkhorn_knopp(
                rows_of(scores.clone(), crop, 3),
                &SinkhornConfig::new(),
                &Group::default(),
            );
            assert_near(assignment, own.into_data(), [0.0, 1e-7]);
        }
    }

    #[test]
    fn the_queue_is_used_from_the_batch_after_the_one_that_filled_it() {
        let mut queue = Queue::new(6, 3, 5, &Device::default());
        let scores = random([6, 4], 3);
        let alone = predict(&scores, None, 2).loss.into_scalar::<f32>();
        let mut next = || {
            predict(&scores, Some(&mut queue), 2)
                .loss
                .into_scalar::<f32>()
        };
        let losses = [next(), next(), next()];
        assert_eq!(losses[..2], [alone, alone]);
        assert_ne!(losses[2], alone);
    }

    /// One matrix of a stack, `[n, rows, columns]`.
    fn layer(golden: &mut Arrays, key: &str, index: usize) -> TensorData {
        data_of(&golden.numbers(key).index_axis_move(Axis(0), index))
    }

    fn golden_queue(golden: &mut Arrays, case: &str) -> Option<Queue> {
        if !golden.has(&format!("{case}_queue_before")) {
            return None;
        }
        let mut queue = Queue::new(24, 6, 8, &Device::default());
        // `queue_partial_forced` is used by the reference although its last rows are zero.
        let filled = if case == "queue_partial_unused" {
            18i64
        } else {
            24
        };
        let mut tensors = BTreeMap::from([("rows_filled".into(), TensorData::from([filled; 2]))]);
        for crop in 0..2 {
            let rows = layer(golden, &format!("{case}_queue_before"), crop);
            tensors.insert(format!("embeddings.{crop}"), rows);
        }
        queue.restore(&tensors).unwrap();
        Some(queue)
    }

    fn check_golden(golden: &mut Arrays, case: &str) {
        let device = Device::default().autodiff();
        let tensor =
            |golden: &mut Arrays, key: &str| golden.tensor::<2>(&format!("{case}_{key}"), &device);
        let scores = tensor(golden, "output").require_grad();
        let (embeddings, prototypes) = (tensor(golden, "embedding"), tensor(golden, "prototypes"));
        let crops = golden.numbers(&format!("{case}_nmb_crops")).sum() as usize;
        let mut queue = golden_queue(golden, case);
        let config = SwappedPredictionConfig::default();
        let swapped = swapped_prediction(
            scores.clone(),
            embeddings,
            prototypes,
            queue.as_mut(),
            &config,
            crops,
            &Group::default(),
        );

        let gradients = swapped.loss.backward();
        let loss = golden.number(&format!("{case}_loss"));
        assert_near(swapped.loss, [loss as f32], ROUNDING);
        let gradient = scores.grad(&gradients).unwrap();
        assert_near(
            gradient,
            golden.data(&format!("{case}_grad_output")),
            ROUNDING,
        );
        for (crop, assignment) in swapped.assignments.into_iter().enumerate() {
            assert_near(
                assignment,
                golden.data(&format!("{case}_labels{crop}")),
                ROUNDING,
            );
        }
        for (crop, queue) in queue
            .iter()
            .flat_map(|queue| (0..2).map(move |c| (c, queue)))
        {
            let after = layer(golden, &format!("{case}_queue_after"), crop);
            assert_near(queue.embeddings(crop), after, [0.0, 1e-30]);
        }
    }

    #[test]
    fn agrees_with_the_golden_cases() {
        let mut golden = golden::open("swav_loss.npz");
        let queues = ["queue_full", "queue_partial_unused", "queue_partial_forced"];
        for case in ["two", "multi"].into_iter().chain(queues) {
            check_golden(&mut golden, case);
        }
    }
}
