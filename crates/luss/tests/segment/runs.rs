//! Which runs have a model, and what their categories are called.

use std::fs;

use crate::place::{Place, RUN_FILE, files, passed, run, started};

/// The run of all as a folder `run` of this test.
fn place_with_run() -> Place {
    let place = Place::with_pictures(1, 40);
    for (name, bytes) in files(&run().join("run")) {
        let path = place.path("run").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    place
}

/// A run of all steps that learns nothing in a second.
fn place_with_whole_run() -> Place {
    let place = Place::with_pictures(1, 40);
    fs::write(place.path("run.conf"), RUN_FILE).unwrap();
    let mut words = vec!["run", "--config", "run.conf", "--run", "run", "--quiet"];
    for epochs in [
        "pretrain.epochs=1",
        "attention.epochs=1",
        "finetune.epochs=1",
    ] {
        words.extend(["--set", epochs]);
    }
    passed(&started(place.0.path(), &words));
    place
}

#[track_caller]
fn check_refused(place: &Place, facts: &[&str]) {
    let segment = ["segment", "--run", "run", "--out", "masks", "pictures"];
    let export = ["model", "export", "--run", "run", "--out", "m.safetensors"];
    for words in [&segment[..], &export] {
        let output = started(place.0.path(), words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for fact in facts {
            assert!(said.contains(fact), "no {fact:?} in {said}");
        }
    }
    assert!(!place.path("masks").exists() && !place.path("m.safetensors").exists());
}

#[test]
fn labels_of_pixels_are_no_model_even_where_there_is_a_network() {
    let place = place_with_run();
    let file = place.path("run/run.toml");
    let text = fs::read_to_string(&file).unwrap();
    let labels = text.replace("predictor = \"fine_tuned\"", "predictor = \"labels\"");
    assert_ne!(labels, text);
    fs::write(file, labels).unwrap();
    let facts = [
        "run.toml: `predict.predictor` = \"labels\"",
        "only the labels of `cluster.way` = \"objects\"",
        "--set predict.predictor=fine_tuned",
    ];
    check_refused(&place, &facts);
}

#[test]
fn a_run_without_its_network_is_refused() {
    let place = place_with_run();
    fs::remove_file(place.path("run/done/finetune.json")).unwrap();
    check_refused(&place, &["needs the result of `finetune`"]);
}

#[test]
fn names_are_of_an_evaluation_that_counts() {
    let place = place_with_whole_run();
    let text = fs::read_to_string(place.path("run/categories.json")).unwrap();
    let matched: Vec<String> = serde_json::from_str(&text).unwrap();
    let named = |out: &str| {
        let words = [
            "segment", "--run", "run", "--out", out, "--quiet", "pictures",
        ];
        passed(&started(place.0.path(), &words));
        let list = place.list(out);
        let names = list["categories"].as_array().unwrap()[1..].iter();
        let names = names.map(|of| of["name"].as_str().unwrap().to_owned());
        (
            names.collect::<Vec<_>>(),
            list["model"]["model_sha256"].clone(),
        )
    };
    let (names, model) = named("evaluated");
    assert_eq!(names, matched);
    let predict = ["step", "predict", "--run", "run", "--quiet"];
    passed(&started(place.0.path(), &predict));
    assert!(place.path("run/categories.json").exists());
    let numbers: Vec<String> = (1..=6).map(|id| format!("category {id}")).collect();
    assert_ne!(numbers, matched);
    // The labels are the same, so the model is.
    assert_eq!(named("predicted"), (numbers, model));
}
