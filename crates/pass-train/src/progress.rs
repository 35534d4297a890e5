//! Progress of a long step, on standard error: a bar on a terminal, plain lines elsewhere.
//!
//! Time is only shown, never returned, so that no result can depend on it.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

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
/// let mut progress = Progress::new(Verbosity::Quiet, "cluster", 3, "pictures");
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

/// What a line shows.
struct State {
    name: String,
    unit: &'static str,
    total: u64,
    position: u64,
    /// Position at which this process began: a resumed step did not do the part before it now.
    resumed_at: u64,
    started: Instant,
    message: String,
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
        let state = State::new(name.into(), unit, total, done);
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
                print(&mut stderr(), &line);
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

impl State {
    fn new(name: String, unit: &'static str, total: u64, position: u64) -> Self {
        let started = Instant::now();
        let message = String::new();
        Self {
            name,
            unit,
            total,
            position,
            resumed_at: position,
            started,
            message,
        }
    }

    fn first_line(&self) -> String {
        match self.resumed_at {
            0 => format!("{}: {} {}", self.name, self.total, self.unit),
            done => format!(
                "{}: {} {}, resumed at {done}",
                self.name, self.total, self.unit
            ),
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let mut line = format!(
            "{}: {}/{} {}",
            self.name, self.position, self.total, self.unit
        );
        if let Some(rate) = self.rate(elapsed) {
            let left = self.total.saturating_sub(self.position) as f64 / rate;
            line += &format!(", {}/s, {} left", short(rate), clock(left));
        }
        line + &self.suffix()
    }

    fn last_line(&self, how: &str, elapsed: Duration) -> String {
        let (name, unit) = (&self.name, self.unit);
        let (position, total) = (self.position, self.total);
        let time = clock(elapsed.as_secs_f64());
        format!(
            "{name}: {how}, {position}/{total} {unit} in {time}{}",
            self.suffix()
        )
    }

    fn suffix(&self) -> String {
        if self.message.is_empty() {
            String::new()
        } else {
            format!(", {}", self.message)
        }
    }

    /// Units per second of this process; none before the first unit.
    fn rate(&self, elapsed: Duration) -> Option<f64> {
        let rate = (self.position - self.resumed_at) as f64 / elapsed.as_secs_f64();
        (rate.is_finite() && rate > 0.0).then_some(rate)
    }
}

fn bar(state: &State) -> ProgressBar {
    let template = format!(
        "{{prefix:.bold}} {{bar:24.cyan/dim}} {{pos}}/{{len}} {}, {{per_sec}}, {{eta}} left {{wide_msg:.dim}}",
        state.unit
    );
    let style = ProgressStyle::with_template(&template).expect("the template is fixed");
    let bar = ProgressBar::new(state.total).with_style(style.progress_chars("━╸─"));
    let bar = bar
        .with_prefix(state.name.clone())
        .with_position(state.resumed_at);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn print(sink: &mut dyn Write, line: &str) {
    // A closed standard error must not end hours of training.
    let _ = writeln!(sink, "{line}");
}

/// Three significant digits, as many as a changing rate deserves.
fn short(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds:02} s"),
        _ => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    fn state(position: u64, resumed_at: u64) -> State {
        let mut state = State::new("pretrain".into(), "iterations", 700, resumed_at);
        state.position = position;
        state
    }

    #[test]
    fn a_line_names_position_rate_time_left_and_message() {
        let mut state = state(100, 0);
        state.message = "loss 3.21".into();
        let line = state.line(Duration::from_secs(20));
        assert_eq!(
            line,
            "pretrain: 100/700 iterations, 5.00/s, 2 min 00 s left, loss 3.21"
        );
    }

    #[test]
    fn a_resumed_step_counts_only_its_own_work_in_the_rate() {
        let state = state(500, 400);
        assert_eq!(
            state.first_line(),
            "pretrain: 700 iterations, resumed at 400"
        );
        let line = state.line(Duration::from_secs(50));
        assert_eq!(
            line,
            "pretrain: 500/700 iterations, 2.00/s, 1 min 40 s left"
        );
    }

    #[test]
    fn before_the_first_unit_there_is_no_rate() {
        assert_eq!(
            state(0, 0).line(Duration::from_secs(9)),
            "pretrain: 0/700 iterations"
        );
    }

    #[test]
    fn quiet_prints_the_start_and_the_end_only() {
        let sink = Sink::default();
        let output = Output::Ends {
            sink: Box::new(sink.clone()),
        };
        let mut progress = Progress::begin(state(0, 0), output);
        (0..700).for_each(|_| progress.advance(1));
        progress.finish();
        let lines = sink.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[1].starts_with("pretrain: done, 700/700 iterations in"),
            "{lines:?}"
        );
    }

    #[test]
    fn fast_work_prints_no_line_for_each_unit() {
        let sink = Sink::default();
        let mut progress = Progress::begin(state(0, 0), Output::lines(Box::new(sink.clone())));
        (0..700).for_each(|_| progress.advance(1));
        progress.finish();
        assert_eq!(sink.lines().len(), 2);
    }

    #[test]
    fn a_step_that_is_dropped_says_how_far_it_came() {
        let sink = Sink::default();
        let mut progress = Progress::begin(state(0, 0), Output::lines(Box::new(sink.clone())));
        progress.advance(3);
        drop(progress);
        assert!(sink.lines()[1].starts_with("pretrain: stopped, 3/700 iterations in"));
    }

    #[test]
    fn the_template_of_the_bar_is_valid() {
        let bar = bar(&state(0, 0));
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        bar.inc(2);
        assert_eq!(bar.position(), 2);
    }

    #[test]
    fn times_are_short_and_readable() {
        assert_eq!(clock(7.4), "7 s");
        assert_eq!(clock(65.0), "1 min 05 s");
        assert_eq!(clock(7380.0), "2 h 03 min");
    }
}
