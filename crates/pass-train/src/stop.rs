//! The request to stop: a training that hears it ends its iteration and leaves a checkpoint.
//!
//! A library installs no signal handlers. Binaries do, and pass a signal on by
//! [`StopRequest::ask`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// A request to stop, shared by its clones.
///
/// ```
/// use pass_train::StopRequest;
///
/// let stop = StopRequest::default();
/// // No training is running that would heed it: a program leaves at once.
/// assert!(!stop.clone().ask());
/// assert!(stop.is_asked());
/// ```
#[derive(Clone, Debug, Default)]
pub struct StopRequest {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicBool,
    /// Trainings that look at the request after each iteration.
    heeding: AtomicUsize,
}

impl StopRequest {
    /// Asks for a stop. True if a training will heed it: the caller should then wait for
    /// [`Error::Stopped`](crate::Error::Stopped). False if none is running, or if this was asked
    /// before: the caller should then leave by itself.
    pub fn ask(&self) -> bool {
        let first = !self.shared.asked.swap(true, Ordering::SeqCst);
        first && self.shared.heeding.load(Ordering::SeqCst) > 0
    }

    /// Whether anyone has asked.
    pub fn is_asked(&self) -> bool {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// From now until the guard is dropped, the request is looked at.
    pub(crate) fn heed(&self) -> Heeding {
        self.shared.heeding.fetch_add(1, Ordering::SeqCst);
        Heeding(self.clone())
    }
}

/// While it lives, a training looks at the request.
pub(crate) struct Heeding(StopRequest);

impl Drop for Heeding {
    fn drop(&mut self) {
        self.0.shared.heeding.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_during_a_training_is_heeded_and_the_second_is_not() {
        let stop = StopRequest::default();
        let heeding = stop.heed();
        assert!(stop.clone().ask());
        assert!(!stop.ask());
        drop(heeding);
        assert!(stop.is_asked());
    }
}
