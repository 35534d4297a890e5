//! Reads arrays that PyTorch made, and compares with them.

// Each test binary uses its own part.
#![allow(dead_code)]

use std::{fs::File, path::PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;

/// A file of the golden vectors, or a printed line and `None` where they are not at hand.
pub(crate) fn golden(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/method");
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

/// An `.npz` file.
pub(crate) struct Arrays(NpzReader<File>);

impl Arrays {
    pub(crate) fn open(path: &std::path::Path) -> Self {
        Self(NpzReader::new(File::open(path).unwrap()).unwrap())
    }

    /// A float32 or float64 array as float32.
    pub(crate) fn get<const D: usize>(&mut self, name: &str, device: &Device) -> Tensor<D> {
        let (shape, values) = self.read(name);
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    pub(crate) fn scalar(&mut self, name: &str) -> f32 {
        self.read(name).1[0]
    }

    pub(crate) fn read(&mut self, name: &str) -> (Vec<usize>, Vec<f32>) {
        if let Ok(array) = self.0.by_name::<OwnedRepr<f32>, IxDyn>(name) {
            return (array.shape().to_vec(), array.iter().copied().collect());
        }
        let array = self.0.by_name::<OwnedRepr<f64>, IxDyn>(name).unwrap();
        (
            array.shape().to_vec(),
            array.iter().map(|&value| value as f32).collect(),
        )
    }
}

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
