//! `luss data prepare` from any folder, killed, beside others, and examined by `luss data doctor`.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use imagenet_s::{
    Dataset,
    layout::{LOCK_FILE, PREPARED},
    views::{Purpose, Stream},
};
use tempfile::TempDir;

use crate::{
    data, ended,
    miniature::{content, miniature},
};

/// The command with the miniature's inputs.
fn prepare(output: &Path, subset: &str, placing: &str) -> Command {
    let mini = miniature();
    let words = ["prepare", "--subset", subset, "--placing", placing];
    let mut command = data(&words, Path::new("."));
    command.arg("--imagenet").arg(mini.imagenet());
    command.arg("--annotations").arg(mini.annotations());
    command.arg("--test-mappings").arg(mini.mappings());
    command.arg("--manifest").arg(&mini.manifest);
    command.arg("--out").arg(output);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn succeeds(command: Command) -> String {
    let (code, said) = ended(command);
    assert_eq!(code, Some(0), "{said}");
    said
}

/// The content of an output folder without what names the placing, nor the lock.
fn trees(output: &Path) -> BTreeMap<String, String> {
    let mut trees = content(output);
    trees.retain(|key, _| !key.ends_with(PREPARED) && key != LOCK_FILE);
    trees
}

fn output() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// What a complete preparation of a subset holds, and the seconds that it takes.
fn complete(subset: &str) -> (BTreeMap<String, String>, f64) {
    let output = output();
    let command = prepare(output.path(), subset, "copy");
    let started = Instant::now(); // now that the miniature is there
    succeeds(command);
    let seconds = started.elapsed().as_secs_f64();
    (trees(output.path()), seconds)
}

/// What a complete preparation of ImageNet-S50 holds.
fn complete_50() -> &'static BTreeMap<String, String> {
    static COMPLETE: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    COMPLETE.get_or_init(|| complete("50").0)
}

#[test]
fn relative_paths_with_spaces_and_other_letters_work_for_every_placing() {
    for placing in ["symlink", "hardlink", "copy"] {
        let output = output();
        let here = output.path().join("mein Ördner 数据");
        fs::create_dir(&here).unwrap();
        std::os::unix::fs::symlink(miniature().path(), here.join("mini äh")).unwrap();
        let mut command = data(&["prepare", "--subset", "50", "--placing", placing], &here);
        command
            .args(["--imagenet-train", "mini äh/imagenet/train"])
            .args(["--imagenet-val", "mini äh/sorted/validation"])
            .args(["--annotations", "./mini äh/annotations"])
            .args(["--test-mappings", "mini äh/mapping"])
            .args(["--manifest", "mini äh/manifest.toml"])
            .args(["--out", "../mein Ördner 数据/out put"]);
        succeeds(command);
        let tree = here.join("out put");
        assert!(&trees(&tree) == complete_50(), "{placing}");
        assert!(Dataset::open(&tree.join("ImageNetS50")).is_ok());
    }
}

/// Kills at ten moments spread over the time of a whole preparation. Whatever is visible after a
/// kill is right, and the next run completes it.
#[test]
fn a_preparation_that_is_killed_at_any_moment_is_completed_by_the_next() {
    let (expected, seconds) = complete("300");
    let mut stream = Stream::new(4, 0, 0, Purpose::Synthetic);
    let mut interrupted = 0;
    for moment in 0..10 {
        let output = output();
        let mut child = prepare(output.path(), "300", "copy").spawn().unwrap();
        // The first half is spent on reading folders and archives.
        thread::sleep(Duration::from_secs_f64(seconds * stream.uniform(0.2, 1.0)));
        child.kill().unwrap();
        interrupted += u32::from(!child.wait().unwrap().success());
        for (key, sum) in trees(output.path()) {
            let staged = key.contains("/.prepare/");
            assert!(
                staged || expected.get(&key) == Some(&sum),
                "{moment}: {key}"
            );
        }
        succeeds(prepare(output.path(), "300", "copy"));
        assert!(trees(output.path()) == expected, "{moment}");
    }
    assert!(interrupted >= 3, "{interrupted} of 10 were interrupted");
}

#[test]
fn three_at_once_do_not_disturb_each_other() {
    for placing in ["symlink", "hardlink", "copy"] {
        let output = output();
        let start = |_| prepare(output.path(), "50", placing).spawn().unwrap();
        let children: Vec<_> = (0..3).map(start).collect();
        for child in children {
            let finished = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&finished.stderr);
            assert!(finished.status.success(), "{stderr}");
        }
        assert!(&trees(output.path()) == complete_50(), "{placing}");
    }
}

#[test]
fn a_dry_run_tells_the_space_and_writes_nothing() {
    let output = output();
    let mut command = prepare(output.path(), "50", "copy");
    command.arg("--dry-run");
    let told = succeeds(command);
    let counts = "train 100, train-semi 50, validation 50, test 50";
    assert!(told.contains(counts), "{told}");
    assert!(told.contains("MiB to be written"), "{told}");
    assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0);
}

#[test]
fn doctor_says_by_its_exit_code_whether_training_may_start() {
    let output = output();
    let told = succeeds(prepare(output.path(), "50", "copy"));
    assert!(told.contains(" 0 were there already"), "{told}");
    let doctor = || {
        let mut command = data(&["doctor", "ImageNetS50"], output.path());
        command.arg("--manifest").arg(&miniature().manifest);
        command.args(["--json", "faults.json"]);
        ended(command)
    };
    let (code, said) = doctor();
    assert_eq!(code, Some(0), "{said}");
    let clean = "250 pictures, 0 faults, 0 warnings: training may start";
    assert!(said.contains(clean), "{said}");
    let train = output.path().join("ImageNetS50/train/n01443537");
    let picture = fs::read_dir(train).unwrap().next().unwrap().unwrap();
    fs::remove_file(picture.path()).unwrap();
    let (code, said) = doctor();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("fault wrong-count (1):"), "{said}");
    let remedy = "99 pictures, the manifest has 100; prepare again";
    assert!(said.contains(remedy), "{said}");
    let json = fs::read(output.path().join("faults.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["faults"][0]["kind"], "wrong-count");
    let (code, said) = ended(data(&["doctor", "nowhere"], output.path()));
    assert_eq!(code, Some(2), "{said}");
}
