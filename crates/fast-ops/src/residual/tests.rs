//! Against burn's sum in float64.

use burn::tensor::{DType, Device, Tensor};

use crate::{
    residual,
    tests::{distance, doubles, noise, of_threads},
};

type Sum<const D: usize> = fn(Tensor<D>, Tensor<D>, Option<Tensor<1>>) -> Tensor<D>;

fn defined<const D: usize>(x: Tensor<D>, branch: Tensor<D>, scale: Option<Tensor<1>>) -> Tensor<D> {
    match scale {
        Some(scale) => x + branch * scale.unsqueeze::<D>(),
        None => x + branch,
    }
}

/// Output and the gradients of both summands and, where there is one, the scale.
fn computed<const D: usize>(
    sum: Sum<D>,
    shape: [usize; D],
    scaled: bool,
    dtype: DType,
) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let [x, branch] = [1, 2].map(|seed| noise(seed, shape, &device).cast(dtype).require_grad());
    let scale = scaled.then(|| {
        noise::<1>(3, [shape[D - 1]], &device)
            .cast(dtype)
            .require_grad()
    });
    let y = sum(x.clone(), branch.clone(), scale.clone());
    let pull = noise(4, shape, &device).cast(dtype);
    let gradients = (y.clone() * pull).sum().backward();
    let mut all = vec![
        doubles(y.inner()),
        doubles(x.grad(&gradients).unwrap()),
        doubles(branch.grad(&gradients).unwrap()),
    ];
    all.extend(scale.map(|scale| doubles(scale.grad(&gradients).unwrap())));
    all
}

fn agrees<const D: usize>(shape: [usize; D]) {
    for scaled in [false, true] {
        let exact = computed(defined, shape, scaled, DType::F64);
        for (dtype, most) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let found = computed(residual, shape, scaled, dtype);
            assert_eq!(found.len(), exact.len());
            for (found, exact) in found.iter().zip(&exact) {
                let far = distance(found, exact);
                assert!(far < most, "{shape:?}, {dtype:?}: {far}");
            }
        }
    }
}

#[test]
fn output_and_gradients_are_those_of_burn_in_float64() {
    agrees([7]);
    agrees([3, 5]);
    agrees([2, 31, 19, 96]);
    agrees([130, 257]); // several parts of the sums of columns
}

#[test]
fn layouts_and_types_are_burns() {
    let device = Device::flex();
    let [x, branch] = [1, 2].map(|seed| noise::<3>(seed, [6, 5, 4], &device).swap_dims(0, 2));
    let scale = noise::<1>(3, [6], &device);
    let found = residual(x.clone(), branch.clone(), Some(scale.clone()));
    let [x, branch] = [x, branch].map(|tensor| tensor.cast(DType::F64));
    let double = residual(x, branch, Some(scale.cast(DType::F64)));
    assert_eq!((found.dims(), double.dtype()), ([4, 5, 6], DType::F64));
    assert!(distance(&doubles(found), &doubles(double)) < 1e-6);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let computed = || computed(residual, [411, 33], true, DType::F32);
    let alone = of_threads(1, computed);
    assert_eq!(of_threads(2, computed), alone);
    assert_eq!(of_threads(3, computed), alone);
}

#[test]
#[should_panic(expected = "channels of the scale")]
fn a_scale_of_another_length_is_a_bug() {
    let x = Tensor::<2>::ones([2, 3], &Device::flex());
    residual(x.clone(), x, Some(Tensor::ones([2], &Device::flex())));
}
