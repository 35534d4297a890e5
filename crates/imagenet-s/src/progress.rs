//! How far a long piece of work has come, for whoever wants to show it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A message of a long piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, in two or three words.
    pub what: &'static str,
    /// Items that are done.
    pub done: u64,
    /// Items in all.
    pub total: u64,
}

/// Receives [`Progress`] from any thread, often: it decides what to show.
pub type Watcher<'a> = &'a (dyn Fn(Progress) + Sync);

/// Counts the items of one piece of work.
pub(crate) struct Counter<'a> {
    what: &'static str,
    done: AtomicU64,
    total: u64,
    watcher: Watcher<'a>,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(what: &'static str, total: usize, watcher: Watcher<'a>) -> Self {
        let (done, total) = (AtomicU64::new(0), total as u64);
        Self {
            what,
            done,
            total,
            watcher,
        }
    }

    /// One more item is done.
    pub(crate) fn step(&self) {
        let done = 1 + self.done.fetch_add(1, Ordering::Relaxed);
        let (what, total) = (self.what, self.total);
        (self.watcher)(Progress { what, done, total });
    }
}
