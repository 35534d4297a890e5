//! Every key of a run file, in every form of its section, with values at and beyond its limits.

use std::{collections::BTreeSet, panic::catch_unwind};

use burn::tensor::Device;
use toml::{Table, Value};

use super::{
    RunFile,
    limits::{Limit, each_value, limit_of, limits, without_indices},
    overrides::with_overrides,
};
use crate::{Context, Error, RunDir, Verbosity, pipeline};

/// A run of a second: that of `tests/pipeline` with fewer pictures and epochs.
const SMALL: &str = include_str!("../../../tests/pipeline/tiny.toml");
const SMALLER: [&str; 8] = [
    "data.source.synthetic.train=16",
    "data.source.synthetic.validation=3",
    "data.source.synthetic.train_semi_per_class=1",
    "pretrain.epochs=1",
    "attention.epochs=1",
    "finetune.epochs=1",
    "pretrain.freeze_prototypes_iterations=1",
    "cluster.restarts=1",
];

/// What makes every optional key and every form of a section appear, and the keys that are tried there.
const FORMS: [(&[&str], &[&str]); 13] = [
    (&[""], &[]),
    (&["data.source.layout"], &["data.source.layout.path=a"]),
    (
        &["data.source.pictures"],
        &[
            "data.source.pictures={ path = 'a', classes = 3 }",
            "data.pattern=*.jpg",
        ],
    ),
    (
        &["data.pack", "data.stretch", "data.bands", "data.background"],
        &[
            "data.orientation=apply",
            "data.stretch.range=[0.0, 9.0]",
            "data.bands=[3, 2, 1]",
            "data.background.colour=[1, 2, 3]",
            "data.pretrain_pictures=a",
            "data.pack=a",
            "data.pretrain_pack=a",
            "data.validation={ pictures = 'a', masks = 'a' }",
            "threshold.rule=otsu",
            "predict.masks=imagenet_s",
        ],
    ),
    (
        &[
            "data.stretch",
            "threshold",
            "cluster.kmeans",
            "predict.inference",
        ],
        &[
            "data.stretch.percentile=[2.0, 98.0]",
            "data.background=drop",
            "threshold.rule.fixed=0.5",
            "cluster.kmeans.device={ compute = 'operations' }",
            "predict.inference.cam={ normalization = 'min_max', threshold = 0.5 }",
        ],
    ),
    (
        &[
            "threshold",
            "pretrain.views.groups",
            "attention.views.groups",
        ],
        &[
            "threshold.rule.foreground_share=0.5",
            "pretrain.views.filter=bicubic",
            "attention.views.filter=bicubic",
            "pretrain.views.groups=[{ count = 2, size = 32, min_scale = 0.3, max_scale = 1.0, \
             max_aspect = 1.0, jitter = {}, grayscale_probability = 0.5, \
             blur_probability = 0.5, solarize_probability = 0.5 }]",
            "attention.views.groups=[{ count = 2, size = 32, min_scale = 0.3, max_scale = 1.0, \
             max_aspect = 1.0, jitter = {}, grayscale_probability = 0.5, \
             blur_probability = 0.5, solarize_probability = 0.5 }]",
        ],
    ),
    (
        &["pretrain.consistency", "pretrain.optim.warmup"],
        &["pretrain.method=pass_p", "pretrain.optim.warmup_epochs=1"],
    ),
    (
        &["objects.foreground"],
        &[
            "cluster.way=objects",
            "objects.foreground={ way = 'normalized_cut', threshold = 0.2 }",
            "predict.refine={}",
        ],
    ),
    (
        &["objects.foreground"],
        &["objects.foreground={ way = 'principal_masks', coverage = 0.9 }"],
    ),
    (
        &["objects"],
        &[
            "objects.foreground_layer=stage3",
            "objects.foreground={ way = 'attention_map', keep = { mass = 0.5 } }",
        ],
    ),
    (
        &[],
        &["objects.foreground={ way = 'attention_map', keep = 'otsu' }"],
    ),
    (
        &["pretrain.optim"],
        &[
            "pretrain.optim={ decline = 'steps', step_epochs = [1], final_weight_decay = 1e-5, \
             clip_norm = 3.0 }",
            "attention.optim={ step_epochs = [1], final_weight_decay = 1e-5, clip_norm = 3.0 }",
            "finetune.optim={ step_epochs = [1], final_weight_decay = 1e-5, clip_norm = 3.0 }",
        ],
    ),
    (
        &["network.backbone.bottleneck_width", "probe"],
        &["network.backbone.block=bottleneck", "probe.every_epochs=1"],
    ),
];

