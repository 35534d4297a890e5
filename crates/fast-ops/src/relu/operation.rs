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
        ops::FloatTensorOps,
        tensor::FloatTensor,
    },
    tensor::{DType, Device, Tensor, TensorData},
};
use rayon::prelude::*;

/// Values of one task.
const PORTION: usize = 1 << 14;

/// Whether the operations of this file serve: for float32 on the CPU.
pub(crate) fn applies<const D: usize>(maps: &Tensor<D>) -> bool {
    maps.device().without_autodiff() == Device::flex() && maps.dtype() == DType::F32
}

/// As [`crate::relu`].
pub(crate) fn relu<const D: usize>(maps: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::rectified(maps.into_dispatch()))
}

/// As [`crate::relu_of_sum`].
pub(crate) fn relu_of_sum<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::rectified_sum(
        a.into_dispatch(),
        b.into_dispatch(),
    ))
}

#[backend_extension(Autodiff, Flex)]
trait Rectify: Backend {
    fn rectified(maps: FloatTensor<Self>) -> FloatTensor<Self>;

    fn rectified_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of what was rectified, from the output and its gradient.
    fn passed(output: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Rectify for Flex {
    fn rectified(maps: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = maps.shape();
        let maps = maps.to_contiguous();
        let values = values(&maps).par_iter().with_min_len(PORTION);
        tensor(values.map(|&x| above_zero(x)).collect(), shape)
    }

    fn rectified_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        of_pairs(a, b, |a, b| above_zero(a + b))
    }

    fn passed(output: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        of_pairs(output, gradient, |y, gradient| match y <= 0.0 {
            true => 0.0,
            false => gradient,
        })
    }
}

/// NaN stays NaN.
fn above_zero(x: f32) -> f32 {
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

/// Of a tensor without gaps.
fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    tensor.as_slice().expect("contiguous float32")
}

fn tensor(values: Vec<f32>, shape: burn::tensor::Shape) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
}

impl<B: Rectify, C: CheckpointStrategy> Rectify for Autodiff<B, C> {
    fn rectified(maps: FloatTensor<Self>) -> FloatTensor<Self> {
        let step = Passed.prepare::<C>([maps.node()]).compute_bound();
        let output = B::rectified(maps.into_primitive());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish(output.clone(), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn rectified_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let step = Passed.prepare::<C>([a.node(), b.node()]).compute_bound();
        let output = B::rectified_sum(a.into_primitive(), b.into_primitive());
        match step.stateful() {
            OpsKind::Tracked(step) => step.finish(output.clone(), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    /// Gradients of gradients are not computed.
    fn passed(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step of both: every summand has the same gradient.
#[derive(Debug)]
struct Passed;

impl<B: Rectify, const N: usize> Backward<B, N> for Passed {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = B::passed(ops.state, gradients.consume::<B>(&ops.node));
        for parent in ops.parents.into_iter().flatten() {
            gradients.register::<B>(parent.id, gradient.clone());
        }
    }
}

#[cfg(test)]
mod tests;
