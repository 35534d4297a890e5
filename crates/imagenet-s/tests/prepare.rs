//! Preparing trees: every layout, placing and interruption ends in the same tree.

mod miniature;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use imagenet_s::{
    Dataset, Manifest, Split, Subset,
    layout::{LOCK_FILE, PREPARED, TRAIN_FULL, subset_folder},
    prepare::{Config, ImageNet, Placing, Plan, PrepareError, Summary, prepare},
};
use miniature::{content, miniature};
use tempfile::TempDir;

const PLACINGS: [Placing; 3] = [Placing::Symlink, Placing::Hardlink, Placing::Copy];

/// Prepares a subset from the miniature.
fn placed(output: &Path, subset: Subset, placing: Placing) -> Result<Summary, PrepareError> {
    let config = Config {
        placing,
        ..config(output)
    };
    let manifest = Manifest::read(&miniature().manifest).unwrap();
    prepare(&Plan::new(&config, &manifest, subset)?, &|_| ())
}

/// Prepares all subsets.
fn all_placed(output: &Path, placing: Placing) -> Vec<Summary> {
    let placed = |subset| placed(output, subset, placing).unwrap();
    Subset::ALL.map(placed).into()
}

/// The content of an output folder without what names the placing, nor the lock.
fn trees(output: &Path) -> BTreeMap<String, String> {
    let mut trees = content(output);
    trees.retain(|key, _| !key.ends_with(PREPARED) && key != LOCK_FILE);
    trees
}

/// What every complete preparation of all subsets holds.
fn expected() -> &'static BTreeMap<String, String> {
    static EXPECTED: std::sync::OnceLock<BTreeMap<String, String>> = std::sync::OnceLock::new();
    EXPECTED.get_or_init(|| {
        let output = tempfile::tempdir().unwrap();
        all_placed(output.path(), Placing::Copy);
        trees(output.path())
    })
}

/// The part of [`expected`] that belongs to one subset.
fn expected_of(subset: Subset) -> BTreeMap<String, String> {
    let of_subset = |(key, _): &(&String, &String)| key.starts_with(subset_folder(subset));
    let files = expected().iter().filter(of_subset);
    files.map(|(key, sum)| (key.clone(), sum.clone())).collect()
}

#[track_caller]
fn check_same(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
    let differs = |(key, sum): &(&String, &String)| found.get(*key) != Some(*sum);
    let lost = expected.iter().find(differs);
    assert_eq!(lost, None, "missing or different");
    let added = found.keys().find(|key| !expected.contains_key(*key));
    assert_eq!(added, None, "not expected");
}

fn output() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn every_placing_gives_the_same_tree_and_a_second_run_changes_nothing() {
    for placing in PLACINGS {
        let output = output();
        all_placed(output.path(), placing);
        check_same(&trees(output.path()), expected());
        let again = all_placed(output.path(), placing);
        assert!(again.iter().all(|summary| summary.placed == 0), "{again:?}");
        check_same(&trees(output.path()), expected());
    }
}

#[test]
fn the_prepared_trees_are_what_the_manifest_says() {
    let output = output();
    all_placed(output.path(), Placing::Symlink);
    let manifest = Manifest::read(&miniature().manifest).unwrap();
    for subset in Subset::ALL {
        let root = output.path().join(subset_folder(subset));
        let dataset = Dataset::open(&root).unwrap();
        assert_eq!(dataset.classes(), subset.classes());
        assert_eq!(manifest.subsets[&subset].differences(&dataset), []);
        for split in [Split::TrainSemi, Split::Validation] {
            assert!(dataset.has_masks(split), "{split:?}");
        }
        // Nothing left over: only what the layout names, hidden names included.
        let names = fs::read_dir(&root).unwrap();
        let hidden = names.filter(|name| {
            let name = name.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with('.')
        });
        assert_eq!(hidden.count(), 0);
    }
}

#[test]
fn merged_classes_hold_the_pictures_of_both_folders() {
    let folder = |class: &str| {
        let prefix = format!("ImageNetS919/train/{class}/");
        let files = expected().keys().filter(|key| key.starts_with(&prefix));
        files.count()
    };
    for kept in [
        "n04355933",
        "n02808440",
        "n03832673",
        "n03773504",
        "n15075141",
    ] {
        assert_eq!(folder(kept), 4, "{kept}");
    }
    assert_eq!(folder("n04356056"), 0);
    assert_eq!(folder("n01443537"), 2);
    let full = format!("ImageNetS919/{TRAIN_FULL}/");
    let full = expected().keys().filter(|key| key.starts_with(&full));
    assert_eq!(full.count(), 2000);
}

#[test]
fn validation_in_class_folders_gives_the_same_trees() {
    let (mini, output) = (miniature(), output());
    let train = mini.imagenet().join("train");
    let config = Config {
        imagenet: ImageNet::of_folders(&train, &mini.sorted_validation()).unwrap(),
        ..config(output.path())
    };
    prepare(&plan(&config).unwrap(), &|_| ()).unwrap();
    check_same(&trees(output.path()), &expected_of(Subset::S50));
}

