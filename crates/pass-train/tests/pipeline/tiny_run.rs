//! A miniature run: in this process, or in a child that can be killed.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use burn::tensor::Device;
use pass_train::{
    Context, RunDir, RunFile, Step, Verbosity,
    pipeline::{self, Control},
    step::evaluate::Metrics,
};

/// The run file of the smallest run in which every mechanism takes part.
pub(crate) const TINY: &str = include_str!("tiny.toml");

/// Names the run directory to a child process.
pub(crate) const CHILD: &str = "PASS_TRAIN_TEST_RUN";

/// An empty folder of this test, below the build folder.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("pass-train")
        .join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    path
}

pub(crate) fn open(root: &Path, overrides: &[&str]) -> Context {
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    let file = RunFile::parse(TINY, "tiny", &overrides).unwrap();
    Context::open(root, file, Device::flex(), Verbosity::Quiet)
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn run(root: &Path, controls: &[Control]) -> Metrics {
    pipeline::run(&open(root, &[]), controls).unwrap_or_else(|error| panic!("{error}"))
}

/// The run that the others are compared with, finished once for all tests.
pub(crate) fn reference() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = folder("reference");
        run(&root, &[]);
        root
    })
}

/// A process that runs the pipeline in `root`: this test program, told to run one test.
pub(crate) fn spawn_run(root: &Path, threads: usize) -> Child {
    spawn_test("the_pipeline_in_a_child_process", CHILD, root, threads)
}

/// A process that runs one test, to which a variable names the run directory.
pub(crate) fn spawn_test(test: &str, variable: &str, root: &Path, threads: usize) -> Child {
    fs::create_dir_all(root).unwrap();
    let said = fs::File::create(root.with_extension("stderr")).unwrap();
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(variable, root)
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .unwrap()
}

#[track_caller]
pub(crate) fn finish(mut child: Child, root: &Path) {
    let status = child.wait().unwrap();
    let said = fs::read_to_string(root.with_extension("stderr")).unwrap();
    assert!(status.success(), "the child failed: {said}");
}

/// Runs the pipeline in a process that is killed as soon as `step` has left its first checkpoint.
#[track_caller]
pub(crate) fn kill_in(root: &Path, step: Step) {
    let mut child = spawn_run(root, 2);
    while !has_checkpoint(&root.join(step.name())) {
        if child.try_wait().unwrap().is_some() {
            finish(child, root);
            panic!("{}: the child ended before it was killed", step.name());
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mark = root.join(format!("done/{}.json", step.name()));
    assert!(
        !mark.exists(),
        "{}: killed too late to test anything",
        step.name()
    );
}

/// A step that starts afresh would end in the same place: the last child must have gone on.
#[track_caller]
pub(crate) fn assert_resumed(root: &Path, step: Step) {
    let said = fs::read_to_string(root.with_extension("stderr")).unwrap();
    let start = format!("{}: 72 images, resumed at ", step.name());
    assert!(said.contains(&start), "no {start:?} in: {said}");
}

fn has_checkpoint(step_dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(step_dir) else {
        return false;
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .into_iter()
        .any(|name| name.to_string_lossy().starts_with("checkpoint-"))
}

/// Every file of a run that its settings decide, by path: not the times, not the folder's name.
pub(crate) fn results(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_path_buf();
            let timed = ["done", "log.jsonl", "report.html", "tensorboard"];
            if timed.iter().any(|name| relative.starts_with(name)) {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(relative, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[track_caller]
pub(crate) fn assert_same_results(a: &Path, b: &Path) {
    let (a, b) = (results(a), results(b));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    let differing: Vec<&PathBuf> = a.keys().filter(|name| a[*name] != b[*name]).collect();
    assert!(differing.is_empty(), "other bytes in {differing:?}");
}

#[track_caller]
pub(crate) fn assert_files(root: &Path, names: &[&str]) {
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !root.join(name).is_file())
        .collect();
    assert!(missing.is_empty(), "{} lacks {missing:?}", root.display());
}

pub(crate) fn pngs_below(folder: &Path) -> usize {
    let classes = fs::read_dir(folder).unwrap();
    classes
        .map(|class| fs::read_dir(class.unwrap().path()).unwrap().count())
        .sum()
}

pub(crate) fn stored_metrics(root: &Path) -> Metrics {
    let run = RunDir::open(root, &RunDir::stored(root).unwrap().unwrap()).unwrap();
    run.read_json(&root.join("metrics.json")).unwrap()
}
