//! Linear layers with norms and activations, as a list: the projectors and predictors of most methods.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use pass_model::{heads::{Activation, LayerConfig, LayerNorm, MlpConfig}, init::WeightStream, norm::NormMode};
//!
//! // The projector of BYOL on a ResNet-18: linear, norm, ReLU, linear without bias.
//! let hidden = LayerConfig::new(4096).norm(LayerNorm::Affine).activation(Activation::Relu);
//! let config = MlpConfig::new(512, vec![hidden, LayerConfig::new(256).without_bias()]);
//! let device = Device::default();
//! let mut projector = config.init(&mut WeightStream::new(0), &device);
//! let output = projector.forward(Tensor::ones([2, 512], &device), NormMode::Batch);
//! assert_eq!(output.dims(), [2, 256]);
//! ```

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, ops::ConvOptions},
};
use fast_ops::{gelu, relu};

use crate::{
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::{convolve_with, linear},
};

/// Settings of an [`Mlp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlpConfig {
    /// Length of the vectors that enter, or channels of the map.
    pub inputs: usize,
    /// The layers, first to last.
    pub layers: Vec<LayerConfig>,
    /// How the weights of all layers are drawn.
    pub weights: InitialWeights,
}

/// Settings of one layer: a linear map, then a norm, then an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerConfig {
    /// Length of the output.
    pub width: usize,
    /// Whether the linear map has a bias.
    pub bias: bool,
    /// The norm behind the linear map.
    pub norm: LayerNorm,
    /// What follows the norm.
    pub activation: Activation,
}

/// The batch norm of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerNorm {
    /// None.
    #[default]
    None,
    /// With a learned scale and shift.
    Affine,
    /// With a learned scale alone.
    Scale,
    /// With neither.
    Plain,
}

/// What follows the norm of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x·Φ(x)` with the exact normal distribution function.
    Gelu,
}

/// How the weights of the linear maps are drawn. Norms start as the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitialWeights {
    /// Weights and biases uniform in `±1/√fan_in`, as PyTorch draws them.
    #[default]
    Uniform,
    /// Weights of deviation 0.01, biases 0: SimCLR.
    Narrow,
    /// Weights of variance `2/fan_in`, biases 0: He et al. 2015, <https://arxiv.org/abs/1502.01852>.
    HeFanIn,
    /// Weights of deviation 0.02, biases 0: DINO, as the layers of transformers.
    Transformer,
    /// Weights of deviation `1/√fan_in`, cut off at two deviations, biases 0: BYOL.
    Truncated,
}

/// Linear maps, each with its norm and activation. Acts on vectors, or on each place of a map.
#[derive(Module, Debug)]
pub struct Mlp {
    /// The layers, first to last.
    pub layers: Vec<MlpLayer>,
}

/// One layer of an [`Mlp`].
#[derive(Module, Debug)]
pub struct MlpLayer {
    /// `[inputs, width]`
    pub linear: Linear,
    /// Behind the linear map.
    pub bn: Option<BatchNorm>,
    #[module(skip)]
    activation: Activation,
}

impl LayerConfig {
    /// A linear map with bias, without norm and activation.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            bias: true,
            norm: LayerNorm::None,
            activation: Activation::None,
        }
    }

    /// The same without bias.
    pub fn without_bias(self) -> Self {
        Self {
            bias: false,
            ..self
        }
    }

    /// The same with this norm.
    pub fn norm(self, norm: LayerNorm) -> Self {
        Self { norm, ..self }
    }

    /// The same with this activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    fn init(
        &self,
        inputs: usize,
        weights: InitialWeights,
        stream: &mut WeightStream,
        device: &Device,
    ) -> MlpLayer {
        let linear = LinearConfig::new(inputs, self.width).with_bias(self.bias);
        MlpLayer {
            linear: weights.draw(&linear, stream, device),
            bn: self.norm.init(self.width, device),
            activation: self.activation,
        }
    }
}

impl LayerNorm {
    fn init(self, channels: usize, device: &Device) -> Option<BatchNorm> {
        let config = BatchNormConfig::new(channels);
        match self {
            Self::None => None,
            Self::Affine => Some(config.init(device)),
            Self::Scale => Some(BatchNorm {
                beta: None,
                ..config.init(device)
            }),
            Self::Plain => Some(config.without_affine().init(device)),
        }
    }
}

impl Activation {
    fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Relu => relu(x),
            Self::Gelu => gelu(x),
        }
    }
}

impl InitialWeights {
    fn draw(self, config: &LinearConfig, stream: &mut WeightStream, device: &Device) -> Linear {
        let fan_in = config.d_input as f64;
        match self {
            Self::Uniform => stream.linear(config, device),
            Self::Narrow => stream.normal_linear(config, 0.01, device),
            Self::HeFanIn => stream.normal_linear(config, (2.0 / fan_in).sqrt(), device),
            Self::Transformer => stream.transformer_linear(config, device),
            Self::Truncated => stream.truncated_linear(config, device),
        }
    }
}

impl MlpConfig {
    /// Layers with the weights of PyTorch.
    pub fn new(inputs: usize, layers: Vec<LayerConfig>) -> Self {
        Self {
            inputs,
            layers,
            weights: InitialWeights::default(),
        }
    }

    /// The same with weights that are drawn so.
    pub fn weights(self, weights: InitialWeights) -> Self {
        Self { weights, ..self }
    }

