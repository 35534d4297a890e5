//! The norm over ranks by operations of burn's, for other devices and types.

use burn::tensor::{Tensor, module};

use super::Normalized;

/// As [`super::batch_norm_of_ranks`].
pub(crate) fn batch_norm_of_ranks<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    mean_of_ranks: impl Fn(Tensor<1>) -> Tensor<1>,
) -> Normalized<D> {
    let [mean, variance] = statistics(input.clone(), mean_of_ranks);
    let of_ranks = [mean.clone(), variance.clone()].map(Tensor::detach);
    let output = module::batch_norm(input, gamma, beta, mean, variance, epsilon);
    let [mean, variance] = of_ranks;
    Normalized {
        output,
        mean,
        variance,
    }
}

/// Mean and biased variance `[channels]` of the inputs of all ranks, differentiable.
///
/// The variance is taken around the common mean: from sums of squares it would lose the digits that
/// a large mean takes up.
fn statistics<const D: usize>(
    input: Tensor<D>,
    mean_of_ranks: impl Fn(Tensor<1>) -> Tensor<1>,
) -> [Tensor<1>; 2] {
    let channels = input.dims()[1];
    let joined = |values: Tensor<D>| {
        let rows: Tensor<2> = values.swap_dims(0, 1).reshape([channels as i32, -1]);
        mean_of_ranks(rows.mean_dim(1).reshape([channels]))
    };
    let mean = joined(input.clone());
    let mut per_channel = [1; D];
    per_channel[1] = channels;
    let centred = input - mean.clone().reshape(per_channel);
    let variance = joined(centred.square());
    [mean, variance]
}
