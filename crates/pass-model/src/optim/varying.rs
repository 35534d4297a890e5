//! Numbers of an optimiser that change with the iteration.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// A number that clones share: burn keeps a copy of the optimiser beside the state of each tensor.
#[derive(Clone, Debug)]
pub(super) struct Varying(Arc<AtomicU64>);

impl Varying {
    pub(super) fn new(value: f64) -> Self {
        Self(Arc::new(AtomicU64::new(value.to_bits())))
    }

    pub(super) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}
