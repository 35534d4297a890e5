//! Mixed precision: convolutions in 16 bits, everything that adds up or decides in float32.
//!
//! One rule serves all networks: *a layer computes in the type of its input*. The caller casts the
//! pictures ([`Precision::cast`]); from there
//!
//! | in the type of the pictures | in float32 |
//! |---|---|
//! | convolutions, ReLU, max-pooling, sums of residual blocks | weights, their gradients, optimiser, queue, checkpoints |
//! | | batch norms, global pooling, vectors of unit length, and what follows them: heads on vectors, scores, Sinkhorn, losses |
//! | | resizing, overlap sampling, biases |
//!
//! Products of matrices and linear layers are float32 even where the device rounds their factors
//! ([`product()`]). burn has no automatic casts. [`convolve`] casts the float32 weights to the type of
//! the input; its backward pass casts their gradients back. Of float32 pictures nothing is cast at
//! all.

mod check;
mod product;

use burn::{
    module::Param,
    nn::{PaddingConfig2d, conv::Conv2d},
    tensor::{DType, Tensor, ops::ConvOptions},
};
use fast_ops::conv2d;
use serde::{Deserialize, Serialize};

pub use check::check_device;
pub use product::{
    ROUNDED, attention_weights, float32_product_error, linear, product, product_error,
    product_in_float64, self_attention,
};

/// The type that the convolutions of a training compute in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits throughout.
    #[default]
    Float32,
    /// 16 bits with the range of float32 and 8 bits of precision.
    Bfloat16,
    /// 16 bits with 11 bits of precision and numbers from 6e-8 to 65504: gradients have to be scaled
    /// into that range.
    Float16,
}

impl Precision {
    /// Its name in run files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Bfloat16 => "bfloat16",
            Self::Float16 => "float16",
        }
    }

    /// The type of number.
    pub fn dtype(self) -> DType {
        match self {
            Self::Float32 => DType::F32,
            Self::Bfloat16 => DType::BF16,
            Self::Float16 => DType::F16,
        }
    }

    /// A tensor in this type, such as the pictures that a network computes with.
    pub fn cast<const D: usize>(self, tensor: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Float32 => tensor,
            half => tensor.cast(half.dtype()),
        }
    }
}

/// Numbers of 16 bits as float32; others as they are.
pub fn widened<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match is_half(tensor.dtype()) {
        true => tensor.cast(DType::F32),
        false => tensor,
    }
}

/// A convolution in the type of its input; weights and bias are float32.
///
/// Of 16 bits the bias is added in float32, since its gradient is a sum over all places.
///
/// # Shapes
///
/// As [`Conv2d::forward`]; the output has the type of the input.
///
/// # Panics
///
/// As [`Conv2d::forward`], or if the padding is not explicit.
pub fn convolve(conv: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    let (weight, bias) = (conv.weight.val(), conv.bias.as_ref().map(Param::val));
    convolve_with(weight, bias, options(conv), input)
}

/// [`convolve`] with weights that are no module.
pub(crate) fn convolve_with(
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
    input: Tensor<4>,
) -> Tensor<4> {
    let dtype = input.dtype();
    if !is_half(dtype) {
        return conv2d(input, weight, bias, options);
    }
    let output = conv2d(input, weight.cast(dtype), None, options);
    let Some(bias) = bias else {
        return output;
    };
    let [channels] = bias.dims();
    (widened(output) + bias.reshape([1, channels, 1, 1])).cast(dtype)
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

fn options(conv: &Conv2d) -> ConvOptions<2> {
    let padding = match conv.padding {
        PaddingConfig2d::Valid => [(0, 0), (0, 0)],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => panic!("the padding must be explicit, not `Same`"),
    };
    ConvOptions::new_with_padding(conv.stride, padding, conv.dilation, conv.groups)
}

#[cfg(test)]
mod tests;
