//! What one backward step leaves for another.

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
};

/// A place that holds one thing between two steps of a backward pass.
///
/// A backward step hands each of its parents one tensor. Where ranks add up sums in between, the step
/// before needs to leave more for the step after: the gradient of the maps can be written, in one
/// pass, only when the sums of all ranks are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relay(Arc<Mutex<Option<Box<dyn Any + Send>>>>);

impl Relay {
    pub(crate) fn put<T: Send + 'static>(&self, value: T) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Box::new(value));
    }

    /// # Panics
    ///
    /// If nothing has been put here since, or something else.
    pub(crate) fn take<T: 'static>(&self) -> T {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = place.take().expect("the step before has run");
        *value
            .downcast()
            .expect("both steps agree on what they hand on")
    }
}
