//! Against burn's ReLU, to the bit.

use burn::tensor::{DType, Device, Tensor, TensorData, activation};

use crate::{relu, relu_of_sum};

/// Values of both signs, among them zeros of both and NaN.
fn maps(seed: u64, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let count: usize = shape.iter().product();
    let noise = |at: usize| ((at as f64 + 0.37 * seed as f64) * 12.9898).sin() as f32;
    let special = [0.0, -0.0, f32::NAN, f32::INFINITY].into_iter();
    let values: Vec<f32> = special.chain((4..).map(noise)).take(count).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn bits<const D: usize>(tensor: Tensor<D>) -> Vec<u32> {
    let values = tensor.into_data().try_to_vec::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// The output and the gradients of both summands.
fn all_of(relu: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>, shape: [usize; 4]) -> [Vec<u32>; 3] {
    let device = Device::flex().autodiff();
    let [a, b] = [1, 2].map(|seed| maps(seed, shape, &device).require_grad());
    let output = relu(a.clone(), b.clone());
    let gradients = (output.clone() * maps(3, shape, &device)).sum().backward();
    [
        bits(output),
        bits(a.grad(&gradients).unwrap()),
        bits(b.grad(&gradients).unwrap()),
    ]
}

/// Small ones, one of several portions, one that is not laid out in its order.
#[test]
fn values_and_gradients_are_burns_to_the_bit() {
    for shape in [[1, 1, 2, 2], [3, 5, 4, 7], [2, 8, 50, 41]] {
        let sum = |a, b| activation::relu(a + b);
        assert_eq!(all_of(relu_of_sum, shape), all_of(sum, shape));
        let of_one = |a, b: Tensor<4>| relu(a) * b;
        let burns = |a, b: Tensor<4>| activation::relu(a) * b;
        assert_eq!(all_of(of_one, shape), all_of(burns, shape));
        let turned = |a: Tensor<4>, b: Tensor<4>| relu(a.swap_dims(1, 3)).swap_dims(1, 3) * b;
        assert_eq!(all_of(turned, shape), all_of(burns, shape));
    }
}

#[test]
fn what_is_added_to_itself_has_both_gradients() {
    let device = Device::flex().autodiff();
    let x = Tensor::<1>::from_floats([-1.0, 2.0], &device).require_grad();
    let gradients = relu_of_sum(x.clone(), x.clone()).sum().backward();
    let gradient = x.grad(&gradients).unwrap().into_data();
    assert_eq!(gradient.try_to_vec::<f32>().unwrap(), [0.0, 2.0]);
}

#[test]
fn a_frozen_summand_takes_no_gradient() {
    let device = Device::flex().autodiff();
    let a = maps(1, [2, 3, 1, 1], &device).require_grad();
    let b = maps(2, [2, 3, 1, 1], &device);
    let gradients = relu_of_sum(a.clone(), b.clone()).sum().backward();
    assert!(a.grad(&gradients).is_some() && b.grad(&gradients).is_none());
}

#[test]
fn other_types_are_burns() {
    let maps = maps(1, [2, 3, 4, 5], &Device::flex()).cast(DType::F64);
    let expected = activation::relu(maps.clone() + maps.clone());
    let output = relu_of_sum(maps.clone(), maps);
    assert_eq!(output.dtype(), DType::F64);
    assert_eq!(
        bits(output.cast(DType::F32)),
        bits(expected.cast(DType::F32))
    );
}

#[test]
#[should_panic(expected = "shapes of what is added up")]
fn summands_of_two_shapes_are_a_bug() {
    let device = Device::flex();
    relu_of_sum(
        maps(1, [1, 1, 2, 2], &device),
        maps(2, [1, 1, 2, 3], &device),
    );
}
