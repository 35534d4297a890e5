//! One pass over the pictures on all threads.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::progress::Progress;

/// Lets each of `threads` threads make a state and work on the items it draws, and returns the
/// states. Which thread has which item is a matter of chance, so states must be sums in which
/// order does not matter.
pub(crate) fn pass<T: Sync, S: Send>(
    items: &[T],
    threads: usize,
    progress: &Progress,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, &T) + Sync,
) -> Vec<S> {
    let next = AtomicUsize::new(0);
    let share = || {
        let mut mine = state();
        while let Some((index, item)) = draw(&next, items) {
            work(&mut mine, index, item);
            progress.add();
        }
        mine
    };
    let threads = threads.min(items.len()).max(1);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(share)).collect();
        let states = handles.into_iter().map(|handle| handle.join());
        states
            .map(|state| state.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

fn draw<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}
