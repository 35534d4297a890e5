//! The road of a frozen backbone: objects in place of pixel attention, resumable and deterministic.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use imagenet_s::read_mask;
use luss_metrics::LabelMask;
use pass_train::{
    Context, Error, RunFile, RunVerdict, Step, Verbosity,
    apply::{Model, export_model},
    pipeline,
    step::objects::suggest::{SUGGESTION, adopt_objects, suggest_classes, suggestion_of},
};
use pixel_attention::{
    label_store::{LabelFormat, LabelStore, LabelStoreWriter},
    row_file::{Element, RowFile},
    rows::Rows,
};

/// A network with random weights; the objects are large and of one colour.
const RUN_FILE: &str = r#"
seed = 3

[data.source.synthetic]
classes = 3
train = 20
train_semi_per_class = 1
validation = 6
test = 1
side_px = 64

[network]
hidden = 4
feature_dim = 3
prototypes = 5
backbone = { depths = [1, 1, 1, 1], width = 8, max_pool = false }

[pretrain]
epochs = 0
batch = 8
views.groups = [{ count = 2, size = 32, min_scale = 0.3, max_scale = 1.0 }]

[attention]
batch = 8
views.groups = [{ count = 2, size = 32, min_scale = 0.3, max_scale = 1.0 }]

[objects]
size = 64
layer = "stage2"
batch = 8

[cluster]
way = "objects"
metric = "spherical"
restarts = 3
whitened_dims = 6

[finetune]
epochs = 1
batch = 4
crop = 32

[predict]
resize = 48
"#;

fn open(root: &Path, settings: &[&str]) -> Result<Context, Error> {
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    let file = RunFile::parse(RUN_FILE, "test", &settings)?;
    Context::open(root, file, Device::flex(), Verbosity::Quiet)
}

fn run(root: &Path, settings: &[&str]) -> Context {
    let context = open(root, settings).unwrap_or_else(|error| panic!("{error}"));
    pipeline::run(&context, &[]).unwrap_or_else(|error| panic!("{error}"));
    context
}

/// Files that are results, by their path, with their bytes; pictures and times apart.
fn results(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = [
        "find_objects/train.npy",
        "find_objects/validation.npy",
        "cluster/whitening.json",
        "cluster/embeddings.npy",
        "cluster/centroids.npy",
        "cluster/assignments.json",
        "labels/train.labels",
        "labels/validation.labels",
        "finetune/weights.safetensors",
        "metrics.json",
    ];
    let read = |name: &&str| (name.into(), fs::read(root.join(name)).unwrap());
    names.iter().map(read).collect()
}

fn done_marks(root: &Path) -> BTreeMap<&'static str, Option<std::time::SystemTime>> {
    let mark = |step: Step| root.join(format!("done/{}.json", step.name()));
    let written = |step| fs::metadata(mark(step)).ok()?.modified().ok();
    Step::all()
        .map(|step| (step.name(), written(step)))
        .collect()
}

#[test]
fn the_road_takes_no_step_of_pixel_attention_and_ends_in_labels_and_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let context = run(folder.path(), &[]);
    assert!(!context.run.is_done(Step::TuneAttention));
    let mut taken = Step::all().filter(|step| *step != Step::TuneAttention);
    assert!(taken.all(|step| context.run.is_done(step)));

    let rows = RowFile::open(&context.run.objects("train")).unwrap();
    assert_eq!([rows.count(), rows.columns()], [20, 1 + 16 + 16 * 16]);
    let found = fs::read_to_string(folder.path().join("done/find_objects.json")).unwrap();
    assert!(found.contains("\"negative\": 0.0"), "{found}"); // behind a ReLU
    let threshold = fs::read_to_string(folder.path().join("threshold.json")).unwrap();
    assert!(threshold.contains("\"threshold\": 0.0"), "{threshold}");

    // An object has one category, and there is one a picture.
    let assignments = fs::read_to_string(folder.path().join("cluster/assignments.json")).unwrap();
    let assignments: BTreeMap<String, u32> = serde_json::from_str(&assignments).unwrap();
    assert_eq!(assignments.len(), 20);
    let mut labelled = 0;
    for sample in context.data.samples(imagenet_s::Split::Validation) {
        let mask = context.run.mask("pseudo_labels", "validation", &sample.key);
        let mut ids = read_mask(&mask).unwrap().labels().to_vec();
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() <= 2, "{ids:?}");
        labelled += usize::from(ids.iter().any(|&id| id > 0));
    }
    assert!(labelled > 0);
}

