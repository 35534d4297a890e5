//! The sum as an operation of burn's, with a backward pass of its own.

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
    backward::{find_and_register, parents_of, tracked},
    flex::{of_pairs, tensor, values, written},
    perhaps::Perhaps,
    sums::column_products,
};

/// Numbers of a task, about.
const PORTION: usize = 1 << 12;

/// As [`crate::residual`].
pub(crate) fn residual<const D: usize>(
    x: Tensor<D>,
    branch: Tensor<D>,
    scale: Option<Tensor<1>>,
) -> Tensor<D> {
    let scale = Perhaps::new(scale.map(Tensor::into_dispatch));
    let output = Dispatch::fast_residual(x.into_dispatch(), branch.into_dispatch(), scale);
    Tensor::from_dispatch(output)
}

#[backend_extension(Autodiff, Flex)]
trait FastResidual: Backend {
    fn fast_residual(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        #[extension_type] scale: Perhaps<Self>,
    ) -> FloatTensor<Self>;

    /// The gradient of a branch that is scaled, from that of the output.
    fn branch_gradient(gradient: FloatTensor<Self>, scale: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of the scale, from that of the output.
    fn scale_gradient(gradient: FloatTensor<Self>, branch: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FastResidual for Flex {
    fn fast_residual(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        scale: Perhaps<Self>,
    ) -> FloatTensor<Self> {
        let Some(scale) = scale.tensor() else {
            return of_pairs(x, branch, sum);
        };
        let shape = x.shape();
        let all = [x, branch, scale].map(|tensor| tensor.to_contiguous());
        let [x, branch, scale] = all.each_ref().map(values);
        tensor(scaled_sum(x, branch, scale), shape)
    }

    fn branch_gradient(gradient: FloatTensor<Self>, scale: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = gradient.shape();
        let [gradient, scale] = [gradient, scale].map(|tensor| tensor.to_contiguous());
        tensor(product(values(&gradient), values(&scale)), shape)
    }

    fn scale_gradient(gradient: FloatTensor<Self>, branch: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = branch.shape();
        let channels = shape[shape.num_dims() - 1];
        let [gradient, branch] = [gradient, branch].map(|tensor| tensor.to_contiguous());
        let sums = column_products(values(&gradient), values(&branch), channels);
        tensor(sums, [channels])
    }
}

fn sum(x: &[f32], branch: &[f32], to: &mut [f32]) {
    widest!((x: &'a [f32], branch: &'a [f32], to: &'a mut [f32]) -> () {
        for (y, (x, branch)) in to.iter_mut().zip(x.iter().zip(branch)) {
            *y = x + branch;
        }
    });
}

fn scaled_sum(x: &[f32], branch: &[f32], scale: &[f32]) -> Vec<f32> {
    by_rows(x.len(), scale, |first, to| {
        let [x, branch] = [x, branch].map(|values| &values[first..][..to.len()]);
        widest!((x: &'a [f32], branch: &'a [f32], scale: &'a [f32], to: &'a mut [f32]) -> () {
            let width = scale.len();
            let rows = x.chunks_exact(width).zip(branch.chunks_exact(width));
            for (to, (x, branch)) in to.chunks_exact_mut(width).zip(rows) {
                for ((y, scale), (x, branch)) in to.iter_mut().zip(scale).zip(x.iter().zip(branch)) {
                    *y = branch.mul_add(*scale, *x);
                }
            }
        });
    })
}

fn product(gradient: &[f32], scale: &[f32]) -> Vec<f32> {
    by_rows(gradient.len(), scale, |first, to| {
        let gradient = &gradient[first..][..to.len()];
        widest!((gradient: &'a [f32], scale: &'a [f32], to: &'a mut [f32]) -> () {
            let width = scale.len();
            for (to, gradient) in to.chunks_exact_mut(width).zip(gradient.chunks_exact(width)) {
                for ((y, scale), gradient) in to.iter_mut().zip(scale).zip(gradient) {
                    *y = gradient * scale;
                }
            }
        });
    })
}

/// `count` numbers in rows as long as the scale: `write` gets the index of the first number.
fn by_rows(count: usize, scale: &[f32], write: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let portion = PORTION.next_multiple_of(scale.len());
    written(count, portion, |index, to| write(index * portion, to))
}

impl<B: FastResidual, C: CheckpointStrategy> FastResidual for Autodiff<B, C> {
    fn fast_residual(
        x: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        scale: Perhaps<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), branch.node()];
        let [x, branch] = [x, branch].map(|tensor| tensor.into_primitive());
        let Some(scale) = scale.tensor() else {
            let output = B::fast_residual(x, branch, Perhaps::Absent);
            return tracked!(ResidualGradients, C, nodes, None, output);
        };
        let [x_node, branch_node] = nodes;
        let nodes = [x_node, branch_node, scale.node()];
        let scale = scale.into_primitive();
        let output = B::fast_residual(x, branch.clone(), Perhaps::Given(scale.clone()));
        tracked!(ResidualGradients, C, nodes, Some((branch, scale)), output)
    }

    /// Gradients of gradients are not computed.
    fn branch_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }

    /// The same.
    fn scale_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step for both summands and, where there is one, the scale.
#[derive(Debug)]
struct ResidualGradients;

impl<B: FastResidual, const N: usize> Backward<B, N> for ResidualGradients {
    /// The branch and its scale.
    type State = Option<(FloatTensor<B>, FloatTensor<B>)>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let parents = parents_of(&ops);
        let scaled = ops.state;
        let find: [&dyn Fn() -> FloatTensor<B>; 3] = [
            &|| gradient.clone(),
            &|| match &scaled {
                Some((_, scale)) => B::branch_gradient(gradient.clone(), scale.clone()),
                None => gradient.clone(),
            },
            &|| {
                let (branch, _) = scaled.as_ref().expect("a parent that is the scale");
                B::scale_gradient(gradient.clone(), branch.clone())
            },
        ];
        find_and_register::<B>(gradients, parents, find);
    }
}
