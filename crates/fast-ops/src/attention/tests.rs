//! Against the definition, by burn's operations in float64.

use burn::tensor::{DType, Device, Tensor, activation};

use crate::{
    attention,
    tests::{distance, doubles, noise, of_threads, values},
};

type Attention = fn(Tensor<4>, Tensor<4>, Tensor<4>, Option<Tensor<4>>) -> Tensor<4>;

fn defined(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    let scores = q.matmul(k.transpose());
    let scores = bias.into_iter().fold(scores, |scores, bias| scores + bias);
    activation::softmax(scores, 3).matmul(v)
}

/// A shape, and for how many pictures there are biases.
#[derive(Clone, Copy, Debug)]
struct Case([usize; 4], Option<usize>);

/// Output and the gradients of queries, keys, values and, where there is one, bias. All come from the
/// three thirds of one tensor, as in a network.
fn computed(attention: Attention, Case(shape, biases): Case, dtype: DType) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let [batch, heads, tokens, channels] = shape;
    let thirds = noise(1, [batch, tokens, 3, heads * channels], &device);
    let thirds = thirds.cast(dtype).require_grad();
    let third = |index: usize| {
        let third = thirds.clone().narrow(2, index, 1);
        third
            .reshape([batch, tokens, heads, channels])
            .swap_dims(1, 2)
    };
    let bias = biases.map(|count| {
        let bias = noise::<4>(2, [count, heads, tokens, tokens], &device);
        bias.cast(dtype).require_grad()
    });
    let y = attention(third(0), third(1), third(2), bias.clone());
    let pull = noise(3, shape, &device).cast(dtype);
    let gradients = (y.clone() * pull).sum().backward();
    let mut all = vec![
        doubles(y.inner()),
        doubles(thirds.grad(&gradients).unwrap()),
    ];
    all.extend(bias.map(|bias| doubles(bias.grad(&gradients).unwrap())));
    all
}

const CASES: [Case; 7] = [
    Case([2, 3, 7, 5], None),
    Case([1, 1, 1, 1], None),
    Case([3, 2, 49, 32], Some(1)),
    Case([2, 3, 17, 4], Some(2)),
    Case([1, 2, 9, 3], Some(1)),
    Case([1, 1, 530, 8], None), // several blocks of queries
    Case([2, 1, 301, 8], Some(1)),
];

#[test]
fn output_and_gradients_are_those_of_the_definition_in_float64() {
    for case in CASES {
        let found = computed(attention, case, DType::F32);
        let exact = computed(defined, case, DType::F64);
        assert_eq!(found.len(), exact.len());
        for (found, exact) in found.iter().zip(&exact) {
            // The gradient of a single score is zero.
            let far = distance(found, exact);
            assert!(far < 3e-6 || found == exact, "{case:?}: {far}");
        }
    }
}

#[test]
fn any_layout_and_other_types_are_taken() {
    let device = Device::flex();
    let all = [1, 2, 3].map(|seed| noise::<4>(seed, [5, 4, 3, 2], &device).permute([3, 1, 0, 2]));
    let [q, k, v] = all.clone();
    let found = attention(q.clone(), k.clone(), v.clone().flip([2]).flip([2]), None);
    let expected = defined(q.clone(), k.clone(), v.clone(), None);
    assert!(distance(&doubles(found), &doubles(expected)) < 1e-6);
    let [found, expected] = [attention as Attention, defined]
        .map(|attention| attention(q.clone().flip([2]), k.clone(), v.clone(), None));
    assert!(distance(&doubles(found), &doubles(expected)) < 1e-6);
    let [q, k, v] = all.map(|tensor| tensor.cast(DType::F64));
    let double = attention(q.clone(), k.clone(), v.clone(), None);
    assert_eq!(double.dtype(), DType::F64);
    assert!(distance(&doubles(double), &doubles(defined(q, k, v, None))) < 1e-12);
}

/// What a mask hides has no share, and large scores no overflow.
#[test]
fn large_scores_and_masks_are_kept() {
    let device = Device::flex();
    let column = |values: [f32; 2]| Tensor::<1>::from_floats(values, &device).reshape([1, 1, 2, 1]);
    let (q, k, v) = (column([300.0, 1.0]), column([1.0, 2.0]), column([3.0, 5.0]));
    let hidden = [[0.0, 0.0], [0.0, f32::NEG_INFINITY]];
    let mask = Tensor::<2>::from_floats(hidden, &device).reshape([1, 1, 2, 2]);
    assert_eq!(values(attention(q, k, v, Some(mask))), [5.0, 3.0]);
}

#[test]
fn a_score_that_is_no_number_shows() {
    let device = Device::flex();
    let heads = |value: f32| Tensor::<4>::full([1, 1, 3, 2], value, &device);
    let found = attention(heads(f32::NAN), heads(1.0), heads(1.0), None);
    assert!(values(found).iter().all(|value| value.is_nan()));
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for case in [Case([3, 2, 49, 32], Some(1)), Case([1, 2, 301, 8], None)] {
        let computed = || computed(attention, case, DType::F32);
        let alone = of_threads(1, computed);
        assert_eq!(of_threads(2, computed), alone);
        assert_eq!(of_threads(3, computed), alone);
    }
}

#[test]
#[should_panic(expected = "a bias of 2")]
fn a_bias_of_another_number_of_pictures_is_a_bug() {
    let device = Device::flex();
    let heads = Tensor::<4>::ones([3, 1, 2, 2], &device);
    let bias = Tensor::<4>::ones([2, 1, 2, 2], &device);
    attention(heads.clone(), heads.clone(), heads, Some(bias));
}
