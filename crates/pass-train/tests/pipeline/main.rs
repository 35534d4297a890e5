//! The whole pipeline on a handful of pictures: what it leaves behind, that it goes on where it was
//! stopped, and that seed and pictures alone decide the result.

mod clusters;
mod label_steps;
mod stored;
mod tiny_run;

use std::{collections::BTreeSet, env, fs, path::Path};

use burn::tensor::Device;
use clusters::{event_count, only_file};
use imagenet_s::{Split, read_mask};
use label_steps::copy;
use luss_metrics::{Evaluator, Protocol};
use pass_train::{
    Context, Grade, RunFile, RunVerdict, Step, Verbosity,
    log::read_log,
    pipeline::{self, Control},
    step::{attention::tune_attention, evaluate::Scores, pretrain::pretrain},
};
use tiny_run::{
    CHILD, TINY, assert_files, assert_resumed, assert_same_results, finish, folder, kill_in, open,
    pngs_below, reference, results, run, spawn_run, stored_metrics,
};

#[test]
#[ignore = "a child process of the tests beside it"]
fn the_pipeline_in_a_child_process() {
    run(Path::new(&env::var_os(CHILD).expect(CHILD)), &[]);
}

#[test]
fn the_pipeline_leaves_every_documented_file() {
    let root = reference();
    let file = RunFile::parse(TINY, "tiny", &[]).unwrap();
    for step in Step::all().filter(|step| step.left_out(&file).is_none()) {
        let name = step.name();
        assert_files(
            root,
            &[&format!("done/{name}.json"), &format!("done/{name}.toml")],
        );
        let of_objects = |left: &&str| left.ends_with("whitening.json");
        for left in step.leaves().filter(|left| !of_objects(left)) {
            assert!(root.join(left).exists(), "{name} leaves no {left}");
        }
    }
    assert_files(
        root,
        &[
            "run.toml",
            "log.jsonl",
            "labels/train.labels",
            "labels/validation.labels",
            "labels/test.labels",
            "evaluation/fine_tuned.json",
            "report.html",
        ],
    );
    for result in ["pseudo_labels", "fine_tuned"] {
        assert_eq!(pngs_below(&root.join(result).join("validation")), 9);
        assert_eq!(pngs_below(&root.join(result).join("test")), 2);
    }
    assert_eq!(pngs_below(&root.join("distance_matching/validation")), 9);
}

#[test]
fn a_finished_run_leaves_no_checkpoint_and_nothing_temporary() {
    let leftover = |name: &str| {
        let last = name.rsplit('/').next().unwrap();
        let endings = [".partial", ".cursor", ".tmp"];
        let torn = endings.iter().any(|ending| last.ends_with(ending));
        torn || ["checkpoint", "restarts", "progress/"]
            .iter()
            .any(|part| name.contains(part))
    };
    let names = results(reference())
        .into_keys()
        .map(|path| path.display().to_string());
    assert_eq!(
        names.filter(|name| leftover(name)).collect::<Vec<_>>(),
        [""; 0]
    );
}

#[test]
fn every_score_is_a_ratio() {
    let metrics = stored_metrics(reference());
    let names: Vec<&str> = metrics.keys().map(String::as_str).collect();
    assert_eq!(names, ["distance_matching", "fine_tuned", "pseudo_labels"]);
    for (name, s) in &metrics {
        let values = [
            s.miou,
            s.boundary_miou,
            s.image_accuracy,
            s.f_beta,
            s.miou_without_other,
        ];
        assert!(
            values
                .iter()
                .all(|value| value.is_some_and(|value| (0.0..=1.0).contains(&value))),
            "{name}: {s:?}"
        );
    }
}

/// The labels of distance matching are classes; matching them again would only flatter them.
#[test]
fn distance_matching_is_scored_without_a_matching() {
    let context = open(reference(), &[]);
    let mut evaluator = Evaluator::new(Protocol::new(3));
    for sample in context.data.samples(Split::Validation) {
        let place = context
            .run
            .mask("distance_matching", "validation", &sample.key);
        let truth = context.truth(sample).unwrap();
        evaluator.add(&read_mask(&place).unwrap(), &truth).unwrap();
    }
    let stored = stored_metrics(reference())["distance_matching"];
    assert_eq!(Scores::from(&evaluator.report()), stored);
}

#[test]
fn a_second_start_runs_no_step_again() {
    let root = reference();
    let written = |name: &str| fs::metadata(root.join(name)).unwrap().modified().unwrap();
    let watched = [
        "pretrain/weights.safetensors",
        "log.jsonl",
        "done/evaluate.json",
    ];
    let before = watched.map(written);
    assert_eq!(run(root, &[]), stored_metrics(root));
    assert_eq!(watched.map(written), before);
}