#[test]
fn a_model_of_the_labels_gives_other_pictures_the_labels_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let context = run(folder.path(), &["predict.predictor=labels"]);
    assert!(!context.run.is_done(Step::Finetune));
    // A backbone from elsewhere leaves no log.
    fs::remove_file(folder.path().join("log.jsonl")).unwrap();
    pipeline::run(&context, &[]).unwrap();
    let plain = assert_model_labels_as_its_run(&context);
    drop(context); // and its lock

    let settings = ["predict.predictor=labels", "predict.refine={}"];
    let context = run(folder.path(), &settings);
    let refined = assert_model_labels_as_its_run(&context);
    assert_ne!(plain, refined);
}

/// Of the run and of its exported file; gives the masks of the validation pictures.
fn assert_model_labels_as_its_run(context: &Context) -> Vec<LabelMask> {
    let root = context.run.root();
    let file = root.join("model.safetensors");
    export_model(root, &file).unwrap();
    let of_run = Model::of_run(root, Device::flex()).unwrap();
    let of_file = Model::read(&file, Device::flex()).unwrap();
    let samples = context.data.samples(imagenet_s::Split::Validation);
    let own = samples.iter().map(|sample| {
        let own = context.run.mask("pseudo_labels", "validation", &sample.key);
        read_mask(&own).unwrap()
    });
    let own: Vec<LabelMask> = own.collect();
    for mut model in [of_run, of_file] {
        let sizing = model.about().sizing();
        for (sample, own) in samples.iter().zip(&own) {
            let picture = sample.read_picture(context.file.data.odd_pictures).unwrap();
            let labelled = model
                .label(&[sizing.prepare(0, &picture)], &sizing)
                .unwrap();
            assert_eq!(&labelled[0].mask, own, "{}", sample.key);
            assert!((0.0..=1.0).contains(&labelled[0].confidence));
        }
    }
    own
}

#[test]
fn a_run_that_was_stopped_anywhere_ends_in_the_bytes_of_one_that_was_not() {
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(whole.path(), &[]);
    run(stopped.path(), &["objects.batch=3"]);
    assert_eq!(
        results(whole.path()),
        results(stopped.path()),
        "other batches"
    );

    let root = stopped.path();
    let objects = root.join("find_objects/train.npy");
    let bytes = fs::read(&objects).unwrap();
    for step in Step::all().skip_while(|step| *step != Step::FindObjects) {
        fs::remove_file(root.join(format!("done/{}.json", step.name()))).ok();
    }
    for left in [
        "cluster",
        "labels",
        "finetune",
        "pseudo_labels",
        "fine_tuned",
    ] {
        fs::remove_dir_all(root.join(left)).unwrap();
    }

    // The rows that a kill left are taken: one of them is changed, and stays so.
    let mut changed = bytes.clone();
    changed[bytes.len() - 20 * ROW + 4..][..4].copy_from_slice(&0.25f32.to_le_bytes());
    leave_six_rows(&objects, &changed);
    let context = open(root, &["objects.batch=3"]).unwrap();
    Step::FindObjects.run(&context).unwrap();
    drop(context);
    assert_eq!(fs::read(&objects).unwrap(), changed);

    fs::remove_file(root.join("done/find_objects.json")).unwrap();
    leave_six_rows(&objects, &bytes);
    run(root, &["objects.batch=3"]);
    assert_eq!(results(whole.path()), results(root), "resumed");
}

