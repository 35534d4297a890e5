//! The convolution as an operation of burn's, with a backward pass of its own.

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
    tensor::{Tensor, ops::ConvOptions},
};

use super::{
    Computed, bias, by_group::by_group, convolution::Convolution, direct,
    input_gradient::input_gradient, output::output, weight_gradient::weight_gradient,
};
use crate::{
    backward::{find_and_register, parents_of, tracked},
    flex,
    perhaps::Perhaps,
};

/// Whether the operation of this file serves: on the CPU in float32.
pub(crate) fn applies(input: &Tensor<4>, weight: &Tensor<4>) -> bool {
    flex::applies(input) && flex::applies(weight)
}

/// As [`crate::conv2d()`].
pub(crate) fn convolve(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let [input, weight] = [input, weight].map(Tensor::into_dispatch);
    let bias = Perhaps::new(bias.map(Tensor::into_dispatch));
    Tensor::from_dispatch(Dispatch::convolve(input, weight, bias, options))
}

#[backend_extension(Autodiff, Flex)]
trait Convolve: Backend {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Perhaps<Self>,
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

    /// The gradient with respect to the bias, from that of the output.
    fn bias_gradient(output: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Convolve for Flex {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Perhaps<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let shapes = [&input, &weight].map(|tensor| tensor.shape().dims());
        let of = Convolution::new(shapes[0], shapes[1], &options);
        let batch = of.input[0];
        let ways = [output, direct::output];
        let mut maps = computed(&of, [input, weight], ways, [batch, 1, batch]);
        if let Some(bias) = bias.tensor().map(|bias| bias.to_contiguous()) {
            bias::add(&mut maps, flex::values(&bias), of.places());
        }
        flex::tensor(maps, of.output)
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
        let maps = computed(&of, [output, weight], ways, [batch, 1, batch]);
        flex::tensor(maps, shape)
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
        let weights = computed(&of, [input, output], ways, [batch, batch, 1]);
        flex::tensor(weights, shape)
    }

    fn bias_gradient(output: FloatTensor<Self>) -> FloatTensor<Self> {
        let [_, channels, height, width] = output.shape().dims();
        let output = output.to_contiguous();
        let sums = bias::gradient(flex::values(&output), channels, height * width);
        flex::tensor(sums, [channels])
    }
}

/// By the first of two ways, as products, or by the second, direct. `outer` is of both tensors and the
/// result: see [`by_group`].
fn computed(
    of: &Convolution,
    tensors: [FloatTensor<Flex>; 2],
    [product, direct]: [Computed; 2],
    outer: [usize; 3],
) -> Vec<f32> {
    let tensors = tensors.map(|tensor| tensor.to_contiguous());
    let [first, second] = tensors.each_ref().map(flex::values);
    match of.groups {
        1 => product(of, first, second),
        _ if of.is_narrow() => direct(of, first, second),
        _ => by_group(of, [first, second], outer, product),
    }
}

impl<B: Convolve, C: CheckpointStrategy> Convolve for Autodiff<B, C> {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Perhaps<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node()];
        let bias = bias.tensor();
        let bias_node = bias.as_ref().map(|bias| bias.node());
        let [input, weight] = [input, weight].map(|tensor| tensor.into_primitive());
        let bias = Perhaps::new(bias.map(|bias| bias.into_primitive()));
        let output = B::convolve(input.clone(), weight.clone(), bias, options.clone());
        let state = (input, weight, options);
        match bias_node {
            None => tracked!(ConvolutionGradients, C, nodes, state, output),
            Some(bias) => {
                let [input, weight] = nodes;
                let nodes = [input, weight, bias];
                tracked!(ConvolutionGradients, C, nodes, state, output)
            }
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

    /// The same.
    fn bias_gradient(_: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("burn computes gradients on the backend itself")
    }
}

/// The backward step for input, weights and, where there is one, bias.
#[derive(Debug)]
struct ConvolutionGradients;

impl<B: Convolve, const N: usize> Backward<B, N> for ConvolutionGradients {
    type State = (FloatTensor<B>, FloatTensor<B>, ConvOptions<2>);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let parents = parents_of(&ops);
        let (input, weight, options) = ops.state;
        let shapes = [&input, &weight].map(|tensor| tensor.shape().dims());
        let output = gradients.consume::<B>(&ops.node);
        let find: [&dyn Fn() -> FloatTensor<B>; 3] = [
            &|| B::input_gradient(output.clone(), weight.clone(), shapes[0], options.clone()),
            &|| B::weight_gradient(input.clone(), output.clone(), shapes[1], options.clone()),
            &|| B::bias_gradient(output.clone()),
        ];
        find_and_register::<B>(gradients, parents, find);
    }
}
