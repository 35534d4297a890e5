//! Test support: reads the reference's golden arrays, where the checkout has them.
//!
//! The arrays are float64; tensors are made in the device's float type, so every comparison with
//! them carries the rounding of float32.

use std::{fs::File, path::Path};

use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use ndarray::{ArrayD, Axis};
use ndarray_npy::{NpzReader, ReadableElement};

/// One `.npz` file of golden arrays.
pub(crate) struct Golden(NpzReader<File>);

impl Golden {
    /// Opens `{name}.npz`; `None`, with a printed line, where the golden arrays are not at hand.
    pub(crate) fn open(name: &str) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/method");
        let path = folder.join(format!("{name}.npz"));
        if !path.exists() {
            eprintln!("skipped: {} is absent", path.display());
            return None;
        }
        let file = File::open(&path).expect("the golden file can be opened");
        Some(Self(
            NpzReader::new(file).expect("the golden file is a zip archive"),
        ))
    }

    fn array<T: ReadableElement>(&mut self, key: &str) -> ArrayD<T> {
        self.0
            .by_name(key)
            .unwrap_or_else(|error| panic!("golden array {key}: {error}"))
    }

    /// Whether the file holds float64 numbers under this key.
    pub(crate) fn has(&mut self, key: &str) -> bool {
        self.0
            .by_name::<ndarray::OwnedRepr<f64>, ndarray::IxDyn>(key)
            .is_ok()
    }

    /// A float64 array as host data.
    pub(crate) fn data(&mut self, key: &str) -> TensorData {
        let array = self.array::<f64>(key);
        let values: Vec<f32> = array.iter().map(|&v| v as f32).collect();
        TensorData::new(values, array.shape().to_vec())
    }

    /// A float64 array as a tensor.
    pub(crate) fn tensor<const D: usize>(&mut self, key: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.data(key), device)
    }

    /// One matrix of a stack of float64 matrices, `[n, rows, columns]`.
    pub(crate) fn layer(&mut self, key: &str, index: usize) -> TensorData {
        let array = self.array::<f64>(key);
        let layer = array.index_axis(Axis(0), index);
        TensorData::new(
            layer.iter().map(|&v| v as f32).collect(),
            layer.shape().to_vec(),
        )
    }

    /// Every float64 of an array, in order.
    pub(crate) fn numbers(&mut self, key: &str) -> Vec<f64> {
        self.array::<f64>(key).iter().copied().collect()
    }

    /// A float32 array as host data.
    pub(crate) fn data_f32(&mut self, key: &str) -> TensorData {
        let array = self.array::<f32>(key);
        TensorData::new(array.iter().copied().collect(), array.shape().to_vec())
    }

    /// Every integer of an array, in order.
    pub(crate) fn integers(&mut self, key: &str) -> Vec<i64> {
        self.array::<i64>(key).iter().copied().collect()
    }
}

/// Compares with float64 numbers; `relative` and `absolute` as in [`Tolerance::rel_abs`].
#[track_caller]
pub(crate) fn assert_near<const D: usize>(
    actual: Tensor<D>,
    expected: impl Into<TensorData>,
    [relative, absolute]: [f64; 2],
) {
    let tolerance = Tolerance::<f32>::rel_abs(relative, absolute);
    actual
        .into_data()
        .assert_approx_eq(&expected.into(), tolerance);
}
