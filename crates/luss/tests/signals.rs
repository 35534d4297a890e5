//! Signals, as a person or a scheduler sends them to a training.
#![cfg(unix)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use luss::STOPPED;

/// A training that would go on for hours.
const SETTINGS: [&str; 13] = [
    "data.source.synthetic.train=24",
    "data.source.synthetic.validation=3",
    "data.source.synthetic.test=1",
    "data.source.synthetic.side_px=32",
    "network.backbone.width=4",
    "network.hidden=8",
    "network.prototypes=8",
    "pretrain.epochs=100000",
    "pretrain.batch=8",
    "attention.batch=8",
    "finetune.batch=8",
    "checkpoints.epochs=0",
    "health.every_iterations=1", // so many iterations would share a line of the log otherwise
];

fn pretrain(run: &Path, device: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
    command
        .args(["step", "pretrain", "--device", device])
        .arg("--run")
        .arg(run);
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    command
}

fn lines(log: &Path) -> usize {
    fs::read_to_string(log).map_or(0, |log| log.lines().count())
}

/// A training that has gone on for an iteration.
fn started(run: &Path, device: &str) -> Child {
    let log = run.join("log.jsonl");
    let before = lines(&log);
    let mut child: Child = pretrain(run, device)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while lines(&log) <= before && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Sends a signal once the training has gone on for an iteration; what it said, and its exit code.
fn signalled(run: &Path, device: &str, signal: &str) -> (String, Option<i32>) {
    ended(started(run, device), signal)
}

fn ended(child: Child, signal: &str) -> (String, Option<i32>) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (said, output.status.code())
}

#[track_caller]
fn assert_says(said: &str, fragments: &[&str]) {
    for fragment in fragments {
        assert!(said.contains(fragment), "no {fragment:?} in: {said}");
    }
}

#[test]
fn a_signalled_training_leaves_a_checkpoint_and_an_exit_code_of_its_own_and_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let run: PathBuf = folder.path().join("run");
    let (said, code) = signalled(&run, "cpu", "-TERM");
    assert_eq!(code, Some(i32::from(STOPPED)), "{said}");
    let words = [
        "stopped as asked",
        "pretrain/checkpoint-",
        "the same command goes on",
    ];
    assert_says(&said, &words);
    let (said, code) = signalled(&run, "cpu", "-INT");
    assert_eq!(code, Some(i32::from(STOPPED)), "{said}");
    assert_says(&said, &["resumed at", "stopped as asked"]);
}

#[test]
fn a_second_training_of_the_same_run_is_refused_while_the_first_lives() {
    let folder = tempfile::tempdir().unwrap();
    let run: PathBuf = folder.path().join("run");
    let first = started(&run, "cpu");
    let holder = format!("process {}", first.id());
    let second = pretrain(&run, "cpu").output().unwrap();
    let (said, code) = ended(first, "-KILL");
    assert_eq!(code, None, "{said}");
    assert_eq!(second.status.code(), Some(2));
    let refused = String::from_utf8_lossy(&second.stderr);
    assert_says(
        &refused,
        &["another process works on this run", &holder, "--run"],
    );
    let (said, code) = signalled(&run, "cpu", "-TERM");
    assert_eq!(code, Some(i32::from(STOPPED)), "{said}");
}

#[test]
fn a_signal_stops_all_devices_with_one_checkpoint_from_which_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run: PathBuf = folder.path().join("run");
    let (said, code) = signalled(&run, "cpu,cpu", "-TERM");
    assert_eq!(code, Some(i32::from(STOPPED)), "{said}");
    assert_eq!(said.matches("stopped as asked").count(), 1, "{said}");
    let checkpoints = fs::read_dir(run.join("pretrain")).unwrap();
    assert_eq!(checkpoints.count(), 1);
    let (said, code) = signalled(&run, "cpu", "-INT");
    assert_eq!(code, Some(i32::from(STOPPED)), "{said}");
    assert_says(&said, &["resumed at", "stopped as asked"]);
}
