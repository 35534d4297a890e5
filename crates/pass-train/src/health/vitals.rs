//! What one look at a training sees.

use burn::tensor::{Device, Tensor, activation::log_softmax};
use pass_model::{group::Group, method::SwappedSignal, queue::ASSIGNING_CROPS};

use crate::training::{Terms, number};

use super::{
    heads::HeadSpread,
    memory::memory_of,
    spread::{STATISTICS, blocks, least_variances, means_and_variances, statistics},
};

/// What one look at a training sees, named for the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vitals {
    /// Of swapped prediction, where the step has one.
    pub(crate) assigning: Option<Assigning>,
    /// Of the other heads of step 1.
    pub(crate) heads: Vec<HeadSpread>,
    /// Share of the pictures whose two large crops do not overlap, where P2P takes part.
    pub(crate) no_overlap: Option<f64>,
    /// Norm of the gradient.
    pub(crate) gradient_norm: f64,
    /// Norm of the change of all trained weights.
    pub(crate) update_norm: f64,
    /// Norm of the trained weights after it.
    pub(crate) weight_norm: f64,
}

impl Vitals {
    /// The first norm that is no number.
    pub(crate) fn not_finite(&self) -> Option<(&'static str, f64)> {
        let norms = [
            ("gradient_norm", self.gradient_norm),
            ("update_norm", self.update_norm),
            ("weight_norm", self.weight_norm),
        ];
        norms.into_iter().find(|(_, norm)| !norm.is_finite())
    }

    /// Names and values for the log; the memory of this process and of its device among them.
    pub(crate) fn named(&self, device: &Device) -> Terms {
        let mut named: Vec<(&'static str, f64)> = vec![
            ("health/gradient_norm", self.gradient_norm),
            ("health/update_norm", self.update_norm),
            ("health/weight_norm", self.weight_norm),
        ];
        named.extend(self.assigning.iter().flat_map(Assigning::named));
        named.extend(self.no_overlap.map(|share| ("health/no_overlap", share)));
        named.extend(memory_of(device));
        let named = named.into_iter().map(|(name, value)| (name.into(), value));
        let heads = self.heads.iter();
        let heads = heads.map(|of| (of.head.measured().into(), of.spread));
        named.chain(heads).collect()
    }
}

/// How embeddings and prototypes of a batch lie to each other.
///
/// *Prediction* is `softmax(score / τ)`, of every crop; *assignment* is Sinkhorn's, of the two
/// large crops, without the queue. Entropies are in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Assigning {
    /// Number of prototypes, K.
    pub(crate) prototypes: usize,
    /// Prototypes that are the most likely one of some crop.
    pub(crate) prototypes_used: usize,
    /// `exp` of the entropy of the mean prediction, in 1..=K.
    pub(crate) perplexity: f64,
    /// Mean entropy of a prediction, in 0..=ln K.
    pub(crate) prediction_entropy: f64,
    /// Mean entropy of an assignment, in 0..=ln K.
    pub(crate) assignment_entropy: f64,
    /// Swapped prediction over ln K: 1 when nothing is predicted.
    pub(crate) loss_over_ln_k: f64,
    /// Variance of the prototypes, over all dimensions together: 0 when they are equal, near 1 when
    /// they are spread over the sphere.
    pub(crate) prototype_spread: f64,
    /// The same of the embeddings: among the pictures of one view, the mean over the views of a size,
    /// of the size where it is least.
    pub(crate) feature_spread: f64,
    /// Lowest of these variances of a dimension, times the number of dimensions.
    pub(crate) feature_variance_min: f64,
    /// `exp` of the entropy of how the variance is shared by the dimensions, in 1..=D: dimensions in
    /// use. 0 without variance.
    pub(crate) feature_dimensions: f64,
}