#[test]
fn a_link_to_where_imagenet_was_before_is_renewed() {
    let output = output();
    let place = || placed(output.path(), Subset::S50, Placing::Symlink).unwrap();
    place();
    let link = output.path().join("ImageNetS50/train/n01443537");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/gone/train/n01443537", &link).unwrap();
    assert_eq!(place().placed, 1);
    check_same(&trees(output.path()), &expected_of(Subset::S50));
}

#[track_caller]
fn check_in_the_way(output: &Path, placing: Placing) {
    let message = placed(output, Subset::S50, placing).unwrap_err();
    assert!(message.to_string().contains("in the way"), "{message}");
}

#[test]
fn imagenet_is_never_written_through_a_linked_folder() {
    let output = output();
    placed(output.path(), Subset::S50, Placing::Symlink).unwrap();
    let before = content(&miniature().imagenet());
    for placing in [Placing::Copy, Placing::Hardlink] {
        check_in_the_way(output.path(), placing);
    }
    assert_eq!(content(&miniature().imagenet()), before);
}

#[test]
fn a_file_of_somebody_else_is_never_replaced() {
    let output = output();
    let class = output.path().join("ImageNetS50/train/n01443537");
    fs::create_dir_all(&class).unwrap();
    let file = class.join("n01443537_38.JPEG");
    fs::write(&file, "mine").unwrap();
    for placing in PLACINGS {
        check_in_the_way(output.path(), placing);
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
}

fn config(output: &Path) -> Config {
    let mini = miniature();
    Config {
        imagenet: ImageNet::open(&mini.imagenet()).unwrap(),
        annotations: mini.annotations(),
        test_mappings: Some(mini.mappings()),
        output: output.to_owned(),
        placing: Placing::Copy,
        train_full: true,
    }
}

fn plan(config: &Config) -> Result<Plan, PrepareError> {
    let manifest = Manifest::read(&miniature().manifest).unwrap();
    Plan::new(config, &manifest, Subset::S50)
}

#[test]
fn too_little_space_is_refused_before_anything_is_written() {
    let output = output();
    let mut plan = plan(&config(output.path())).unwrap();
    assert!(plan.missing_bytes > 0);
    plan.missing_bytes = u64::MAX;
    let error = prepare(&plan, &|_| ()).unwrap_err();
    assert!(matches!(error, PrepareError::NoSpace { .. }), "{error}");
    assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0);
}

/// A copy of the miniature's ImageNet by hard links, to be damaged.
fn damaged(damage: impl FnOnce(&Path)) -> (TempDir, Result<Plan, PrepareError>) {
    let folder = output();
    let root = folder.path().join("imagenet");
    copy_by_links(&miniature().imagenet(), &root);
    damage(&root);
    let config = Config {
        imagenet: ImageNet::open(&root).unwrap(),
        ..config(&folder.path().join("out"))
    };
    let plan = plan(&config);
    (folder, plan)
}

fn copy_by_links(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_by_links(&path, &target);
        } else {
            fs::hard_link(path, target).unwrap();
        }
    }
}

#[track_caller]
fn check_refused(damage: impl FnOnce(&Path), mentioned: &[&str]) {
    let (_folder, plan) = damaged(damage);
    let message = plan.unwrap_err().to_string();
    for words in mentioned {
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
}

#[test]
fn an_incomplete_imagenet_is_refused_with_what_is_missing() {
    let class = "train/n01443537";
    check_refused(
        |root| fs::remove_dir_all(root.join(class)).unwrap(),
        &[
            "1 class folders",
            "n01443537",
            "unpack the training archive",
        ],
    );
    check_refused(
        |root| fs::remove_file(root.join(class).join("n01443537_38.JPEG")).unwrap(),
        &["99 train pictures", "the manifest has 100"],
    );
    check_refused(
        |root| fs::remove_file(root.join(class).join("n01443537_10026.JPEG")).unwrap(),
        &[
            "1 pictures of the train-semi split",
            "n01443537/n01443537_10026",
        ],
    );
    check_refused(
        |root| {
            fs::remove_dir_all(root.join("val")).unwrap();
            fs::create_dir(root.join("val")).unwrap();
        },
        &[
            "50 pictures of the validation split of ImageNet-S50",
            "ILSVRC2012_val_",
        ],
    );
}

#[test]
fn an_archive_or_mapping_that_is_missing_is_named() {
    let (output, mini) = (output(), miniature());
    let nowhere = PathBuf::from("nowhere");
    let without = |config: Config| plan(&config).unwrap_err().to_string();
    let message = without(Config {
        annotations: nowhere.clone(),
        ..config(output.path())
    });
    assert!(message.contains("nowhere/masks50.zip"), "{message}");
    let message = without(Config {
        test_mappings: Some(nowhere),
        ..config(output.path())
    });
    assert!(
        message.contains("ImageNetS_im50_mapping_test.txt"),
        "{message}"
    );
    let message = without(config(&mini.imagenet().join("train")));
    assert!(message.contains("part of the ImageNet tree"), "{message}");
}

#[test]
fn without_mapping_files_there_is_no_test_split() {
    let output = output();
    let config = Config {
        test_mappings: None,
        ..config(output.path())
    };
    let plan = plan(&config).unwrap();
    prepare(&plan, &|_| ()).unwrap();
    let dataset = Dataset::open(&plan.root).unwrap();
    assert!(dataset.samples(Split::Test).is_empty());
    assert_eq!(dataset.samples(Split::Validation).len(), 50);
}
