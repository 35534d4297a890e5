//! What is cast and what is not.

use burn::{
    nn::conv::Conv2dConfig,
    tensor::{DType, Device, Distribution, Tensor, TensorData},
};

use super::*;
use crate::{
    group::Group,
    init::WeightStream,
    norm::{BatchNormConfig, NormMode},
    normalize::{global_average_pool, l2_normalize},
    resize::upsample_bilinear,
};

const HALVES: [Precision; 2] = [Precision::Bfloat16, Precision::Float16];

/// Half the distance of two neighbours near 1.
fn rounding(precision: Precision) -> f64 {
    match precision {
        Precision::Float32 => 0.5f64.powi(24),
        Precision::Bfloat16 => 0.5f64.powi(9),
        Precision::Float16 => 0.5f64.powi(12),
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    device.seed(11);
    Tensor::random(shape, Distribution::Normal(0.3, 1.5), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Root mean square of the difference as a share of that of `b`.
fn distance<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    let difference: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
    (difference / b.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

#[track_caller]
fn assert_below(value: f64, limit: f64) {
    assert!(value < limit, "{value:.2e}, allowed {limit:.2e}");
}

#[track_caller]
fn assert_above(value: f64, limit: f64) {
    assert!(value > limit, "{value:.2e}, expected more than {limit:.2e}");
}

#[test]
fn names_are_those_of_a_run_file() {
    for precision in [Precision::Float32, Precision::Bfloat16, Precision::Float16] {
        let text = serde_json::to_string(&precision).unwrap();
        assert_eq!(text, format!("\"{}\"", precision.name()));
    }
}

/// Stride, uneven sizes and a bias: in 16 bits as in float32 of the same rounded numbers, but for the
/// rounding of results and gradients.
#[test]
fn a_convolution_in_16_bits_rounds_its_results_and_hands_float32_gradients_to_its_weights() {
    let device = Device::default().autodiff();
    let config = Conv2dConfig::new([5, 7], [3, 3])
        .with_stride([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
    for precision in HALVES {
        let mut conv = WeightStream::new(3).conv2d(&config, &device);
        let rounded = widened(precision.cast(conv.weight.val().inner()));
        conv.weight = conv.weight.map(|_| rounded.autodiff().require_grad());
        let x = precision.cast(random([6, 5, 9, 8], &device));
        let pull = widened(precision.cast(random([6, 7, 5, 4], &device)));
        let of = |x: Tensor<4>| {
            let x = x.detach().require_grad();
            let y = convolve(&conv, x.clone());
            let gradients = (widened(y.clone()) * pull.clone()).sum().backward();
            let weight = conv.weight.val().grad(&gradients).unwrap();
            let bias = conv.bias.as_ref().unwrap().val().grad(&gradients).unwrap();
            assert_eq!([weight.dtype(), bias.dtype()], [DType::F32; 2]);
            (y, x.grad(&gradients).unwrap(), weight, bias)
        };
        let (y, dx, dw, db) = of(x.clone());
        let expected = of(widened(x));
        assert_eq!(y.dtype(), precision.dtype());
        let allowed = 1.5 * rounding(precision);
        assert_below(distance(widened(y), expected.0), allowed);
        assert_below(distance(widened(dx), expected.1), allowed);
        assert_below(distance(dw, expected.2), allowed);
        assert_below(distance(db, expected.3), 1e-6);
    }
}

#[test]
fn a_norm_in_16_bits_is_that_of_the_same_numbers_in_float32_rounded() {
    let device = Device::default().autodiff();
    for precision in HALVES {
        for mode in [
            NormMode::Batch,
            NormMode::Group(&Group::default()),
            NormMode::Moving,
        ] {
            // Far from zero, where variances of 16 bits would have no digit left.
            let x = precision.cast(random([3, 5, 4, 7], &device) + 30.0);
            let [mut half, mut full] = [(); 2].map(|()| BatchNormConfig::new(5).init(&device));
            let y = half.forward(x.clone(), mode);
            let expected = full.forward(widened(x), mode);
            assert_eq!(y.dtype(), precision.dtype());
            assert_eq!(y.into_data(), precision.cast(expected).into_data());
            for (half, full) in [
                (half.running_mean, full.running_mean),
                (half.running_var, full.running_var),
            ] {
                assert_eq!(half.val().into_data(), full.val().into_data());
            }
        }
    }
}

/// The largest sum, 2 · 16 · 4096, is beyond float16; a running mean in bfloat16 stops at 256.
#[test]
fn what_adds_up_is_float32() {
    let device = Device::default();
    for precision in HALVES {
        let ones = precision.cast(Tensor::<4>::ones([1, 2, 64, 64], &device) * 16.0);
        let pooled = global_average_pool(ones.clone());
        assert_eq!(pooled.into_data(), TensorData::from([[16f32; 2]]));
        let units = l2_normalize(ones.clone().reshape([2, 4096]), 1);
        assert_eq!(units.dtype(), DType::F32);
        assert_below((numbers(units)[7] - 1.0 / 64.0).abs(), 1e-8);
        let resized = upsample_bilinear(ones, [3, 5]);
        assert_eq!(resized.dtype(), DType::F32);
    }
}

/// Whole 1024ths up to a limit.
fn in_1024ths<const D: usize>(tensor: Tensor<D>, limit: f64) -> Tensor<D> {
    tensor.clamp(-limit, limit).mul_scalar(1024.0).round() / 1024.0
}

/// Of numbers whose products float32 adds without rounding, so in any order, and 16 bits cannot.
#[test]
fn float32_is_left_as_it_is() {
    let device = Device::default().autodiff();
    let mut conv = WeightStream::new(5).conv2d(&Conv2dConfig::new([3, 4], [3, 3]), &device);
    conv.weight = conv.weight.map(|weight| in_1024ths(weight, 0.25));
    conv.bias = conv.bias.map(|bias| bias.map(|bias| in_1024ths(bias, 1.0)));
    let x = Precision::Float32.cast(in_1024ths(random([2, 3, 6, 5], &device), 1.0));
    let y = convolve(&conv, x.clone());
    assert_eq!(y.into_data(), conv.forward(x.clone()).into_data());
    for half in HALVES {
        let rounded = convolve(&conv, half.cast(x.clone()));
        assert_above(distance(widened(rounded), conv.forward(x.clone())), 1e-5);
    }
}
