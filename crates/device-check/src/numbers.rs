//! Numbers drawn on the host: the same on every device.

use std::f64::consts::TAU;

use burn::tensor::TensorData;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// A stream of float32 numbers.
#[derive(Clone, Debug)]
pub struct Numbers(ChaCha8Rng);

impl Numbers {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Standard normal numbers (Box and Muller 1958).
    pub fn normal<const D: usize>(&mut self, shape: [usize; D]) -> TensorData {
        self.fill(shape, |first, second| {
            (-2.0 * (1.0 - first).ln()).sqrt() * (TAU * second).cos()
        })
    }

    /// Numbers between `low` and `high`.
    pub fn uniform<const D: usize>(
        &mut self,
        shape: [usize; D],
        [low, high]: [f64; 2],
    ) -> TensorData {
        self.fill(shape, |first, _| low + (high - low) * first)
    }

    /// Whole numbers below `bound`, as 32-bit integers.
    pub fn below<const D: usize>(&mut self, shape: [usize; D], bound: i32) -> TensorData {
        let count = shape.iter().product();
        let values: Vec<i32> = (0..count)
            .map(|_| (self.unit() * f64::from(bound)) as i32)
            .collect();
        TensorData::new(values, shape)
    }

    fn fill<const D: usize>(
        &mut self,
        shape: [usize; D],
        number: impl Fn(f64, f64) -> f64,
    ) -> TensorData {
        let count = shape.iter().product();
        let values = (0..count).map(|_| {
            let (first, second) = (self.unit(), self.unit());
            number(first, second) as f32
        });
        TensorData::new(values.collect::<Vec<_>>(), shape)
    }

    /// Uniform in `0..1`.
    fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }
}
