//! What one look at a training sees.

use burn::tensor::{Tensor, activation::log_softmax};
use pass_model::queue::ASSIGNING_CROPS;

use super::memory::resident_mib;

/// What one look at a training sees, named for the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vitals {
    /// Of swapped prediction, where the step has one.
    pub(crate) assigning: Option<Assigning>,
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
    /// Names and values for the log; memory among them.
    pub(crate) fn named(&self) -> Vec<(&'static str, f64)> {
        let mut named = vec![
            ("health/gradient_norm", self.gradient_norm),
            ("health/update_norm", self.update_norm),
            ("health/weight_norm", self.weight_norm),
        ];
        named.extend(self.assigning.iter().flat_map(Assigning::named));
        named.extend(self.no_overlap.map(|share| ("health/no_overlap", share)));
        if let Some([now, highest]) = resident_mib() {
            named.push((MEMORY[0], now));
            named.push((MEMORY[1], highest));
        }
        named
    }
}

/// Names of the values that depend on the machine.
pub(crate) const MEMORY: [&str; 2] = ["health/memory_mib", "health/memory_peak_mib"];

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
    /// The same of the embeddings.
    pub(crate) feature_spread: f64,
    /// Lowest variance of a dimension of the embeddings, times their number.
    pub(crate) feature_variance_min: f64,
    /// `exp` of the entropy of how the variance is shared by the dimensions, in 1..=D: dimensions in
    /// use. 0 without variance.
    pub(crate) feature_dimensions: f64,
}

/// The tensors that [`Assigning`] is read from.
pub(crate) struct Swapped<'a> {
    /// `[rows, K]`
    pub(crate) scores: &'a Tensor<2>,
    /// `[rows, D]`, of unit length
    pub(crate) embeddings: &'a Tensor<2>,
    /// `[K, D]`, of unit length
    pub(crate) prototypes: &'a Tensor<2>,
    /// each `[batch, K]`
    pub(crate) assignments: &'a [Tensor<2>; ASSIGNING_CROPS],
    /// τ
    pub(crate) temperature: f64,
}

impl Assigning {
    /// What the tensors of a batch show, with the value of its swapped prediction.
    pub(crate) fn of(swapped: &Swapped, loss: f64) -> Self {
        let prototypes = swapped.prototypes.dims()[0];
        let ln_k = (prototypes as f64).ln();
        let log_predictions = log_softmax(swapped.scores.clone().inner() / swapped.temperature, 1);
        let predictions = log_predictions.clone().exp();
        let mean = numbers(predictions.clone().mean_dim(0));
        let rows = predictions.dims()[0] as f64;
        let variances = variances(swapped.embeddings);
        let feature_spread = variances.iter().sum();
        Self {
            prototypes,
            prototypes_used: most_likely(swapped.scores),
            perplexity: entropy(&mean).exp(),
            prediction_entropy: -numbers((predictions * log_predictions).sum())[0] / rows,
            assignment_entropy: mean_entropy(swapped.assignments),
            loss_over_ln_k: loss / ln_k,
            prototype_spread: self::variances(swapped.prototypes).iter().sum(),
            feature_spread,
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

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// `-Σ p ln p`, where 0 ln 0 is 0.
fn entropy(probabilities: &[f64]) -> f64 {
    let terms = probabilities.iter().filter(|p| **p > 0.0);
    -terms.map(|p| p * p.ln()).sum::<f64>()
}

/// Columns that are the largest of some row.
fn most_likely(scores: &Tensor<2>) -> usize {
    let mut columns: Vec<i64> = scores
        .clone()
        .inner()
        .argmax(1)
        .into_data()
        .iter::<i64>()
        .collect();
    columns.sort_unstable();
    columns.dedup();
    columns.len()
}

fn mean_entropy(assignments: &[Tensor<2>; ASSIGNING_CROPS]) -> f64 {
    let [batch, prototypes] = assignments[0].dims();
    let weights = numbers(Tensor::cat(assignments.to_vec(), 0));
    let sum: f64 = weights.chunks_exact(prototypes).map(entropy).sum();
    sum / (ASSIGNING_CROPS * batch) as f64
}

/// The variance of each column over the rows.
fn variances(rows: &Tensor<2>) -> Vec<f64> {
    let rows = rows.clone().inner();
    let centred = rows.clone() - rows.mean_dim(0);
    numbers(centred.powi_scalar(2).mean_dim(0))
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
    use burn::tensor::Device;

    fn rows<const R: usize, const C: usize>(values: [[f32; C]; R]) -> Tensor<2> {
        Tensor::from_floats(values, &Device::default())
    }

    fn of(embeddings: Tensor<2>, prototypes: Tensor<2>) -> Assigning {
        let scores = embeddings.clone().matmul(prototypes.clone().transpose());
        let assignment = rows([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]);
        let swapped = Swapped {
            scores: &scores,
            embeddings: &embeddings,
            prototypes: &prototypes,
            assignments: &[assignment.clone(), assignment],
            temperature: 0.5,
        };
        Assigning::of(&swapped, 2.0 * 3f64.ln())
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
