//! Runs on data of one's own: packs in place of the files, and pairs of pictures and masks.

use std::{fs, path::Path};

use burn::tensor::Device;
use imagenet_s::{
    Dataset, Split,
    pack::write_pack,
    synthetic::{SyntheticConfig, write_synthetic},
};
use pass_train::{
    Context, Error, RunFile, Verbosity, log::read_log, run_file::ThresholdRule,
    step::pretrain::pretrain,
};
use tempfile::TempDir;

/// A tree of three classes: ten training pictures, three, four and one in the other splits.
fn tree() -> (TempDir, Dataset) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    let config = SyntheticConfig {
        classes: 3,
        train: 10,
        train_semi_per_class: 1,
        validation: 4,
        test: 1,
        side_px: 32,
        ..SyntheticConfig::default()
    };
    write_synthetic(&root, &config).unwrap();
    let data = Dataset::open(&root).unwrap();
    (dir, data)
}

/// Starts a run, which reads every picture and mask once.
fn started(run: &Path, section: &str) -> Result<Context, Error> {
    let small = "[pretrain]\nbatch = 4\n[attention]\nbatch = 4\n[finetune]\nbatch = 4";
    let file = RunFile::parse(&format!("[data]\n{section}\n{small}"), "test", &[]).unwrap();
    Context::open(run, file, Device::default(), Verbosity::Quiet)
}

fn layout(data: &Dataset) -> String {
    format!("source = {{ layout = {{ path = {:?} }} }}\n", data.root())
}

fn refused(run: &Path, section: &str, facts: &[&str]) {
    let said = started(run, section).unwrap_err().to_string();
    for fact in facts {
        assert!(said.contains(fact), "no {fact:?} in {said:?}");
    }
}

#[test]
fn other_pictures_than_those_a_run_began_with_are_refused_by_name() {
    let (dir, data) = tree();
    let (run, section) = (dir.path().join("run"), layout(&data));
    started(&run, &section).unwrap();
    let [a, b] = [0, 1].map(|index| &data.samples(Split::Train)[index]);
    let (first, second) = (fs::read(&a.picture).unwrap(), fs::read(&b.picture).unwrap());

    fs::remove_file(&a.picture).unwrap();
    let gone = format!("train: {} is gone", a.key);
    refused(
        &run,
        &section,
        &[&gone, "(18, now 17", "--run", "put them back"],
    );
    fs::write(&a.picture, &second).unwrap();
    refused(
        &run,
        &section,
        &[&format!("train: {} is another picture", a.key)],
    );
    let mut same_length = first.clone();
    same_length[40] ^= 1;
    fs::write(&a.picture, &same_length).unwrap();
    refused(&run, &section, &["of as many bytes"]);
    fs::write(&a.picture, &first).unwrap();
    started(&run, &section).unwrap();

    let new = a.picture.with_file_name("new.png");
    fs::write(&new, &second).unwrap();
    refused(&run, &section, &["new is new", "(18, now 19"]);
    // A run of an earlier version has no list: it gets one.
    fs::remove_file(run.join("pictures.jsonl")).unwrap();
    started(&run, &section).unwrap();
    fs::remove_file(new).unwrap();
    refused(&run, &section, &["new is gone"]);
}

#[test]
fn a_pack_of_the_same_pictures_is_the_same_run() {
    let (dir, data) = tree();
    let (run, pack) = (dir.path().join("run"), dir.path().join("tree.pack"));
    started(&run, &layout(&data)).unwrap();
    write_pack(&data, &Split::ALL, &pack, &|_| ()).unwrap();
    started(&run, &format!("{}pack = {pack:?}", layout(&data))).unwrap();
}

/// What no reader takes for a picture.
fn spoil(data: &Dataset) {
    for split in Split::ALL {
        for sample in data.samples(split) {
            fs::write(&sample.picture, "gone").unwrap();
        }
    }
}

#[test]
fn a_run_reads_a_pack_in_place_of_the_files() {
    let (dir, data) = tree();
    let pack = dir.path().join("tree.pack");
    write_pack(&data, &Split::ALL, &pack, &|_| ()).unwrap();
    spoil(&data);
    let with_pack = format!("{}pack = {pack:?}", layout(&data));
    assert!(started(&dir.path().join("a"), &with_pack).is_ok());
    let error = started(&dir.path().join("b"), &layout(&data)).unwrap_err();
    assert!(matches!(error, Error::Faults(faults) if faults.count == 18));
}

