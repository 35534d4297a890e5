//! Progress of a long step, on standard error: a bar on a terminal, plain lines elsewhere.
//!
//! Time is only shown, never returned, so that no result can depend on it.

mod bar;
mod text;

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

use imagenet_s::terminal::tell;
use indicatif::ProgressBar;

use bar::bar;
use text::State;
pub(crate) use text::clock;

/// Least time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How much a run tells about its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// A bar when standard error is a terminal, otherwise a line every few seconds.
    #[default]
    Auto,
    /// One line when a step starts and one when it ends.
    Quiet,
    /// Nothing: another process speaks.
    Silent,
}

/// Progress of one step, from its start to [`Progress::finish`].
///
/// Dropping it earlier, as an error does on its way up, says how far the step came.
///
/// ```
/// use pass_train::{Progress, Verbosity};
///
/// let mut progress = Progress::new(Verbosity::Quiet, "cluster", 3, "images");
/// for picture in 0..3 {
///     progress.message(format!("picture {picture}"));
///     progress.advance(1);
/// }
/// progress.finish();
/// ```
pub struct Progress {
    state: State,
    output: Output,
    finished: bool,
}

enum Output {
    Bar(ProgressBar),
    Lines {
        sink: Box<dyn Write + Send>,
        last: Instant,
    },
    Ends {
        sink: Box<dyn Write + Send>,
    },
}

impl Progress {
    /// Begins step `name` of `total` units; `unit` is a plural such as `"iterations"`.
    pub fn new(
        verbosity: Verbosity,
        name: impl Into<String>,
        total: u64,
        unit: &'static str,
    ) -> Self {
        Self::resumed(verbosity, name, 0, total, unit)
    }

    /// [`Progress::new`] for a step of which `done` units were done by an earlier process;
    /// rate and time left count the work of this process only.
    pub fn resumed(
        verbosity: Verbosity,
        name: impl Into<String>,
        done: u64,
        total: u64,
        unit: &'static str,
    ) -> Self {
        Self::of_state(verbosity, State::new(name.into(), unit, total, done))
    }

    fn of_state(verbosity: Verbosity, state: State) -> Self {
        match (verbosity, stderr().is_terminal()) {
            (Verbosity::Quiet, _) => Self::begin(
                state,
                Output::Ends {
                    sink: Box::new(stderr()),
                },
            ),
            (Verbosity::Silent, _) => Self::begin(
                state,
                Output::Ends {
                    sink: Box::new(std::io::sink()),
                },
            ),
            (Verbosity::Auto, false) => Self::begin(state, Output::lines(Box::new(stderr()))),
            (Verbosity::Auto, true) => {
                let bar = bar(&state);
                Self::begin(state, Output::Bar(bar))
            }
        }
    }

    /// [`Progress::resumed`] for a training of so many epochs, which are counted too.
    pub(crate) fn of_epochs(
        verbosity: Verbosity,
        name: impl Into<String>,
        [done, total]: [u64; 2],
        unit: &'static str,
        epochs: u64,
    ) -> Self {
        let mut state = State::new(name.into(), unit, total, done);
        state.epochs = Some(epochs);
        Self::of_state(verbosity, state)
    }

    /// Counts `units` more as done.
    pub fn advance(&mut self, units: u64) {
        self.state.position += units;
        match &mut self.output {
            Output::Bar(bar) => bar.inc(units),
            Output::Lines { sink, last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                print(sink, &self.state.line(self.state.started.elapsed()));
            }
            Output::Lines { .. } | Output::Ends { .. } => {}
        }
    }

    /// Replaces the text after the numbers, such as the terms of the loss.
    pub fn message(&mut self, message: impl Into<String>) {
        self.state.message = message.into();
        if let Output::Bar(bar) = &self.output {
            bar.set_message(self.state.message.clone());
        }
    }

    /// Ends the step and leaves one line with its duration and last message.
    pub fn finish(mut self) {
        self.end("done");
    }

    fn begin(state: State, mut output: Output) -> Self {
        if let Output::Lines { sink, .. } | Output::Ends { sink } = &mut output {
            print(sink, &state.first_line());
        }
        Self {
            state,
            output,
            finished: false,
        }
    }

    fn end(&mut self, how: &str) {
        self.finished = true;
        let line = self.state.last_line(how, self.state.started.elapsed());
        match &mut self.output {
            Output::Bar(bar) => {
                bar.finish_and_clear();
                tell(format_args!("{line}"));
            }
            Output::Lines { sink, .. } | Output::Ends { sink } => print(sink, &line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.finished {
            self.end("stopped");
        }
    }
}

impl Output {
    fn lines(sink: Box<dyn Write + Send>) -> Self {
        Self::Lines {
            sink,
            last: Instant::now(),
        }
    }
}

fn print(sink: &mut dyn Write, line: &str) {
    // A closed standard error must not end hours of training.
    let _ = writeln!(sink, "{line}");
}

#[cfg(test)]
mod tests;
