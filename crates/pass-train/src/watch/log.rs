//! The training log of a run: one JSON object a line, appended as the steps go.
//!
//! A line reads
//! `{"step":"pretrain","epoch":0,"iteration":20,"seconds":3.5,"loss":5.1,"loss_p2p":0.9}`.
//! Every line is flushed on its own, so a kill loses at most the line being written. A step that goes
//! on from a checkpoint first takes out the lines behind it, so that a log tells each iteration once.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, event_file::EventFile, health::MEMORY};

/// Fields and values that depend on the machine and its load. All others follow from run file and
/// pictures, also in a run that was interrupted.
pub const MEASURED: [&str; 6] = {
    let [resident, highest, used, reserved] = MEMORY;
    ["seconds", "waiting", resident, highest, used, reserved]
};

/// Names of the fixed fields, which a value cannot carry.
const FIXED_FIELDS: [&str; 4] = ["step", "epoch", "iteration", "seconds"];

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Name of the step, such as `"pretrain"`.
    pub step: String,
    /// Epoch within the step, from 0.
    pub epoch: u64,
    /// Iteration within the step, counted over all its epochs.
    pub iteration: u64,
    /// Wall time since the process began the step.
    pub seconds: f64,
    /// Loss terms and other numbers by name. JSON has no infinity, so a number that is not finite
    /// is written as `null` and read back as NaN.
    #[serde(flatten, deserialize_with = "values_where_null_is_nan")]
    pub values: BTreeMap<String, f64>,
}

/// Appends records to a log.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: File,
    events: Option<EventFile>,
}

impl LogWriter {
    /// Opens a log for appending, and creates it and its folder when they are missing. A torn last
    /// line, the trace of a kill, is cut off.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = open_whole_lines(path).map_err(Error::io(path, "open the log"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            events: None,
        })
    }

    /// Appends every record to an event file too.
    pub fn also_into(mut self, events: EventFile) -> Self {
        self.events = Some(events);
        self
    }

    /// [`LogWriter::open`] for a step that goes on, or begins anew, at `iteration`: what the log has
    /// of its later iterations is taken out, since it will be written again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn open_at(path: &Path, step: &str, iteration: u64) -> Result<Self, Error> {
        let writer = Self::open(path)?;
        let bytes = fs::read(path).map_err(Error::io(path, "read the log"))?;
        let kept: Vec<u8> = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| !is_of(line, step, iteration))
            .flatten()
            .copied()
            .collect();
        if kept.len() == bytes.len() {
            return Ok(writer);
        }
        whole_file::write_bytes(path, &kept).map_err(Error::io(path, "write the log"))?;
        Self::open(path)
    }

    /// Brings what was appended onto the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(Error::io(&self.path, "bring the log to the disk"))
    }

    /// Appends one record and flushes it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    ///
    /// # Panics
    ///
    /// When a value carries the name of a fixed field: `step`, `epoch`, `iteration` or `seconds`.
    pub fn append(&mut self, record: &LogRecord) -> Result<(), Error> {
        for name in FIXED_FIELDS {
            assert!(
                !record.values.contains_key(name),
                "a log value cannot be named {name:?}"
            );
        }
        let mut line = serde_json::to_vec(record).expect("strings and numbers are always JSON");
        line.push(b'\n');
        // One write for the whole line, without a buffer that a kill could lose.
        self.file
            .write_all(&line)
            .map_err(Error::io(&self.path, "append to the log"))?;
        match &mut self.events {
            Some(events) => events.append(record),
            None => Ok(()),
        }
    }
}

/// Reads a log for the report: steps in the order in which they first appear, the iterations of
/// each in ascending order.
///
/// A run that trains nothing has no log, and no records. A last line torn by a kill is left out. When a resumed step repeats an iteration, the later
/// record stands.
///
/// # Errors
///
/// [`Error::Io`], or [`Error::Damaged`] for a broken line before the last.
pub fn read_log(path: &Path) -> Result<Vec<LogRecord>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(path).map_err(Error::io(path, "read the log"))?;
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let mut records = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        // What follows the last line break is empty, or the line of which a kill kept a part.
        let last = index + 1 == lines.len();
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(_) if last || line.is_empty() => {}
            Err(cause) => {
                let cause = format!("line {} is no record: {cause}", index + 1);
                return Err(Error::Damaged {
                    path: path.to_owned(),
                    cause,
                });
            }
        }
    }
    Ok(in_order(records))
}

/// Whether a line is a record of `step` from `iteration` on.
fn is_of(line: &[u8], step: &str, iteration: u64) -> bool {
    let record = serde_json::from_slice::<LogRecord>(line);
    record.is_ok_and(|record| record.step == step && record.iteration >= iteration)
}

fn open_whole_lines(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)?;
    if !ends_with_line_break(&mut file)? {
        let bytes = fs::read(path)?;
        let whole = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |last| last + 1);
        file.set_len(whole as u64)?;
    }
    Ok(file)
}