    /// Length of the output.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(self.inputs, |layer| layer.width)
    }

    /// Draws the weights.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> Mlp {
        let mut inputs = self.inputs;
        let layers = self.layers.iter().map(|layer| {
            let made = layer.init(inputs, self.weights, stream, device);
            inputs = layer.width;
            made
        });
        Mlp {
            layers: layers.collect(),
        }
    }
}

impl Mlp {
    /// On vectors.
    ///
    /// # Shapes
    ///
    /// - `vectors`: `[rows, inputs]`
    /// - output: `[rows, outputs]`
    pub fn forward(&mut self, vectors: Tensor<2>, mode: NormMode) -> Tensor<2> {
        (self.layers.iter_mut()).fold(vectors, |x, layer| layer.forward(x, mode))
    }

    /// On each place of a map, as 1×1 convolutions.
    ///
    /// # Shapes
    ///
    /// - `map`: `[batch, inputs, height, width]`
    /// - output: `[batch, outputs, height, width]`, of the type of the input
    pub fn forward_map(&mut self, map: Tensor<4>, mode: NormMode) -> Tensor<4> {
        (self.layers.iter_mut()).fold(map, |x, layer| layer.forward_map(x, mode))
    }
}

impl MlpLayer {
    fn forward(&mut self, x: Tensor<2>, mode: NormMode) -> Tensor<2> {
        let x = linear(&self.linear, x);
        self.finish(x, mode)
    }

    fn forward_map(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let weight = self.linear.weight.val();
        let [inputs, outputs] = weight.dims();
        let kernel = weight.transpose().reshape([outputs, inputs, 1, 1]);
        let bias = self.linear.bias.as_ref().map(Param::val);
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        self.finish(convolve_with(kernel, bias, options, x), mode)
    }

    fn finish<const D: usize>(&mut self, x: Tensor<D>, mode: NormMode) -> Tensor<D> {
        let x = match &mut self.bn {
            Some(bn) => bn.forward(x, mode),
            None => x,
        };
        self.activation.apply(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use golden::assert_near;

    const ROUNDING: [f64; 2] = [1e-5, 1e-5];

    fn config() -> MlpConfig {
        let hidden = LayerConfig::new(6).norm(LayerNorm::Affine);
        let layers = vec![
            hidden.activation(Activation::Relu),
            hidden.without_bias().norm(LayerNorm::Scale),
            LayerConfig::new(4).norm(LayerNorm::Plain),
        ];
        MlpConfig::new(5, layers)
    }

    #[test]
    fn a_map_is_its_places_as_vectors() {
        let device = Device::default();
        device.seed(3);
        let mut head = config().init(&mut WeightStream::new(1), &device);
        let map = Tensor::<4>::random([3, 5, 2, 3], Distribution::Default, &device);
        let places = map.clone().permute([0, 2, 3, 1]).reshape([18, 5]);
        let by_map = head.clone().forward_map(map, NormMode::Batch);
        let by_map = by_map.permute([0, 2, 3, 1]).reshape([18, 4]);
        let by_vectors = head.forward(places, NormMode::Batch);
        assert_near(by_map, by_vectors.into_data(), ROUNDING);
    }

    #[test]
    fn layers_have_what_their_settings_say() {
        let config = config();
        let head = config.init(&mut WeightStream::new(1), &Device::default());
        assert_eq!(config.outputs(), 4);
        let parts = head.layers.iter().map(|layer| {
            let bn = layer.bn.as_ref().unwrap();
            let given = [&layer.linear.bias, &bn.gamma, &bn.beta].map(Option::is_some);
            (layer.linear.weight.dims(), given)
        });
        let expected = [
            ([5, 6], [true, true, true]),
            ([6, 6], [false, true, false]),
            ([6, 4], [true, false, false]),
        ];
        assert!(parts.eq(expected));
    }

    #[test]
    fn activations_are_applied() {
        let x = || Tensor::<1>::from_floats([-1.0, 2.0], &Device::default());
        assert_near(Activation::None.apply(x()), [-1.0, 2.0], ROUNDING);
        assert_near(Activation::Relu.apply(x()), [0.0, 2.0], ROUNDING);
        // x·Φ(x) with Φ(-1) = 0.158655, Φ(2) = 0.977250
        assert_near(Activation::Gelu.apply(x()), [-0.158655, 1.954500], ROUNDING);
    }

    #[test]
    fn weights_have_the_deviation_of_their_rule() {
        let rules = [
            (InitialWeights::Uniform, 0.1 / 3f64.sqrt()),
            (InitialWeights::Narrow, 0.01),
            (InitialWeights::HeFanIn, 0.02f64.sqrt()),
            (InitialWeights::Transformer, 0.02),
            (InitialWeights::Truncated, 0.1 * 0.773_741_4f64.sqrt()), // variance within ±2
        ];
        for (rule, expected) in rules {
            let config = MlpConfig::new(100, vec![LayerConfig::new(80)]).weights(rule);
            let head = config.init(&mut WeightStream::new(4), &Device::default());
            let linear = &head.layers[0].linear;
            let squares = linear.weight.val().square().mean();
            let off = f64::from(squares.into_scalar::<f32>()) / expected.powi(2) - 1.0;
            assert!(off.abs() < 4.0 * (2.0 / 8000f64).sqrt(), "{rule:?}: {off}");
            let largest: f32 = linear
                .bias
                .as_ref()
                .unwrap()
                .val()
                .abs()
                .max()
                .into_scalar();
            assert_eq!(largest == 0.0, rule != InitialWeights::Uniform, "{rule:?}");
        }
    }
}
