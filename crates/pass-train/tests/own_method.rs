//! A method that no crate of the workspace knows: the example's, in the ordinary loop and before the
//! later steps.

use std::{fs, path::Path};

use burn::tensor::Device;
use pass_model::group::Group;
use pass_ranks::ThreadRanks;
use pass_train::{Context, RunFile, Verbosity, step::attention::tune_attention};

#[expect(dead_code, reason = "the `main` of the example is not called here")]
#[path = "../../../examples/own_method.rs"]
mod own_method;

fn open(root: &Path, settings: &[&str]) -> Context {
    open_of_ranks(root, settings, Group::default())
}

fn open_of_ranks(root: &Path, settings: &[&str], ranks: Group) -> Context {
    let settings: Vec<String> = settings.iter().map(|text| text.to_string()).collect();
    let text = include_str!("pipeline/tiny.toml");
    let file = RunFile::parse(text, "tiny.toml", &settings).unwrap();
    Context::open_of_ranks(root, file, Device::flex(), Verbosity::Quiet, ranks, None)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn weights(root: &Path) -> Vec<u8> {
    fs::read(root.join("pretrain/weights.safetensors")).unwrap()
}

#[test]
fn it_trains_stops_with_a_checkpoint_and_goes_on_to_the_same_bits() {
    let [whole, parted] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    own_method::train(&open(whole.path(), &[])).unwrap();

    let context = open(parted.path(), &[]);
    context.stop.ask();
    let stopped = own_method::train(&context).unwrap_err().to_string();
    assert!(stopped.contains("checkpoint-000000001"), "{stopped}");
    drop(context);
    own_method::train(&open(parted.path(), &[])).unwrap();
    assert!(weights(whole.path()) == weights(parted.path()));
    let log = fs::read_to_string(whole.path().join("log.jsonl")).unwrap();
    assert!(log.contains("\"contrast\":"), "{log}");
}

/// It has no P2P, whose settings therefore refuse nothing.
#[test]
fn on_several_ranks_it_trains_whatever_p2p_would_leave_out() {
    let root = tempfile::tempdir().unwrap();
    let settings = [
        "pretrain.epochs=1",
        "pretrain.alignment.empty_pairs=\"leave_out\"",
    ];
    ThreadRanks::run(2, |ranks| {
        own_method::train(&open_of_ranks(root.path(), &settings, ranks)).unwrap();
    });
    assert!(!weights(root.path()).is_empty());
}

/// It has neither projection nor prototypes: pixel attention draws its own, and the backbone is the
/// trained one.
#[test]
fn later_steps_ask_for_its_backbone_alone() {
    let root = tempfile::tempdir().unwrap();
    let context = open(root.path(), &["attention.epochs=1"]);
    own_method::train(&context).unwrap();
    tune_attention(&context).unwrap();
    let tensor = |step: &str| {
        let bytes = fs::read(root.path().join(step).join("weights.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("backbone.conv1.weight")
            .unwrap()
            .data()
            .to_vec()
    };
    assert!(tensor("pretrain") == tensor("tune_attention"));
}
