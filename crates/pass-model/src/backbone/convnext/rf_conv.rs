//! Depth-wise convolutions, and those whose receptive field is searched for (RF-Next, Gao et al. 2022,
//! <https://arxiv.org/abs/2206.06637>).

use burn::{
    module::{Module, Param, ParamId},
    nn::{
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};

use crate::{init::WeightStream, norm::NormMode, precision::convolve};

/// Rows and columns of a kernel.
pub(super) const KERNEL: usize = 7;
/// Most dilations at a time.
const BRANCHES: usize = 3;
/// Weight of each dilation when a search begins.
const FIRST_WEIGHT: f32 = 0.01;
/// The state with which a search begins: the two dilations around 1.
pub(super) const FIRST_STATE: [(&str, &[usize], &[f32]); 5] = [
    ("sample_weights", &[BRANCHES], &[FIRST_WEIGHT; BRANCHES]),
    ("rates", &[BRANCHES, 2], &[1.0, 1.0, 2.0, 2.0, 0.0, 0.0]),
    ("num_rates", &[1], &[2.0]),
    ("counter", &[1], &[0.0]),
    ("current_search_step", &[1], &[0.0]),
];
/// Most searches of one training.
const MOST_SEARCHES: usize = 3;

/// A 7×7 convolution of each channel by itself.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // a block has one
pub enum DepthwiseConv {
    /// One dilation, 1.
    Plain(Conv2d),
    /// Several.
    Searched(RfConv),
}

/// A weighted mean of convolutions with the same kernel and different dilations.
#[derive(Module, Debug)]
pub struct RfConv {
    /// The kernel, `[channels, 1, 7, 7]`, with dilation 1.
    pub conv: Conv2d,
    /// Of each dilation, by magnitude, `[3]`.
    pub sample_weights: Param<Tensor<1>>,
    /// Of rows and of columns, which are alike, `[3, 2]`; the first `num_rates` count.
    pub rates: Param<Tensor<2>>,
    /// `[1]`
    pub num_rates: Param<Tensor<1>>,
    /// Training steps, `[1]`.
    pub counter: Param<Tensor<1>>,
    /// Searches so far, `[1]`.
    pub current_search_step: Param<Tensor<1>>,
}

impl DepthwiseConv {
    pub(super) fn new(
        channels: usize,
        searched: bool,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Self {
        let config = Conv2dConfig::new([channels, channels], [KERNEL; 2]).with_groups(channels);
        let conv = stream.transformer_conv2d(&config, device);
        match searched {
            true => Self::Searched(RfConv::new(conv, device)),
            false => Self::Plain(dilated(conv, 1)),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[batch, channels, height, width]`
    pub(super) fn forward(&mut self, x: Tensor<4>, mode: NormMode, interval: usize) -> Tensor<4> {
        match self {
            Self::Plain(conv) => convolve(conv, x),
            Self::Searched(conv) => conv.forward(x, mode, interval),
        }
    }
}

impl RfConv {
    /// The convolution with dilations 1 and 2, with which a search begins.
    fn new(conv: Conv2d, device: &Device) -> Self {
        let mut made = Self {
            conv: dilated(conv, 1),
            sample_weights: Param::from_tensor(Tensor::zeros([BRANCHES], device)),
            rates: buffer(vec![0; 2 * BRANCHES], [BRANCHES, 2], device),
            num_rates: buffer(vec![0], [1], device),
            counter: buffer(vec![0], [1], device),
            current_search_step: buffer(vec![0], [1], device),
        };
        made.set_rates(&expanded(1));
        made
    }

    /// The dilations in use.
    pub fn rates(&self) -> Vec<usize> {
        let all = whole_numbers(&self.rates);
        let count = whole_numbers(&self.num_rates)[0];
        all.into_iter().step_by(2).take(count).collect()
    }

    /// The weights of these dilations: magnitudes that sum to 1, `[rates]`.
    fn normalized_weights(&self, count: usize) -> Tensor<1> {
        let weights = self.sample_weights.val().narrow(0, 0, count).abs();
        weights.clone() / weights.sum()
    }

    /// The mean dilation, which one convolution comes closest with.
    pub fn estimate(&self) -> usize {
        let rates = self.rates();
        let weights = self.normalized_weights(rates.len()).into_data();
        let mean = weights.iter::<f64>().zip(&rates);
        let mean: f64 = mean.map(|(weight, &rate)| weight * rate as f64).sum();
        // Float32 weights of equal size have a mean a little off the half that decides.
        ((mean * 1e5).round() / 1e5).round_ties_even() as usize
    }

    /// Keeps the mean dilation alone ("single").
    pub fn keep_one(&mut self) {
        let mean = self.estimate();
        self.set_rates(&[mean]);
    }

    /// Takes dilations around the mean, with equal weights ("multiple", and each step of a search).
    pub fn keep_several(&mut self) {
        let mean = self.estimate();
        self.set_rates(&expanded(mean));
    }

    fn set_rates(&mut self, rates: &[usize]) {
        let device = &self.rates.val().device();
        let pairs = rates.iter().flat_map(|&rate| [rate, rate]);
        let pairs = pairs
            .chain(std::iter::repeat(0))
            .take(2 * BRANCHES)
            .collect();
        set(&mut self.rates, pairs, device);
        set(&mut self.num_rates, vec![rates.len()], device);
        let weights = self.sample_weights.clone();
        self.sample_weights = weights.map(|weights| {
            let first = weights.full_like(FIRST_WEIGHT).detach();
            match weights.is_require_grad() {
                true => first.require_grad(),
                false => first,
            }
        });
    }

    fn forward(&mut self, x: Tensor<4>, mode: NormMode, interval: usize) -> Tensor<4> {
        let rates = self.rates();
        if let [rate] = rates[..] {
            return self.branch(x, rate);
        }
        let weights = self.normalized_weights(rates.len());
        let branches = rates.iter().enumerate().map(|(index, &rate)| {
            let weight = weights.clone().narrow(0, index, 1).reshape([1, 1, 1, 1]);
            self.branch(x.clone(), rate) * weight
        });
        let sum = branches.reduce(|sum, branch| sum + branch);
        if interval > 0 && !matches!(mode, NormMode::Moving) {
            self.count(interval);
        }
        sum.expect("a dilation")
    }

    fn branch(&self, x: Tensor<4>, rate: usize) -> Tensor<4> {
        convolve(&dilated(self.conv.clone(), rate), x)
    }

    /// A step of training; searches after each `interval`.
    fn count(&mut self, interval: usize) {
        let device = &self.counter.val().device();
        let steps = whole_numbers(&self.counter)[0] + 1;
        set(&mut self.counter, vec![steps], device);
        let searches = whole_numbers(&self.current_search_step)[0];
        if steps % interval == 0 && searches < MOST_SEARCHES {
            set(&mut self.current_search_step, vec![searches + 1], device);
            self.keep_several();
        }
    }
}

/// A 7×7 convolution with this dilation that keeps the size.
fn dilated(mut conv: Conv2d, rate: usize) -> Conv2d {
    let pad = KERNEL / 2 * rate;
    conv.dilation = [rate; 2];
    conv.padding = PaddingConfig2d::Explicit(pad, pad, pad, pad);
    conv
}

/// Half a dilation, itself and one and a half, without those that are alike.
fn expanded(rate: usize) -> Vec<usize> {
    let rate = rate as f64;
    let around = (0..BRANCHES).map(|index| rate / 2.0 + index as f64 * rate / 2.0);
    let mut around: Vec<_> = around
        .map(|rate| (rate.round_ties_even() as usize).max(1))
        .collect();
    around.dedup();
    around
}

/// What files keep as whole numbers is float32 here, as all tensors of a network.
fn buffer<const D: usize>(
    values: Vec<usize>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), floats(values, shape, device))
}

fn set<const D: usize>(buffer: &mut Param<Tensor<D>>, values: Vec<usize>, device: &Device) {
    let shape = buffer.dims();
    *buffer = Param::initialized(buffer.id, floats(values, shape, device));
}

fn floats<const D: usize>(values: Vec<usize>, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    Tensor::<1>::from_floats(values.as_slice(), device).reshape(shape)
}

fn whole_numbers<const D: usize>(buffer: &Param<Tensor<D>>) -> Vec<usize> {
    let values = buffer.val().into_data();
    values.iter::<f32>().map(|value| value as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use golden::assert_near;

    fn conv() -> RfConv {
        let made = DepthwiseConv::new(4, true, &mut WeightStream::new(3), &Device::default());
        match made {
            DepthwiseConv::Searched(conv) => conv,
            DepthwiseConv::Plain(_) => panic!("one with several dilations"),
        }
    }

    fn map() -> Tensor<4> {
        let device = Device::default();
        device.seed(5);
        Tensor::random([2, 4, 17, 19], Distribution::Normal(0.0, 1.0), &device)
    }

    #[test]
    fn dilations_spread_around_their_mean() {
        let expected = [
            vec![1, 2],
            vec![1, 2, 3],
            vec![2, 3, 4],
            vec![2, 4, 6],
            vec![2, 5, 8],
            vec![3, 6, 9],
            vec![4, 7, 10],
        ];
        for (rate, expected) in (1..).zip(expected) {
            assert_eq!(expanded(rate), expected);
        }
    }

    /// Of 1 and 2 with equal weights the mean is 1.5, which rounds to the even 2.
    #[test]
    fn the_mean_of_spread_dilations_is_where_they_came_from_but_for_one() {
        let mut conv = conv();
        assert_eq!((conv.rates(), conv.estimate()), (vec![1, 2], 2));
        for rate in 2..=7 {
            conv.set_rates(&expanded(rate));
            assert_eq!(conv.estimate(), rate);
        }
        conv.keep_one();
        assert_eq!(conv.rates(), [7]);
    }

    #[test]
    fn several_dilations_are_the_weighted_mean_of_plain_convolutions() {
        let mut conv = conv();
        conv.set_rates(&[2, 4, 6]);
        let weights = Tensor::from_floats([0.1, -0.3, 0.6], &Device::default());
        conv.sample_weights = Param::from_tensor(weights);
        conv.conv.bias = Some(Param::from_tensor(Tensor::from_floats(
            [1.0, 2.0, 3.0, 4.0],
            &Device::default(),
        )));
        let parts = [2, 4, 6].map(|rate| conv.branch(map(), rate));
        let [a, b, c] = parts;
        let expected = a * 0.1 + b * 0.3 + c * 0.6;
        let actual = conv.forward(map(), NormMode::Moving, 0);
        assert_near(actual, expected.into_data(), [1e-5, 1e-5]);
    }

    /// Taps of the larger dilation lie at every second place of the smaller.
    #[test]
    fn a_dilated_kernel_is_a_larger_one_with_zeros() {
        let mut conv = conv();
        conv.set_rates(&[2]);
        let mut wide = Tensor::<4>::zeros([4, 1, 13, 13], &Device::default());
        for (row, column) in (0..49).map(|tap| (tap / 7, tap % 7)) {
            let tap = conv
                .conv
                .weight
                .val()
                .slice([0..4, 0..1, row..row + 1, column..column + 1]);
            let [row, column] = [2 * row, 2 * column];
            wide = wide.slice_assign([0..4, 0..1, row..row + 1, column..column + 1], tap);
        }
        let config = Conv2dConfig::new([4, 4], [13, 13])
            .with_groups(4)
            .with_padding(PaddingConfig2d::Explicit(6, 6, 6, 6));
        let mut dense = config.init(&Device::default());
        (dense.weight, dense.bias) = (Param::from_tensor(wide), conv.conv.bias.clone());
        let expected = convolve(&dense, map()).into_data();
        assert_near(
            conv.forward(map(), NormMode::Moving, 0),
            expected,
            [1e-5, 1e-6],
        );
    }

    #[test]
    fn a_search_takes_place_three_times_and_only_in_training() {
        let mut conv = conv();
        conv.forward(map(), NormMode::Moving, 1);
        assert_eq!(conv.rates(), [1, 2]);
        let mut seen = Vec::new();
        for _ in 0..10 {
            conv.forward(map(), NormMode::Batch, 2);
            seen.push(conv.rates());
        }
        assert_eq!(seen[0], [1, 2]);
        assert_eq!(seen[1], [1, 2, 3]); // around 2
        assert_eq!(whole_numbers(&conv.current_search_step), [3]);
        assert_eq!(whole_numbers(&conv.counter), [10]);
    }

    #[test]
    fn a_search_keeps_the_identities_and_what_trains() {
        let device = Device::default().autodiff();
        let made = DepthwiseConv::new(4, true, &mut WeightStream::new(3), &device);
        let DepthwiseConv::Searched(mut conv) = made else {
            panic!("one with several dilations");
        };
        let ids = |conv: &RfConv| (conv.sample_weights.id, conv.rates.id);
        let before = ids(&conv);
        conv.keep_several();
        assert_eq!(ids(&conv), before);
        assert!(conv.sample_weights.is_require_grad());
        assert!(!conv.rates.is_require_grad());
    }
}