/// Keys whose greatest value makes a sound run too long for a test.
const LONG: [&str; 11] = [
    "pretrain.epochs",
    "attention.epochs",
    "finetune.epochs",
    "pretrain.least_updates",
    "attention.least_updates",
    "finetune.least_updates",
    "cluster.restarts",
    "data.source.synthetic.train",
    "data.source.synthetic.validation",
    "data.source.synthetic.test",
    "data.source.synthetic.side_px",
];

fn forms() -> impl Iterator<Item = Table> {
    FORMS.iter().map(|(_, form)| {
        let settings = SMALLER.iter().chain(*form);
        let settings: Vec<String> = settings.map(|text| text.to_string()).collect();
        let file = RunFile::parse(SMALL, "tiny.toml", &settings).unwrap_or_else(|e| panic!("{e}"));
        file.table().unwrap()
    })
}

/// Every key of a document with its value.
fn keys(document: &Table) -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    let visit = &mut |key: &str, value: &Value| {
        keys.push((key.to_owned(), value.clone()));
        Ok::<_, ()>(())
    };
    each_value(document, visit).unwrap();
    keys
}

/// The document with another value of `key`.
fn with(document: &Table, key: &str, value: Value) -> Table {
    let mut document = Value::Table(document.clone());
    let mut place = &mut document;
    for part in key.replace('[', ".").replace(']', "").split('.') {
        place = match place {
            Value::Array(list) => &mut list[part.parse::<usize>().unwrap()],
            section => &mut section[part],
        };
    }
    *place = value;
    document.as_table().unwrap().clone()
}

fn ends(limit: Limit) -> Option<[Value; 2]> {
    match limit {
        Limit::Whole(least, most) => Some([least, most].map(Value::Integer)),
        Limit::Real(least, most) => Some([least, most].map(Value::Float)),
        Limit::Other => None,
    }
}

/// The ends of a limit, and values that tempt.
fn candidates(limit: Limit) -> Vec<Value> {
    let Some(ends) = ends(limit) else {
        return Vec::new();
    };
    let wild = [f64::NAN, f64::INFINITY, 1e300, -1.0, 5e-324, 0.5].map(Value::Float);
    let whole = [0, -1, i64::MAX, 1_000_000_000_000].map(Value::Integer);
    ends.into_iter().chain(wild).chain(whole).collect()
}

fn parsed(document: &Table) -> Result<RunFile, Error> {
    RunFile::parse(&toml::to_string(document).unwrap(), "my.toml", &[])
}

#[test]
fn every_key_has_limits_and_every_limit_a_key() {
    let mut seen = BTreeSet::new();
    for document in forms() {
        for (key, value) in keys(&document) {
            let limit = limit_of(&key).unwrap_or_else(|| panic!("`{key}` has no limits"));
            let number = matches!(value, Value::Integer(_) | Value::Float(_));
            assert_eq!(number, limit != Limit::Other, "`{key}`");
            seen.insert(without_indices(&key).into_owned());
        }
    }
    let unseen = limits().iter().filter(|(key, _)| !seen.contains(key));
    // Of two forms the one that is no word: a word stands for the other.
    let unseen: Vec<_> = unseen.map(|(key, _)| key.as_str()).collect();
    assert_eq!(unseen, [""; 0]);
}

