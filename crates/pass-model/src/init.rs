//! Initial weights that are the same on every device.
//!
//! Weights are drawn on the host from counter-based ChaCha8 streams keyed by (seed, number of the
//! parameter), then uploaded. A run therefore starts from the same point on the CPU and on any
//! accelerator, and one layer more or less does not disturb the streams of the layers before it.

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    nn::{
        Linear, LinearConfig,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Bool, DType, Device, Int, Tensor, TensorData},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// Deviation of the weights of vision transformers, their tokens and positions. Programs that cut them off
/// at ±2 draw the same.
pub const TRANSFORMER_DEVIATION: f64 = 0.02;

/// Draws one parameter after the other.
#[derive(Debug, Clone)]
pub struct WeightStream {
    seed: u64,
    parameter: u64,
}

impl WeightStream {
    /// The stream of a seed, standing before its first parameter.
    pub fn new(seed: u64) -> Self {
        Self { seed, parameter: 0 }
    }

    /// He initialisation: normal of variance `2 / (out · kernel area)`.
    ///
    /// # Shapes
    ///
    /// - `shape`: `[out, in, kernel height, kernel width]`
    pub fn he_fan_out(&mut self, shape: [usize; 4], device: &Device) -> Param<Tensor<4>> {
        let [out, _, height, width] = shape;
        self.normal(shape, (2.0 / (out * height * width) as f64).sqrt(), device)
    }

    /// Normal of mean 0 and a standard deviation.
    pub fn normal<const D: usize>(
        &mut self,
        shape: [usize; D],
        deviation: f64,
        device: &Device,
    ) -> Param<Tensor<D>> {
        self.parameter(shape, device, move |random| {
            standard_normal_pair(random).map(|normal| deviation * normal)
        })
    }

    /// Uniform in `±1/√fan_in`.
    pub fn uniform_fan_in<const D: usize>(
        &mut self,
        shape: [usize; D],
        fan_in: usize,
        device: &Device,
    ) -> Param<Tensor<D>> {
        let bound = 1.0 / (fan_in as f64).sqrt();
        self.parameter(shape, device, move |random| {
            [unit(random), unit(random)].map(|unit| bound * (2.0 * unit - 1.0))
        })
    }

    /// A linear layer of a transformer: weights of deviation 0.02, bias (if any) zero.
    pub fn transformer_linear(&mut self, config: &LinearConfig, device: &Device) -> Linear {
        self.normal_linear(config, TRANSFORMER_DEVIATION, device)
    }

    /// A linear layer: weights normal of mean 0 and a standard deviation, bias (if any) zero.
    pub fn normal_linear(
        &mut self,
        config: &LinearConfig,
        deviation: f64,
        device: &Device,
    ) -> Linear {
        let weight = self.normal([config.d_input, config.d_output], deviation, device);
        with_zero_bias(config, weight, device)
    }

    /// A linear layer: weights normal of mean 0 and deviation `1/√fan_in` before they are cut off at
    /// two deviations, bias (if any) zero.
    pub fn truncated_linear(&mut self, config: &LinearConfig, device: &Device) -> Linear {
        let deviation = 1.0 / (config.d_input as f64).sqrt();
        let shape = [config.d_input, config.d_output];
        let weight = self.parameter(shape, device, move |random| {
            let mut pairs = std::iter::repeat_with(|| standard_normal_pair(random));
            let within = pairs.find(|pair| pair.iter().all(|normal| normal.abs() <= 2.0));
            within.expect("endless").map(|normal| deviation * normal)
        });
        with_zero_bias(config, weight, device)
    }

    /// A convolution of a transformer: weights of deviation 0.02, bias (if any) zero.
    pub fn transformer_conv2d(&mut self, config: &Conv2dConfig, device: &Device) -> Conv2d {
        let mut conv = config.init(device);
        let shape: [usize; 4] = conv.weight.lazy_shape().dims();
        conv.weight = self.normal(shape, TRANSFORMER_DEVIATION, device);
        conv.bias = conv.bias.take().map(|_| zeros(shape[0], device));
        conv
    }

