//! What a line of progress says: position, epoch, rate, time left.

use std::time::{Duration, Instant};

/// What a line shows.
pub(super) struct State {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) total: u64,
    pub(super) position: u64,
    /// Position at which this process began: a resumed step did not do the part before it now.
    pub(super) resumed_at: u64,
    /// Epochs of all units together, where the step has some.
    pub(super) epochs: Option<u64>,
    pub(super) started: Instant,
    pub(super) message: String,
}

impl State {
    pub(super) fn new(name: String, unit: &'static str, total: u64, position: u64) -> Self {
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

    pub(super) fn first_line(&self) -> String {
        match self.resumed_at {
            0 => format!("{}: {} {}", self.name, self.total, self.unit),
            done => format!(
                "{}: {} {}, resumed at {done}",
                self.name, self.total, self.unit
            ),
        }
    }

    pub(super) fn line(&self, elapsed: Duration) -> String {
        let mut line = format!("{}: ", self.name);
        line += &epoch_at(self.position, self.total, self.epochs);
        line += &format!("{}/{} {}", self.position, self.total, self.unit);
        let steps = [self.resumed_at, self.position, self.total];
        if let Some((rate, left)) = pace(steps, elapsed) {
            line += &format!(", {rate} {}/s, {left} left", self.unit);
        }
        line + &self.suffix()
    }

    pub(super) fn last_line(&self, how: &str, elapsed: Duration) -> String {
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
pub(super) fn epoch_at(position: u64, total: u64, epochs: Option<u64>) -> String {
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
pub(super) fn pace([first, now, last]: [u64; 3], elapsed: Duration) -> Option<(String, String)> {
    let rate = now.saturating_sub(first) as f64 / elapsed.as_secs_f64();
    let left = last.saturating_sub(now) as f64 / rate;
    let known = rate.is_finite() && rate > 0.0;
    known.then(|| (short(rate), clock(left)))
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
