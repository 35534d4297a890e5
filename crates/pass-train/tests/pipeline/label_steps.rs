//! Steps 2.2 to 2.4 and the export: killed at any moment they end in the bytes of an uninterrupted
//! run, and the labels of a crop are those of the exported mask.

use std::{
    collections::HashSet,
    env, fs,
    path::{Path, PathBuf},
    process::Child,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use imagenet_s::{
    Split, read_mask,
    views::{PairedCrop, Purpose, Stream},
};
use pass_train::{
    Context, Error,
    step::{
        attention::tune_attention, cluster::cluster, export::export_labels, finetune::finetune,
        labels::generate_labels, pretrain::pretrain, threshold::sweep_threshold,
    },
};
use pixel_attention::label_store::LabelStore;

use crate::tiny_run::{assert_same_results, finish, folder, open, spawn_test};

/// Names the run directory to a child process.
const CHILD: &str = "PASS_TRAIN_TEST_LABELS";

/// Many short batches, so that there are many moments.
const SETTINGS: [&str; 9] = [
    "data.source.synthetic.train=70",
    "data.source.synthetic.validation=130",
    "pretrain.epochs=0",
    "attention.epochs=1",
    "cluster.batch=2",
    "cluster.restarts=30",
    "cluster.iterations=4",
    "predict.batch=1",
    "threshold.rule=\"otsu\"",
];

fn open_labels(root: &Path) -> Context {
    open(root, &SETTINGS)
}

/// A run that is ready for step 2.2.
fn tuned() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = folder("labels_tuned");
        let context = open_labels(&root);
        pretrain(&context).unwrap();
        tune_attention(&context).unwrap();
        root
    })
}

/// A copy of [`tuned`].
fn fresh(name: &str) -> PathBuf {
    let root = folder(name);
    copy(tuned(), &root);
    root
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The run that the killed ones are compared with.
fn whole() -> &'static Path {
    static WHOLE: OnceLock<PathBuf> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let root = fresh("labels_whole");
        label_what_is_missing(&root);
        root
    })
}

#[test]
#[ignore = "a child process of the tests beside it"]
fn the_label_steps_in_a_child_process() {
    // What follows goes on from what is finished, as `pipeline` does.
    label_what_is_missing(Path::new(&env::var_os(CHILD).expect(CHILD)));
}

fn label_what_is_missing(root: &Path) {
    let context = open_labels(root);
    let done = |step: &str| root.join(format!("done/{step}.json")).exists();
    if !done("cluster") {
        cluster(&context).unwrap();
    }
    if !done("sweep_threshold") {
        sweep_threshold(&context).unwrap();
    }
    if !done("generate_labels") {
        generate_labels(&context).unwrap();
    }
    export_labels(&context, Split::Train, &root.join("exported"), None).unwrap();
}

fn spawn_labels(root: &Path) -> Child {
    spawn_test(
        "label_steps::the_label_steps_in_a_child_process",
        CHILD,
        root,
        2,
    )
}

