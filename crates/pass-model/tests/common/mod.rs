//! Compares with what PyTorch computed.

use burn::tensor::{Tensor, TensorData};

/// Largest difference as a part of the largest expected value.
pub(crate) fn relative_difference(actual: TensorData, expected: TensorData) -> f32 {
    assert_eq!(actual.shape(), expected.shape());
    let (actual, expected) = (numbers(actual), numbers(expected));
    let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let difference = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    difference.fold(0.0f32, |a, b| if b.is_nan() { f32::NAN } else { a.max(b) })
        / largest.max(f32::MIN_POSITIVE)
}

#[track_caller]
pub(crate) fn assert_close<const D: usize>(actual: Tensor<D>, expected: Tensor<D>, tolerance: f32) {
    let difference = relative_difference(actual.into_data(), expected.into_data());
    assert!(
        difference < tolerance,
        "relative difference {difference}, allowed {tolerance}"
    );
}

fn numbers(data: TensorData) -> Vec<f32> {
    data.iter::<f32>().collect()
}
