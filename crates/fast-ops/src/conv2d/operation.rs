//! The convolution as an operation of burn's, with a backward pass of its own.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind, binary},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Tensor, ops::ConvOptions},
};

use super::{
    Computed, by_group::by_group, convolution::Convolution, direct, input_gradient::input_gradient,
    output::output, weight_gradient::weight_gradient,
};
use crate::flex;

/// Whether the operation of this file serves: on the CPU in float32.
pub(crate) fn applies(input: &Tensor<4>, weight: &Tensor<4>) -> bool {
    flex::applies(input) && flex::applies(weight)
}

/// The convolution without bias.
pub(crate) fn convolve(input: Tensor<4>, weight: Tensor<4>, options: ConvOptions<2>) -> Tensor<4> {
    let [input, weight] = [input, weight].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::convolve(input, weight, options))
}

#[backend_extension(Autodiff, Flex)]
trait Convolve: Backend {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    /// The gradient with respect to an input of this shape, from that of the output.
    fn input_gradient(
        output: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        shape: [usize; 4],
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    /// The gradient with respect to weights of this shape, from that of the output.
    fn weight_gradient(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        shape: [usize; 4],
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
}

impl Convolve for Flex {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let shapes = [&input, &weight].map(|tensor| tensor.shape().dims());
        let of = Convolution::new(shapes[0], shapes[1], &options);
        let batch = of.input[0];
        let ways = [output, direct::output];
        computed(&of, [input, weight], ways, [batch, 1, batch], of.output)
    }

    fn input_gradient(
        output: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        shape: [usize; 4],
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let of = Convolution::new(shape, weight.shape().dims(), &options);
        let batch = shape[0];
        let ways = [input_gradient, direct::input_gradient];
        computed(&of, [output, weight], ways, [batch, 1, batch], shape)
    }

    fn weight_gradient(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        shape: [usize; 4],
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let of = Convolution::new(input.shape().dims(), shape, &options);
        let batch = of.input[0];
        let ways = [weight_gradient, direct::weight_gradient];
        computed(&of, [input, output], ways, [batch, batch, 1], shape)
    }
}

/// By the first of two ways, as products, or by the second, direct. `outer` is of both tensors and the
/// result: see [`by_group`].
fn computed(
    of: &Convolution,
    tensors: [FloatTensor<Flex>; 2],
    [product, direct]: [Computed; 2],
    outer: [usize; 3],
    shape: [usize; 4],
) -> FloatTensor<Flex> {
    let tensors = tensors.map(|tensor| tensor.to_contiguous());
    let [first, second] = tensors.each_ref().map(flex::values);
    let found = match of.groups {
        1 => product(of, first, second),
        _ if of.is_narrow() => direct(of, first, second),
        _ => by_group(of, [first, second], outer, product),
    };
    flex::tensor(found, shape)
}

impl<B: Convolve, C: CheckpointStrategy> Convolve for Autodiff<B, C> {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let step = ConvolutionGradients.prepare::<C>([input.node(), weight.node()]);
        let (input, weight) = (input.into_primitive(), weight.into_primitive());
        let output = B::convolve(input.clone(), weight.clone(), options.clone());
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((input, weight, options), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    /// Gradients of gradients are not computed.
    fn input_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: [usize; 4],
        _: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }

    /// The same.
    fn weight_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: [usize; 4],
        _: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step.
#[derive(Debug)]
struct ConvolutionGradients;

impl<B: Convolve> Backward<B, 2> for ConvolutionGradients {
    type State = (FloatTensor<B>, FloatTensor<B>, ConvOptions<2>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (input, weight, options) = ops.state;
        let shapes = [&input, &weight].map(|tensor| tensor.shape().dims());
        let options_too = options.clone();
        binary::<B, _, _>(
            ops.parents,
            ops.node,
            gradients,
            |output| B::input_gradient(output, weight, shapes[0], options_too),
            |output| B::weight_gradient(input, output, shapes[1], options),
        );
    }
}