/// There and back: what runs again ends in the bytes of a run that never had other settings.
#[test]
fn another_setting_runs_the_steps_again_that_depend_on_it() {
    let root = folder("other_epochs");
    copy(reference(), &root);
    let mark = |step: &Step| root.join(format!("done/{}.json", step.name()));
    for settings in [["finetune.epochs=1"].as_slice(), &[]] {
        let written = |step: &Step| fs::metadata(mark(step)).unwrap().modified().unwrap();
        let taken = || Step::all().filter(|step| mark(step).exists());
        let before: Vec<_> = taken().map(|step| written(&step)).collect();
        pipeline::run(&open(&root, settings), &[]).unwrap_or_else(|error| panic!("{error}"));
        let again = taken().zip(before);
        let again = again.filter(|(step, before)| written(step) != *before);
        let again: Vec<&str> = again.map(|(step, _)| step.name()).collect();
        assert_eq!(again, ["finetune", "predict", "evaluate"]);
        let log = read_log(&root.join("log.jsonl")).unwrap();
        let epochs = log.iter().filter(|record| record.step == "finetune");
        let epochs: BTreeSet<u64> = epochs.map(|record| record.epoch).collect();
        assert_eq!(epochs.len(), if settings.is_empty() { 3 } else { 1 });
    }
    assert_same_results(reference(), &root);
}

