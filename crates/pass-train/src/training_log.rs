//! What a training tells: lines of `log.jsonl`, and the bar.

use std::{borrow::Cow, time::Instant};

use crate::{
    Context, Error, Progress, Step,
    event_file::EventFile,
    health::PEAK,
    log::{LogRecord, LogWriter, read_log},
    training::{Position, Terms},
    training_plan::Plan,
};

/// Lines of the log that one step may leave behind; beyond it, a line is a mean of iterations.
const LOG_LINES: usize = 2000;

/// Share of the time that a training may wait for pictures before it says so.
const MUCH_WAITING: f64 = 0.1;

/// Log and bar of one training step.
pub(crate) struct TrainingLog {
    step: Step,
    /// On rank 0.
    log: Option<LogWriter>,
    progress: Progress,
    /// Iterations that one line of the log averages over.
    stride: usize,
    started: Instant,
    /// Seconds since the start, and of them waited for pictures, at the last line of the log.
    last_line: [f64; 2],
    /// Most memory that earlier processes and this one have taken, in MiB.
    peak: f64,
}

impl TrainingLog {
    /// For a step of `total` iterations, of which `done` are done.
    pub(crate) fn open(
        context: &Context,
        plan: &Plan,
        [done, total]: [usize; 2],
    ) -> Result<Self, Error> {
        let step = plan.step;
        let path = context.run.file("log.jsonl");
        let mut peak = 0.0;
        let log = match context.ranks.is_first() {
            true => {
                let log = LogWriter::open_at(&path, step.name(), done as u64)?;
                peak = peak_of(&read_log(&path)?, step);
                Some(log.also_into(EventFile::of_step(&context.run, step, done as u64)?))
            }
            false => None,
        };
        Ok(Self {
            step,
            log,
            peak,
            progress: Progress::of_epochs(
                context.verbosity,
                step.name(),
                [done, total].map(|iterations| (iterations * plan.batches.batch) as u64),
                "images",
                plan.batches.epochs as u64,
            ),
            stride: total.div_ceil(LOG_LINES).max(1),
            started: Instant::now(),
            last_line: [0.0; 2],
        })
    }

    /// Moves the bar on.
    pub(crate) fn advance(&mut self, pictures: usize) {
        self.progress.advance(pictures as u64);
    }

    /// Whether a line is due after so many iterations.
    pub(crate) fn is_due(&self, iterations: usize) -> bool {
        iterations.is_multiple_of(self.stride)
    }

    /// Writes a line. `means` are the loss terms since the last one, `seen` what else is to be told,
    /// `waited` the seconds waited for pictures so far.
    pub(crate) fn line(
        &mut self,
        at: Position,
        means: Terms,
        mut seen: Terms,
        waited: f64,
    ) -> Result<(), Error> {
        let waiting = self.share_of_waiting(waited);
        self.progress.message(message(&means, waiting));
        for (_, value) in seen.iter_mut().filter(|(name, _)| name == PEAK) {
            self.peak = self.peak.max(*value);
            *value = self.peak;
        }
        let measured = [("lr", at.lr), ("waiting", waiting)];
        let measured = measured.map(|(name, value)| (Cow::from(name), value));
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        log.append(&LogRecord {
            step: self.step.name().into(),
            epoch: at.epoch as u64,
            iteration: at.iteration as u64,
            seconds: self.started.elapsed().as_secs_f64(),
            values: means
                .into_iter()
                .chain(seen)
                .chain(measured)
                .map(|(name, value)| (name.into_owned(), value))
                .collect(),
        })
    }

    /// Brings the lines onto the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.log.as_ref().map_or(Ok(()), LogWriter::sync)
    }

    /// Ends the bar.
    pub(crate) fn close(self) {
        self.progress.finish();
    }

    /// The share of the time since the last line for which pictures were waited for.
    fn share_of_waiting(&mut self, waited: f64) -> f64 {
        let now = [self.started.elapsed().as_secs_f64(), waited];
        let [seconds, waited] = [now[0] - self.last_line[0], now[1] - self.last_line[1]];
        self.last_line = now;
        waited / seconds.max(f64::MIN_POSITIVE)
    }
}

/// The most memory that a log tells of a step.
fn peak_of(log: &[LogRecord], step: Step) -> f64 {
    let of_step = log.iter().filter(|record| record.step == step.name());
    let peaks = of_step.filter_map(|record| record.values.get(PEAK));
    peaks.copied().fold(0.0, f64::max)
}

/// The terms, and how much of the time the training waited if that is worth telling.
fn message(terms: &Terms, waiting: f64) -> String {
    let mut parts: Vec<String> = terms
        .iter()
        .map(|(name, value)| format!("{name} {value:.3}"))
        .collect();
    if waiting > MUCH_WAITING {
        let percent = 100.0 * waiting;
        parts.push(format!(
            "{percent:.0} % waiting for images: raise data.workers"
        ));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_a_resumed_step_is_the_highest_that_its_log_tells() {
        let record = |step: Step, peak: Option<f64>| LogRecord {
            step: step.name().into(),
            epoch: 0,
            iteration: 0,
            seconds: 1.0,
            values: peak
                .map(|peak| (PEAK.to_owned(), peak))
                .into_iter()
                .collect(),
        };
        let log = [
            record(Step::Pretrain, Some(300.0)),
            record(Step::Pretrain, Some(200.0)),
            record(Step::Pretrain, None),
            record(Step::Finetune, Some(900.0)),
        ];
        assert_eq!(peak_of(&log, Step::Pretrain), 300.0);
        assert_eq!(peak_of(&log, Step::TuneAttention), 0.0);
    }
}