#[test]
fn refined_labels_go_on_behind_those_that_a_kill_left() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["predict.predictor=labels", "predict.refine={}"];
    let context = run(
        folder.path(),
        &[&settings[..], &["objects.batch=3"]].concat(),
    );
    let path = context.run.labels("train");
    let (whole, store) = (fs::read(&path).unwrap(), LabelStore::open(&path).unwrap());
    let format = LabelFormat {
        classes: context.data.classes(),
        attention: Element::Float32,
    };
    // Those that are there are taken: one of them is changed, and stays so.
    for changed in [true, false] {
        fs::remove_file(&path).unwrap();
        let mut writer = LabelStoreWriter::resume(&path, format).unwrap();
        for (n, key) in store.keys()[..6].iter().enumerate() {
            let mut labels = store.get(key).unwrap();
            if changed && n == 1 {
                labels.attention.fill(0.25);
            }
            writer.push(key, &labels).unwrap();
        }
        writer.sync().unwrap();
        drop(writer);
        Step::GenerateLabels.run(&context).unwrap();
        assert_eq!(fs::read(&path).unwrap() == whole, !changed);
        let again = LabelStore::open(&path).unwrap();
        let filled = |key| again.get(key).unwrap().attention.iter().all(|&a| a == 0.25);
        assert_eq!(filled(&store.keys()[1]), changed);
        assert!(!filled(&store.keys()[6]));
    }
}

/// Bytes of an object: the number of its picture, its embedding and its scores.
const ROW: usize = (1 + 16 + 256) * 4;

/// As a kill leaves the file of 20 objects: those of two batches, and a torn row behind them.
fn leave_six_rows(objects: &Path, bytes: &[u8]) {
    let header = bytes.len() - 20 * ROW;
    let mut partial = bytes[..header + 6 * ROW + 100].to_vec();
    let mut places = partial[..header].windows(4);
    let rows = places.position(|bytes| bytes == b"(20,").unwrap();
    partial[rows..rows + 4].copy_from_slice(b"(6, ");
    fs::write(objects.with_extension("npy.partial"), partial).unwrap();
    fs::remove_file(objects).unwrap();
}

#[test]
fn objects_of_a_suggestion_are_taken_whatever_moment_it_was_killed_at() {
    let alone = tempfile::tempdir().unwrap();
    let expected = run(alone.path(), &[]);
    let expected = fs::read(expected.run.objects("train")).unwrap();
    for moved in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let inner = open(&folder.path().join(SUGGESTION), &[]).unwrap();
        Step::Pretrain.run(&inner).unwrap();
        let suggestion = suggest_classes(&inner).unwrap();
        assert!(
            suggestion
                .curve
                .iter()
                .any(|of| of.clusters == suggestion.clusters)
        );
        let context = open(folder.path(), &[]).unwrap();
        Step::Pretrain.run(&context).unwrap();
        // A kill after so many of the moves.
        let names = ["map.json", "train.npy", "validation.npy"];
        fs::create_dir_all(context.run.step_dir(Step::FindObjects)).unwrap();
        for name in &names[..moved] {
            let from = inner.run.step_dir(Step::FindObjects).join(name);
            fs::rename(from, context.run.step_dir(Step::FindObjects).join(name)).unwrap();
        }
        drop(inner);
        adopt_objects(&context).unwrap();
        let found = context.run.objects("train");
        assert!(found.exists(), "after {moved} moves");
        let written = fs::metadata(&found).unwrap().modified().unwrap();
        Step::FindObjects.run(&context).unwrap();
        assert_eq!(fs::metadata(&found).unwrap().modified().unwrap(), written);
        assert_eq!(fs::read(found).unwrap(), expected);
        assert!(suggestion_of(&context.run).unwrap().is_some());
    }
}

