use std::collections::BTreeMap;

use super::*;
use crate::log::LogWriter;

/// The records of `tests/fixtures/events.json`.
fn records() -> Vec<LogRecord> {
    let record = |iteration: u64, seconds: f64, values: &[(&str, f64)]| LogRecord {
        step: "pretrain".into(),
        epoch: iteration / 100,
        iteration,
        seconds,
        values: values
            .iter()
            .map(|&(name, value)| (name.to_owned(), value))
            .collect(),
    };
    vec![
        record(
            0,
            1.5,
            &[("loss", 5.25), ("lr", 0.6), ("health/update_norm", 0.03)],
        ),
        record(
            20,
            9.0,
            &[("loss", f64::NAN), ("lr", 0.59), ("waiting", 0.125)],
        ),
        // Another process.
        record(300, 2.0, &[("loss", -2.5e-8), ("lr", 0.0)]),
        record(70_000, 1000.0, &[("loss", 0.75), ("probe/knn", 0.5)]),
    ]
}

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events.out.tfevents.golden")
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Read by TensorBoard itself: `tests/fixtures/read_events.py` has the program and the command.
/// Set `PASS_EVENTS_SAMPLE` to a path to write the file anew.
#[test]
fn the_file_is_the_one_that_tensorboard_has_read() {
    let folder = tempfile::tempdir().unwrap();
    let records = records();
    // Two by an earlier process, two by this one, which begins 9 seconds after 1.7e9 - 9.
    let mut events = EventFile::with(folder.path(), &records[..2], 1.7e9).unwrap();
    records[2..]
        .iter()
        .for_each(|record| events.append(record).unwrap());
    let bytes = fs::read(&events.path).unwrap();
    if let Some(path) = std::env::var_os("PASS_EVENTS_SAMPLE") {
        fs::write(path, &bytes).unwrap();
    }
    assert!(
        bytes == fs::read(fixture()).unwrap(),
        "{} bytes",
        bytes.len()
    );
}

#[test]
fn events_do_not_depend_on_how_often_a_step_was_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let records = records();
    let whole = EventFile::with(folder.path(), &records, 1.7e9 + 1000.0).unwrap();
    let bytes = fs::read(&whole.path).unwrap();
    assert!(bytes == fs::read(fixture()).unwrap());
}

#[test]
fn a_resumed_step_has_each_iteration_once_in_a_newer_file() {
    let root = tempfile::tempdir().unwrap();
    let run = RunDir::open(root.path(), &crate::RunFile::default()).unwrap();
    let records = records();
    let open = |iteration| {
        let events = EventFile::of_step(&run, Step::Pretrain, iteration).unwrap();
        let log = LogWriter::open(&run.file("log.jsonl")).unwrap();
        log.also_into(events)
    };
    let mut log = open(0);
    records[..3]
        .iter()
        .for_each(|record| log.append(record).unwrap());
    // Killed; the checkpoint is from before iteration 20.
    let mut log = open(20);
    records[1..]
        .iter()
        .for_each(|record| log.append(record).unwrap());
    let folder = run.events(Step::Pretrain);
    assert_eq!(names_in(&folder), ["events.out.tfevents.0002.pass"]);
    let bytes = fs::read(folder.join("events.out.tfevents.0002.pass")).unwrap();
    assert_eq!(bytes.len(), fs::read(fixture()).unwrap().len());
    assert!(run.events(Step::Finetune) != folder);
}

#[test]
fn times_grow_over_the_processes_of_a_step() {
    let mut clock = Clock::default();
    let totals: Vec<f64> = records().iter().map(|record| clock.total(record)).collect();
    assert_eq!(totals, [1.5, 9.0, 11.0, 1009.0]);
    clock.begin_session(5000.0);
    let next = LogRecord {
        seconds: 4.0,
        values: BTreeMap::new(),
        ..records().remove(0)
    };
    assert_eq!(clock.began + clock.total(&next), 5004.0);
}
