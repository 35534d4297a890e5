//! The norms as operations of burn's, with backward passes of their own.

mod backward;
#[cfg(feature = "flex")]
mod flex;
mod relay;

use burn::{
    backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor},
    tensor::Tensor,
};

use self::relay::Relay;
use super::{
    Normalized,
    statistics::{Gradients, Statistics, Sums},
};

/// Whether norms by statistics of the batch are taken here: on devices of CubeCL, and on the CPU.
pub(crate) fn applies<const D: usize>(maps: &Tensor<D>) -> bool {
    #[cfg(feature = "cube")]
    if matches!(
        maps.device().as_dispatch(),
        burn::backend::DispatchDevice::Cube(_)
    ) {
        return true;
    }
    #[cfg(feature = "flex")]
    if crate::flex::applies(maps) {
        return true;
    }
    let _ = maps;
    false
}

/// As [`super::batch_norm_train`].
pub(crate) fn batch_norm_train<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Normalized<D> {
    let [gamma, beta] = [gamma, beta].map(Tensor::into_dispatch);
    let (output, mean, variance) = Dispatch::normalize(input.into_dispatch(), gamma, beta, epsilon);
    Normalized {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// As [`super::batch_norm`].
#[cfg(feature = "flex")]
pub(crate) fn batch_norm<const D: usize>(
    input: Tensor<D>,
    [gamma, beta]: [Tensor<1>; 2],
    [mean, variance]: [Tensor<1>; 2],
    epsilon: f64,
) -> Tensor<D> {
    let statistics = statistics(mean, variance, epsilon);
    let [gamma, beta] = [gamma, beta].map(Tensor::into_dispatch);
    let output = Dispatch::normalize_by(input.into_dispatch(), gamma, beta, statistics);
    Tensor::from_dispatch(output)
}

/// As [`super::batch_norm_of_ranks`].
///
/// The variance over ranks is the mean of the variances within them, plus that of their means.
pub(crate) fn batch_norm_of_ranks<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    mean_of_ranks: impl Fn(Tensor<1>) -> Tensor<1>,
) -> Normalized<D> {
    let (maps, relay) = (input.into_dispatch(), Relay::default());
    let own = Tensor::<1>::from_dispatch(Dispatch::moments(maps.clone(), relay.clone()));
    let moments = mean_of_ranks(own.clone());
    let [own_mean, _] = halves(own.detach());
    let [mean, within] = halves(moments.clone().detach());
    let variance = within + mean_of_ranks((own_mean - mean.clone()).square());

    let statistics = statistics(mean.clone(), variance.clone(), epsilon);
    let [gamma, beta, moments] = [gamma, beta, moments].map(Tensor::into_dispatch);
    let output = Dispatch::normalize_over_ranks(maps, gamma, beta, moments, statistics, relay);
    Normalized {
        output: Tensor::from_dispatch(output),
        mean,
        variance,
    }
}

fn statistics(mean: Tensor<1>, variance: Tensor<1>, epsilon: f64) -> Statistics<Dispatch> {
    Statistics {
        mean: mean.into_dispatch(),
        variance: variance.into_dispatch(),
        epsilon,
    }
}

fn halves(values: Tensor<1>) -> [Tensor<1>; 2] {
    let half = values.dims()[0] / 2;
    [0, half].map(|start| values.clone().narrow(0, start, half))
}

/// What the norms are made of. The first four can be differentiated, the others are what their
/// gradients are made of.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube")
)]
trait NormByChannels: Backend {
    /// The maps normalised by their own statistics, scaled and shifted; and those statistics.
    #[fusion(default)]
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let statistics = Statistics::<Self>::of(maps.clone(), epsilon);
        let output = statistics.normalize(maps, gamma, beta);
        (output, statistics.mean, statistics.variance)
    }

    /// The maps normalised by statistics that do not follow them, scaled and shifted.
    #[fusion(default)]
    fn normalize_by(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        #[extension_type] statistics: Statistics<Self>,
    ) -> FloatTensor<Self> {
        statistics.normalize(maps, gamma, beta)
    }

    /// Mean and, after it, biased variance of each channel of this rank's maps, `[2·channels]`. The
    /// gradient of the maps is this operation's, with what [`Self::normalize_over_ranks`] relays.
    #[fusion(default)]
    fn moments(maps: FloatTensor<Self>, _relay: Relay) -> FloatTensor<Self> {
        let statistics = Statistics::<Self>::of(maps, 0.0);
        Self::float_cat(vec![statistics.mean, statistics.variance], 0)
    }

    /// The maps normalised by the statistics of all ranks, scaled and shifted. `moments` is the mean
    /// over ranks of their [`Self::moments`]: through it the sums of the gradient travel back.
    #[fusion(default)]
    fn normalize_over_ranks(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        _moments: FloatTensor<Self>,
        #[extension_type] statistics: Statistics<Self>,
        _relay: Relay,
    ) -> FloatTensor<Self> {
        Self::normalize_by(maps, gamma, beta, statistics)
    }

    /// The gradients of `normalize` from that of its output.
    #[fusion(default)]
    fn gradients(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        #[extension_type] statistics: Statistics<Self>,
        gradient: FloatTensor<Self>,
    ) -> Gradients<Self> {
        statistics.gradients(maps, gamma, gradient)
    }

    /// What the gradients of scale and shift are made of, from the gradient of the output.
    #[fusion(default)]
    fn sums(
        maps: FloatTensor<Self>,
        #[extension_type] statistics: Statistics<Self>,
        gradient: FloatTensor<Self>,
    ) -> Sums<Self> {
        statistics.sums(maps, gradient)
    }

    /// The gradient of the maps from that of the output. `sums` are those of this rank, or their mean
    /// over ranks.
    #[fusion(default)]
    fn gradient_of_maps(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        #[extension_type] statistics: Statistics<Self>,
        gradient: FloatTensor<Self>,
        #[extension_type] sums: Sums<Self>,
    ) -> FloatTensor<Self> {
        statistics.gradient_of_maps(maps, gamma, gradient, sums)
    }
}

#[cfg(feature = "cube")]
impl NormByChannels for burn_cubecl::CubeBackend {}

#[cfg(test)]
mod tests;
