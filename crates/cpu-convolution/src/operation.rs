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
        ops::{FloatTensorOps, ModuleOps},
        tensor::FloatTensor,
    },
    tensor::{DType, Device, Tensor, TensorData, ops::ConvOptions},
};

use crate::weight_gradient::{Convolution, weight_gradient};

/// Whether the operation of this file serves: gradients on the CPU in float32, all channels together,
/// the same padding on both sides.
pub(crate) fn applies(input: &Tensor<4>, weight: &Tensor<4>, options: &ConvOptions<2>) -> bool {
    let device = input.device();
    let [f32_input, f32_weight] = [input.dtype(), weight.dtype()].map(|dtype| dtype == DType::F32);
    device.is_autodiff()
        && device.without_autodiff() == Device::flex()
        && f32_input
        && f32_weight
        && options.groups == 1
        && !options.is_asymmetric()
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
        Self::conv2d(input, weight, None, options)
    }

    fn weight_gradient(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        shape: [usize; 4],
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let convolution = Convolution {
            input: input.shape().dims(),
            output: output.shape().dims(),
            kernel: [shape[2], shape[3]],
            stride: options.stride,
            padding: options.padding_begin(),
            dilation: options.dilation,
        };
        let device = input.device();
        let [input, output] = [input, output].map(|tensor| tensor.to_contiguous());
        let [maps, gradients] =
            [&input, &output].map(|tensor| tensor.as_slice::<f32>().expect("contiguous float32"));
        let values = weight_gradient(&convolution, maps, gradients);
        Self::float_from_data(TensorData::new(values, shape), &device)
    }
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

    /// Constant: gradients of gradients are not computed.
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
        let shape = weight.shape().dims();
        let (maps, options_too) = (input.clone(), options.clone());
        binary::<B, _, _>(
            ops.parents,
            ops.node,
            gradients,
            |output| input_gradient::<B>(maps, weight, output, options_too),
            |output| B::weight_gradient(input, output, shape, options),
        );
    }
}

/// For a kernel of one pixel the product of the transposed weights with the gradient, elsewhere burn's.
fn input_gradient<B: Backend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    output: FloatTensor<B>,
    options: ConvOptions<2>,
) -> FloatTensor<B> {
    let [_, _, height, width] = weight.shape().dims();
    let plain = options.stride == [1, 1] && options.padding_begin() == [0, 0];
    if [height, width] == [1, 1] && plain {
        let transposed = B::float_swap_dims(weight, 0, 1);
        return B::conv2d(output, transposed, None, options);
    }
    B::conv2d_x_backward(input, weight, output, options)
}

#[cfg(test)]
mod tests;
