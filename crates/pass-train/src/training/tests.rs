//! Trainings that are killed, stopped, out of room, or faulty.

mod faults;
mod killed;
mod precision;

use std::{fs, path::Path};

use burn::{optim::GradientsParams, store::burn_pack::Reader, tensor::Device};
use pass_model::{group::Group, method::pass::Pass};

use super::*;
use crate::{
    RunFile, Verbosity,
    log::{LogRecord, MEASURED, read_log},
    probe::Probe,
    step::pretrain::{self, Pretraining, methods::pass_s, training_samples},
    view_batch::Views,
};

/// The run of `tests/pipeline`, with these settings on top.
fn open(root: &Path, settings: &[&str]) -> Context {
    open_of_ranks(root, settings, Group::default())
}

/// The same for one of several ranks.
fn open_of_ranks(root: &Path, settings: &[&str], ranks: Group) -> Context {
    let text = include_str!("../../tests/pipeline/tiny.toml");
    let settings: Vec<String> = settings.iter().map(|text| text.to_string()).collect();
    let file = RunFile::parse(text, "tiny.toml", &settings).unwrap();
    Context::open_of_ranks(root, file, Device::flex(), Verbosity::Quiet, ranks, None)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn pretraining(context: &Context) -> Learner<Pretraining<Pass>> {
    let (file, device) = (&context.file, context.device.clone().autodiff());
    let task = Pretraining::new(pass_s(file, &device), file, device);
    Learner::new(task, &file.pretrain.optim)
}

/// Trains on the views of the run file.
fn train_on_views<T: Task<Item = Views>>(
    context: &Context,
    learner: &mut Learner<T>,
) -> Result<Option<OverChance>, Error> {
    let samples = training_samples(context)?;
    let views = context.file.pretrain.views.clone();
    pretrain::train_on_views(context, learner, samples, views)
}

/// The log without what the machine decides.
fn log_of(root: &Path) -> Vec<LogRecord> {
    let mut records = read_log(&root.join("log.jsonl")).unwrap();
    for record in &mut records {
        record.seconds = 0.0;
        record
            .values
            .retain(|name, _| !MEASURED.contains(&name.as_str()));
    }
    records
}

/// Network, optimiser and memory as a checkpoint holds them, by file.
fn state_of(learner: &mut Learner<impl Task>, root: &Path) -> Vec<(String, Vec<u8>)> {
    let folder = root.join("state");
    fs::create_dir_all(&folder).unwrap();
    let memory = learner.memory(&Group::default());
    learner.save(&folder, &memory).unwrap();
    files_of(&folder)
}

/// Files and their bytes; of the optimiser's file its tensors and their bytes, since burn writes the
/// names beside them in random order.
fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".tmp") {
            continue; // of a process killed while it wrote; nobody reads it
        }
        if name != "optimizer.bpk" {
            files.push((name, fs::read(entry.path()).unwrap()));
            continue;
        }
        let momentum = Reader::from_file(entry.path()).unwrap();
        for tensor in momentum.into_tensors().unwrap() {
            let (tensor, _, shape, _, bytes) = tensor.into_parts().unwrap();
            files.push((format!("{name}: {tensor} {shape:?}"), bytes.to_vec()));
        }
    }
    files.sort();
    files
}

#[track_caller]
fn assert_same_state(a: &[(String, Vec<u8>)], b: &[(String, Vec<u8>)]) {
    let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    let all = names(a);
    assert_eq!(all, names(b));
    assert!(all.len() > 20, "no momentum among {all:?}");
    assert_eq!(all[..2], ["memory.safetensors", "net.safetensors"]);
    for ((name, a), (_, b)) in a.iter().zip(b) {
        assert!(a == b, "other bytes in {name}");
    }
}

