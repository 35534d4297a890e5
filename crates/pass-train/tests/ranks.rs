//! Ranks that train together do what one process does with the whole batch.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use burn::tensor::Device;
use pass_model::ranks::{Ranks, Solo};
use pass_ranks::ThreadRanks;
use pass_train::{
    Context, Error, RunFile, Verbosity,
    log::{LogRecord, read_log},
    pipeline,
    step::pretrain::pretrain,
};

const TINY: &str = include_str!("pipeline/tiny.toml");

/// At the published rates this tiny network amplifies roundings thirtyfold a step.
const GENTLE: [&str; 3] = [
    "pretrain.optim.base_lr=0.01",
    "attention.optim.base_lr=0.01",
    "finetune.optim.base_lr=0.01",
];

fn open(root: &Path, settings: &[&str], ranks: Arc<dyn Ranks>) -> Result<Context, Error> {
    let settings: Vec<String> = settings.iter().map(|text| text.to_string()).collect();
    let file = RunFile::parse(TINY, "tiny.toml", &settings)?;
    Context::open_of_ranks(root, file, Device::flex(), Verbosity::Quiet, ranks)
}

/// The loss terms of a step by iteration.
fn losses(root: &Path, step: &str) -> Vec<BTreeMap<String, f64>> {
    let records = read_log(&root.join("log.jsonl")).unwrap();
    let of_step = records.into_iter().filter(|record| record.step == step);
    of_step
        .map(|LogRecord { mut values, .. }| {
            values.retain(|name, _| !name.contains('/') && name != "waiting");
            values
        })
        .collect()
}

/// Sums in another order round differently, by 1e-7 a step at first; each step of the optimiser passes
/// on what the steps before it did.
#[track_caller]
fn assert_same_curve(actual: &Path, expected: &Path, step: &str, tolerance: f64) {
    let [actual, expected] = [actual, expected].map(|root| losses(root, step));
    assert_eq!(actual.len(), expected.len(), "{step}: lines of the log");
    assert!(!actual.is_empty(), "{step}: no line in the log");
    for (iteration, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
        assert!(actual.keys().eq(expected.keys()), "{actual:?}");
        for (name, expected) in expected {
            let difference = (actual[name] - expected).abs() / expected.abs().max(1e-3);
            assert!(
                difference < tolerance,
                "{step}, iteration {iteration}: {name} {} instead of {expected}",
                actual[name]
            );
        }
    }
}

/// All of step 1 takes part: queue, frozen prototypes, P2P, D2S, two resolutions.
#[test]
fn two_ranks_learn_what_one_process_learns_from_the_whole_batch() {
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    pipeline::run(&open(one.path(), &GENTLE, Arc::new(Solo)).unwrap(), &[]).unwrap();
    let metrics = ThreadRanks::run(2, |ranks| {
        pipeline::run(&open(two.path(), &GENTLE, ranks).unwrap(), &[]).unwrap()
    });
    assert_eq!(metrics[0], metrics[1]);
    for step in ["pretrain", "tune_attention", "finetune"] {
        assert_same_curve(two.path(), one.path(), step, 2e-2);
    }
    for file in ["metrics.json", "report.html", "cluster/centroids.npy"] {
        assert!(two.path().join(file).exists(), "{file}");
    }
}

#[test]
fn the_only_rank_of_a_list_of_devices_computes_the_bits_of_one_process() {
    let [alone, listed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    pretrain(&open(alone.path(), &[], Arc::new(Solo)).unwrap()).unwrap();
    ThreadRanks::run(1, |ranks| {
        pretrain(&open(listed.path(), &[], ranks).unwrap()).unwrap()
    });
    let [alone, listed] =
        [alone, listed].map(|run| std::fs::read(run.path().join("pretrain/weights.safetensors")));
    assert!(alone.unwrap() == listed.unwrap(), "the weights differ");
}

/// The queue of two ranks becomes that of one process, and the other way round.
#[test]
fn a_training_goes_on_with_another_number_of_ranks() {
    let [whole, parted] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    pretrain(&open(whole.path(), &GENTLE, Arc::new(Solo)).unwrap()).unwrap();
    for size in [2, 1, 4] {
        let outcomes = ThreadRanks::run(size, |ranks| {
            let context = open(parted.path(), &GENTLE, ranks.clone()).unwrap();
            if size != 4 && ranks.rank() == size - 1 {
                context.stop.ask();
            }
            pretrain(&context)
        });
        for outcome in outcomes {
            match outcome {
                Err(Error::Stopped { .. }) if size != 4 => {}
                Ok(()) if size == 4 => {}
                other => panic!("{size} ranks: {other:?}"),
            }
        }
    }
    assert_same_curve(parted.path(), whole.path(), "pretrain", 2e-2);
}

#[test]
fn a_batch_that_cannot_be_dealt_out_is_refused_by_all() {
    let root = tempfile::tempdir().unwrap();
    let outcomes = ThreadRanks::run(3, |ranks| {
        pretrain(&open(root.path(), &[], ranks).unwrap())
            .unwrap_err()
            .to_string()
    });
    for message in outcomes {
        assert!(
            message.contains("8 pictures") && message.contains("3 ranks"),
            "{message}"
        );
    }
}

#[test]
fn when_rank_0_cannot_open_the_run_the_others_say_so() {
    let root = tempfile::tempdir().unwrap();
    let settings = [
        "threshold.rule=\"validation\"",
        "data.source.synthetic.validation=0",
    ];
    let outcomes = ThreadRanks::run(2, |ranks| open(root.path(), &settings, ranks).map(drop));
    assert!(
        !matches!(outcomes[0], Ok(()) | Err(Error::AnotherRank)),
        "{outcomes:?}"
    );
    assert!(
        matches!(outcomes[1], Err(Error::AnotherRank)),
        "{outcomes:?}"
    );
}
