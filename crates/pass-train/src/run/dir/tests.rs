use super::*;

fn run_file(text: &str) -> RunFile {
    RunFile::parse(text, "test", &[]).unwrap()
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
    for step in Step::all() {
        run.finish(step, &"fine").unwrap();
    }
    fs::create_dir_all(run.root().join("labels")).unwrap();
    run.begin(Step::Cluster).unwrap();
    let done: Vec<Step> = Step::all().filter(|&step| run.is_done(step)).collect();
    let expected = [
        Step::CheckData,
        Step::Pretrain,
        Step::TuneAttention,
        Step::FindObjects,
        Step::DistanceMatching,
    ];
    assert_eq!(done, expected);
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
    run.invalidate(Step::Predict).unwrap();
    assert_eq!(left(), [true; 3]);
    run.invalidate(Step::Cluster).unwrap();
    assert_eq!(
        left(),
        [true, false, true],
        "predictions follow from clusters"
    );
    write();
    run.invalidate(Step::TuneAttention).unwrap();
    assert_eq!(left(), [false; 3]);
    write();
    run.finish(Step::Cluster, &"fine").unwrap();
    assert_eq!(
        left(),
        [true, true, false],
        "finished: no restart is needed"
    );
    run.invalidate(Step::Cluster).unwrap();
    assert_eq!(left(), [false; 3], "finished before: begins afresh");
}

#[test]
fn a_training_does_not_go_on_from_a_checkpoint_of_former_labels() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::open(dir.path(), &run_file("")).unwrap();
    let checkpoint = run.step_dir(Step::Finetune).join("checkpoint-3");
    fs::create_dir_all(&checkpoint).unwrap();
    run.invalidate(Step::Finetune).unwrap();
    assert!(checkpoint.exists(), "its own");
    run.invalidate(Step::Cluster).unwrap();
    assert!(!checkpoint.exists(), "labels follow from clusters");
}

#[test]
fn a_step_before_its_time_names_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::open(dir.path(), &run_file("")).unwrap();
    let error = run.begin(Step::Cluster).unwrap_err().to_string();
    assert!(
        error.contains("`cluster`") && error.contains("`tune_attention`"),
        "{error}"
    );
}