#[test]
fn a_setting_runs_again_what_depends_on_it_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &[]);
    let later = [
        "cluster",
        "sweep_threshold",
        "generate_labels",
        "finetune",
        "predict",
        "evaluate",
    ];
    let mut settings = Vec::new();
    for (setting, from) in [
        ("objects.foreground.least_share=0.5", None),
        ("objects.size=48", None),
        ("cluster.whitened_dims=3", Some(0)),
        ("cluster.metric=euclidean", Some(0)),
        ("finetune.norms=moving", Some(3)),
    ] {
        let before = done_marks(folder.path());
        settings.push(setting);
        run(folder.path(), &settings);
        let after = done_marks(folder.path());
        let again: Vec<&str> = Step::all()
            .map(Step::name)
            .filter(|name| after[name] != before[name])
            .collect();
        let expected = match from {
            None => [&["find_objects"][..], &later].concat(),
            Some(from) => later[from..].to_vec(),
        };
        assert_eq!(again, expected, "{setting}");
    }
}

#[test]
fn labels_may_be_the_result_without_fine_tuning() {
    let folder = tempfile::tempdir().unwrap();
    let context = run(folder.path(), &["predict.predictor=labels"]);
    for step in [Step::Finetune, Step::Predict] {
        assert!(!context.run.is_done(step));
    }
    assert_eq!(context.result(), "pseudo_labels");
    assert!(folder.path().join("match.json").exists());
    assert!(folder.path().join("report.html").exists());
    drop(context);
    // Asked for later, the network learns from the labels that are there.
    let labels = fs::metadata(folder.path().join("done/generate_labels.json")).unwrap();
    let context = run(folder.path(), &[]);
    assert!(context.run.is_done(Step::Predict));
    let again = fs::metadata(folder.path().join("done/generate_labels.json")).unwrap();
    assert_eq!(labels.modified().unwrap(), again.modified().unwrap());
}

#[test]
fn a_transformer_finds_objects_by_its_keys_or_by_its_attention() {
    const SUMS: &str = "objects.foreground={ way = 'activation_and_border' }";
    let backbone =
        "network.backbone={ family = 'vit', width = 8, heads = 2, depth = 4, patch = 8 }";
    for ways in [
        [
            "objects.foreground={ way = 'normalized_cut', objects = 3 }",
            "objects.layer=keys",
        ],
        [
            "objects.foreground={ way = 'attention_map' }",
            "objects.foreground_layer=attention",
        ],
        [
            "objects.foreground={ way = 'principal_masks' }",
            "objects.layer=stage4",
        ],
        [SUMS, "objects.layer=stage4"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let all = [
            backbone,
            "objects.layer=stage4",
            "predict.predictor=labels",
            ways[0],
            ways[1],
        ];
        let context = run(folder.path(), &all);
        // Its map has values of both signs.
        let findings = RunVerdict::read(&context.run).unwrap().findings;
        let signed = findings.iter().filter(|of| of.step == "find_objects");
        assert_eq!(signed.count(), usize::from(ways[0] == SUMS), "{ways:?}");

        let rows = RowFile::open(&context.run.objects("train")).unwrap();
        assert!(rows.count() >= 20, "{ways:?}");
        assert_eq!(rows.columns(), 1 + 8 + 8 * 8, "{ways:?}");
        let assignments = folder.path().join("cluster/assignments.json");
        let assignments = fs::read_to_string(assignments).unwrap();
        let assignments: BTreeMap<String, u32> = serde_json::from_str(&assignments).unwrap();
        assert_eq!(
            assignments.len(),
            20,
            "one a picture, however many objects it has"
        );
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |settings: &[&str], fragment: &str| {
        let error = match open(folder.path(), settings) {
            Ok(context) => pipeline::run(&context, &[]).map(drop).unwrap_err(),
            Err(error) => error,
        };
        let said = error.to_string();
        assert!(said.contains(fragment), "no {fragment:?} in {said:?}");
    };
    refused(&["threshold.rule=otsu"], "threshold.rule");
    refused(&["predict.attention=float16"], "predict.attention");
    refused(&["objects.foreground.objects=0"], "objects.foreground");
    refused(&["objects.layer=stage9"], "stage1, stage2, stage3, stage4");
    let unrefined = ["cluster.way=pixel_attention", "predict.refine={}"];
    refused(&unrefined, "predict.refine");
}
