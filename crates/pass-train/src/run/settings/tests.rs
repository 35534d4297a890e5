use std::path::Path;

use super::*;

fn run_file(text: &str) -> RunFile {
    RunFile::parse(text, "test", &[]).unwrap()
}

/// A start with these settings.
fn open(root: &Path, text: &str) -> Result<RunDir, Error> {
    RunDir::open(root, &run_file(text))
}

/// A run all of whose steps have finished with these settings.
fn finished(root: &Path, text: &str) -> RunDir {
    let run = open(root, text).unwrap();
    for step in Step::all() {
        run.finish(step, &"fine").unwrap();
    }
    run
}

fn to_run(run: &RunDir) -> Vec<&'static str> {
    let open = Step::all().filter(|&step| !run.is_done(step));
    open.map(Step::name).collect()
}

#[track_caller]
fn assert_says(error: Error, fragments: &[&str]) {
    let said = error.to_string();
    for fragment in fragments {
        assert!(said.contains(fragment), "no {fragment:?} in {said:?}");
    }
}

#[test]
fn a_changed_setting_unmakes_what_depends_on_it_and_nothing_else() {
    let all_labels = [
        "sweep_threshold",
        "generate_labels",
        "finetune",
        "predict",
        "evaluate",
    ];
    for (setting, expected) in [
        ("finetune.epochs = 40", &all_labels[2..]),
        ("threshold.rule = { fixed = 0.5 }", &all_labels),
        (
            "predict.inference = { cam = { normalization = \"min_max\", threshold = 0.2 } }",
            &all_labels[3..],
        ),
        (
            "distance_matching.neighbours = 3",
            &["distance_matching", "evaluate"],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        finished(dir.path(), "");
        let run = RunDir::find(dir.path(), &run_file(setting)).unwrap();
        let said = run.describe_changes().unwrap().unwrap();
        let run = open(dir.path(), setting).unwrap();
        assert_eq!(to_run(&run), expected, "{setting}");
        let end = format!(
            ": {} run again, the other results are kept",
            expected.join(", ")
        );
        assert!(said.starts_with('`') && said.ends_with(&end), "{said}");
        let again = open(dir.path(), setting).unwrap();
        assert_eq!(to_run(&again), expected, "the next start");
        assert_eq!(again.describe_changes().unwrap().unwrap(), said);
        assert_eq!(
            to_run(&open(dir.path(), "").unwrap()),
            [""; 0],
            "taken back"
        );
    }
}

#[test]
fn what_runs_again_is_told_in_plain_words() {
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path(), "finetune.epochs = 20");
    let run = RunDir::find(dir.path(), &run_file("finetune.epochs = 40")).unwrap();
    let said = run.describe_changes().unwrap().unwrap();
    assert_eq!(
        said,
        "`finetune.epochs` was 20, is 40: finetune, predict, evaluate run again, the other results \
         are kept"
    );
}

#[test]
fn a_step_that_ran_with_the_new_settings_has_finished() {
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path(), "");
    let run = open(dir.path(), "finetune.epochs = 40").unwrap();
    assert!(
        run.begin(Step::Predict).is_err(),
        "its weights are of former settings"
    );
    run.begin(Step::Finetune).unwrap();
    run.finish(Step::Finetune, &"again").unwrap();
    assert_eq!(to_run(&run), ["predict", "evaluate"]);
    run.begin(Step::Predict).unwrap();
}

#[test]
fn a_run_of_an_older_version_has_finished_as_its_run_file_says() {
    let dir = tempfile::tempdir().unwrap();
    let run = finished(dir.path(), "finetune.epochs = 3");
    for step in Step::all() {
        fs::remove_file(run.record(step)).unwrap();
    }
    let run = open(dir.path(), "finetune.epochs = 3").unwrap();
    assert_eq!(to_run(&run), [""; 0]);
    // Two starts: the first replaces what `run.toml` says.
    for _start in 0..2 {
        let run = open(dir.path(), "finetune.epochs = 4").unwrap();
        assert_eq!(to_run(&run), ["finetune", "predict", "evaluate"]);
    }
}

#[test]
fn settings_that_a_former_version_did_not_have_are_their_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let run = finished(dir.path(), "");
    let text = fs::read_to_string(run.run_file()).unwrap();
    let mut old: Table = text.parse().unwrap();
    for section in ["finetune", "cluster"] {
        let section = old.get_mut(section).unwrap().as_table_mut().unwrap();
        section.remove("batch").unwrap();
    }
    fs::write(run.run_file(), old.to_string()).unwrap();
    fs::write(run.record(Step::Finetune), "finetune.epochs = 20").unwrap();
    assert_eq!(to_run(&open(dir.path(), "").unwrap()), [""; 0]);
}

