//! Against burn's norm, on the CPU.

use burn::{
    backend::Dispatch,
    tensor::{DType, Device, Tensor, TensorData, module},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use super::{
    super::{Normalized, by_burn, statistics::Statistics},
    batch_norm, batch_norm_of_ranks, batch_norm_train,
};

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

/// Ranks that all hold the same maps: their mean is what each of them has.
fn of_equal_ranks<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Normalized<D> {
    batch_norm_of_ranks(input, gamma, beta, epsilon, |own| own)
}

fn of_equal_ranks_by_burn<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Normalized<D> {
    by_burn::batch_norm_of_ranks(input, gamma, beta, epsilon, |own| own)
}

/// Mean 2.5 and variance 0.5, by `norm`.
fn fixed<const D: usize>(
    norm: impl Fn(Tensor<D>, [Tensor<1>; 2], [Tensor<1>; 2], f64) -> Tensor<D>,
) -> impl Fn(Tensor<D>, Tensor<1>, Tensor<1>, f64) -> Normalized<D> {
    move |input, gamma, beta, epsilon| {
        let [mean, variance] = [2.5, 0.5].map(|value| gamma.full_like(value).detach());
        let given = [mean.clone(), variance.clone()];
        Normalized {
            output: norm(input, [gamma, beta], given, epsilon),
            mean,
            variance,
        }
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

/// Shapes in which an axis has one place, rows of several pieces, and ranks 2 to 4.
macro_rules! for_all_shapes {
    ($check:ident) => {
        $check([3, 5, 4, 7]);
        $check([2, 64, 1, 1]);
        $check([9, 3]);
        $check([4, 2, 6]);
        $check([2, 3, 50, 41]);
    };
}

#[track_caller]
fn assert_close(what: &str, ours: &[Vec<f64>], expected: &[Vec<f64>]) {
    assert_eq!(ours.len(), expected.len());
    for (index, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert_eq!(ours.len(), expected.len());
        let far = distance(ours, expected);
        // float32 rounds to 6e-8; the mean takes up a digit
        assert!(far < 3e-6, "{what}, value {index}: {far:.1e}");
    }
}

#[test]
fn values_and_gradients_are_those_of_burns_norm() {
    fn check<const D: usize>(shape: [usize; D]) {
        let expected = all_of(burns, shape, DType::F32);
        let ways = [
            ("on the CPU", all_of(batch_norm_train, shape, DType::F32)),
            ("as on GPUs", all_by_channels_last(shape)),
            ("of ranks", all_of(of_equal_ranks, shape, DType::F32)),
        ];
        for (way, ours) in ways {
            assert_close(&format!("{shape:?} {way}"), &ours, &expected);
        }
    }
    for_all_shapes!(check);
}

#[test]
fn ranks_by_burns_operations_agree_too() {
    for shape in [[3, 5, 4, 7], [9, 3, 1, 2]] {
        let expected = all_of(burns, shape, DType::F32);
        let ours = all_of(of_equal_ranks_by_burn, shape, DType::F32);
        assert_close(&format!("{shape:?}"), &ours, &expected);
    }
}

#[test]
fn by_fixed_statistics_too() {
    fn check<const D: usize>(shape: [usize; D]) {
        let burns = |input, [gamma, beta]: [_; 2], [mean, variance]: [_; 2], epsilon| {
            module::batch_norm(input, gamma, beta, mean, variance, epsilon)
        };
        let expected = all_of(fixed(burns), shape, DType::F32);
        let ours = all_of(fixed(batch_norm), shape, DType::F32);
        assert_close(&format!("{shape:?}"), &ours, &expected);
    }
    for_all_shapes!(check);
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
        let of_ranks = distances(all_of(of_equal_ranks, shape, DType::F32));
        let burns = distances(all_of(burns, shape, DType::F32));
        println!("{shape:?}: {ours:?}, of ranks {of_ranks:?}, burn {burns:?}");
        for far in ours.into_iter().chain(of_ranks) {
            assert!(far < 1e-6, "{shape:?}: {far:.1e}");
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    const SHAPE: [usize; 4] = [4, 7, 33, 31];
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let norms = || {
            [
                all_of(batch_norm_train, SHAPE, DType::F32),
                all_of(of_equal_ranks, SHAPE, DType::F32),
                all_of(fixed(batch_norm), SHAPE, DType::F32),
            ]
        };
        pool.unwrap().install(norms)
    };
    let alone = with(1);
    assert_eq!(with(2), alone);
    assert_eq!(with(3), alone);
}

#[test]
fn frozen_scale_and_shift_take_no_gradient_and_the_input_does() {
    let input = noise(1, [4, 3, 2, 2], 1.0).require_grad();
    let [gamma, beta] = [noise(2, [3], 1.0), noise(3, [3], 0.0)];
    for norm in [batch_norm_train::<4>, of_equal_ranks] {
        let result = norm(input.clone(), gamma.clone(), beta.clone(), EPSILON);
        let gradients = (result.output.powi_scalar(3)).sum().backward();
        assert!(input.grad(&gradients).is_some());
        assert!(gamma.grad(&gradients).is_none());
    }
}

#[test]
fn scale_and_shift_take_a_gradient_and_a_frozen_input_does_not() {
    let input = noise(1, [4, 3, 2, 2], 1.0);
    let [gamma, beta] = [noise(2, [3], 1.0), noise(3, [3], 0.0)].map(Tensor::require_grad);
    for norm in [batch_norm_train::<4>, of_equal_ranks] {
        let result = norm(input.clone(), gamma.clone(), beta.clone(), EPSILON);
        let gradients = (result.output.powi_scalar(3)).sum().backward();
        assert!(gamma.grad(&gradients).is_some() && beta.grad(&gradients).is_some());
        assert!(input.grad(&gradients).is_none());
    }
}

#[test]
fn statistics_are_constants() {
    let input = noise(1, [4, 3, 2, 2], 1.0).require_grad();
    let [gamma, beta] = [noise(2, [3], 1.0), noise(3, [3], 0.0)];
    let Normalized { mean, variance, .. } = batch_norm_train(input, gamma, beta, EPSILON);
    assert!(!mean.is_require_grad() && !variance.is_require_grad());
}
