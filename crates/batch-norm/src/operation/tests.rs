//! Against burn's norm, on the CPU.

use burn::{
    backend::Dispatch,
    tensor::{DType, Device, Tensor, TensorData, module},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use super::batch_norm_train;
use crate::{Normalized, statistics::Statistics};

const EPSILON: f64 = 1e-5;

fn noise<const D: usize>(seed: u64, shape: [usize; D], mean: f32) -> Tensor<D> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| mean + random.next_u32() as f32 / 2f32.powi(31) - 1.0)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

fn burns<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Normalized<D> {
    let normalized = module::batch_norm_train(input, gamma, beta, epsilon);
    Normalized {
        output: normalized.output,
        mean: normalized.mean,
        variance: normalized.variance,
    }
}

/// Output, statistics and the gradients of input, scale and shift.
fn all_of<const D: usize>(
    norm: impl Fn(Tensor<D>, Tensor<1>, Tensor<1>, f64) -> Normalized<D>,
    shape: [usize; D],
    dtype: DType,
) -> Vec<Vec<f64>> {
    let input = noise(1, shape, 3.0).cast(dtype).require_grad();
    let gamma = noise(2, [shape[1]], 1.5).cast(dtype).require_grad();
    let beta = noise(3, [shape[1]], 0.0).cast(dtype).require_grad();
    let result = norm(input.clone(), gamma.clone(), beta.clone(), EPSILON);
    let weighted = result.output.clone().square() * noise(4, shape, 0.0).cast(dtype);
    let gradients = weighted.sum().backward();
    let values = [
        result.output.into_data(),
        result.mean.into_data(),
        result.variance.into_data(),
        input.grad(&gradients).unwrap().into_data(),
        gamma.grad(&gradients).unwrap().into_data(),
        beta.grad(&gradients).unwrap().into_data(),
    ];
    values.map(|data| data.iter::<f64>().collect()).into()
}

/// Root mean square of the difference, relative to that of the expected.
fn distance(actual: &[f64], expected: &[f64]) -> f64 {
    let differences = actual.iter().zip(expected).map(|(a, b)| (a - b).powi(2));
    let of_values: f64 = expected.iter().map(|b| b * b).sum();
    (differences.sum::<f64>() / of_values).sqrt()
}

/// [`all_of`] by the operations of GPUs, on the CPU.
fn all_by_channels_last<const D: usize>(shape: [usize; D]) -> Vec<Vec<f64>> {
    let input = noise(1, shape, 3.0).inner().into_dispatch();
    let [gamma, beta] = [(2, 1.5), (3, 0.0)]
        .map(|(seed, mean)| noise(seed, [shape[1]], mean).inner().into_dispatch());
    let statistics = Statistics::<Dispatch>::of(input.clone(), EPSILON);
    let output = statistics.normalize(input.clone(), gamma.clone(), beta);
    let output = Tensor::<D>::from_dispatch(output);
    let gradient = output.clone() * noise(4, shape, 0.0).inner() * 2.0;
    let found = statistics.gradients(input, gamma, gradient.into_dispatch());
    let of_channels = |values| Tensor::<1>::from_dispatch(values).into_data();
    let values = [
        output.into_data(),
        of_channels(statistics.mean),
        of_channels(statistics.variance),
        Tensor::<D>::from_dispatch(found.maps).into_data(),
        of_channels(found.gamma),
        of_channels(found.beta),
    ];
    values.map(|data| data.iter::<f64>().collect()).into()
}

#[track_caller]
fn check<const D: usize>(shape: [usize; D]) {
    let expected = all_of(burns, shape, DType::F32);
    let ours = [
        all_of(batch_norm_train, shape, DType::F32),
        all_by_channels_last(shape),
    ];
    for (way, ours) in ours.iter().enumerate() {
        for (index, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
            assert_eq!(ours.len(), expected.len());
            let far = distance(ours, expected);
            // float32 rounds to 6e-8; the mean takes up a digit
            assert!(far < 3e-6, "{shape:?}, way {way}, value {index}: {far:.1e}");
        }
    }
}

#[test]
fn values_and_gradients_are_those_of_burns_norm() {
    check([3, 5, 4, 7]);
    check([2, 64, 1, 1]);
    check([9, 3]);
    check([4, 2, 6]);
    check([2, 3, 50, 41]); // rows of several pieces
}

/// Against burn's norm in float64; how far burn's own in float32 is, it says.
#[test]
fn it_is_as_near_to_float64_as_float32_can_be() {
    for shape in [[16, 8, 28, 28], [64, 8, 7, 7], [16, 8, 112, 112]] {
        let exact = all_of(burns, shape, DType::F64);
        let distances = |found: Vec<Vec<f64>>| -> Vec<f64> {
            let pairs = found.iter().zip(&exact);
            pairs.map(|(found, exact)| distance(found, exact)).collect()
        };
        let ours = distances(all_of(batch_norm_train, shape, DType::F32));
        let burns = distances(all_of(burns, shape, DType::F32));
        println!("{shape:?}: {ours:?}, burn {burns:?}");
        assert!(ours.iter().all(|&far| far < 1e-6), "{ours:?}");
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let norm = || all_of(batch_norm_train, [4, 7, 33, 31], DType::F32);
        pool.unwrap().install(norm)
    };
    let alone = with(1);
    assert_eq!(with(2), alone);
    assert_eq!(with(3), alone);
}

#[test]
fn frozen_scale_and_shift_take_no_gradient_and_the_input_does() {
    let input = noise(1, [4, 3, 2, 2], 1.0).require_grad();
    let [gamma, beta] = [noise(2, [3], 1.0), noise(3, [3], 0.0)];
    let result = batch_norm_train(input.clone(), gamma.clone(), beta, EPSILON);
    let gradients = (result.output.powi_scalar(3)).sum().backward();
    assert!(input.grad(&gradients).is_some());
    assert!(gamma.grad(&gradients).is_none());
}

#[test]
fn statistics_are_constants() {
    let input = noise(1, [4, 3, 2, 2], 1.0).require_grad();
    let [gamma, beta] = [noise(2, [3], 1.0), noise(3, [3], 0.0)];
    let Normalized { mean, variance, .. } = batch_norm_train(input, gamma, beta, EPSILON);
    assert!(!mean.is_require_grad() && !variance.is_require_grad());
}
