//! The norm as an operation of burn's, with a backward pass of its own.

#[cfg(any(feature = "flex", test))]
mod flex;

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, Dispatch,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients as GradientsOfNodes,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};

use crate::{
    Normalized,
    statistics::{Gradients, Statistics},
};

/// Whether the operation of this file serves: on a device of CubeCL, and for float32 on the CPU.
pub(crate) fn applies<const D: usize>(maps: &Tensor<D>) -> bool {
    let device = maps.device().without_autodiff();
    #[cfg(feature = "cube")]
    if matches!(device.as_dispatch(), burn::backend::DispatchDevice::Cube(_)) {
        return true;
    }
    #[cfg(any(feature = "flex", test))]
    if device == burn::tensor::Device::flex() {
        return maps.dtype() == burn::tensor::DType::F32;
    }
    let _ = device;
    false
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
    Flex: cfg(any(feature = "flex", test)),
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
}

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

    /// Gradients of gradients are not computed.
    fn gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Statistics<Self>,
        _: FloatTensor<Self>,
    ) -> Gradients<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step, for maps, scale and shift.
#[derive(Debug)]
struct NormGradients;

impl<B: NormByChannels> Backward<B, 3> for NormGradients {
    type State = (FloatTensor<B>, FloatTensor<B>, Statistics<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut GradientsOfNodes,
        _: &mut Checkpointer,
    ) {
        let (maps, gamma, statistics) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let found = B::gradients(maps, gamma, statistics, gradient);
        let found = [found.maps, found.gamma, found.beta];
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[cfg(test)]
mod tests;
