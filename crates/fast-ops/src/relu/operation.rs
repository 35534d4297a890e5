//! Both as operations of burn's, with one backward pass.

use std::iter::repeat_n;

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
use widest::widest;

use crate::{
    backward::{parents_of, register, tracked},
    flex::{each_written, of_pairs, tensor, values},
};

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
        let maps = values(&maps);
        let output = each_written(maps.len(), |first, to| {
            let maps = &maps[first..][..to.len()];
            widest!((maps: &'a [f32], to: &'a mut [f32]) -> () {
                for (y, &x) in to.iter_mut().zip(maps) {
                    *y = relu_of(x);
                }
            });
        });
        tensor(output, shape)
    }

    fn fast_relu_of_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        of_pairs(a, b, |a, b, to| {
            widest!((a: &'a [f32], b: &'a [f32], to: &'a mut [f32]) -> () {
                for (y, (a, b)) in to.iter_mut().zip(a.iter().zip(b)) {
                    *y = relu_of(a + b);
                }
            });
        })
    }

    fn relu_gradient(output: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        of_pairs(output, gradient, |output, gradient, to| {
            widest!((output: &'a [f32], gradient: &'a [f32], to: &'a mut [f32]) -> () {
                for (dx, (&y, &gradient)) in to.iter_mut().zip(output.iter().zip(gradient)) {
                    *dx = if y <= 0.0 { 0.0 } else { gradient };
                }
            });
        })
    }
}

/// NaN stays NaN.
#[inline(always)]
fn relu_of(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

impl<B: FastRelu, C: CheckpointStrategy> FastRelu for Autodiff<B, C> {
    fn fast_relu(maps: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = maps.node();
        let output = B::fast_relu(maps.into_primitive());
        tracked!(ReluGradient, C, [node], output.clone(), output)
    }

    fn fast_relu_of_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [a.node(), b.node()];
        let output = B::fast_relu_of_sum(a.into_primitive(), b.into_primitive());
        tracked!(ReluGradient, C, nodes, output.clone(), output)
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
        let parents = parents_of(&ops);
        let gradient = B::relu_gradient(ops.state, gradients.consume::<B>(&ops.node));
        register::<B>(gradients, parents, repeat_n(gradient, N));
    }
}