impl Assigning {
    /// What the tensors of the batch of all ranks show; each rank gives its share, of which all have as
    /// many rows. Collective.
    pub(crate) fn of(swapped: &SwappedSignal, ranks: &Group) -> Self {
        let [prototypes, dim] = swapped.prototypes.dims();
        let blocks = blocks(&swapped.crops, swapped.embeddings.dims()[0], ranks.size());
        let statistics = statistics(&swapped.embeddings, &blocks);
        let mut means = Shown::by(swapped, statistics).means(ranks);
        let [loss, assignment_entropy, prediction_entropy] = [(); 3].map(|()| means.take(1)[0]);
        let used = means.take(prototypes);
        let mean_prediction = means.take(prototypes);
        let count = blocks.iter().flatten().count();
        let variances = least_variances(&blocks, dim, &means.take(count * STATISTICS * dim));
        let [_, of_prototypes] = means_and_variances(&swapped.prototypes.clone().inner());
        Self {
            prototypes,
            prototypes_used: used.iter().filter(|&&share| share > 0.0).count(),
            perplexity: entropy(&mean_prediction).exp(),
            prediction_entropy,
            assignment_entropy,
            loss_over_ln_k: loss / (prototypes as f64).ln(),
            prototype_spread: of_prototypes.iter().sum(),
            feature_spread: variances.iter().sum(),
            feature_variance_min: variances.iter().copied().fold(f64::INFINITY, f64::min)
                * variances.len() as f64,
            feature_dimensions: effective_number(&variances),
        }
    }

    /// What a prediction tells about which picture it is of, in nats: 0 when all predictions are
    /// alike.
    pub(crate) fn information(&self) -> f64 {
        self.perplexity.ln() - self.prediction_entropy
    }

    fn named(&self) -> [(&'static str, f64); 9] {
        [
            ("health/prototypes_used", self.prototypes_used as f64),
            ("health/prototype_perplexity", self.perplexity),
            ("health/prediction_entropy", self.prediction_entropy),
            ("health/assignment_entropy", self.assignment_entropy),
            ("health/loss_over_ln_k", self.loss_over_ln_k),
            ("health/prototype_spread", self.prototype_spread),
            ("health/feature_spread", self.feature_spread),
            ("health/feature_variance_min", self.feature_variance_min),
            ("health/feature_dimensions", self.feature_dimensions),
        ]
    }
}

/// Numbers that a rank's share shows and whose means over ranks show the rest; one exchange for all.
struct Shown(Vec<f64>);

impl Shown {
    fn by(swapped: &SwappedSignal, statistics: Vec<f64>) -> Self {
        let log_predictions = log_softmax(swapped.scores.clone().inner() / swapped.temperature, 1);
        let predictions = log_predictions.clone().exp();
        let [rows, prototypes] = predictions.dims();
        let entropies = -numbers((predictions.clone() * log_predictions).sum())[0];
        let assignment_entropy = mean_entropy(&swapped.assignments);
        let all = [
            vec![
                number(&swapped.loss),
                assignment_entropy,
                entropies / rows as f64,
            ],
            most_likely(&swapped.scores, prototypes),
            numbers(predictions.mean_dim(0)),
            statistics,
        ];
        Self(all.concat())
    }

    /// The means, in the same order. Collective.
    fn means(mut self, ranks: &Group) -> Self {
        ranks.sum_f64(&mut self.0);
        let size = ranks.size() as f64;
        self.0.iter_mut().for_each(|sum| *sum /= size);
        self
    }

