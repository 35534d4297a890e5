//! The layer as an operation of burn's, with a backward pass of its own.

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
    backward::{find_and_register, parents_of, tracked},
    flex::{tensor, values},
    perhaps::Perhaps,
    product::Matrix,
    sums::column_sums,
};

/// As [`crate::linear`].
pub(crate) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let bias = Perhaps::new(bias.map(Tensor::into_dispatch));
    let output = Dispatch::fast_linear(x.into_dispatch(), weight.into_dispatch(), bias);
    Tensor::from_dispatch(output)
}

#[backend_extension(Autodiff, Flex)]
trait FastLinear: Backend {
    fn fast_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Perhaps<Self>,
    ) -> FloatTensor<Self>;

    /// The gradient of the input, from that of the output.
    fn linear_input_gradient(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The gradient of the weights, from that of the output.
    fn linear_weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The gradient of the bias, from that of the output.
    fn linear_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FastLinear for Flex {
    fn fast_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Perhaps<Self>,
    ) -> FloatTensor<Self> {
        let [k, n] = weight.shape().dims();
        let mut shape = x.shape();
        let last = shape.num_dims() - 1;
        shape[last] = n;
        let [x, weight] = [x, weight].map(|tensor| tensor.to_contiguous());
        let bias = bias.tensor().map(|bias| bias.to_contiguous());
        let weight = Matrix::rows(values(&weight), n);
        let output = rows::product(values(&x), weight, [k, n], bias.as_ref().map(values));
        tensor(output, shape)
    }

    fn linear_input_gradient(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [k, n] = weight.shape().dims();
        let mut shape = gradient.shape();
        let last = shape.num_dims() - 1;
        shape[last] = k;
        // Laid out once: each block would lay it out anew.
        let [gradient, weight] =
            [gradient, weight.transpose(0, 1)].map(|tensor| tensor.to_contiguous());
        let weight = Matrix::rows(values(&weight), k);
        tensor(
            rows::product(values(&gradient), weight, [n, k], None),
            shape,
        )
    }

    fn linear_weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let sides = [channels(&x), channels(&gradient)];
        let [x, gradient] = [x, gradient].map(|tensor| tensor.to_contiguous());
        tensor(
            rows::weight_gradient(values(&x), values(&gradient), sides),
            sides,
        )
    }

    fn linear_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let channels = channels(&gradient);
        let gradient = gradient.to_contiguous();
        tensor(column_sums(values(&gradient), channels), [channels])
    }
}

fn channels(rows: &FloatTensor<Flex>) -> usize {
    let shape = rows.shape();
    shape[shape.num_dims() - 1]
}

impl<B: FastLinear, C: CheckpointStrategy> FastLinear for Autodiff<B, C> {
    fn fast_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Perhaps<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let bias = bias.tensor();
        let bias_node = bias.as_ref().map(|bias| bias.node());
        let [x, weight] = [x, weight].map(|tensor| tensor.into_primitive());
        let bias = Perhaps::new(bias.map(|bias| bias.into_primitive()));
        let output = B::fast_linear(x.clone(), weight.clone(), bias);
        match bias_node {
            None => tracked!(LinearGradients, C, nodes, (x, weight), output),
            Some(bias) => {
                let [x_node, weight_node] = nodes;
                let nodes = [x_node, weight_node, bias];
                tracked!(LinearGradients, C, nodes, (x, weight), output)
            }
        }
    }

    /// Gradients of gradients are not computed.
    fn linear_input_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }

    /// The same.
    fn linear_weight_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }

    /// The same.
    fn linear_bias_gradient(_: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step for input, weights and, where there is one, bias.
#[derive(Debug)]
struct LinearGradients;

impl<B: FastLinear, const N: usize> Backward<B, N> for LinearGradients {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let parents = parents_of(&ops);
        let (x, weight) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let find: [&dyn Fn() -> FloatTensor<B>; 3] = [
            &|| B::linear_input_gradient(gradient.clone(), weight.clone()),
            &|| B::linear_weight_gradient(x.clone(), gradient.clone()),
            &|| B::linear_bias_gradient(gradient.clone()),
        ];
        find_and_register::<B>(gradients, parents, find);
    }
}
