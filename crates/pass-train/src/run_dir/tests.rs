use super::*;

fn run_file(text: &str) -> RunFile {
    RunFile::parse(text, "test", &[]).unwrap()
}

#[test]
fn a_run_directory_of_another_run_file_is_refused_by_key() {
    let dir = tempfile::tempdir().unwrap();
    RunDir::open(dir.path(), &run_file("seed = 1")).unwrap();
    let error = RunDir::open(dir.path(), &run_file("seed = 2"))
        .unwrap_err()
        .to_string();
    for fragment in ["seed", "1 there", "2 here", "--run"] {
        assert!(error.contains(fragment), "no {fragment:?} in {error:?}");
    }
}

#[test]
fn all_settings_that_differ_are_named_and_nothing_is_to_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a run");
    let stored = "[pretrain]\nepochs = 3\n[threshold]\nrule = \"otsu\"";
    RunDir::open(&root, &run_file(stored)).unwrap();
    let said = RunDir::open(&root, &run_file("seed = 1"))
        .unwrap_err()
        .to_string();
    let alone = format!("--run '{}' alone", root.display());
    for fragment in [
        "`pretrain.epochs` is 3 there and 200 here",
        "`seed` is 0 there and 1 here",
        "`threshold.rule` is \"otsu\" there and absent here",
        &alone,
    ] {
        assert!(said.contains(fragment), "no {fragment:?} in {said:?}");
    }
    assert!(!said.contains("delete"), "{said}");
}

#[test]
fn another_number_of_threads_and_less_memory_are_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    RunDir::open(dir.path(), &run_file("[data]\nworkers = 1")).unwrap();
    RunDir::open(dir.path(), &run_file("[data]\nworkers = 2")).unwrap();
    RunDir::open(dir.path(), &run_file("[data]\npack = \"a.pack\"")).unwrap();
    RunDir::open(dir.path(), &run_file("[cluster]\nmemory_mib = 7")).unwrap();
}

#[test]
fn other_checkpoints_and_another_watch_are_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    RunDir::open(dir.path(), &run_file("")).unwrap();
    let other = "checkpoints.keep = 7\nhealth.every_iterations = 9\nprobe.every_epochs = 2";
    RunDir::open(dir.path(), &run_file(other)).unwrap();
}

#[test]
fn the_same_run_file_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = run_file("[pretrain]\nepochs = 3");
    RunDir::open(dir.path(), &file).unwrap();
    let run = RunDir::open(dir.path(), &file).unwrap();
    assert!(!run.is_done(Step::Pretrain));
    run.finish(Step::Pretrain, &"fine").unwrap();
    assert!(run.is_done(Step::Pretrain));
}

#[test]
fn an_unwritable_run_directory_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    fs::write(&blocked, "not a folder").unwrap();
    let error = RunDir::open(&blocked.join("run"), &run_file(""))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("file/run") && error.contains("may write"),
        "{error}"
    );
}

#[test]
fn a_step_that_begins_anew_unmakes_what_followed_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::open(dir.path(), &run_file("")).unwrap();
    for step in Step::ALL {
        run.finish(step, &"fine").unwrap();
    }
    fs::create_dir_all(run.root().join("labels")).unwrap();
    run.begin(Step::Cluster).unwrap();
    let done: Vec<Step> = Step::ALL
        .into_iter()
        .filter(|&step| run.is_done(step))
        .collect();
    assert_eq!(done, &Step::ALL[..4]);
    assert!(!run.root().join("labels").exists());
}

#[test]
fn an_unfinished_step_keeps_what_it_goes_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::open(dir.path(), &run_file("")).unwrap();
    let partial = run.step_dir(Step::Cluster).join("embeddings.npy.partial");
    let cursor = run.progress(Step::Predict).join("x.json");
    let restart = run.restarts().join("0");
    let begun = [&partial, &cursor, &restart];
    let write = || {
        for file in begun {
            run.write_text(file, "begun").unwrap();
        }
    };
    let left = || begun.map(|file| file.exists());
    write();
    run.begin(Step::Predict).unwrap();
    assert_eq!(left(), [true; 3]);
    run.begin(Step::Cluster).unwrap();
    assert_eq!(
        left(),
        [true, false, true],
        "predictions follow from clusters"
    );
    write();
    run.begin(Step::TuneAttention).unwrap();
    assert_eq!(left(), [false; 3]);
    write();
    run.finish(Step::Cluster, &"fine").unwrap();
    assert_eq!(
        left(),
        [true, true, false],
        "finished: no restart is needed"
    );
    run.begin(Step::Cluster).unwrap();
    assert_eq!(left(), [false; 3], "finished before: begins afresh");
}

#[test]
fn a_training_does_not_go_on_from_a_checkpoint_of_former_labels() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::open(dir.path(), &run_file("")).unwrap();
    let checkpoint = run.step_dir(Step::Finetune).join("checkpoint-3");
    fs::create_dir_all(&checkpoint).unwrap();
    run.begin(Step::Finetune).unwrap();
    assert!(checkpoint.exists(), "its own");
    run.begin(Step::Cluster).unwrap();
    assert!(!checkpoint.exists(), "labels follow from clusters");
}

#[test]
fn a_step_before_its_time_names_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::open(dir.path(), &run_file("")).unwrap();
    let error = run
        .require(Step::Cluster, Step::TuneAttention)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`cluster`") && error.contains("`tune_attention`"),
        "{error}"
    );
}