    fn take(&mut self, count: usize) -> Vec<f64> {
        self.0.drain(..count).collect()
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// `-Σ p ln p`, where 0 ln 0 is 0.
fn entropy(probabilities: &[f64]) -> f64 {
    let terms = probabilities.iter().filter(|p| **p > 0.0);
    -terms.map(|p| p * p.ln()).sum::<f64>()
}

/// 1 for each of `columns` that is the largest of some row, else 0.
fn most_likely(scores: &Tensor<2>, columns: usize) -> Vec<f64> {
    let mut used = vec![0.0; columns];
    for column in scores.clone().inner().argmax(1).into_data().iter::<i64>() {
        used[column as usize] = 1.0;
    }
    used
}

fn mean_entropy(assignments: &[Tensor<2>; ASSIGNING_CROPS]) -> f64 {
    let [batch, prototypes] = assignments[0].dims();
    let weights = numbers(Tensor::cat(assignments.to_vec(), 0));
    let sum: f64 = weights.chunks_exact(prototypes).map(entropy).sum();
    sum / (ASSIGNING_CROPS * batch) as f64
}

fn effective_number(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    if sum > 0.0 {
        let shares: Vec<f64> = shares.iter().map(|share| share / sum).collect();
        entropy(&shares).exp()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pass_model::group::Group;
    use pass_ranks::ThreadRanks;

    fn rows<const R: usize, const C: usize>(values: [[f32; C]; R]) -> Tensor<2> {
        Tensor::from_floats(values, &Device::default())
    }

    fn of(embeddings: Tensor<2>, prototypes: Tensor<2>) -> Assigning {
        let assignment = rows([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]);
        let assignments = [assignment.clone(), assignment];
        seen_by(&Group::default(), embeddings, prototypes, assignments)
    }

    fn seen_by(
        ranks: &Group,
        embeddings: Tensor<2>,
        prototypes: Tensor<2>,
        assignments: [Tensor<2>; 2],
    ) -> Assigning {
        let scores = embeddings.clone().matmul(prototypes.clone().transpose());
        let swapped = SwappedSignal {
            loss: Tensor::from_floats([2.0 * 3f32.ln()], &scores.device()),
            scores,
            embeddings,
            crops: vec![2],
            prototypes,
            assignments,
            temperature: 0.5,
        };
        Assigning::of(&swapped, ranks)
    }

    #[track_caller]
    fn assert_near(actual: f64, expected: f64) {
        // float32 sums of a handful of numbers
        assert!((actual - expected).abs() < 1e-6, "{actual} not {expected}");
    }

    /// Oracle, in float64:
    /// ```text
    /// e = np.eye(3)[[0, 1, 1, 0]]; p = np.eye(3); s = e @ p.T / 0.5
    /// q = np.exp(s) / np.exp(s).sum(1, keepdims=True); m = q.mean(0)
    /// np.exp(-(m * np.log(m)).sum()), -(q * np.log(q)).sum(1).mean()
    /// ```
    #[test]
    fn spread_embeddings_agree_with_float64() {
        let [a, b, c] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let seen = of(rows([a, b, b, a]), rows([a, b, c]));
        assert_eq!((seen.prototypes, seen.prototypes_used), (3, 2));
        assert_near(seen.perplexity, 2.607_707_806_560_203_5);
        assert_near(seen.prediction_entropy, 0.665_572_681_898_687_6);
        assert_near(seen.assignment_entropy, 0.5 * 2f64.ln());
        assert_near(seen.loss_over_ln_k, 2.0);
        assert_near(seen.prototype_spread, 2.0 / 3.0);
        assert_near(seen.feature_spread, 0.5);
        assert_near(seen.feature_variance_min, 0.0);
        assert_near(seen.feature_dimensions, 2.0);
    }

    #[test]
    fn ranks_see_the_rows_of_all() {
        let [a, b, c] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.6, 0.8]];
        let [q, r] = [[0.5, 0.5, 0.0], [0.7, 0.2, 0.1]];
        let alone = {
            let assignments = [rows([q, r]), rows([r, r])];
            seen_by(
                &Group::default(),
                rows([a, c, b, a]),
                rows([a, b, c]),
                assignments,
            )
        };
        let seen = ThreadRanks::run(2, |ranks| match ranks.rank() {
            0 => seen_by(
                &ranks,
                rows([a, b]),
                rows([a, b, c]),
                [rows([q]), rows([r])],
            ),
            _ => seen_by(
                &ranks,
                rows([c, a]),
                rows([a, b, c]),
                [rows([r]), rows([r])],
            ),
        });
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0].prototypes_used, alone.prototypes_used);
        for ((name, actual), (_, expected)) in seen[0].named().into_iter().zip(alone.named()) {
            assert!(
                (actual - expected).abs() < 1e-6,
                "{name}: {actual} not {expected}"
            );
        }
    }

    #[test]
    fn equal_embeddings_have_no_spread_and_tell_nothing() {
        let a = [0.6, 0.8, 0.0];
        let seen = of(rows([a; 4]), rows([a, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]));
        assert_near(seen.feature_spread, 0.0);
        assert_near(seen.information(), 0.0);
        assert_eq!(seen.prototypes_used, 1);
    }

    #[test]
    fn equal_prototypes_predict_all_of_them() {
        let a = [0.6, 0.8, 0.0];
        let seen = of(rows([a, [1.0, 0.0, 0.0], a, a]), rows([a; 3]));
        assert_near(seen.prototype_spread, 0.0);
        assert_near(seen.prediction_entropy, 3f64.ln());
        assert_near(seen.perplexity, 3.0);
    }
}
