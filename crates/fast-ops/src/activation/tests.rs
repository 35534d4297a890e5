//! Against their definitions in float64, and burn's own.

use burn::tensor::{DType, Device, Tensor, activation};

use crate::{
    gelu, silu,
    tests::{noise, of_threads, values},
};

/// Distribution function and density, by the series of the former around 0.
fn normal(x: f64) -> [f64; 2] {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (mut term, mut sum) = (x, 0.0);
    for odd in (3..).step_by(2) {
        sum += term;
        term *= x * x / f64::from(odd);
        if term.abs() < 1e-18 {
            break;
        }
    }
    [0.5 + density * sum, density]
}

/// Value and slope.
fn of_gelu(x: f64) -> [f64; 2] {
    let [below, density] = normal(x);
    [x * below, below + x * density]
}

/// The same.
fn of_silu(x: f64) -> [f64; 2] {
    let below = 1.0 / (1.0 + (-x).exp());
    [x * below, below * (1.0 + x * (1.0 - below))]
}

type Activation<const D: usize> = fn(Tensor<D>) -> Tensor<D>;

/// Value and slope at a point.
type Exact = fn(f64) -> [f64; 2];

/// Output and gradient.
fn computed(activation: Activation<1>, x: &Tensor<1>) -> [Vec<f32>; 2] {
    let x = x.clone().autodiff().require_grad();
    let y = activation(x.clone());
    let gradient = x.grad(&y.clone().sum().backward()).unwrap();
    [values(y.inner()), values(gradient)]
}

#[test]
fn outputs_and_gradients_are_exact() {
    let points: Vec<f32> = (-7_000..=7_000).map(|i| i as f32 / 1000.0).collect();
    let x = Tensor::from_floats(points.as_slice(), &Device::flex());
    let both: [(Activation<1>, Exact); 2] = [(gelu, of_gelu), (silu, of_silu)];
    for (activation, exact) in both {
        let [output, gradient] = computed(activation, &x);
        for (index, x) in points.iter().map(|&x| f64::from(x)).enumerate() {
            let [value, slope] = exact(x);
            let far = f64::from(output[index]) - value;
            assert!(far.abs() <= 2e-7 * x.abs().max(1.0), "{x}: {far}");
            let far = f64::from(gradient[index]) - slope;
            assert!(far.abs() <= 4e-7, "{x}: {far}");
        }
    }
}

#[test]
fn known_values_are_found() {
    let points = [-3.0, -1.0, -0.5, 0.5, 1.0, 3.0];
    let of_gelu = [
        -0.0040496941,
        -0.1586552539,
        -0.1542687694,
        0.3457312306,
        0.8413447461,
        2.9959503059,
    ];
    let of_silu = [
        -0.1422776195,
        -0.2689414214,
        -0.1887703344,
        0.3112296656,
        0.7310585786,
        2.8577223805,
    ];
    let x = Tensor::from_floats(points, &Device::flex());
    let both: [(Activation<1>, [f64; 6]); 2] = [(gelu, of_gelu), (silu, of_silu)];
    for (activation, expected) in both {
        let [output, _] = computed(activation, &x);
        for (found, expected) in output.into_iter().zip(expected) {
            let far = f64::from(found) - expected;
            assert!(far.abs() < 2.5e-7, "{found} for {expected}");
        }
    }
    let [_, gradient] = computed(gelu, &x);
    assert!((gradient[4] - 1.0833155).abs() < 2e-7, "{}", gradient[4]);
}

#[test]
fn ends_are_kept() {
    let x = [f32::NAN, f32::INFINITY, -90.0, 90.0, 0.0];
    let x = Tensor::from_floats(x, &Device::flex());
    for activation in [gelu as Activation<1>, silu] {
        let [output, gradient] = computed(activation, &x);
        assert!(output[0].is_nan() && gradient[0].is_nan());
        assert_eq!(output[1], f32::INFINITY);
        let near = |found: f32, expected: f32| assert!((found - expected).abs() < 1e-30, "{found}");
        (2..5).for_each(|at| near(output[at], [0.0, 90.0, 0.0][at - 2]));
        (2..5).for_each(|at| near(gradient[at], [0.0, 1.0, 0.5][at - 2]));
    }
}

#[test]
fn other_types_and_layouts_are_burns() {
    let x = noise::<3>(1, [3, 5, 7], &Device::flex());
    let all: [[Activation<3>; 2]; 2] = [[gelu, activation::gelu], [silu, activation::silu]];
    for [ours, burns] in all {
        let expected = values(burns(x.clone()));
        let double = ours(x.clone().cast(DType::F64));
        assert_eq!(double.dtype(), DType::F64);
        let turned = ours(x.clone().swap_dims(0, 2)).swap_dims(0, 2);
        for found in [double.cast(DType::F32), turned] {
            let pairs = values(found).into_iter().zip(&expected);
            assert!(pairs.into_iter().all(|(found, y)| (found - y).abs() < 3e-7));
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let x = noise::<1>(2, [40_001], &Device::flex());
    for activation in [gelu as Activation<1>, silu] {
        let alone = of_threads(1, || computed(activation, &x));
        assert_eq!(of_threads(2, || computed(activation, &x)), alone);
    }
}