/// Hours of work are not put at stake by a mistyped seed.
#[test]
fn pretraining_runs_again_only_when_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a run");
    finished(&root, "seed = 1");
    let alone = format!("--run '{}' alone", root.display());
    let facts = ["`seed` is 1 there and 2 here", "--rerun pretrain", &alone];
    assert_says(open(&root, "seed = 2").unwrap_err(), &facts);
    assert_eq!(to_run(&open(&root, "seed = 1").unwrap()), [""; 0]);

    let file = run_file("seed = 2");
    let run = RunDir::find(&root, &file).unwrap();
    run.check_changes(Some(Step::Pretrain)).unwrap();
    run.start(&file).unwrap();
    let all: Vec<&str> = Step::all().map(Step::name).collect();
    assert_eq!(to_run(&run), all[1..]);
    // It goes on without being asked for again.
    assert_eq!(to_run(&open(&root, "seed = 2").unwrap()), all[1..]);
}

#[test]
fn a_half_done_training_is_not_lost_to_a_changed_setting() {
    let dir = tempfile::tempdir().unwrap();
    let run = finished(dir.path(), "");
    run.begin(Step::Finetune).unwrap();
    let checkpoint = run.step_dir(Step::Finetune).join("checkpoint-3");
    fs::create_dir_all(&checkpoint).unwrap();
    for setting in [
        "finetune.epochs = 40",
        "cluster.restarts = 7",
        "attention.epochs = 3",
    ] {
        let facts = ["finetune", "half done", "move the checkpoints", "alone"];
        assert_says(open(dir.path(), setting).unwrap_err(), &facts);
        assert!(checkpoint.exists());
    }
    open(
        dir.path(),
        "predict.inference = { cam = { normalization = \"min_max\", threshold = 0.2 } }",
    )
    .unwrap();
    assert!(checkpoint.exists(), "it does not depend on that");
}

#[test]
fn all_settings_that_differ_are_named_and_nothing_is_to_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let stored = "[pretrain]\nepochs = 3\n[threshold]\nrule = \"otsu\"";
    finished(dir.path(), stored);
    let error = open(dir.path(), "seed = 1").unwrap_err();
    assert!(!error.to_string().contains("delete"), "{error}");
    let facts = [
        "`pretrain.epochs` is 3 there and 200 here",
        "`seed` is 0 there and 1 here",
        "`threshold.rule` is \"otsu\" there and absent here",
    ];
    assert_says(error, &facts);
}

#[test]
fn other_pictures_are_another_run() {
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path(), "");
    let file = run_file("data.source.layout.path = \"elsewhere\"");
    let run = RunDir::find(dir.path(), &file).unwrap();
    let refused = run.check_changes(Some(Step::Pretrain)).unwrap_err();
    assert_says(
        refused,
        &[
            "data.source.layout",
            "another run",
            "pictures",
            "another folder",
        ],
    );
}

#[test]
fn labels_of_former_settings_are_made_anew_and_a_new_threshold_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let run = finished(dir.path(), "");
    let labels = run.labels("train");
    run.write_text(&labels, "labels").unwrap();
    open(dir.path(), "threshold.rule = { fixed = 0.5 }").unwrap();
    assert!(labels.exists());
    open(dir.path(), "predict.resize = 300").unwrap();
    assert!(!labels.exists());
}

#[test]
fn an_unfinished_step_begins_anew_with_other_settings() {
    let dir = tempfile::tempdir().unwrap();
    let run = finished(dir.path(), "");
    run.begin(Step::Cluster).unwrap();
    let partial = run.step_dir(Step::Cluster).join("embeddings.npy.partial");
    let cursor = run.progress(Step::Predict).join("x.json");
    for file in [&partial, &cursor] {
        run.write_text(file, "begun").unwrap();
    }
    open(dir.path(), "predict.longer_side_cap = 7").unwrap();
    assert_eq!([partial.exists(), cursor.exists()], [true, false]);
    let run = RunDir::find(dir.path(), &run_file("cluster.resize = 300")).unwrap();
    let said = run.describe_changes().unwrap().unwrap();
    assert!(said.ends_with(": no finished step depends on it"), "{said}");
    open(dir.path(), "cluster.resize = 300").unwrap();
    assert!(!partial.exists());
}

#[test]
fn another_number_of_threads_less_memory_and_another_watch_run_nothing_again() {
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path(), "[data]\nworkers = 1");
    for other in [
        "data.workers = 2",
        "data.pack = \"a.pack\"",
        "cluster.memory_mib = 7",
        "checkpoints.keep = 7\nhealth.every_iterations = 9\nprobe.every_epochs = 2",
    ] {
        let run = open(dir.path(), other).unwrap();
        assert_eq!(to_run(&run), [""; 0], "{other}");
        assert_eq!(run.describe_changes().unwrap(), None, "{other}");
    }
}
