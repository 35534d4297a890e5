//! Layers of which transformers are built; all but convolutions compute in float32.

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{DType, Device, Tensor, ops::PadMode},
};
use fast_ops::gelu;

use crate::{
    init::WeightStream,
    precision::{self, widened},
};

/// Two linear layers with GELU between them, of each token by itself.
#[derive(Module, Debug)]
pub struct Mlp {
    /// Widens.
    pub fc1: Linear,
    /// Narrows again.
    pub fc2: Linear,
}

impl Mlp {
    /// One with the next weights of a stream.
    pub(super) fn new(
        width: usize,
        hidden: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Self {
        let mut linear = |inputs, outputs| {
            stream.transformer_linear(&LinearConfig::new(inputs, outputs), device)
        };
        Self {
            fc1: linear(width, hidden),
            fc2: linear(hidden, width),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[…, width]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(&self.fc2, gelu(linear(&self.fc1, x)))
    }
}

/// Brings the values along the last axis to mean 0 and variance 1, then scales and shifts them (Ba et al.
/// 2016, <https://arxiv.org/abs/1607.06450>).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale, `[width]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[width]`.
    pub beta: Param<Tensor<1>>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    /// The identity but for the norm.
    pub(super) fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            gamma: Param::from_tensor(Tensor::ones([width], (device, DType::F32))),
            beta: Param::from_tensor(Tensor::zeros([width], (device, DType::F32))),
            epsilon,
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[…, width]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        fast_ops::layer_norm(widened(x), self.gamma.val(), self.beta.val(), self.epsilon)
    }

    /// The same over the channels of each place of a map.
    ///
    /// # Shapes
    ///
    /// - `x` and output: `[batch, channels, height, width]`
    pub fn forward_map(&self, x: Tensor<4>) -> Tensor<4> {
        channels_first(self.forward(channels_last(x)))
    }
}

/// A linear layer of the last axis.
///
/// # Shapes
///
/// - `x`: `[…, inputs]`
/// - output: `[…, outputs]`
pub(super) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    precision::linear(layer, widened(x))
}

/// `[batch, channels, height, width]` as `[batch, height, width, channels]`.
pub(super) fn channels_last(map: Tensor<4>) -> Tensor<4> {
    map.permute([0, 2, 3, 1])
}

/// `[batch, height, width, channels]` as `[batch, channels, height, width]`.
pub(super) fn channels_first(map: Tensor<4>) -> Tensor<4> {
    map.permute([0, 3, 1, 2])
}

/// A map that is at least so large, filled up with zeros at the right and at the bottom.
///
/// # Shapes
///
/// - `map`: `[batch, channels, height, width]`
/// - `least`: height and width
pub(super) fn filled_up(map: Tensor<4>, least: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = map.dims();
    let [bottom, right] = [
        least[0].saturating_sub(height),
        least[1].saturating_sub(width),
    ];
    match bottom + right {
        0 => map,
        _ => map.pad((0, right, 0, bottom), PadMode::Constant(0.0)),
    }
}

/// Tokens of all places, row by row, as a map.
///
/// # Shapes
///
/// - `tokens`: `[batch, height · width, channels]`
/// - output: `[batch, channels, height, width]`
pub(super) fn map_of(tokens: Tensor<3>, [height, width]: [usize; 2]) -> Tensor<4> {
    let [batch, _, channels] = tokens.dims();
    channels_first(tokens.reshape([batch, height, width, channels]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::assert_near;

    const ROUNDING: [f64; 2] = [1e-6, 1e-7];

    #[test]
    fn gelu_is_the_exact_one() {
        let x = Tensor::<1>::from_floats([-3.0, -1.0, -0.5, 0.5, 1.0, 3.0], &Device::default());
        let expected = [
            -0.0040496941,
            -0.1586552539,
            -0.1542687694,
            0.3457312306,
            0.8413447461,
            2.9959503059,
        ];
        assert_near(gelu(x), expected, ROUNDING);
    }

    /// The tanh form has 1.0829639.
    #[test]
    fn the_slope_of_gelu_is_the_exact_one_s() {
        let x = Tensor::<1>::from_floats([1.0], &Device::default().autodiff()).require_grad();
        let gradients = gelu(x.clone()).backward();
        assert_near(x.grad(&gradients).unwrap(), [1.0833155], ROUNDING);
    }

    #[test]
    fn the_variance_of_a_norm_is_biased_and_epsilon_counts() {
        let device = Device::default();
        let x = Tensor::<2>::from_floats([[1.0, 2.0, 4.0]], &device);
        for (epsilon, expected) in [
            (1e-5, [-1.069041531, -0.267260383, 1.336301914]),
            (1e-6, [-1.069044624, -0.267261156, 1.336305780]),
        ] {
            let norm = LayerNorm::new(3, epsilon, &device);
            assert_near(norm.forward(x.clone()), [expected], [3e-7, 1e-7]);
        }
    }
}
