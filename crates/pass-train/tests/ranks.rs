//! Ranks that train together do what one process does with the whole batch.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use burn::tensor::Device;
use ndarray::Array2;
use ndarray_npy::ReadNpyExt;
use pass_model::group::Group;
use pass_ranks::ThreadRanks;
use pass_train::{
    Context, Error, RunFile, Verbosity,
    log::{LogRecord, read_log},
    pipeline,
    step::{attention::tune_attention, cluster::cluster, pretrain::pretrain},
};
use pixel_attention::{
    row_file::{Element, RowFile, RowFileWriter},
    rows::Rows,
};

const TINY: &str = include_str!("pipeline/tiny.toml");

/// At the published rates this tiny network amplifies roundings thirtyfold a step.
const GENTLE: [&str; 3] = [
    "pretrain.optim.base_lr=0.01",
    "attention.optim.base_lr=0.01",
    "finetune.optim.base_lr=0.01",
];

fn open(root: &Path, settings: &[&str], ranks: Group) -> Result<Context, Error> {
    let settings: Vec<String> = settings.iter().map(|text| text.to_string()).collect();
    let file = RunFile::parse(TINY, "tiny.toml", &settings)?;
    Context::open_of_ranks(root, file, Device::flex(), Verbosity::Quiet, ranks, None)
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
    pipeline::run(&open(one.path(), &GENTLE, Group::default()).unwrap(), &[]).unwrap();
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
    pretrain(&open(alone.path(), &[], Group::default()).unwrap()).unwrap();
    ThreadRanks::run(1, |ranks| {
        pretrain(&open(listed.path(), &[], ranks).unwrap()).unwrap()
    });
    let [alone, listed] =
        [alone, listed].map(|run| fs::read(run.path().join("pretrain/weights.safetensors")));
    assert!(alone.unwrap() == listed.unwrap(), "the weights differ");
}

