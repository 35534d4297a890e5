//! Exports of a run.

use std::fs;

use imagenet_s::synthetic::{SyntheticConfig, write_synthetic};
use luss_metrics::folder::{Tree, read_mask};
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
fn a_run_on_pictures_exports_what_it_predicted() {
    let place = Place::new();
    let config = SyntheticConfig {
        classes: 3,
        train: 10,
        train_semi_per_class: 0,
        validation: 0,
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
    check_passed(&place.luss("2", &words));

    let export = ["export", "--run", "r", "--out"];
    check_passed(&place.luss("2", &[&export[..], &["ids", "--format", "id"]].concat()));
    let predicted = Tree::of_masks(&place.path("r/fine_tuned/train")).unwrap();
    assert_eq!(predicted.len(), 10);
    for (key, path) in predicted.iter() {
        let exported = place.path("ids").join(key).with_extension("png");
        assert_eq!(read_mask(&exported).unwrap().0, read_mask(path).unwrap().0);
    }

    let labels = ["ids", "--format", "id", "--from", "pseudo_labels"];
    check_passed(&place.luss("2", &[&export[..], &labels].concat()));
    let pseudo = Tree::of_masks(&place.path("r/pseudo_labels/train")).unwrap();
    for (key, path) in pseudo.iter() {
        let exported = place.path("ids").join(key).with_extension("png");
        assert_eq!(read_mask(&exported).unwrap().0, read_mask(path).unwrap().0);
    }

    check_passed(&place.luss(
        "2",
        &[&export[..], &["c.json", "--format", "coco"]].concat(),
    ));
    let coco: Value = serde_json::from_slice(&fs::read(place.path("c.json")).unwrap()).unwrap();
    assert_eq!(coco["images"].as_array().unwrap().len(), 10);
    assert_eq!(coco["categories"][2]["name"], "category 3");
}
