//! The norm as an operation of burn's, with a backward pass of its own.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};

use crate::{Normalized, channels_last::Statistics};

/// Whether the operation of this file serves: on a device of CubeCL.
#[cfg(feature = "cube")]
pub(crate) fn applies(device: &burn::tensor::Device) -> bool {
    let device = device.clone().without_autodiff();
    matches!(device.as_dispatch(), burn::backend::DispatchDevice::Cube(_))
}

/// As [`crate::batch_norm_train`].
pub(crate) fn batch_norm_train<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Normalized<D> {
    let constant = input.clone().detach().into_dispatch();
    let (mean, variance) = Dispatch::statistics(constant);
    let output = Dispatch::normalize(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        mean.clone(),
        variance.clone(),
        epsilon,
    );
    Normalized {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

#[backend_extension(
    Autodiff,
    Flex: cfg(test),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube")
)]
trait NormByChannels: Backend {
    /// Mean and biased variance of each channel.
    #[fusion(default)]
    fn statistics(maps: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let Statistics { mean, variance, .. } = Statistics::<Self>::of(maps, 0.0);
        (mean, variance)
    }

    /// The maps normalised by their own statistics, scaled and shifted.
    #[fusion(default)]
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let statistics = Statistics::<Self> {
            mean,
            variance,
            epsilon,
        };
        statistics.normalize(maps, gamma, beta)
    }
}

#[cfg(test)]
impl NormByChannels for burn::backend::Flex {}

#[cfg(feature = "cube")]
impl NormByChannels for burn_cubecl::CubeBackend {}

impl<B: NormByChannels, C: CheckpointStrategy> NormByChannels for Autodiff<B, C> {
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let parents = [maps.node(), gamma.node(), beta.node()];
        let step = NormGradients.prepare::<C>(parents).compute_bound();
        let statistics = Statistics::<B> {
            mean: mean.into_primitive(),
            variance: variance.into_primitive(),
            epsilon,
        };
        let (maps, gamma) = (maps.into_primitive(), gamma.into_primitive());
        let output = statistics.normalize(maps.clone(), gamma.clone(), beta.into_primitive());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish((maps, gamma, statistics), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }
}

/// The backward step, for maps, scale and shift.
#[derive(Debug)]
struct NormGradients;

impl<B: NormByChannels> Backward<B, 3> for NormGradients {
    type State = (FloatTensor<B>, FloatTensor<B>, Statistics<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (maps, gamma, statistics) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let found = statistics.gradients(maps, gamma, gradient);
        let found = [found.input, found.gamma, found.beta];
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = parent {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

#[cfg(test)]
mod tests;