/// Steps 3 and 4 have finished, and are no part of the run any more.
#[test]
fn the_labels_of_a_finished_run_become_its_result_without_being_made_again() {
    let root = folder("labels_after_all");
    copy(reference(), &root);
    let mark = |step: &str| root.join(format!("done/{step}.json"));
    let of_predict = "{\"seconds\": 1000000, \"pixels\": [9, 0, 0, 0]}";
    fs::write(mark("predict"), of_predict).unwrap();
    let written = || fs::metadata(mark("generate_labels")).unwrap().modified();
    let before = written().unwrap();
    let context = open(&root, &["predict.predictor=labels"]);
    pipeline::run(&context, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(written().unwrap(), before);

    let verdict = RunVerdict::read(&context.run).unwrap();
    assert_eq!(
        verdict.masks,
        ["pseudo_labels/validation", "pseudo_labels/test"]
    );
    let mut pixels = [0.0; 4];
    for split in [Split::Validation, Split::Test] {
        for sample in context.data.samples(split) {
            let place = context.run.mask("pseudo_labels", split.name(), &sample.key);
            let mask = read_mask(&place).unwrap();
            mask.labels()
                .iter()
                .for_each(|&id| pixels[usize::from(id)] += 1.0);
        }
    }
    let all: f64 = pixels.iter().sum();
    let shares: Vec<f64> = verdict.categories.iter().map(|of| of.share).collect();
    assert_eq!(shares, pixels.map(|of| of / all));
    let of_predict = verdict.findings.iter().find(|of| of.step == "predict");
    assert_eq!(of_predict, None);
    let lines = verdict.lines(&context.run).join("\n");
    assert!(
        lines.contains("luss export") && !lines.contains("luss segment"),
        "{lines}"
    );
    let page = fs::read_to_string(root.join("report.html")).unwrap();
    assert!(page.contains("time of the last start of each step"));
    assert!(!page.contains("277 h"), "the time of a step left out");
}

#[test]
fn one_thread_gives_the_same_bytes_as_two() {
    let root = folder("one_thread");
    finish(spawn_run(&root, 1), &root);
    assert_same_results(reference(), &root);
}

#[test]
fn a_run_killed_in_each_training_step_ends_where_the_uninterrupted_one_does() {
    let root = folder("killed");
    kill_in(&root, Step::Pretrain);
    kill_in(&root, Step::TuneAttention);
    assert_resumed(&root, Step::Pretrain);
    kill_in(&root, Step::Finetune);
    assert_resumed(&root, Step::TuneAttention);
    finish(spawn_run(&root, 2), &root);
    assert_resumed(&root, Step::Finetune);
    assert_same_results(reference(), &root);
    for step in [Step::Pretrain, Step::TuneAttention, Step::Finetune] {
        let events =
            |root: &Path| event_count(&only_file(&root.join("tensorboard").join(step.name())));
        assert_eq!(events(&root), events(reference()), "{}", step.name());
    }
}

#[test]
fn a_folder_of_pictures_runs_every_step_that_needs_no_masks() {
    let pictures = reference().join("data/train");
    let root = folder("pictures");
    let mut file = RunFile::parse(TINY, "tiny", &[]).unwrap();
    file.data.source = pass_train::run_file::Source::Pictures {
        path: pictures,
        classes: 4,
    };
    for epochs in [
        &mut file.pretrain.epochs,
        &mut file.attention.epochs,
        &mut file.finetune.epochs,
    ] {
        *epochs = 1;
    }
    let context = Context::open(&root, file, Device::flex(), Verbosity::Quiet).unwrap();
    let metrics = pipeline::run(&context, &[]).unwrap_or_else(|error| panic!("{error}"));

    assert!(metrics.is_empty());
    assert_eq!(
        fs::read_to_string(root.join("metrics.json")).unwrap(),
        "{}\n"
    );
    assert_files(
        &root,
        &[
            "report.html",
            "cluster/centroids.npy",
            "cluster/report.json",
            "labels/train.labels",
        ],
    );
    for result in ["pseudo_labels", "fine_tuned"] {
        assert_eq!(pngs_below(&root.join(result).join("train")), 24);
    }
    for absent in ["match.json", "distance_matching", "evaluation"] {
        assert!(!root.join(absent).exists(), "{absent} needs masks");
    }
    let page = fs::read_to_string(root.join("report.html")).unwrap();
    assert_eq!(page.matches("id=\"cluster-").count(), 4);
    let threshold = fs::read_to_string(root.join("threshold.json")).unwrap();
    assert!(threshold.contains("otsu"), "{threshold}");
}

#[test]
fn controls_are_scored_beside_the_method_on_the_same_pictures() {
    let root = folder("controls");
    let file = &[
        "pretrain.epochs=1",
        "attention.epochs=1",
        "finetune.epochs=1",
    ];
    let context = open(&root, file);
    let controls = ["single_cluster", "untrained"].map(|name| Control::named(name).unwrap());
    let metrics = pipeline::run(&context, &controls).unwrap_or_else(|error| panic!("{error}"));
    for name in ["single_cluster", "untrained_fine_tuned", "fine_tuned"] {
        assert!(
            metrics.contains_key(name),
            "no {name} in {:?}",
            metrics.keys()
        );
    }
    assert_eq!(stored_metrics(&root), metrics);
    assert_files(&root, &["controls/untrained/report.html"]);

    // No mask of so short a training is better than an empty one; there are no empty ones all the same.
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let chosen = read("threshold.json");
    assert!(chosen.contains("best_without_foreground"), "{chosen}");
    let labels = read("done/generate_labels.json");
    assert!(!labels.contains("\"foreground\": 0.0,"), "{labels}");
    let page = read("report.html");
    let (_, findings) = page
        .split_once("<h2>Has it worked?</h2>")
        .expect("a verdict");
    for step in ["pretrain", "cluster", "sweep_threshold"] {
        assert!(findings.contains(&format!("<li>{step}: ")), "{step}");
    }
    let verdict = RunVerdict::read(&context.run).unwrap();
    assert_eq!(
        (verdict.grade, verdict.categories.len()),
        (Grade::Failed, 4)
    );
    let begins = "This run has not worked: the swapped loss ended at ";
    assert!(verdict.sentence.starts_with(begins), "{}", verdict.sentence);
    assert!(verdict.masks.iter().all(|masks| root.join(masks).is_dir()));
    let lines = verdict.lines(&context.run).join("\n");
    for command in ["luss segment --run ", "luss export --run "] {
        assert!(
            lines.contains(&format!("{command}{}", root.display())),
            "{lines}"
        );
    }
}

#[test]
fn the_weights_of_pass_p_serve_the_next_steps_like_those_of_pass_s() {
    let root = folder("pass_p");
    let context = open(
        &root,
        &[
            "pretrain.method=pass_p",
            "pretrain.optim.algorithm=lars_pixpro",
            "pretrain.optim.warmup_epochs=1",
            "pretrain.optim.warmup_lr=0.006",
            "pretrain.shallow=[3, 2]",
            "pretrain.shallow_weights=[1.0, 1.0]",
            "pretrain.consistency={ hidden = 12, dim = 6 }",
            "attention.epochs=1",
        ],
    );
    pretrain(&context).unwrap_or_else(|error| panic!("{error}"));
    tune_attention(&context).unwrap_or_else(|error| panic!("{error}"));
    let log = fs::read_to_string(root.join("log.jsonl")).unwrap();
    assert_eq!(log.matches("\"consistency\":").count(), 9, "{log}");
    assert_files(
        &root,
        &[
            "pretrain/weights.safetensors",
            "tune_attention/weights.safetensors",
        ],
    );
}