/// The queue of two ranks becomes that of one process, and the other way round.
#[test]
fn a_training_goes_on_with_another_number_of_ranks() {
    let [whole, parted] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    pretrain(&open(whole.path(), &GENTLE, Group::default()).unwrap()).unwrap();
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

/// A pre-training of one epoch by one process and by two ranks.
fn pretrained_by_one_and_two(setting: &str) -> [tempfile::TempDir; 2] {
    let settings = [&GENTLE[..], &["pretrain.epochs=1", setting]].concat();
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    pretrain(&open(one.path(), &settings, Group::default()).unwrap()).unwrap();
    ThreadRanks::run(2, |ranks| {
        pretrain(&open(two.path(), &settings, ranks).unwrap()).unwrap()
    });
    [one, two]
}

/// What is balanced is balanced over the pictures of all ranks.
#[test]
fn the_variants_of_step_1_are_those_of_one_process() {
    for setting in [
        "pretrain.alignment.kind=\"contrastive\"",
        "pretrain.alignment.kind=\"clustering\"",
        "pretrain.supervision.teacher=\"same_stage\"",
    ] {
        let [one, two] = pretrained_by_one_and_two(setting);
        let [first, expected] = [&two, &one].map(|run| losses(run.path(), "pretrain").remove(0));
        for (name, expected) in expected {
            let difference = (first[&name] - expected).abs() / expected.abs().max(1.0);
            assert!(
                difference < 1e-5,
                "{setting}: {name} {} not {expected}",
                first[&name]
            );
        }
        assert_same_curve(two.path(), one.path(), "pretrain", 2e-2);
    }
}

#[test]
fn the_health_in_the_log_is_that_of_all_ranks() {
    let [one, two] = pretrained_by_one_and_two("health.every_iterations=1");
    let seen = |run: &Path| {
        let mut values = read_log(&run.join("log.jsonl")).unwrap().remove(0).values;
        values.retain(|name, _| name.starts_with("health/") && !name.contains("memory"));
        values
    };
    let [actual, expected] = [two.path(), one.path()].map(seen);
    assert!(expected.len() > 10, "{expected:?}");
    for (name, expected) in expected {
        let difference = (actual[&name] - expected).abs() / expected.abs().max(1e-3);
        assert!(difference < 1e-3, "{name} {} not {expected}", actual[&name]);
    }
}

#[test]
fn pictures_that_p2p_leaves_out_need_one_process() {
    let root = tempfile::tempdir().unwrap();
    let settings = ["pretrain.alignment.empty_pairs=\"leave_out\""];
    let refused = ThreadRanks::run(2, |ranks| {
        let outcome = pretrain(&open(root.path(), &settings, ranks).unwrap());
        outcome.unwrap_err().to_string()
    });
    for message in refused {
        assert!(
            message.contains("pretrain.alignment.empty_pairs"),
            "{message}"
        );
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn centroids(root: &Path) -> Array2<f32> {
    let file = File::open(root.join("cluster/centroids.npy")).unwrap();
    Array2::read_npy(file).unwrap()
}

/// A run whose restarts have finished, but not the step: its report could not be written.
fn with_finished_restarts(root: &Path, settings: &[&str]) {
    let obstacle = root.join("cluster/report.json");
    fs::create_dir_all(&obstacle).unwrap();
    cluster(&open(root, settings, Group::default()).unwrap()).unwrap_err();
    fs::remove_dir(obstacle).unwrap();
}

/// The rounds of three ranks end with a batch for two of them; from the start, and behind the rows that
/// a killed process of other ranks left.
#[test]
fn ranks_embed_the_pictures_to_the_bits_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let [one, tuned] = ["one", "tuned"].map(|name| folder.path().join(name));
    let settings = ["data.source.synthetic.train=60"]; // 8 batches, the last of 4 pictures
    let context = open(&one, &settings, Group::default()).unwrap();
    pretrain(&context).unwrap();
    tune_attention(&context).unwrap();
    copy(&one, &tuned);
    cluster(&context).unwrap();
    let embeddings = |root: &Path| root.join("cluster/embeddings.npy");
    let alone = RowFile::open(&embeddings(&one)).unwrap();
    for (size, rows_before) in [(2, 0), (3, 0), (3, 16)] {
        let root = folder.path().join(format!("{size}-{rows_before}"));
        copy(&tuned, &root);
        leave_rows(&embeddings(&root), &alone, rows_before);
        ThreadRanks::run(size, |ranks| {
            cluster(&open(&root, &settings, ranks).unwrap()).unwrap();
        });
        let [ours, expected] = [&root, &one].map(|root| fs::read(embeddings(root)).unwrap());
        assert!(ours == expected, "{size} ranks behind {rows_before} rows");
    }
}

/// The first rows of another file, as a process leaves them that is killed there.
fn leave_rows(path: &Path, rows: &RowFile, count: usize) {
    let mut values = vec![0.0; count * rows.columns()];
    rows.read(0, &mut values).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = RowFileWriter::create(path, rows.columns(), Element::Float32).unwrap();
    writer.append(&values).unwrap();
    writer.sync().unwrap();
}

/// From memory and from the file; also where some restarts had finished before.
#[test]
fn ranks_cluster_as_one_process_does() {
    let folder = tempfile::tempdir().unwrap();
    let [one, begun] = ["one", "begun"].map(|name| folder.path().join(name));
    let settings = ["cluster.restarts=4", "data.source.synthetic.train=60"];
    let context = open(&one, &settings, Group::default()).unwrap();
    pretrain(&context).unwrap();
    tune_attention(&context).unwrap();
    copy(&one, &begun);
    with_finished_restarts(&begun, &settings);
    let alone = cluster(&context).unwrap();
    for (size, more) in [(2, None), (3, Some("cluster.memory_mib=0"))] {
        for missing in [0..4, 1..3] {
            let root = folder.path().join(format!("{size}-{}", missing.len()));
            copy(&begun, &root);
            for restart in missing {
                let name = format!("cluster/restarts/{restart:05}-numbers.json");
                fs::remove_file(root.join(name)).unwrap();
            }
            let settings: Vec<&str> = settings.into_iter().chain(more).collect();
            let summaries = ThreadRanks::run(size, |ranks| {
                cluster(&open(&root, &settings, ranks).unwrap()).unwrap()
            });
            for summary in summaries {
                assert_eq!(summary.sizes, alone.sizes);
                let apart = (summary.inertia - alone.inertia).abs();
                assert!(apart <= 1e-9 * alone.inertia, "{apart:e}");
            }
            let apart = (centroids(&root) - centroids(&one)).mapv(f32::abs);
            assert!(apart.iter().all(|&apart| apart < 1e-6));
        }
    }
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
