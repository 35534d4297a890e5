//! Arrays as tensors in the device's float type: comparisons carry the rounding of float32.

use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use ndarray::{Array, Dimension};

use crate::Arrays;

impl Arrays {
    /// Numbers of any type as float32.
    ///
    /// # Panics
    ///
    /// As [`numbers`](Self::numbers).
    #[track_caller]
    pub fn data(&mut self, name: &str) -> TensorData {
        data_of(&self.numbers(name))
    }

    /// Numbers of any type as a tensor.
    ///
    /// # Panics
    ///
    /// As [`numbers`](Self::numbers), and if the array has not `D` axes.
    #[track_caller]
    pub fn tensor<const D: usize>(&mut self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.data(name), device)
    }

    /// Whole numbers of any type as a tensor.
    ///
    /// # Panics
    ///
    /// As [`tensor`](Self::tensor).
    #[track_caller]
    pub fn integers<const D: usize>(&mut self, name: &str, device: &Device) -> Tensor<D, Int> {
        let array = self.numbers(name);
        let values: Vec<i64> = array.iter().map(|&value| value as i64).collect();
        Tensor::from_data(TensorData::new(values, array.shape()), device)
    }
}

/// An array as float32.
pub fn data_of<D: Dimension>(array: &Array<f64, D>) -> TensorData {
    let values: Vec<f32> = array.iter().map(|&value| value as f32).collect();
    TensorData::new(values, array.shape())
}

/// Compares with float64 numbers; `relative` and `absolute` as in [`Tolerance::rel_abs`].
///
/// # Panics
///
/// If they differ by more.
#[track_caller]
pub fn assert_near<const D: usize>(
    actual: Tensor<D>,
    expected: impl Into<TensorData>,
    [relative, absolute]: [f64; 2],
) {
    let tolerance = Tolerance::<f32>::rel_abs(relative, absolute);
    actual
        .into_data()
        .assert_approx_eq(&expected.into(), tolerance);
}
