//! Both as one operation of burn's, with a backward pass of its own.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, unary},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};
use widest::widest;

use super::{logistic::logistic, normal::normal};
use crate::{
    backward::tracked,
    flex::{each_written, of_pairs, tensor, values},
};

/// Which activation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// As [`crate::gelu`].
    Gelu,
    /// As [`crate::silu`].
    Silu,
}

/// The activation of each value.
pub(crate) fn activate<const D: usize>(x: Tensor<D>, kind: Kind) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::activate(x.into_dispatch(), kind))
}

#[backend_extension(Autodiff, Flex)]
trait Activate: Backend {
    fn activate(x: FloatTensor<Self>, kind: Kind) -> FloatTensor<Self>;

    /// The gradient of the input, from the input and that of the output.
    fn activation_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kind: Kind,
    ) -> FloatTensor<Self>;
}

impl Activate for Flex {
    fn activate(x: FloatTensor<Self>, kind: Kind) -> FloatTensor<Self> {
        let (shape, x) = (x.shape(), x.to_contiguous());
        let x = values(&x);
        let output = each_written(x.len(), |first, to| {
            write(kind, &x[first..][..to.len()], to);
        });
        tensor(output, shape)
    }

    fn activation_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kind: Kind,
    ) -> FloatTensor<Self> {
        of_pairs(x, gradient, |x, gradient, to| {
            write_gradient(kind, x, gradient, to);
        })
    }
}

fn write(kind: Kind, x: &[f32], to: &mut [f32]) {
    match kind {
        Kind::Gelu => widest!((x: &'a [f32], to: &'a mut [f32]) -> () {
            for (y, &x) in to.iter_mut().zip(x) {
                *y = x * normal(x)[0];
            }
        }),
        Kind::Silu => widest!((x: &'a [f32], to: &'a mut [f32]) -> () {
            for (y, &x) in to.iter_mut().zip(x) {
                *y = x * logistic(x);
            }
        }),
    }
}

fn write_gradient(kind: Kind, x: &[f32], gradient: &[f32], to: &mut [f32]) {
    match kind {
        Kind::Gelu => widest!((x: &'a [f32], gradient: &'a [f32], to: &'a mut [f32]) -> () {
            for ((dx, &x), gradient) in to.iter_mut().zip(x).zip(gradient) {
                let [below, density] = normal(x);
                *dx = gradient * x.mul_add(density, below);
            }
        }),
        Kind::Silu => widest!((x: &'a [f32], gradient: &'a [f32], to: &'a mut [f32]) -> () {
            for ((dx, &x), gradient) in to.iter_mut().zip(x).zip(gradient) {
                let [below, above] = [logistic(x), logistic(-x)];
                *dx = gradient * below * x.mul_add(above, 1.0);
            }
        }),
    }
}

impl<B: Activate, C: CheckpointStrategy> Activate for Autodiff<B, C> {
    fn activate(x: FloatTensor<Self>, kind: Kind) -> FloatTensor<Self> {
        let (node, x) = (x.node(), x.into_primitive());
        let output = B::activate(x.clone(), kind);
        tracked!(ActivationGradient, C, [node], (x, kind), output)
    }

    /// Gradients of gradients are not computed.
    fn activation_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Kind,
    ) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step.
#[derive(Debug)]
struct ActivationGradient;

impl<B: Activate> Backward<B, 1> for ActivationGradient {
    type State = (FloatTensor<B>, Kind);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (x, kind) = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            B::activation_gradient(x, gradient, kind)
        });
    }
}
