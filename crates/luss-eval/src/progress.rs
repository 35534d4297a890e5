//! How far a pass is: a bar on a terminal, a line now and then elsewhere.

use std::{
    io::{IsTerminal as _, stderr},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::tell;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress of one pass over the pictures.
pub(crate) struct Progress {
    shown: Shown,
    what: &'static str,
    total: u64,
    done: AtomicU64,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines {
        start: Instant,
        last: Mutex<Instant>,
    },
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: usize, quiet: bool) -> Self {
        let shown = match (quiet, stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar(bar(what, total as u64)),
            (false, false) => Shown::Lines {
                start: Instant::now(),
                last: Mutex::new(Instant::now()),
            },
        };
        Self {
            shown,
            what,
            total: total as u64,
            done: AtomicU64::new(0),
        }
    }

    /// One more picture.
    pub(crate) fn add(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.inc(1),
            Shown::Lines { start, last } => self.line(done, *start, last),
        }
    }

    fn line(&self, done: u64, start: Instant, last: &Mutex<Instant>) {
        let Ok(mut last) = last.try_lock() else {
            return; // another thread is at it
        };
        if last.elapsed() < LINE_EVERY {
            return;
        }
        *last = Instant::now();
        let rate = done as f64 / start.elapsed().as_secs_f64();
        let left = (self.total - done) as f64 / rate;
        tell(format_args!(
            "{}: {done} of {} pictures, {rate:.0} a second, {left:.0} s left",
            self.what, self.total
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str, total: u64) -> ProgressBar {
    let template = "{msg} [{wide_bar}] {pos}/{len} {per_sec}, {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style).with_message(what)
}
