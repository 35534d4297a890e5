//! Against burn's norm in float64, and values of the definition.

use burn::tensor::{DType, Device, Tensor, module};

use crate::{
    layer_norm,
    tests::{distance, doubles, noise, of_threads, values},
};

const EPSILON: f64 = 1e-6;

type Norm<const D: usize> = fn(Tensor<D>, Tensor<1>, Tensor<1>, f64) -> Tensor<D>;

/// Output and the gradients of input, scale and shift.
fn computed<const D: usize>(
    norm: Norm<D>,
    shape: [usize; D],
    dtype: DType,
) -> (Tensor<D>, Tensor<D>, [Tensor<1>; 2]) {
    let device = Device::flex().autodiff();
    let channels = [shape[D - 1]];
    let x = (noise(1, shape, &device) + 3.0).cast(dtype).require_grad();
    let [gamma, beta] =
        [2, 3].map(|seed| noise(seed, channels, &device).cast(dtype).require_grad());
    let y = norm(x.clone(), gamma.clone(), beta.clone(), EPSILON);
    let pull = noise(4, shape, &device).cast(dtype);
    let gradients = (y.clone() * pull).sum().backward();
    let affine = [gamma, beta].map(|tensor| tensor.grad(&gradients).unwrap());
    (y.inner(), x.grad(&gradients).unwrap(), affine)
}

fn agrees<const D: usize>(shape: [usize; D]) {
    let by_burn: Norm<D> =
        |x, gamma, beta, epsilon| module::layer_norm(x, gamma, Some(beta), epsilon);
    let (output, of_x, affine) = computed(layer_norm, shape, DType::F32);
    let (exact, exact_of_x, exact_affine) = computed(by_burn, shape, DType::F64);
    let near = |far: f64| assert!(far < 2e-6, "{shape:?}: {far}");
    near(distance(&doubles(output), &doubles(exact)));
    near(distance(&doubles(of_x), &doubles(exact_of_x)));
    for (found, exact) in affine.into_iter().zip(exact_affine) {
        near(distance(&doubles(found), &doubles(exact)));
    }
}

#[test]
fn output_and_gradients_are_those_of_burn_in_float64() {
    agrees([5, 3]);
    agrees([2, 37, 96]);
    agrees([1, 3, 5, 2051]);
    agrees([384]);
}

#[test]
fn known_values_are_found() {
    let device = Device::flex();
    let normal = |row: [f32; 3], epsilon| {
        let [gamma, beta] = [1.0, 0.0].map(|value| Tensor::full([3], value, &device));
        values(layer_norm(
            Tensor::<1>::from_floats(row, &device),
            gamma,
            beta,
            epsilon,
        ))
    };
    let near = |found: Vec<f32>, expected: [f64; 3], tolerance: f64| {
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(
                (f64::from(found) - expected).abs() < tolerance,
                "{found} for {expected}"
            );
        }
    };
    let row = [1.0, 2.0, 4.0];
    near(
        normal(row, 1e-5),
        [-1.069041531, -0.267260383, 1.336301914],
        3e-7,
    );
    near(
        normal(row, 1e-6),
        [-1.069044624, -0.267261156, 1.336305780],
        3e-7,
    );
    // What float32 leaves of 0.001 beside 1 is 6e-5 of it.
    let row = [1.0, 1.001, 1.002];
    near(normal(row, 1e-5), [-0.306186, 0.0, 0.306186], 6e-5);
    near(normal(row, 1e-6), [-0.774597, 0.0, 0.774597], 1.2e-4);
}

#[test]
fn layouts_and_types_are_burns() {
    let device = Device::flex();
    let x = noise::<3>(1, [4, 5, 6], &device);
    let affine = [2, 3].map(|seed| noise::<1>(seed, [4], &device));
    let [gamma, beta] = affine.clone();
    let turned = layer_norm(x.clone().swap_dims(0, 2), gamma, beta, EPSILON);
    let [gamma, beta] = affine.map(|tensor| tensor.cast(DType::F64));
    let double = layer_norm(x.swap_dims(0, 2).cast(DType::F64), gamma, beta, EPSILON);
    assert_eq!(double.dtype(), DType::F64);
    assert!(distance(&doubles(turned), &doubles(double)) < 1e-6);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let bits = || {
        let (output, of_x, [gamma, beta]) = computed(layer_norm, [3, 67, 65], DType::F32);
        [values(output), values(of_x), values(gamma), values(beta)]
    };
    let alone = of_threads(1, bits);
    assert_eq!(of_threads(2, bits), alone);
}

#[test]
#[should_panic(expected = "channels of scale and shift")]
fn another_number_of_channels_is_a_bug() {
    let device = Device::flex();
    let [x, gamma] = [
        Tensor::<2>::ones([2, 3], &device),
        Tensor::ones([1, 4], &device),
    ];
    let gamma = gamma.reshape([4]);
    layer_norm(x, gamma.clone(), gamma, EPSILON);
}
