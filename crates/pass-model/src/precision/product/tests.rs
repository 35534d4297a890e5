//! TF32 is emulated: both factors rounded to 10 bits behind the point, by hand.

use burn::nn::LinearConfig;

use super::*;
use crate::init::WeightStream;

fn matrix(which: u32, rows: usize, device: &Device) -> Tensor<2> {
    let data = TensorData::new(factor(which, rows * SIDE), [rows, SIDE]);
    Tensor::from_data(data, (device, DType::F32))
}

fn tf32(tensor: Tensor<2>) -> Tensor<2> {
    let data = tensor.clone().into_data();
    let round = |value: f32| f32::from_bits((value.to_bits() + 0x1000) & !0x1fff);
    let values: Vec<f32> = data.iter::<f32>().map(round).collect();
    Tensor::from_data(
        TensorData::new(values, tensor.dims()),
        (&tensor.device(), DType::F32),
    )
}

fn in_tf32(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    tf32(left).matmul(tf32(right))
}

#[test]
fn the_processor_computes_float32_in_float32() {
    let device = Device::default();
    let error = float32_product_error(&device);
    assert!(error > 0.0 && error < ROUNDED / 10.0, "{error}");
    assert!(!rounds_factors(&device));
}

#[test]
fn a_device_that_rounds_the_factors_is_told_from_one_that_does_not() {
    let error = error_of(&Device::default(), in_tf32);
    assert!(error > 10.0 * ROUNDED && error < 1e-3, "{error}");
}

#[test]
fn a_product_in_float64_is_off_by_the_rounding_of_its_result() {
    let error = error_of(&Device::default(), product_in_float64);
    assert!(error > 0.0 && error < 5e-8, "{error}");
}

/// Weights of the loss make gradients that differ from place to place.
#[test]
fn its_gradients_are_as_exact() {
    let device = &Device::default().autodiff();
    let inputs = || [matrix(0, ROWS, device), matrix(1, SIDE, device)].map(Tensor::require_grad);
    let weights = matrix(2, ROWS, device);
    let [left, right] = inputs();
    let loss = product_in_float64(left.clone(), right.clone()) * weights.clone();
    let gradients = loss.sum().backward();
    let seen = [&left, &right].map(|input| input.grad(&gradients).unwrap());

    let wide = [left, right, weights].map(|tensor| tensor.inner().cast(DType::F64));
    let [left, right, weights] = wide;
    let expected = [
        weights.clone().matmul(right.transpose()),
        left.transpose().matmul(weights),
    ];
    for (expected, seen) in expected.into_iter().zip(seen) {
        assert_eq!(seen.dtype(), DType::F32);
        let error = relative_distance(&expected.into_data(), &seen.into_data());
        assert!(error > 0.0 && error < 5e-8, "{error}");
    }
}

/// At the start of a training embeddings are nearly alike, and what tells them apart is the difference
/// of their scores.
#[test]
fn scores_of_embeddings_that_are_nearly_alike_keep_their_differences() {
    let device = &Device::default();
    let (common, own) = (matrix(0, 1, device), matrix(3, 40, device) * 1e-3);
    let (embeddings, prototypes) = (own + common, matrix(1, SIDE, device));
    let differences = |scores: Tensor<2>| {
        let scores = scores.cast(DType::F64);
        (scores.clone() - scores.mean_dim(0)).into_data()
    };
    let wide = [&embeddings, &prototypes].map(|tensor| tensor.clone().cast(DType::F64));
    let [expected_left, expected_right] = wide;
    let expected = differences(expected_left.matmul(expected_right));
    let error = |product: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
        let scores = product(embeddings.clone(), prototypes.clone());
        relative_distance(&expected, &differences(scores))
    };
    let (ours, rounded) = (error(product_in_float64), error(in_tf32));
    assert!(ours < 1e-3 && rounded > 0.1, "{ours:.1e}, {rounded:.1e}");
}

#[test]
fn a_linear_layer_in_float64_computes_the_same_and_hands_float32_gradients_to_its_weights() {
    let device = &Device::default().autodiff();
    let layer = WeightStream::new(3).linear(&LinearConfig::new(SIDE, 7), device);
    let input = matrix(0, 5, device).require_grad();
    let run = |forward: fn(&Linear, Tensor<2>) -> Tensor<2>| {
        let output = forward(&layer, input.clone());
        let gradients = output.clone().powi_scalar(2).sum().backward();
        let bias = layer.bias.as_ref().unwrap().grad(&gradients).unwrap();
        [
            output.into_data(),
            input.grad(&gradients).unwrap().into_data(),
            layer.weight.grad(&gradients).unwrap().into_data(),
            bias.into_data(),
        ]
    };
    let [expected, seen] = [|layer: &Linear, x| layer.forward(x), linear_in_float64].map(run);
    for (expected, seen) in expected.iter().zip(&seen) {
        assert_eq!((seen.dtype(), seen.shape()), (DType::F32, expected.shape()));
        let error = relative_distance(expected, seen);
        assert!(error < 1e-6, "{error}");
    }
}

#[test]
fn where_nothing_is_rounded_all_is_burns_to_the_bit() {
    let device = &Device::default();
    let (left, right) = (matrix(0, 9, device), matrix(1, SIDE, device));
    let ours = product(left.clone(), right.clone());
    assert_eq!(ours.into_data(), left.clone().matmul(right).into_data());
    let layer = WeightStream::new(3).linear(&LinearConfig::new(SIDE, 7), device);
    let ours = linear(&layer, left.clone());
    assert_eq!(ours.into_data(), layer.forward(left).into_data());
}
