//! What the tests of several operations use.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// Numbers from -2 to 2.
pub(crate) fn noise<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut number = || (random.next_u32() >> 8) as f32 / (1 << 22) as f32 - 2.0;
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| number()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// What a number of threads computes.
pub(crate) fn of_threads<T: Send>(threads: usize, computed: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(computed)
}

pub(crate) fn doubles<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

/// Root mean square of the difference as a share of that of `expected`.
pub(crate) fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    let square: f64 = pairs.map(|(a, b)| (a - b).powi(2)).sum();
    (square / expected.iter().map(|b| b * b).sum::<f64>()).sqrt()
}
