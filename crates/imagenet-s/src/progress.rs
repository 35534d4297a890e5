//! How far a long piece of work has come, for whoever wants to show it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::terminal::tell;

/// Time between two lines of [`progress_lines`].
const PAUSE: Duration = Duration::from_secs(2);

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

/// A watcher that writes a line to standard error every two seconds: how far, how fast, and how long
/// it will take at that rate.
pub fn progress_lines() -> impl Fn(Progress) + Sync {
    let pace = Mutex::new(None);
    move |progress: Progress| {
        let Ok(mut pace) = pace.try_lock() else {
            return; // another thread is writing
        };
        let now = Instant::now();
        let pace = pace.get_or_insert(Pace::new(progress, now));
        if let Some(line) = pace.line(progress, now) {
            tell(format_args!("{line}"));
        }
    }
}

/// How fast one piece of work goes.
#[derive(Clone, Copy)]
struct Pace {
    first: Progress,
    started: Instant,
    told: Instant,
}

impl Pace {
    fn new(first: Progress, now: Instant) -> Self {
        Self {
            first,
            started: now,
            told: now,
        }
    }

    /// A line, if the last one is long enough ago.
    fn line(&mut self, progress: Progress, now: Instant) -> Option<String> {
        if progress.what != self.first.what || progress.total != self.first.total {
            *self = Self::new(progress, now);
        }
        if now - self.told < PAUSE {
            return None;
        }
        self.told = now;
        let seconds = (now - self.started).as_secs_f64();
        let rate = progress.done.saturating_sub(self.first.done) as f64 / seconds;
        let Progress { what, done, total } = progress;
        let left = total.saturating_sub(done) as f64 / rate;
        Some(match left.is_finite() {
            true => format!("{what}: {done} of {total}, {rate:.0} a second, {left:.0} s left"),
            false => format!("{what}: {done} of {total}"),
        })
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(what: &'static str, done: u64) -> Progress {
        let total = 100;
        Progress { what, done, total }
    }

    #[test]
    fn a_line_tells_rate_and_time_left_of_the_work_at_hand() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(progress("reading", 1), start);
        assert_eq!(pace.line(progress("reading", 2), after(1)), None);
        let line = pace.line(progress("reading", 21), after(4));
        assert_eq!(line.unwrap(), "reading: 21 of 100, 5 a second, 16 s left");
        assert_eq!(pace.line(progress("reading", 22), after(5)), None);
        assert_eq!(pace.line(progress("writing", 1), after(7)), None);
        let line = pace.line(progress("writing", 5), after(9));
        assert_eq!(line.unwrap(), "writing: 5 of 100, 2 a second, 48 s left");
        let line = Pace::new(progress("a", 1), start).line(progress("a", 1), after(3));
        assert_eq!(line.unwrap(), "a: 1 of 100");
    }
}
