//! The norm as an operation of burn's, with a backward pass of its own.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};

use super::rows;
use crate::{
    backward::{parents_of, register, tracked},
    flex::{tensor, values},
};

/// As [`crate::layer_norm`].
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let [gamma, beta] = [gamma, beta].map(Tensor::into_dispatch);
    let x = x.into_dispatch();
    Tensor::from_dispatch(Dispatch::fast_layer_norm(x, gamma, beta, epsilon))
}

#[backend_extension(Autodiff, Flex)]
trait FastLayerNorm: Backend {
    fn fast_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// The gradients of input, scale and shift, from that of the output.
    fn layer_norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl FastLayerNorm for Flex {
    fn fast_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.to_contiguous());
        let output = rows::normalize(values(&x), values(&gamma), values(&beta), epsilon);
        tensor(output, shape)
    }

    fn layer_norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (shape, channels) = (x.shape(), gamma.shape());
        let [x, gamma, gradient] = [x, gamma, gradient].map(|tensor| tensor.to_contiguous());
        let [x, of_gamma, of_beta] =
            rows::gradients(values(&x), values(&gamma), values(&gradient), epsilon);
        let [of_gamma, of_beta] = [of_gamma, of_beta].map(|sums| tensor(sums, channels.clone()));
        (tensor(x, shape), of_gamma, of_beta)
    }
}

impl<B: FastLayerNorm, C: CheckpointStrategy> FastLayerNorm for Autodiff<B, C> {
    fn fast_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let parents = [x.node(), gamma.node(), beta.node()];
        let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
        let output = B::fast_layer_norm(x.clone(), gamma.clone(), beta, epsilon);
        tracked!(LayerNormGradients, C, parents, (x, gamma, epsilon), output)
    }

    /// Gradients of gradients are not computed.
    fn layer_norm_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step.
#[derive(Debug)]
struct LayerNormGradients;

impl<B: FastLayerNorm> Backward<B, 3> for LayerNormGradients {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let parents = parents_of(&ops);
        let (x, gamma, epsilon) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let (x, gamma, beta) = B::layer_norm_gradients(x, gamma, gradient, epsilon);
        register::<B>(gradients, parents, [x, gamma, beta]);
    }
}