/// Options that no form names would be missed by the walk; serde knows them.
#[test]
fn the_forms_leave_no_optional_key_out() {
    for document in forms() {
        let sections: BTreeSet<String> = keys(&document)
            .iter()
            .filter_map(|(key, _)| Some(key.rsplit_once('.')?.0.to_owned()))
            .filter(|section| !section.contains('['))
            .collect();
        for section in sections {
            let mut other = Value::Table(document.clone());
            let place = section
                .split('.')
                .fold(&mut other, |place, part| &mut place[part]);
            place
                .as_table_mut()
                .unwrap()
                .insert("zzz".into(), Value::Integer(1));
            let said = parsed(other.as_table().unwrap()).unwrap_err().to_string();
            let Some((_, fields)) = said.split_once("expected") else {
                continue; // of two forms of a section one
            };
            for field in fields.split('`').skip(1).step_by(2) {
                let known = |key: &str| {
                    let below = key.strip_prefix(&format!("{section}.{field}"));
                    below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                assert!(
                    limits().iter().any(|(key, _)| known(key)),
                    "{section}.{field}"
                );
            }
        }
    }
}

/// A value of a key, in words and in a document.
type Case = (String, String, Table);

/// All values of all keys.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (document, (tried, _)) in forms().zip(FORMS) {
        let is_tried = |key: &str| tried.iter().any(|start| key.starts_with(start));
        for (key, _) in keys(&document).into_iter().filter(|(key, _)| is_tried(key)) {
            for value in candidates(limit_of(&key).unwrap()) {
                let words = match value {
                    Value::Float(number) => format!("{key} = {number:?}"),
                    ref other => format!("{key} = {other}"),
                };
                cases.push((key.clone(), words, with(&document, &key, value)));
            }
        }
    }
    cases
}

fn accepted(document: &Table) -> Result<RunFile, Error> {
    with_overrides(document, &[], "run file my.toml")
}

#[test]
fn every_value_is_refused_by_its_key_or_reads_back_as_itself() {
    let mut stored = 0;
    for (key, words, document) in cases() {
        match accepted(&document) {
            Ok(file) => {
                stored += 1;
                let beyond = ["NaN", "inf", "1e300"]
                    .iter()
                    .any(|end| words.ends_with(end));
                assert!(!beyond, "accepted: {words}");
                let again = RunFile::parse(&file.resolved(), "run.toml", &[]);
                assert_eq!(again.unwrap(), file, "{words}");
            }
            Err(error) => {
                let said = error.to_string();
                let list = key.split('[').next().unwrap();
                let section = list.rsplit_once('.').map_or(list, |(first, _)| first);
                let named = said.contains(list) || said.contains(section);
                assert!(named && said.contains("my.toml"), "{words}: {said}");
            }
        }
    }
    let numbers = limits().iter().filter(|(_, limit)| *limit != Limit::Other);
    assert!(stored > numbers.count(), "{stored}");
}

/// Runs every step, unless the data or this machine do not allow it, and opens the run again.
fn runs_and_opens_again((_, what, document): &Case) {
    let dir = tempfile::tempdir().unwrap();
    let open = |file| Context::open(dir.path(), file, Device::flex(), Verbosity::Silent);
    let context = match open(accepted(document).unwrap()) {
        Ok(context) => context,
        Err(Error::TooFewPictures { .. } | Error::Value { .. }) => {
            assert!(!dir.path().join("data").exists(), "{what}: refused late");
            return;
        }
        Err(error) => panic!("{what}: {error}"),
    };
    pipeline::run(&context, &[]).unwrap_or_else(|error| panic!("{what}: {error}"));
    drop(context);
    let stored = RunDir::stored(dir.path()).unwrap().unwrap();
    open(stored).unwrap_or_else(|error| panic!("{what}: {error}"));
}

/// Whether a value is accepted, and a test can run it.
fn is_runnable((key, words, document): &Case) -> bool {
    let too_long = LONG.contains(&key.as_str()) && words.len() > key.len() + 6;
    let data = &document["data"];
    let needs_files = data["source"].get("synthetic").is_none() || data.get("pack").is_some();
    !too_long && !needs_files && accepted(document).is_ok()
}

#[test]
fn a_sample_of_the_accepted_values_ends_and_opens_again() {
    let all = cases();
    // Another two of them each time that a key comes or goes.
    for start in [all.len() / 3, 2 * all.len() / 3] {
        let case = all[start..].iter().find(|case| is_runnable(case));
        runs_and_opens_again(case.unwrap());
    }
}

#[test]
#[ignore = "half an hour: a run for each of some hundred values"]
fn every_accepted_value_ends_and_opens_again() {
    let fails = |case: &Case| {
        println!("{}", case.1);
        catch_unwind(|| runs_and_opens_again(case)).is_err()
    };
    let runnable = cases().into_iter().filter(is_runnable);
    let failed: Vec<String> = runnable.filter(fails).map(|(_, words, _)| words).collect();
    assert_eq!(failed, [""; 0]);
}
