//! Steps 2.1 and 3 in 16 bits, from what a run in float32 left.

use std::path::Path;

use burn::tensor::Device;
use pass_train::{
    Context, RunFile, Verbosity, log::read_log, pipeline, step::attention::tune_attention,
    step::finetune::finetune,
};
use safetensors::{Dtype, SafeTensors};

fn open(root: &Path, precision: &str) -> Context {
    let text = include_str!("pipeline/tiny.toml");
    let precision = format!("precision={precision}");
    // At the published rates this tiny network amplifies roundings thirtyfold a step.
    let gentle = ["attention", "finetune"].map(|step| format!("{step}.optim.base_lr=0.01"));
    let file = RunFile::parse(text, "tiny.toml", &[&gentle[..], &[precision]].concat()).unwrap();
    Context::open(root, file, Device::flex(), Verbosity::Quiet).unwrap()
}

/// The loss of each iteration of a step that has just run.
fn losses(root: &Path, step: &str, term: &str) -> Vec<f64> {
    let records = read_log(&root.join("log.jsonl")).unwrap();
    let of_step = records.iter().filter(|record| record.step == step);
    of_step.map(|record| record.values[term]).collect()
}

#[track_caller]
fn assert_near(seen: &[f64], expected: &[f64], tolerance: f64) {
    println!("{seen:.4?} for {expected:.4?}");
    assert_eq!(seen.len(), expected.len());
    for (seen, expected) in seen.iter().zip(expected) {
        assert!((seen - expected).abs() < tolerance * expected);
    }
}

#[track_caller]
fn assert_float32(weights: &Path) {
    let bytes = std::fs::read(weights).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert!(file.iter().all(|(_, tensor)| tensor.dtype() == Dtype::F32));
}

/// Tolerances of the losses: roundings to 8 and to 11 bits, divided by the temperature of 0.1. Of
/// float16 more than that, since `flex` also adds up in it where channels are as few as here.
#[test]
fn attention_and_fine_tuning_in_16_bits_follow_those_in_float32() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let run = pipeline::run(&open(root, "float32"), &[]);
    run.unwrap_or_else(|error| panic!("{error}"));
    let [tuned, finetuned] = [("tune_attention", "swapped"), ("finetune", "cross_entropy")]
        .map(|(step, term)| losses(root, step, term));
    let precisions = [("bfloat16", 4e-2), ("float16", 2e-2)];
    // The later step first: step 2.1 unmakes the labels that step 3 reads.
    for (precision, tolerance) in precisions {
        finetune(&open(root, precision)).unwrap();
        let seen = losses(root, "finetune", "cross_entropy");
        assert_near(&seen, &finetuned, tolerance);
        assert_float32(&root.join("finetune/weights.safetensors"));
    }
    for (precision, tolerance) in precisions {
        tune_attention(&open(root, precision)).unwrap();
        let seen = losses(root, "tune_attention", "swapped");
        assert_near(&seen, &tuned, tolerance);
        assert_float32(&root.join("tune_attention/weights.safetensors"));
    }
}
