//! Both as operations of burn's, with one backward pass.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
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
use rayon::prelude::*;

use crate::flex::{tensor, values};

/// Values of one task.
const PORTION: usize = 1 << 14;

/// As [`crate::relu`].
pub(crate) fn relu<const D: usize>(maps: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fast_relu(maps.into_dispatch()))
}

/// As [`crate::relu_of_sum`].
pub(crate) fn relu_of_sum<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fast_relu_of_sum(
        a.into_dispatch(),
        b.into_dispatch(),
    ))
}

#[backend_extension(Autodiff, Flex)]
trait FastRelu: Backend {
    fn fast_relu(maps: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fast_relu_of_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of the input, from the output and its gradient.
    fn relu_gradient(output: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FastRelu for Flex {
    fn fast_relu(maps: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = maps.shape();
        let maps = maps.to_contiguous();
        let values = values(&maps).par_iter().with_min_len(PORTION);
        tensor(values.map(|&x| relu_of(x)).collect(), shape)
    }

    fn fast_relu_of_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        of_pairs(a, b, |a, b| relu_of(a + b))
    }

    fn relu_gradient(output: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        of_pairs(output, gradient, |y, gradient| match y <= 0.0 {
            true => 0.0,
            false => gradient,
        })
    }
}

/// NaN stays NaN.
fn relu_of(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

fn of_pairs(
    a: FloatTensor<Flex>,
    b: FloatTensor<Flex>,
    f: impl Fn(f32, f32) -> f32 + Sync,
) -> FloatTensor<Flex> {
    let shape = a.shape();
    let [a, b] = [a, b].map(|tensor| tensor.to_contiguous());
    let pairs = values(&a).par_iter().zip(values(&b)).with_min_len(PORTION);
    tensor(pairs.map(|(&a, &b)| f(a, b)).collect(), shape)
}

impl<B: FastRelu, C: CheckpointStrategy> FastRelu for Autodiff<B, C> {
    fn fast_relu(maps: FloatTensor<Self>) -> FloatTensor<Self> {
        let step = ReluGradient.prepare::<C>([maps.node()]).compute_bound();
        let output = B::fast_relu(maps.into_primitive());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish(output.clone(), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn fast_relu_of_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let step = ReluGradient
            .prepare::<C>([a.node(), b.node()])
            .compute_bound();
        let output = B::fast_relu_of_sum(a.into_primitive(), b.into_primitive());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish(output.clone(), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    /// Gradients of gradients are not computed.
    fn relu_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step of both: every summand has the same gradient.
#[derive(Debug)]
struct ReluGradient;

impl<B: FastRelu, const N: usize> Backward<B, N> for ReluGradient {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = B::relu_gradient(ops.state, gradients.consume::<B>(&ops.node));
        for parent in ops.parents.into_iter().flatten() {
            gradients.register::<B>(parent.id, gradient.clone());
        }
    }
}
