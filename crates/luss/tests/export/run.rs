//! Exports of a run.

use std::fs;

use imagenet_s::{
    LabelMask,
    synthetic::{SyntheticConfig, write_synthetic},
};
use luss_metrics::folder::{MaskFormat, Tree, read_mask};
use serde_json::Value;

use crate::place::{Place, check_passed};

/// A network that learns nothing in a second.
const SETTINGS: [&str; 9] = [
    "network.backbone.width=4",
    "network.hidden=8",
    "network.prototypes=8",
    "pretrain.epochs=1",
    "attention.epochs=1",
    "finetune.epochs=1",
    "pretrain.batch=8",
    "attention.batch=8",
    "finetune.batch=8",
];

#[test]
fn a_run_on_pictures_leaves_coloured_masks_and_exports_them() {
    let place = Place::new();
    start(&place);
    let (indexed, kinds) = masks(&place, "r/fine_tuned/validation");
    assert_eq!((indexed.len(), kinds), (4, vec![MaskFormat::Palette; 4]));
    let resolved = fs::read_to_string(place.path("r/run.toml")).unwrap();
    assert!(resolved.contains("masks = \"indexed\""), "{resolved}");
    let scores: Value = read_json(&place, "r/metrics.json");
    assert!(scores["fine_tuned"]["miou"].is_number(), "{scores}");

    check_export(&place, &["--format", "id", "--out", "ids"]);
    assert_eq!(masks(&place, "ids").0, indexed);
    let labels = ["--from", "pseudo_labels", "--split", "validation"];
    check_export(
        &place,
        &[&["--format", "palette", "--out", "ids"], &labels[..]].concat(),
    );
    let (pseudo, kinds) = masks(&place, "r/pseudo_labels/validation");
    assert_eq!(kinds, [MaskFormat::Palette; 4]);
    assert_eq!(masks(&place, "ids").0, pseudo);
    check_export(
        &place,
        &[
            "--format",
            "coco",
            "--out",
            "c.json",
            "--from",
            "pseudo_labels",
        ],
    );
    let coco = read_json(&place, "c.json");
    assert_eq!(coco["images"].as_array().unwrap().len(), 10);
    assert_eq!(coco["categories"][2]["name"], "category 3");

    // The other form, without another step.
    let words = [
        "step",
        "predict",
        "--run",
        "r",
        "--quiet",
        "--set",
        "predict.masks=imagenet_s",
    ];
    check_passed(&place.luss("2", &words));
    assert_eq!(
        masks(&place, "r/fine_tuned/validation"),
        (indexed, vec![MaskFormat::Rg; 4])
    );

    // The labels as the result.
    let labels = "predict.predictor=labels";
    check_passed(&place.luss(
        "2",
        &["step", "evaluate", "--run", "r", "--quiet", "--set", labels],
    ));
    check_export(&place, &["--format", "id", "--out", "result"]);
    assert_eq!(masks(&place, "result").0, pseudo);
}

/// A run on ten pictures, and on four others with masks.
fn start(place: &Place) {
    let config = SyntheticConfig {
        classes: 3,
        train: 10,
        train_semi_per_class: 0,
        validation: 4,
        test: 0,
        side_px: 32,
        ..SyntheticConfig::default()
    };
    write_synthetic(&place.path("tree"), &config).unwrap();
    let mut words = vec![
        "run",
        "--images",
        "tree/train",
        "--classes",
        "3",
        "--run",
        "r",
        "--quiet",
    ];
    words.extend(SETTINGS.into_iter().flat_map(|setting| ["--set", setting]));
    let [pictures, masks] =
        ["validation", "validation-segmentation"].map(|name| place.path(&format!("tree/{name}")));
    let pairs = format!("data.validation={{ pictures = {pictures:?}, masks = {masks:?} }}");
    words.extend(["--set", &pairs]);
    check_passed(&place.luss("2", &words));
}

#[track_caller]
fn check_export(place: &Place, arguments: &[&str]) {
    check_passed(&place.luss("2", &[&["export", "--run", "r"], arguments].concat()));
}

fn read_json(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path(name)).unwrap()).unwrap()
}

/// The masks of a folder in the order of their keys, and how they are stored.
fn masks(place: &Place, folder: &str) -> (Vec<LabelMask>, Vec<MaskFormat>) {
    let tree = Tree::of_masks(&place.path(folder)).unwrap();
    tree.iter()
        .map(|(_, path)| read_mask(path).unwrap())
        .unzip()
}
