//! Several devices of one process, through the program: a thread for each, one of them rank 0.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use pass_train::log::read_log;

const TINY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../pass-train/tests/pipeline/tiny.toml"
);

/// A step of the tiny run; one thread of the arithmetic, in whose way no waiting rank may be.
fn step(name: &str, run: &Path, device: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luss"));
    command.args(["step", name, "--config", TINY, "--quiet", "--threads", "1"]);
    command.args(["--device", device]).arg("--run").arg(run);
    command
}

#[track_caller]
fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

/// The loss terms of the first iteration of a step.
fn first_losses(run: &Path, step: &str) -> BTreeMap<String, f64> {
    let records = read_log(&run.join("log.jsonl")).unwrap();
    let first = records.into_iter().find(|record| record.step == step);
    let mut values = first.expect("the step has a line").values;
    values.retain(|name, _| !name.contains('/') && name != "waiting");
    values
}

/// Each training begins from the same files: sums in another order are all that differs.
#[test]
fn two_devices_begin_each_training_as_one_does_with_the_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    let trainings = ["pretrain", "tune_attention", "finetune"];
    for name in [
        "pretrain",
        "tune_attention",
        "cluster",
        "sweep_threshold",
        "generate_labels",
        "finetune",
    ] {
        let two: PathBuf = folder.path().join(name);
        if trainings.contains(&name) && name != "pretrain" {
            copy(&one, &two);
        }
        succeeds(step(name, &one, "cpu"));
        if !trainings.contains(&name) {
            continue;
        }
        succeeds(step(name, &two, "cpu,cpu"));
        let [actual, expected] = [&two, &one].map(|run| first_losses(run, name));
        assert!(actual.keys().eq(expected.keys()), "{actual:?}");
        for (term, expected) in expected {
            let difference = (actual[&term] - expected).abs() / expected.abs().max(1.0);
            println!("{name}: {term} {expected}, {difference:.1e} apart");
            assert!(
                difference < 1e-5,
                "{name}: {term} {} instead of {expected}",
                actual[&term]
            );
        }
    }
}

#[test]
fn an_error_of_one_device_ends_all_with_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut endless = step("pretrain", &run, "cpu,cpu");
    endless.args(["--set", "pretrain.epochs=100000"]);
    endless.args(["--set", "health.every_iterations=1"]);
    let mut child = endless.stderr(Stdio::piped()).spawn().unwrap();
    let log = run.join("log.jsonl");
    while !log.exists() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_dir_all(run.join("data/train")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it hangs");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let said = said(&output);
    assert_eq!(said.matches("Error:").count(), 1, "{said}");
    assert!(said.contains("data/train"), "{said}");
}

#[test]
fn devices_that_cannot_work_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, device: &str, more: &[&str]| {
        let output = step(name, &folder.path().join("run"), device)
            .args(more)
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        said(&output)
    };
    assert!(refused("pretrain", "cpu,tpu", &[]).contains("--device tpu: unknown"));
    assert!(refused("sweep_threshold", "cpu,cpu", &[]).contains("uses one device"));
    assert!(refused("pretrain", "cpu,cpu", &["--mpi"]).contains("leave out one of the two"));
    let batch = refused("pretrain", "cpu,cpu,cpu", &[]);
    assert!(
        batch.contains("8 pictures cannot be dealt out evenly to 3 ranks"),
        "{batch}"
    );
    assert!(batch.contains("\nError:"), "rank 0 speaks for all: {batch}");
}
