//! `starts.jsonl`: when a run was started, by which command, version and device. Nothing follows from
//! it; the report shows it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
};

use serde::{Deserialize, Serialize};

use crate::{Error, RunDir};

/// The list in the run directory.
const LIST: &str = "starts.jsonl";

/// A start of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// When, as `2026-11-30T10:15:00Z`.
    pub time: String,
    /// Of the program.
    pub version: String,
    /// As on the command line, such as `cpu`.
    pub device: String,
    /// The command line.
    pub command: String,
}

impl RunDir {
    /// Adds a start to the list.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn note_start(&self, start: &Start) -> Result<(), Error> {
        let path = self.file(LIST);
        let line = serde_json::to_string(start).expect("strings are always JSON");
        let torn = |list: Vec<u8>| list.last().is_some_and(|last| *last != b'\n');
        let end = if fs::read(&path).is_ok_and(torn) {
            "\n"
        } else {
            ""
        };
        let line = format!("{end}{line}\n");
        let list = OpenOptions::new().append(true).create(true).open(&path);
        let written = list.and_then(|mut list| list.write_all(line.as_bytes()));
        written.map_err(Error::io(path, "note the start"))
    }
}

/// The first and the last start that were noted; a line torn by a kill is passed over.
pub(crate) fn starts(run: &RunDir) -> Result<Option<[Start; 2]>, Error> {
    let path = run.file(LIST);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = fs::read(&path).map_err(Error::io(path, "read the starts"))?;
    let lines = bytes.split(|&byte| byte == b'\n');
    let whole = lines.filter_map(|line| serde_json::from_slice(line).ok());
    let whole: Vec<Start> = whole.collect();
    let ends = whole.first().zip(whole.last());
    Ok(ends.map(|(first, last)| [first.clone(), last.clone()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunFile;

    /// One within a character of two bytes.
    #[test]
    fn the_first_and_the_last_start_are_found_behind_a_torn_line() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::open(root.path(), &RunFile::default()).unwrap();
        assert_eq!(starts(&run).unwrap(), None);
        let start = |time: &str| Start {
            time: time.into(),
            version: "1".into(),
            device: "cpu".into(),
            command: "luss run --images Gemälde".into(),
        };
        run.note_start(&start("a")).unwrap();
        let mut torn = fs::read(run.file(LIST)).unwrap();
        let end = torn.iter().position(|&byte| byte == 0xc3).unwrap();
        torn.extend_from_within(..=end);
        fs::write(run.file(LIST), torn).unwrap();
        run.note_start(&start("c")).unwrap();
        assert_eq!(starts(&run).unwrap(), Some([start("a"), start("c")]));
    }
}