/// Kills a child as soon as `reached`, and says whether it was still at work.
fn kill_when(root: &Path, reached: impl Fn() -> bool) -> bool {
    let mut child = spawn_labels(root);
    while !reached() {
        if child.try_wait().unwrap().is_some() {
            finish(child, root);
            return false;
        }
        thread::sleep(Duration::from_micros(300));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

fn longer_than(path: PathBuf, bytes: u64) -> impl Fn() -> bool {
    move || fs::metadata(&path).is_ok_and(|data| data.len() > bytes)
}

/// Whether the cursor of a label store counts any pictures, in its third number.
fn counted(path: PathBuf) -> impl Fn() -> bool {
    move || {
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.get(16..24).is_some_and(|pictures| pictures != [0; 8])
    }
}

#[track_caller]
fn assert_went_on(root: &Path, name: &str, all: usize) {
    let said = fs::read_to_string(root.with_extension("stderr")).unwrap();
    let start = format!("{name}: {all} images, resumed at ");
    assert!(said.contains(&start), "no {start:?} in: {said}");
}

#[test]
fn a_kill_in_extraction_clustering_labelling_or_export_changes_no_byte() {
    let root = fresh("labels_killed");
    // Header of 128 bytes, then rows of 32 channels; the header counts those that are kept.
    let rows = longer_than(
        root.join("cluster/embeddings.npy.partial"),
        128 + 20 * 32 * 4,
    );
    assert!(kill_when(&root, rows), "in the extraction");
    let restart = longer_than(root.join("cluster/restarts/00001-numbers.json"), 0);
    assert!(kill_when(&root, restart), "between restarts");
    assert_went_on(&root, "embed", 70);
    assert!(!root.join("done/cluster.json").exists());
    let first = root.join("cluster/restarts/00000-numbers.json");
    let written = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let before = written(&first);
    let labels = counted(root.join("labels/train.labels.cursor"));
    let labels = || {
        // The first restart is not run again, as long as its numbers are there.
        assert!(!first.exists() || written(&first) == before);
        labels()
    };
    assert!(kill_when(&root, labels), "in the labels of step 2.3");
    let labels = counted(root.join("labels/validation.labels.cursor"));
    assert!(kill_when(&root, labels), "in the labels of step 2.4");
    assert_went_on(&root, "label train", 70);
    let masks = longer_than(root.join("progress/generate_labels/validation.json"), 0);
    let in_masks = kill_when(&root, masks);
    assert_went_on(&root, "label validation", 130);
    let masks = longer_than(root.join("exported/.export.json"), 0);
    let in_export = kill_when(&root, masks);
    eprintln!("killed in the masks: {in_masks}, in the export: {in_export}");
    finish(spawn_labels(&root), &root);
    assert_same_results(whole(), &root);
    assert_eq!(counts(&root), counts(whole()));
}

/// How the masks use the categories, as step 2.4 has left it.
fn counts(root: &Path) -> serde_json::Value {
    let summary = fs::read(root.join("done/generate_labels.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert!(summary["counts"].is_object(), "{summary}");
    summary["counts"].clone()
}

#[test]
fn kills_at_moments_that_nobody_chose_change_no_byte() {
    let timed = fresh("labels_timed");
    let started = Instant::now();
    finish(spawn_labels(&timed), &timed);
    let all = started.elapsed();
    assert_same_results(whole(), &timed);

    let root = fresh("labels_chance");
    let mut killed = 0;
    for part in 0..6u32 {
        // Spread over the run, and never in step with its batches.
        let wait = all * (35 + 23 * part % 60) / 100 + Duration::from_micros(u64::from(part) * 371);
        let mut child = spawn_labels(&root);
        thread::sleep(wait);
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
    }
    finish(spawn_labels(&root), &root);
    assert!(killed > 0, "every child had ended before it was killed");
    assert_same_results(whole(), &root);
}

#[test]
fn the_labels_of_crops_are_those_of_the_exported_masks() {
    let root = whole();
    let context = open_labels(root);
    // The middle of the attention, so that both sides of it occur.
    let store = LabelStore::open(&context.run.labels(Split::Train.name())).unwrap();
    let attention = |key: &String| store.get(key).unwrap().attention;
    let mut attention: Vec<f32> = store.keys().iter().flat_map(attention).collect();
    attention.sort_by(f32::total_cmp);
    let threshold = Some(attention[attention.len() / 2]);
    let folder = folder("labels_exported");
    let exported = export_labels(&context, Split::Train, &folder, threshold).unwrap();
    let samples = context.data.samples(Split::Train);
    let mut seen = HashSet::new();
    for (index, sample) in samples.iter().enumerate() {
        let mask = read_mask(&folder.join(format!("{}.png", sample.key))).unwrap();
        let labels = store.get(&sample.key).unwrap();
        let (width, height) = sample.picture_size().unwrap();
        let whole = labels.to_mask(width, height, exported.threshold);
        assert_eq!(whole, mask, "{}", sample.key);
        for epoch in 0..5 {
            let mut stream = Stream::new(context.file.seed, epoch, index as u64, Purpose::Pair);
            let sides = [width as u32, height as u32];
            let crop = PairedCrop::random(sides, 32, 0.08, 1.0, &mut stream);
            let [columns, rows] = crop.mask_pixels();
            let lazy = labels.to_crop([width, height], exported.threshold, &columns, &rows);
            assert_eq!(lazy, crop.mask(&mask), "{} in epoch {epoch}", sample.key);
            seen.extend(lazy.labels().iter().copied());
        }
    }
    assert!(seen.len() > 2 && seen.contains(&0), "only {seen:?} occurs");
    assert_eq!(exported.masks, 70);
    eprintln!("{exported:?}");
}

#[test]
fn embeddings_that_do_not_fit_the_memory_are_clustered_to_the_same_bits() {
    let root = fresh("labels_streamed");
    let mut settings = SETTINGS.to_vec();
    settings.push("cluster.memory_mib=0");
    cluster(&open(&root, &settings)).unwrap();
    for file in ["centroids.npy", "assignments.json", "embeddings.npy"] {
        let [ours, theirs] = [root.as_path(), whole()].map(|root| root.join("cluster").join(file));
        assert_eq!(fs::read(ours).unwrap(), fs::read(theirs).unwrap(), "{file}");
    }
}

#[test]
fn a_finished_clustering_that_is_started_again_begins_afresh() {
    let root = fresh("labels_again");
    let context = open_labels(&root);
    cluster(&context).unwrap();
    let centroids = fs::read(context.run.centroids()).unwrap();
    fs::write(context.run.embeddings(), "stale").unwrap();
    cluster(&context).unwrap();
    assert_eq!(fs::read(context.run.centroids()).unwrap(), centroids);
}

/// The ways of table X (a): each labels every pixel with a cluster or OTHER, in its own manner.
#[test]
fn image_level_and_pixel_level_labels_can_be_made_too() {
    let ids = |way: &str| {
        let root = fresh(&format!("labels_{way}"));
        let mut settings = SETTINGS.to_vec();
        let way = format!("cluster.way={way}");
        settings.push(&way);
        let context = open(&root, &settings);
        let summary = cluster(&context).unwrap();
        assert_eq!(summary.sizes.iter().sum::<usize>(), 70);
        sweep_threshold(&context).unwrap();
        generate_labels(&context).unwrap();
        let store = LabelStore::open(&context.run.labels(Split::Train.name())).unwrap();
        let labels: Vec<_> = store
            .keys()
            .iter()
            .map(|key| store.get(key).unwrap())
            .collect();
        labels
    };
    for picture in ids("image_level") {
        assert!(picture.ids.iter().all(|id| *id == picture.ids[0]));
        let largest = picture.attention.iter().copied().fold(0.0, f32::max);
        let least = picture.attention.iter().copied().fold(1.0, f32::min);
        assert_eq!((least, largest), (0.0, 1.0));
    }
    let pixels = ids("pixel_level");
    assert!(
        pixels
            .iter()
            .any(|picture| picture.ids.iter().any(|id| *id != picture.ids[0]))
    );
    assert!(
        pixels
            .iter()
            .flat_map(|picture| &picture.attention)
            .all(|&a| a == 1.0)
    );
}

#[test]
fn labels_without_foreground_are_not_trained_on() {
    let root = folder("labels_empty");
    copy(whole(), &root);
    let settings = [&SETTINGS[..8], &["threshold.rule={fixed=1.0}"]].concat();
    let context = open(&root, &settings);
    sweep_threshold(&context).unwrap();
    let labels = generate_labels(&context).unwrap();
    assert_eq!((labels.foreground, labels.cells), (0.0, vec![0; 3]));
    let refused = finetune(&context).unwrap_err();
    assert!(matches!(refused, Error::NoForeground { .. }), "{refused}");
    assert!(refused.to_string().contains("foreground_share"));
}
