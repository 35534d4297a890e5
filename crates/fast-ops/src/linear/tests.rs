//! Against burn's layer in float64.

use burn::tensor::{DType, Device, Tensor, module};

use crate::{
    linear,
    tests::{distance, doubles, noise, of_threads},
};

type Layer<const D: usize> = fn(Tensor<D>, Tensor<2>, Option<Tensor<1>>) -> Tensor<D>;

/// Output and the gradients of input, weights and, where there is one, bias.
fn computed<const D: usize>(
    layer: Layer<D>,
    shape: [usize; D],
    outs: usize,
    with_bias: bool,
    dtype: DType,
) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let ins = shape[D - 1];
    let x = noise(1, shape, &device).cast(dtype).require_grad();
    let weight = noise(2, [ins, outs], &device).cast(dtype).require_grad();
    let bias = with_bias.then(|| noise::<1>(3, [outs], &device).cast(dtype).require_grad());
    let y = layer(x.clone(), weight.clone(), bias.clone());
    let pull = noise(4, y.dims(), &device).cast(dtype);
    let gradients = (y.clone() * pull).sum().backward();
    let mut all = vec![
        doubles(y.inner()),
        doubles(x.grad(&gradients).unwrap()),
        doubles(weight.grad(&gradients).unwrap()),
    ];
    all.extend(bias.map(|bias| doubles(bias.grad(&gradients).unwrap())));
    all
}

fn agrees<const D: usize>(shape: [usize; D], outs: usize) {
    for with_bias in [true, false] {
        let found = computed(linear, shape, outs, with_bias, DType::F32);
        let exact = computed(module::linear, shape, outs, with_bias, DType::F64);
        assert_eq!(found.len(), exact.len());
        for (found, exact) in found.iter().zip(&exact) {
            let far = distance(found, exact);
            assert!(far < 1e-6, "{shape:?} to {outs}: {far}");
        }
    }
}

#[test]
fn output_and_gradients_are_those_of_burn_in_float64() {
    agrees([1, 1], 1);
    agrees([7], 5);
    agrees([3, 37, 19], 23);
    agrees([2, 5, 31, 96], 7);
    agrees([2_500, 11], 13); // several products for the weights
    agrees([5, 250], 3); // several blocks of them
}

#[test]
fn layouts_and_types_are_burns() {
    let device = Device::flex();
    let x = noise::<3>(1, [6, 5, 4], &device).swap_dims(0, 2);
    let weight = noise::<2>(2, [7, 6], &device).swap_dims(0, 1);
    let found = linear(x.clone(), weight.clone(), None);
    let double = linear(x.cast(DType::F64), weight.cast(DType::F64), None);
    assert_eq!((found.dims(), double.dtype()), ([4, 5, 7], DType::F64));
    assert!(distance(&doubles(found), &doubles(double)) < 1e-6);
}

#[test]
fn a_frozen_weight_takes_no_gradient() {
    let device = Device::flex().autodiff();
    let x = noise::<2>(1, [3, 4], &device).require_grad();
    let weight = noise::<2>(2, [4, 5], &device);
    let bias = noise::<1>(3, [5], &device).require_grad();
    let y = linear(x.clone(), weight.clone(), Some(bias.clone()));
    let gradients = y.sum().backward();
    assert!(weight.grad(&gradients).is_none());
    assert!(x.grad(&gradients).is_some());
    assert_eq!(doubles(bias.grad(&gradients).unwrap()), [3.0; 5]);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let computed = || computed(linear, [5, 411, 33], 65, true, DType::F32);
    let alone = of_threads(1, computed);
    assert_eq!(of_threads(2, computed), alone);
    assert_eq!(of_threads(3, computed), alone);
}

#[test]
#[should_panic(expected = "channels of the input and of the weights")]
fn another_number_of_channels_is_a_bug() {
    let device = Device::flex();
    linear(
        Tensor::<2>::ones([2, 3], &device),
        Tensor::ones([4, 3], &device),
        None,
    );
}