    /// A convolution as PyTorch draws it: weights and bias (if any) uniform in `±1/√fan_in`.
    pub fn uniform_conv2d(&mut self, config: &Conv2dConfig, device: &Device) -> Conv2d {
        let mut conv = config.init(device);
        let shape: [usize; 4] = conv.weight.lazy_shape().dims();
        let fan_in = shape[1..].iter().product();
        conv.weight = self.uniform_fan_in(shape, fan_in, device);
        conv.bias = (conv.bias.take()).map(|_| self.uniform_fan_in([shape[0]], fan_in, device));
        conv
    }

    /// A convolution: He weights, bias (if any) uniform in `±1/√fan_in`.
    pub fn conv2d(&mut self, config: &Conv2dConfig, device: &Device) -> Conv2d {
        let [height, width] = config.kernel_size;
        let fan_out = config.channels[1] * height * width;
        self.conv2d_normal(config, (2.0 / fan_out as f64).sqrt(), device)
    }

    /// A convolution: weights normal of mean 0 and a standard deviation, bias as [`conv2d`](Self::conv2d).
    pub fn conv2d_normal(
        &mut self,
        config: &Conv2dConfig,
        deviation: f64,
        device: &Device,
    ) -> Conv2d {
        let mut conv = config.init(device); // lazy: its own weights are never drawn
        let shape: [usize; 4] = conv.weight.lazy_shape().dims();
        conv.weight = self.normal(shape, deviation, device);
        let [out, inputs, height, width] = shape;
        conv.bias =
            (conv.bias.take()).map(|_| self.uniform_fan_in([out], inputs * height * width, device));
        conv
    }

    /// A linear layer: weights and bias (if any) uniform in `±1/√fan_in`.
    pub fn linear(&mut self, config: &LinearConfig, device: &Device) -> Linear {
        let mut linear = config.init(device);
        let (inputs, outputs) = (config.d_input, config.d_output);
        linear.weight = self.uniform_fan_in([inputs, outputs], inputs, device);
        linear.bias = linear
            .bias
            .take()
            .map(|_| self.uniform_fan_in([outputs], inputs, device));
        linear
    }

    /// The next parameter, drawn in pairs on its first use; loading weights saves the work.
    fn parameter<const D: usize>(
        &mut self,
        shape: [usize; D],
        device: &Device,
        draw: impl Fn(&mut ChaCha8Rng) -> [f64; 2] + Send + Sync + 'static,
    ) -> Param<Tensor<D>> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(self.parameter);
        self.parameter += 1;
        let init = move |device: &Device, trained: bool| {
            let pairs = std::iter::repeat_with(|| draw(&mut random)).flatten();
            let values = pairs.map(|value| value as f32).take(shape.iter().product());
            let data = TensorData::new(values.collect::<Vec<_>>(), shape);
            let tensor = Tensor::from_data(data, (device, DType::F32));
            if trained {
                tensor.require_grad()
            } else {
                tensor
            }
        };
        Param::uninitialized(ParamId::new(), init, device.clone(), true, shape.into())
    }
}

/// Gives every parameter an identity that follows from its path in the module.
///
/// burn draws parameter identities at random, and the state of an optimiser is keyed by them; a
/// resumed process would find none of its momentum. The networks of this workspace call this at
/// the end of their construction. Call it again on a module assembled from parts of others.
pub fn name_parameters<M: Module>(module: M) -> M {
    module.map(&mut ParameterNamer { path: Vec::new() })
}

/// Whether burn enters a variant of an enum, which leaves no trace in the path of a parameter: the
/// weights of a backbone have the names that its family gives them.
pub(crate) fn is_variant(container_type: &str) -> bool {
    container_type.starts_with("Enum:")
}

struct ParameterNamer {
    path: Vec<String>,
}

impl ParameterNamer {
    /// FNV-1a, 64 bit: short, and fixed for all time.
    fn id(&self) -> ParamId {
        let hash = self
            .path
            .join(".")
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        ParamId::from(hash)
    }
}

impl ModuleMapper for ParameterNamer {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        if !is_variant(container_type) {
            self.path.push(name.to_owned());
        }
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        if !is_variant(container_type) {
            self.path.pop();
        }
    }

    fn map_float<const D: usize>(&mut self, mut param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.id = self.id();
        param
    }

    fn map_int<const D: usize>(
        &mut self,
        mut param: Param<Tensor<D, Int>>,
    ) -> Param<Tensor<D, Int>> {
        param.id = self.id();
        param
    }

    fn map_bool<const D: usize>(
        &mut self,
        mut param: Param<Tensor<D, Bool>>,
    ) -> Param<Tensor<D, Bool>> {
        param.id = self.id();
        param
    }
}

