//! GELU as an operation of burn's, with a backward pass of its own.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind, unary},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};

use super::normal::normal;
use crate::{
    flex::{tensor, values, written},
    widest::widest,
};

/// Values of one task.
const PORTION: usize = 1 << 14;

/// As [`crate::gelu`].
pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fast_gelu(x.into_dispatch()))
}

#[backend_extension(Autodiff, Flex)]
trait FastGelu: Backend {
    fn fast_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of the input, from the input and that of the output.
    fn gelu_gradient(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FastGelu for Flex {
    fn fast_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (shape, x) = (x.shape(), x.to_contiguous());
        let x = values(&x);
        let output = written(x.len(), PORTION, |index, to| {
            write_gelu(&x[index * PORTION..][..to.len()], to);
        });
        tensor(output, shape)
    }

    fn gelu_gradient(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = x.shape();
        let [x, gradient] = [x, gradient].map(|tensor| tensor.to_contiguous());
        let both = [&x, &gradient].map(values);
        let output = written(both[0].len(), PORTION, |index, to| {
            let [x, gradient] = both.map(|values| &values[index * PORTION..][..to.len()]);
            write_gradient(x, gradient, to);
        });
        tensor(output, shape)
    }
}

fn write_gelu(x: &[f32], to: &mut [f32]) {
    widest!((x: &'a [f32], to: &'a mut [f32]) -> () {
        for (y, &x) in to.iter_mut().zip(x) {
            *y = x * normal(x)[0];
        }
    });
}

fn write_gradient(x: &[f32], gradient: &[f32], to: &mut [f32]) {
    widest!((x: &'a [f32], gradient: &'a [f32], to: &'a mut [f32]) -> () {
        for ((dx, &x), gradient) in to.iter_mut().zip(x).zip(gradient) {
            let [below, density] = normal(x);
            *dx = gradient * x.mul_add(density, below);
        }
    });
}

impl<B: FastGelu, C: CheckpointStrategy> FastGelu for Autodiff<B, C> {
    fn fast_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let step = GeluGradient.prepare::<C>([x.node()]).compute_bound();
        let x = x.into_primitive();
        let output = B::fast_gelu(x.clone());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish(x, output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    /// Gradients of gradients are not computed.
    fn gelu_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step.
#[derive(Debug)]
struct GeluGradient;

impl<B: FastGelu> Backward<B, 1> for GeluGradient {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            B::gelu_gradient(ops.state, gradient)
        });
    }
}
