//! Against the definition, by burn's operations in float64.

use burn::tensor::{DType, Device, Int, Tensor, activation};

use crate::{
    join_heads, self_attention, split_heads,
    tests::{distance, doubles, noise, of_threads, values},
};

type Attention = fn(Tensor<3>, usize, Option<Tensor<4>>) -> Tensor<3>;

fn defined(packed: Tensor<3>, heads: usize, bias: Option<Tensor<4>>) -> Tensor<3> {
    let [q, k, v] = split_heads(packed, heads);
    // No division: burn's gradient of one by a number takes its reciprocal in float32.
    let scale = 1.0 / (q.dims()[3] as f64).sqrt();
    let scores = q.matmul(k.transpose()) * scale;
    let scores = bias.into_iter().fold(scores, |scores, bias| scores + bias);
    join_heads(activation::softmax(scores, 3).matmul(v))
}

/// A shape `[batch, heads, tokens, channels]`, and for how many pictures there are biases.
#[derive(Clone, Copy, Debug)]
struct Case([usize; 4], Option<usize>);

/// Output and the gradients of the input and, where there is one, the bias.
fn computed(attention: Attention, Case(shape, biases): Case, dtype: DType) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let [batch, heads, tokens, channels] = shape;
    let packed = noise(1, [batch, tokens, 3 * heads * channels], &device);
    let packed = packed.cast(dtype).require_grad();
    let bias = biases.map(|count| {
        let bias = noise::<4>(2, [count, heads, tokens, tokens], &device);
        bias.cast(dtype).require_grad()
    });
    let y = attention(packed.clone(), heads, bias.clone());
    let pull = noise(3, [batch, tokens, heads * channels], &device).cast(dtype);
    let gradients = (y.clone() * pull).sum().backward();
    let mut all = vec![
        doubles(y.inner()),
        doubles(packed.grad(&gradients).unwrap()),
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
        let found = computed(self_attention, case, DType::F32);
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
    let packed = noise::<3>(1, [24, 5, 2], &device).permute([2, 1, 0]);
    let bias = noise::<4>(2, [5, 5, 4, 1], &device).permute([3, 2, 1, 0]);
    let found = self_attention(packed.clone(), 4, Some(bias.clone()));
    let expected = defined(packed.clone(), 4, Some(bias));
    assert!(distance(&doubles(found), &doubles(expected)) < 1e-6);
    let packed = packed.cast(DType::F64);
    let double = self_attention(packed.clone(), 4, None);
    assert_eq!(double.dtype(), DType::F64);
    assert!(distance(&doubles(double), &doubles(defined(packed, 4, None))) < 1e-12);
}

#[test]
fn float64_is_computed_in_float64() {
    for case in CASES {
        let found = computed(self_attention, case, DType::F64);
        let exact = computed(defined, case, DType::F64);
        assert_eq!(found.len(), exact.len());
        for (found, exact) in found.iter().zip(&exact) {
            // The gradient of a single score is zero.
            let far = distance(found, exact);
            assert!(far < 1e-12 || found == exact, "{case:?}: {far}");
        }
    }
}

#[test]
fn heads_are_split_and_joined_in_their_order() {
    let packed = Tensor::<1, Int>::arange(0..24, &Device::flex()).float();
    let [q, _, v] = split_heads(packed.reshape([1, 2, 12]), 2);
    assert_eq!(values(q), [0.0, 1.0, 12.0, 13.0, 2.0, 3.0, 14.0, 15.0]);
    assert_eq!(
        values(join_heads(v)),
        [8.0, 9.0, 10.0, 11.0, 20.0, 21.0, 22.0, 23.0]
    );
}

/// One head of one channel: queries, keys and values of two tokens.
fn two_tokens(q: [f32; 2], k: [f32; 2], v: [f32; 2]) -> Tensor<3> {
    let tokens = [[q[0], k[0], v[0]], [q[1], k[1], v[1]]];
    Tensor::from_floats([tokens], &Device::flex())
}

/// What a mask hides has no share, and large scores no overflow.
#[test]
fn large_scores_and_masks_are_kept() {
    let packed = two_tokens([300.0, 1.0], [1.0, 2.0], [3.0, 5.0]);
    let hidden = [[0.0, 0.0], [0.0, f32::NEG_INFINITY]];
    let mask = Tensor::<2>::from_floats(hidden, &Device::flex()).reshape([1, 1, 2, 2]);
    assert_eq!(values(self_attention(packed, 1, Some(mask))), [5.0, 3.0]);
}

#[test]
fn a_score_that_is_no_number_shows() {
    let packed = two_tokens([f32::NAN; 2], [1.0; 2], [1.0; 2]);
    let found = self_attention(packed, 1, None);
    assert!(values(found).iter().all(|value| value.is_nan()));
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for case in [Case([3, 2, 49, 32], Some(1)), Case([1, 2, 301, 8], None)] {
        let computed = || computed(self_attention, case, DType::F32);
        let alone = of_threads(1, computed);
        assert_eq!(of_threads(2, computed), alone);
        assert_eq!(of_threads(3, computed), alone);
    }
}

#[test]
#[should_panic(expected = "a bias of 2")]
fn a_bias_of_another_number_of_pictures_is_a_bug() {
    let device = Device::flex();
    let bias = Tensor::<4>::ones([2, 1, 2, 2], &device);
    self_attention(Tensor::ones([3, 2, 6], &device), 1, Some(bias));
}