/// A linear layer of these weights; its bias, if any, is zero.
fn with_zero_bias(config: &LinearConfig, weight: Param<Tensor<2>>, device: &Device) -> Linear {
    let mut linear = config.init(device); // lazy: its own weights are never drawn
    linear.weight = weight;
    linear.bias = linear.bias.take().map(|_| zeros(config.d_output, device));
    linear
}

fn zeros(count: usize, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::zeros([count], device))
}

/// Uniform in `0..1`, 53 bits.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Two independent normals (Box and Muller 1958).
fn standard_normal_pair(random: &mut ChaCha8Rng) -> [f64; 2] {
    let radius = (-2.0 * (1.0 - unit(random)).ln()).sqrt();
    let (sine, cosine) = (std::f64::consts::TAU * unit(random)).sin_cos();
    [radius * cosine, radius * sine]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
        param.val().into_data().try_to_vec().unwrap()
    }

    #[test]
    fn he_weights_have_the_variance_of_their_fan_out() {
        let shape = [40, 10, 5, 3];
        let weights = values(&WeightStream::new(3).he_fan_out(shape, &Device::default()));
        let n = weights.len() as f64;
        let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
        let variance = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / n;
        let expected = 2.0 / (40.0 * 15.0);
        assert!(mean.abs() < 4.0 * (expected / n).sqrt(), "{mean}");
        assert!(
            (variance / expected - 1.0).abs() < 4.0 * (2.0 / n).sqrt(),
            "{variance}"
        );
    }

    #[test]
    fn normal_weights_have_their_deviation() {
        let config = LinearConfig::new(80, 50);
        let linear = WeightStream::new(2).transformer_linear(&config, &Device::default());
        let weights = values(&linear.weight);
        let n = weights.len() as f64;
        let variance = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / n;
        let off = variance / TRANSFORMER_DEVIATION.powi(2) - 1.0;
        assert!(off.abs() < 4.0 * (2.0 / n).sqrt(), "{variance}");
        assert_eq!(values(&linear.bias.unwrap()), vec![0.0; 50]);
    }

    #[test]
    fn uniform_weights_fill_their_range() {
        let weights =
            values(&WeightStream::new(1).uniform_fan_in([30, 25], 25, &Device::default()));
        let largest = weights.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        assert!(largest <= 0.2 && largest > 0.195, "{largest}");
    }

    #[test]
    fn each_parameter_has_a_stream_of_its_own() {
        let device = Device::default();
        let mut small = WeightStream::new(7);
        let mut large = WeightStream::new(7);
        small.uniform_fan_in([2], 1, &device);
        large.uniform_fan_in([999], 1, &device);
        let (a, b) = (
            small.uniform_fan_in([5], 1, &device),
            large.uniform_fan_in([5], 1, &device),
        );
        assert_eq!(values(&a), values(&b));
        assert_ne!(values(&a), values(&small.uniform_fan_in([5], 1, &device)));
    }

    #[test]
    fn plain_and_autodiff_devices_get_the_same_weights() {
        let device = Device::default();
        let config = Conv2dConfig::new([3, 4], [2, 2]);
        let plain = WeightStream::new(5).conv2d(&config, &device);
        let training = WeightStream::new(5).conv2d(&config, &device.autodiff());
        assert_eq!(values(&plain.weight), values(&training.weight));
        assert_eq!(
            values(plain.bias.as_ref().unwrap()),
            values(training.bias.as_ref().unwrap())
        );
        assert!(training.weight.is_require_grad());
    }

    #[test]
    fn named_parameters_have_the_same_identity_in_every_process() {
        let device = Device::default();
        let build = || WeightStream::new(0).linear(&LinearConfig::new(3, 2), &device);
        assert_ne!(build().weight.id, build().weight.id);
        let named = name_parameters(build());
        assert_eq!(named.weight.id.val(), 0x6911_f8de_1f27_bf19); // FNV-1a of "weight"
        assert_ne!(named.weight.id, named.bias.unwrap().id);
    }
}
