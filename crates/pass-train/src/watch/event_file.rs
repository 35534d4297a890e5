//! TensorBoard's event files, made from the log: `tensorboard --logdir RUN/tensorboard`.
//!
//! An event file is a TFRecord file of protocol buffers `Event`. The first one names the version;
//! each record of the log becomes one `Event` with a `simple_value` for each number. The log is the
//! truth: a step that goes on after a kill gets a new file from the log's records before the
//! iteration at which it goes on, so that no step number occurs twice. The new file has a higher
//! number, by which a TensorBoard that is looking on notices it.
//!
//! Formats: <https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto>,
//! `tensorflow/core/framework/summary.proto` and `tensorflow/core/lib/io/record_writer.h`.

mod encoding;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    Error, RunDir, Step,
    log::{LogRecord, read_log},
    watch::log_groups::{group_of, name_in_group},
};
use encoding::{Scalar, scalars_record, version_record};

/// What every name of an event file begins with; TensorBoard looks for `tfevents` in it.
const NAME: &str = "events.out.tfevents.";

/// The event file of one training step, behind the log.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    clock: Clock,
}

impl EventFile {
    /// The event file of a step that begins or goes on at `iteration`: what the log has of it from
    /// before is in it already.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Damaged`] for a broken log.
    pub fn of_step(run: &RunDir, step: Step, iteration: u64) -> Result<Self, Error> {
        let mut records = read_log(&run.file("log.jsonl"))?;
        records.retain(|record| record.step == step.name() && record.iteration < iteration);
        Self::with(&run.events(step), &records, seconds_now())
    }

    /// A new file in `folder`, in place of older ones, that holds `records` and ends at `now`.
    fn with(folder: &Path, records: &[LogRecord], now: f64) -> Result<Self, Error> {
        let path = folder.join(format!("{NAME}{:04}.pass", replace_older(folder)?));
        let mut clock = Clock::default();
        let times: Vec<f64> = records.iter().map(|record| clock.total(record)).collect();
        clock.begin_session(now);
        let mut bytes = version_record(clock.began);
        for (record, total) in records.iter().zip(times) {
            bytes.extend(event(record, clock.began + total));
        }
        whole_file::write_bytes(&path, &bytes).map_err(Error::io(&path, "write the events"))?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(Error::io(&path, "open the events"))?;
        Ok(Self { path, file, clock })
    }

    /// Appends what a line of the log says.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn append(&mut self, record: &LogRecord) -> Result<(), Error> {
        let wall_time = self.clock.began + self.clock.total(record);
        // One write for the whole event, without a buffer that a kill could lose.
        self.file
            .write_all(&event(record, wall_time))
            .map_err(Error::io(&self.path, "append to the events"))
    }
}

/// Times of a step over all the processes that worked on it, without the pauses between them.
///
/// The log has seconds since each process began; TensorBoard wants times that grow.
#[derive(Debug, Default)]
struct Clock {
    /// Seconds since 1970 at which the step would have begun without pauses.
    began: f64,
    /// Seconds of former processes.
    before: f64,
    /// Seconds of this process, at the last record.
    last: f64,
}

impl Clock {
    /// Working time at a record; records come in the order of their iterations.
    fn total(&mut self, record: &LogRecord) -> f64 {
        if record.seconds < self.last {
            self.before += self.last; // another process
        }
        self.last = record.seconds;
        self.before + self.last
    }

    /// A process begins at `now`.
    fn begin_session(&mut self, now: f64) {
        self.before += self.last;
        self.last = 0.0;
        self.began = now - self.before;
    }
}

/// Removes the event files of `folder` and tells the number after theirs. A kill before the new
/// file is written loses nothing: it is made of the log.
fn replace_older(folder: &Path) -> Result<u32, Error> {
    let entries = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(1),
        entries => entries.map_err(Error::io(folder, "list the events"))?,
    };
    let mut next = 1;
    for entry in entries {
        let path = entry.map_err(Error::io(folder, "list the events"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(rest) = name.strip_prefix(NAME) {
            let number = rest.split('.').next().and_then(|text| text.parse().ok());
            next = next.max(number.map_or(1, |number: u32| number + 1));
            fs::remove_file(&path).map_err(Error::io(&path, "remove the older events"))?;
        }
    }
    Ok(next)
}

fn event(record: &LogRecord, wall_time: f64) -> Vec<u8> {
    let tag = |name: &String| format!("{}/{}", group_of(name), name_in_group(name));
    let scalars = record.values.iter().map(|(name, &value)| Scalar {
        tag: tag(name),
        value: value as f32,
    });
    scalars_record(wall_time, record.iteration, scalars)
}

fn seconds_now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |time| time.as_secs_f64()) // a clock before 1970 is no reason to stop
}

#[cfg(test)]
mod tests;
