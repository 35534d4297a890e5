//! Layers of which transformers are built; all but convolutions compute in float32.

use std::f64::consts::FRAC_1_SQRT_2;

use burn::{
    module::Module,
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor, activation::softmax, ops::PadMode},
};

use crate::{
    init::WeightStream,
    precision::{self, product, widened},
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

/// A norm over the last axis that starts as the identity.
pub(super) fn layer_norm(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_epsilon(epsilon)
        .init(device)
}

/// Brings the values along the last axis to mean 0 and variance 1, then scales and shifts them.
///
/// # Shapes
///
/// - `x` and output: `[…, width]`
pub(super) fn normalize<const D: usize>(norm: &LayerNorm, x: Tensor<D>) -> Tensor<D> {
    norm.forward(widened(x))
}

/// [`normalize`] over the channels of each place of a map.
///
/// # Shapes
///
/// - `x` and output: `[batch, channels, height, width]`
pub(super) fn normalize_map(norm: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    channels_first(normalize(norm, channels_last(x)))
}

/// `x · Φ(x)` with the distribution function Φ of the normal distribution (Hendrycks and Gimpel 2016,
/// <https://arxiv.org/abs/1606.08415>).
///
/// Written with the error function: the backward pass of burn's own takes the tanh form on GPUs.
pub(super) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let twice_phi = (x.clone() * FRAC_1_SQRT_2).erf() + 1.0;
    x * 0.5 * twice_phi
}

/// A linear layer of the last axis.
///
/// # Shapes
///
/// - `x`: `[…, inputs]`
/// - output: `[…, outputs]`
pub(super) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let mut shape = x.dims();
    let inputs = shape[D - 1];
    let rows = shape[..D - 1].iter().product();
    let y = precision::linear(layer, widened(x).reshape([rows, inputs]));
    shape[D - 1] = y.dims()[1];
    y.reshape(shape)
}

/// Queries, keys and values of each head.
///
/// # Shapes
///
/// - `packed`: `[batch, tokens, 3 · heads · dims]`, queries first
/// - output: three of `[batch, heads, tokens, dims]`
pub(super) fn split_heads(packed: Tensor<3>, heads: usize) -> [Tensor<4>; 3] {
    let [batch, tokens, width] = packed.dims();
    let dims = width / 3 / heads;
    let packed = packed.reshape([batch, tokens, 3, heads, dims]);
    let packed = packed.permute([2, 0, 3, 1, 4]);
    [0, 1, 2].map(|which| packed.clone().narrow(0, which, 1).squeeze_dim(0))
}

/// The reverse of [`split_heads`] for one of the three.
///
/// # Shapes
///
/// - `x`: `[batch, heads, tokens, dims]`
/// - output: `[batch, tokens, heads · dims]`
pub(super) fn join_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, tokens, dims] = x.dims();
    x.swap_dims(1, 2).reshape([batch, tokens, heads * dims])
}

/// Each query's mean of the values, weighted by [`attention_weights`].
///
/// # Shapes
///
/// - `q`, `k`, `v` and output: `[batch, heads, tokens, dims]`
/// - `bias`: `[batch or 1, heads, tokens, tokens]`, added to the scores
pub(super) fn attention([q, k, v]: [Tensor<4>; 3], bias: Option<Tensor<4>>) -> Tensor<4> {
    product(attention_weights(q, k, bias), v)
}

/// Softmax over the keys of each query's scores, `q · k / √dims` and the bias.
///
/// # Shapes
///
/// - `q`: `[batch, heads, queries, dims]`
/// - `k`: `[batch, heads, keys, dims]`
/// - output: `[batch, heads, queries, keys]`
pub(super) fn attention_weights(q: Tensor<4>, k: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    let [.., dims] = q.dims();
    let q = q * (dims as f64).powf(-0.5);
    let scores = product(q, k.swap_dims(2, 3));
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    softmax(scores, 3)
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
            let norm = layer_norm(3, epsilon, &device);
            assert_near(normalize(&norm, x.clone()), [expected], [3e-7, 1e-7]);
        }
    }

    #[test]
    fn heads_are_split_and_joined_in_their_order() {
        let device = Device::default();
        let packed = Tensor::<1, burn::tensor::Int>::arange(0..24, &device).float();
        let [q, _, v] = split_heads(packed.reshape([1, 2, 12]), 2);
        assert_near(
            q,
            [[[[0.0, 1.0], [12.0, 13.0]], [[2.0, 3.0], [14.0, 15.0]]]],
            ROUNDING,
        );
        let expected = [[[8.0, 9.0, 10.0, 11.0], [20.0, 21.0, 22.0, 23.0]]];
        assert_near(join_heads(v), expected, ROUNDING);
    }
}