/// A training at one go and one that is asked to stop after each of its first `stops` iterations end
/// alike, and each stop names the checkpoint that it leaves.
fn assert_parts_end_as_the_whole<T: Task<Item = Views>>(
    settings: &[&str],
    stops: usize,
    learner: impl Fn(&Context) -> Learner<T>,
) {
    let (whole, parted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let context = open(whole.path(), settings);
    let mut expected = learner(&context);
    train_on_views(&context, &mut expected).unwrap();

    for iterations in 1..=stops {
        let context = open(parted.path(), settings);
        context.stop.ask();
        let stopped = train_on_views(&context, &mut learner(&context)).unwrap_err();
        let said = stopped.to_string();
        assert!(matches!(stopped, Error::Stopped { .. }), "{said}");
        let place = format!("checkpoint-{iterations:09}");
        assert!(said.contains(&place), "no {place} in {said}");
    }
    let context = open(parted.path(), settings);
    let mut parts = learner(&context);
    train_on_views(&context, &mut parts).unwrap();
    assert_same_state(
        &state_of(&mut expected, whole.path()),
        &state_of(&mut parts, parted.path()),
    );
    assert_eq!(log_of(whole.path()), log_of(parted.path()));
}

#[test]
fn a_training_that_is_asked_to_stop_leaves_a_checkpoint_and_goes_on_to_the_same_end() {
    assert_parts_end_as_the_whole(&["pretrain.epochs=2"], 5, pretraining);
}

#[test]
fn a_checkpoint_every_so_many_iterations_or_minutes() {
    let root = tempfile::tempdir().unwrap();
    let list = |settings: &[&str]| {
        let context = open(root.path(), settings);
        train_on_views(&context, &mut pretraining(&context)).unwrap();
        let mut places: Vec<_> = fs::read_dir(context.run.step_dir(Step::Pretrain))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        places.sort();
        Checkpoints::new(
            context.run.step_dir(Step::Pretrain),
            &context.file.checkpoints,
        )
        .forget_all()
        .unwrap();
        places
    };
    // Nine iterations in three epochs.
    let common = ["checkpoints.keep=99", "checkpoints.epochs=0"];
    let by_iterations = [&common[..], &["checkpoints.iterations=4"]].concat();
    assert_eq!(
        list(&by_iterations),
        ["checkpoint-000000004", "checkpoint-000000008"]
    );
    let by_minutes = [&common[..], &["checkpoints.minutes=1e-9"]].concat();
    assert_eq!(list(&by_minutes).len(), 8);
    assert!(list(&common).is_empty());
}

#[test]
fn a_probe_changes_nothing_but_the_log() {
    let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [plain, probed] = [0, 2].map(|every| {
        let root = roots[usize::from(every > 0)].path();
        let every = format!("probe.every_epochs={every}");
        let context = open(root, &["pretrain.epochs=4", &every]);
        let mut learner = pretraining(&context);
        learner.task.probe = Probe::new(&context);
        train_on_views(&context, &mut learner).unwrap();
        (state_of(&mut learner, root), log_of(root))
    });
    assert_same_state(&plain.0, &probed.0);
    let probed_at: Vec<u64> = probed
        .1
        .iter()
        .filter(|record| record.values.contains_key("probe/knn"))
        .map(|record| record.iteration)
        .collect();
    assert_eq!(probed_at, [5, 11]);
    let without_probe = probed.1.into_iter().map(|mut record| {
        let probe = |name: &String| name.starts_with("probe/");
        if let Some(value) = record.values.get("probe/knn") {
            assert!((0.0..=1.0).contains(value));
        }
        record.values.retain(|name, _| !probe(name));
        record
    });
    assert_eq!(plain.1, without_probe.collect::<Vec<_>>());
}

/// The highest of the means of ten looks against the first of them: what stays flat may jitter.
#[test]
#[cfg(target_os = "linux")] // /proc tells
#[ignore = "a minute; its figure is in docs/RESULTS.md"]
fn a_thousand_iterations_leave_the_memory_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let settings = ["pretrain.epochs=400", "health.every_iterations=10"];
    let context = open(root.path(), &settings);
    train_on_views(&context, &mut pretraining(&context)).unwrap();
    let log = read_log(&root.path().join("log.jsonl")).unwrap();
    let memory: Vec<f64> = log
        .iter()
        .filter_map(|record| record.values.get("health/memory_mib").copied())
        .collect();
    let means: Vec<f64> = memory
        .chunks_exact(10)
        .map(|looks| looks.iter().sum::<f64>() / 10.0)
        .collect();
    println!("{} iterations, MiB: {means:.1?}", log.len());
    assert_eq!(means.len(), 12);
    let highest = means[2..].iter().copied().fold(0.0, f64::max);
    assert!(highest - means[1] < 4.0, "{means:?}");
}

/// The same part twice: batch statistics and assignments of both are equal, and so is the mean of
/// their gradients to that of one. Trained weights only: running statistics move with every part.
#[test]
fn a_batch_of_two_equal_parts_updates_as_one_of_them() {
    let root = tempfile::tempdir().unwrap();
    let context = open(root.path(), &["pretrain.swapped.queue_length=0"]);
    let views = views(&context, 8);
    let updated = |parts: usize| {
        let mut learner = pretraining(&context);
        let at = Position {
            epoch: 0,
            iteration: 100,
            iterations: 200,
            lr: 0.5,
        };
        let task = &mut learner.task;
        task.begin(at);
        let mut gradients = Accumulation::new(parts);
        for _ in 0..parts {
            let loss = task.loss(&views, None);
            gradients.add(loss.minimised, task.net());
        }
        let gradients: GradientsParams = gradients.gradients(task.net());
        let before = task.net().clone();
        learner.update_at(at.lr, gradients);
        let after = learner.task.net().clone();
        let [moved, _] = update_and_weight_norm(&before, &after);
        (moved, after)
    };
    let ((moved, one), (_, two)) = (updated(1), updated(2));
    assert!(moved > 0.0);
    assert_eq!(update_and_weight_norm(&one, &two)[0], 0.0);
}

/// The views of the first pictures.
fn views(context: &Context, count: usize) -> Vec<Views> {
    let make = crate::view_batch::make_views(
        context.data.samples(imagenet_s::Split::Train).into(),
        context.file.pretrain.views.clone(),
        context.file.data.odd_pictures,
        context.file.seed,
    );
    (0..count)
        .map(|index| make(Place { epoch: 0, index }).unwrap())
        .collect()
}