/// True as well for an empty file.
fn ends_with_line_break(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn in_order(records: Vec<LogRecord>) -> Vec<LogRecord> {
    let mut steps: Vec<String> = Vec::new();
    let mut latest: BTreeMap<(usize, u64), LogRecord> = BTreeMap::new();
    for record in records {
        let step = steps
            .iter()
            .position(|known| *known == record.step)
            .unwrap_or_else(|| {
                steps.push(record.step.clone());
                steps.len() - 1
            });
        latest.insert((step, record.iteration), record);
    }
    latest.into_values().collect()
}

fn values_where_null_is_nan<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, f64>, D::Error> {
    let values = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(values
        .into_iter()
        .map(|(name, value)| (name, value.unwrap_or(f64::NAN)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: &str, iteration: u64, loss: f64) -> LogRecord {
        let values = BTreeMap::from([("loss".to_owned(), loss), ("loss_p2p".to_owned(), 0.25)]);
        LogRecord {
            step: step.into(),
            epoch: iteration / 5,
            iteration,
            seconds: 1.5,
            values,
        }
    }

    fn written(records: &[LogRecord]) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/log.jsonl");
        let mut writer = LogWriter::open(&path).unwrap();
        records
            .iter()
            .for_each(|record| writer.append(record).unwrap());
        (root, path)
    }

    fn tear(path: &Path) {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(br#"{"step":"pretrain","epo"#).unwrap();
    }

    #[test]
    fn what_is_written_is_read_back() {
        let records = [record("pretrain", 0, 5.5), record("pretrain", 7, 4.25)];
        let (_root, path) = written(&records);
        assert_eq!(read_log(&path).unwrap(), records);
        let first = fs::read_to_string(&path).unwrap();
        let line = r#"{"step":"pretrain","epoch":0,"iteration":0,"seconds":1.5,"loss":5.5,"loss_p2p":0.25}"#;
        assert_eq!(first.lines().next(), Some(line));
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_cut_off_when_the_run_resumes() {
        let (_root, path) = written(&[record("pretrain", 0, 5.5)]);
        tear(&path);
        assert_eq!(read_log(&path).unwrap(), [record("pretrain", 0, 5.5)]);
        LogWriter::open(&path)
            .unwrap()
            .append(&record("pretrain", 1, 5.0))
            .unwrap();
        let resumed = [record("pretrain", 0, 5.5), record("pretrain", 1, 5.0)];
        assert_eq!(read_log(&path).unwrap(), resumed);
    }

    #[test]
    fn a_log_of_one_torn_line_starts_afresh() {
        let (_root, path) = written(&[]);
        tear(&path);
        LogWriter::open(&path)
            .unwrap()
            .append(&record("cluster", 3, 1.0))
            .unwrap();
        assert_eq!(read_log(&path).unwrap(), [record("cluster", 3, 1.0)]);
    }

    #[test]
    fn a_step_that_goes_on_takes_out_what_it_will_write_again() {
        let records = [
            record("pretrain", 1, 5.0),
            record("pretrain", 2, 4.0),
            record("finetune", 2, 1.0),
            record("finetune", 3, 0.5),
        ];
        let (_root, path) = written(&records);
        let before = fs::read_to_string(&path).unwrap();
        LogWriter::open_at(&path, "finetune", 4).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        LogWriter::open_at(&path, "pretrain", 2).unwrap();
        assert_eq!(
            read_log(&path).unwrap(),
            [0, 2, 3].map(|i| records[i].clone())
        );
        let mut writer = LogWriter::open_at(&path, "finetune", 0).unwrap();
        writer.append(&records[2]).unwrap();
        assert_eq!(read_log(&path).unwrap(), [0, 2].map(|i| records[i].clone()));
    }

    #[test]
    fn of_a_repeated_iteration_the_later_record_stands() {
        let (_root, path) = written(&[
            record("pretrain", 1, 5.0),
            record("pretrain", 2, 4.0),
            record("pretrain", 2, 3.5),
            record("finetune", 2, 1.0),
        ]);
        let losses: Vec<f64> = read_log(&path)
            .unwrap()
            .iter()
            .map(|record| record.values["loss"])
            .collect();
        assert_eq!(losses, [5.0, 3.5, 1.0]);
    }

    #[test]
    fn a_loss_that_is_not_finite_is_read_back_as_nan() {
        let (_root, path) = written(&[record("pretrain", 1, f64::INFINITY)]);
        assert!(read_log(&path).unwrap()[0].values["loss"].is_nan());
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_with_its_number() {
        let (_root, path) = written(&[record("pretrain", 0, 5.5)]);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"not json\n{\"step\":").unwrap();
        let message = read_log(&path).unwrap_err().to_string();
        assert!(message.contains("line 2"), "{message}");
    }

    #[test]
    #[should_panic(expected = "cannot be named \"epoch\"")]
    fn a_value_named_as_a_fixed_field_is_a_bug() {
        let (_root, path) = written(&[]);
        let mut bad = record("pretrain", 0, 1.0);
        bad.values.insert("epoch".into(), 3.0);
        LogWriter::open(&path).unwrap().append(&bad).unwrap();
    }
}
