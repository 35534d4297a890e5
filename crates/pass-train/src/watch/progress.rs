//! Progress of a long step, on standard error: a bar on a terminal, plain lines elsewhere.
//!
//! Time is only shown, never returned, so that no result can depend on it.

use std::{
    fmt,
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

use imagenet_s::terminal::tell;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

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

/// What a line shows.
struct State {
    name: String,
    unit: &'static str,
    total: u64,
    position: u64,
    /// Position at which this process began: a resumed step did not do the part before it now.
    resumed_at: u64,
    /// Epochs of all units together, where the step has some.
    epochs: Option<u64>,
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
            epochs: None,
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
        let mut line = format!("{}: ", self.name);
        line += &epoch_at(self.position, self.total, self.epochs);
        line += &format!("{}/{} {}", self.position, self.total, self.unit);
        let steps = [self.resumed_at, self.position, self.total];
        if let Some((rate, left)) = pace(steps, elapsed) {
            line += &format!(", {rate} {}/s, {left} left", self.unit);
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
}

/// The epoch under way at a position of so many, counted from 1, with a comma behind it.
fn epoch_at(position: u64, total: u64, epochs: Option<u64>) -> String {
    match epochs {
        Some(epochs) if epochs > 0 && total > 0 => {
            let epoch = (position * epochs / total + 1).min(epochs);
            format!("epoch {epoch}/{epochs}, ")
        }
        _ => String::new(),
    }
}

/// Rate and time left, of the work of this process alone: it began at the first of these numbers,
/// stands at the second, and the third is the last. None before the first unit.
fn pace([first, now, last]: [u64; 3], elapsed: Duration) -> Option<(String, String)> {
    let rate = now.saturating_sub(first) as f64 / elapsed.as_secs_f64();
    let left = last.saturating_sub(now) as f64 / rate;
    let known = rate.is_finite() && rate > 0.0;
    known.then(|| (short(rate), clock(left)))
}

/// Its rate is that of the lines: `indicatif`'s own takes what an earlier process did for the work of
/// the first moment.
fn bar(state: &State) -> ProgressBar {
    let template = format!(
        "{{prefix:.bold}} {{bar:24.cyan/dim}} {{epoch}}{{pos}}/{{len}} {}{{pace}} {{wide_msg:.dim}}",
        state.unit
    );
    let (first, unit, epochs) = (state.resumed_at, state.unit, state.epochs);
    let style = ProgressStyle::with_template(&template).expect("the template is fixed");
    let style = style.with_key(
        "epoch",
        move |bar: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&epoch_at(bar.pos(), bar.len().unwrap_or_default(), epochs));
        },
    );
    let style = style.with_key(
        "pace",
        move |bar: &ProgressState, out: &mut dyn fmt::Write| {
            let steps = [first, bar.pos(), bar.len().unwrap_or_default()];
            if let Some((rate, left)) = pace(steps, bar.elapsed()) {
                let _ = write!(out, ", {rate} {unit}/s, {left} left");
            }
        },
    );
    let bar = ProgressBar::new(state.total).with_style(style.progress_chars("━╸─"));
    let bar = bar.with_prefix(state.name.clone()).with_position(first);
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

/// A duration as people say it: `7 s`, `1 min 05 s`, `2 h 03 min`.
pub(crate) fn clock(seconds: f64) -> String {
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
            "pretrain: 100/700 iterations, 5.00 iterations/s, 2 min 00 s left, loss 3.21"
        );
    }

    #[test]
    fn a_training_counts_its_epochs_from_one() {
        let line_at = |position| {
            let mut state = state(position, 0);
            (state.unit, state.epochs) = ("images", Some(7));
            state.line(Duration::from_secs(20))
        };
        assert_eq!(
            line_at(100),
            "pretrain: epoch 2/7, 100/700 images, 5.00 images/s, 2 min 00 s left"
        );
        assert!(line_at(0).starts_with("pretrain: epoch 1/7, 0/700"));
        assert!(line_at(700).starts_with("pretrain: epoch 7/7, 700/700"));
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
            "pretrain: 500/700 iterations, 2.00 iterations/s, 1 min 40 s left"
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

    /// A terminal that keeps all that is drawn.
    #[derive(Debug, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Screen {
        fn draw(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
    }

    impl indicatif::TermLike for Screen {
        fn width(&self) -> u16 {
            160
        }

        fn move_cursor_up(&self, _lines: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _lines: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _columns: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _columns: usize) -> std::io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.draw(text)
        }

        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.draw(text)
        }

        fn clear_line(&self) -> std::io::Result<()> {
            self.draw("\n")
        }

        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_of_a_resumed_step_counts_only_its_own_work_from_its_first_line_on() {
        let bar = bar(&state(400, 400));
        let drawn = Arc::new(Mutex::new(String::new()));
        let screen = Screen(drawn.clone());
        bar.set_draw_target(indicatif::ProgressDrawTarget::term_like(Box::new(screen)));
        let bar = bar.with_elapsed(Duration::from_secs(100));
        bar.force_draw();
        bar.inc(100);
        bar.force_draw();
        let drawn = drawn.lock().unwrap();
        assert!(!drawn.contains("4.00 iterations/s"), "{drawn}");
        let line = "500/700 iterations, 1.00 iterations/s, 3 min 20 s left";
        assert!(drawn.contains(line), "{drawn}");
    }

    #[test]
    fn times_are_short_and_readable() {
        assert_eq!(clock(7.4), "7 s");
        assert_eq!(clock(65.0), "1 min 05 s");
        assert_eq!(clock(7380.0), "2 h 03 min");
    }
}