#[test]
fn step_1_and_its_probe_read_the_pack() {
    let (dir, data) = tree();
    let [run, pack] = ["run", "tree.pack"].map(|name| dir.path().join(name));
    write_pack(&data, &Split::ALL, &pack, &|_| ()).unwrap();
    spoil(&data);
    let settings = [
        format!("data.source={{ layout = {{ path = {:?} }} }}", data.root()),
        format!("data.pack={pack:?}"),
        "pretrain.epochs=1".into(),
        "probe.every_epochs=1".into(),
    ];
    let file = RunFile::parse(include_str!("pipeline/tiny.toml"), "tiny.toml", &settings);
    let context = Context::open(&run, file.unwrap(), Device::default(), Verbosity::Quiet);
    pretrain(&context.unwrap()).unwrap();
    let log = read_log(&run.join("log.jsonl")).unwrap();
    assert!(log.iter().any(|line| line.values.contains_key("probe/knn")));
}

#[test]
fn step_1_reads_a_pack_of_its_own() {
    let (dir, data) = tree();
    let (_other_dir, other) = tree();
    let folder = Split::Train.pictures(other.root());
    let pictures = Dataset::open_pictures(&folder, 3).unwrap();
    let pack = dir.path().join("full.pack");
    write_pack(&pictures, &[Split::Train], &pack, &|_| ()).unwrap();
    spoil(&other);
    let section = format!("{}pretrain_pictures = {folder:?}\n", layout(&data));
    let with_pack = format!("{section}pretrain_pack = {pack:?}");
    assert!(started(&dir.path().join("a"), &with_pack).is_ok());
    let error = started(&dir.path().join("b"), &section).unwrap_err();
    assert!(matches!(error, Error::Faults(faults) if faults.count == 10));
}

#[test]
fn a_pack_that_lacks_pictures_stops_the_run_before_it_starts() {
    let (dir, data) = tree();
    let pack = dir.path().join("validation.pack");
    write_pack(&data, &[Split::Validation], &pack, &|_| ()).unwrap();
    let sample = &data.samples(Split::Validation)[0];
    let renamed = sample.picture.with_file_name("new.png");
    let mask = sample.mask.as_ref().unwrap();
    fs::rename(&sample.picture, renamed).unwrap();
    fs::rename(mask, mask.with_file_name("new.png")).unwrap();
    let section = format!("{}pack = {pack:?}", layout(&data));
    let message = started(&dir.path().join("a"), &section)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("1 pictures are not in this pack"),
        "{message}"
    );
}

#[test]
fn pictures_with_masks_of_ones_own_choose_the_threshold() {
    let (dir, data) = tree();
    let (train, split) = (Split::Train.pictures(data.root()), Split::Validation);
    let (pictures, masks) = (
        split.pictures(data.root()),
        split.masks(data.root()).unwrap(),
    );
    let source = format!("source = {{ pictures = {{ path = {train:?}, classes = 3 }} }}\n");
    let pairs = format!("validation = {{ pictures = {pictures:?}, masks = {masks:?} }}");
    let scored = started(&dir.path().join("a"), &format!("{source}{pairs}")).unwrap();
    assert_eq!(scored.file.threshold.rule, Some(ThresholdRule::Validation));
    assert_eq!(scored.shown_splits(), [Split::Validation]);
    let sample = &scored.data.samples(split)[1];
    assert_eq!(
        scored.truth(sample).unwrap().size(),
        sample.picture_size().unwrap()
    );
    let blind = started(&dir.path().join("b"), &source).unwrap();
    assert_eq!(blind.file.threshold.rule, Some(ThresholdRule::Otsu));
}

#[test]
fn what_runs_left_among_the_pictures_is_no_picture() {
    let (_dir, data) = tree();
    let folder = Split::Train.pictures(data.root());
    let section = format!("source = {{ pictures = {{ path = {folder:?}, classes = 3 }} }}\n");
    let section = format!("{section}pretrain_pictures = {folder:?}");
    let runs = ["a", "b"].map(|name| folder.join("runs").join(name));
    for run in &runs {
        let context = started(run, &section).unwrap();
        assert_eq!(context.data.samples(Split::Train).len(), 10);
        let mask = context.run.mask("fine_tuned", "train", "a/1");
        context.run.make_room_for(&mask).unwrap();
        fs::write(mask, "not even a picture").unwrap();
    }
    let checked = fs::read_to_string(runs[1].join("done/check_data.json")).unwrap();
    assert!(checked.contains("runs/a: holds results"), "{checked}");
    let again = started(&runs[0], &section).unwrap();
    assert_eq!(again.data.samples(Split::Train).len(), 10);
}
