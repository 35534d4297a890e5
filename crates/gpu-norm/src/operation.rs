//! The norm as an operation of burn's, with a backward pass of its own.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, Dispatch,
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
    let [input, gamma, beta] = [
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
    ];
    let (output, mean, variance) = Dispatch::normalize(input, gamma, beta, epsilon);
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
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let parents = [maps.node(), gamma.node(), beta.node()];
        let step = NormGradients.prepare::<C>(parents).compute_bound();
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.into_primitive());
        let (output, mean, variance) = B::normalize(maps.clone(), gamma.clone(), beta, epsilon);
        let statistics = Statistics::<B> {
            mean: mean.clone(),
            variance: variance.clone(),
            epsilon,
        };
        let output = match step.stateful() {
            OpsKind::Tracked(step) => step.finish((maps, gamma, statistics), output),
            OpsKind::UnTracked(step) => step.finish(output),
        };
        (output, Self::from_inner(mean), Self::from_inner(variance))
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
