//! What lies in a run directory and is no longer what a step left, or is not finite, is not used.

use std::{fs, path::Path};

use pass_train::{
    Context, Error, pipeline,
    step::{
        attention::tune_attention, finetune::finetune, labels::generate_labels, predict::predict,
    },
};

use crate::{
    label_steps::copy,
    tiny_run::{folder, open, reference, results},
};

fn copied(name: &str) -> (std::path::PathBuf, Context) {
    let root = folder(name);
    copy(reference(), &root);
    let context = open(&root, &[]);
    (root, context)
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[track_caller]
fn assert_changed(outcome: Result<(), Error>, file: &str, step: &str) {
    let said = outcome.unwrap_err().to_string();
    let again = format!("run `luss step {step}` again");
    for fact in [file, &again, "put that file back"] {
        assert!(said.contains(fact), "no {fact:?} in {said:?}");
    }
}

#[test]
fn a_flipped_bit_in_what_a_step_left_stops_whoever_reads_it() {
    let (root, context) = copied("flipped");
    let finetuned = root.join("finetune/weights.safetensors");
    let sound = fs::read(&finetuned).unwrap();
    flip(&finetuned);
    assert_changed(
        predict(&context),
        "finetune/weights.safetensors",
        "finetune",
    );
    let again = pipeline::run(&context, &[]).map(drop);
    assert_changed(again, "finetune/weights.safetensors", "finetune");
    fs::write(&finetuned, sound).unwrap();

    flip(&root.join("pretrain/weights.safetensors"));
    let outcome = tune_attention(&context);
    assert_changed(outcome, "pretrain/weights.safetensors", "pretrain");
}

#[test]
fn changed_labels_are_refused_and_made_anew_by_their_step() {
    let (root, context) = copied("changed_labels");
    let labels = root.join("labels/train.labels");
    let sound = fs::read(&labels).unwrap();
    flip(&labels);
    assert_changed(finetune(&context), "labels/train.labels", "generate_labels");
    generate_labels(&context).unwrap();
    assert_eq!(fs::read(&labels).unwrap(), sound);
    assert!(root.join("labels/changed-train.labels").exists());

    let threshold = root.join("threshold.json");
    flip(&threshold);
    assert_changed(finetune(&context), "threshold.json", "sweep_threshold");
    flip(&threshold);

    flip(&root.join("cluster/centroids.npy"));
    let outcome = generate_labels(&context).map(drop);
    assert_changed(outcome, "cluster/centroids.npy", "cluster");
}

/// Puts a value in place of the last numbers of a file of weights.
fn overwrite(path: &Path, count: usize, value: f32) {
    let mut bytes = fs::read(path).unwrap();
    let first = bytes.len() - 4 * count;
    for four in bytes[first..].chunks_mut(4) {
        four.copy_from_slice(&value.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

/// As in a run that began before there were sums.
#[test]
fn numbers_that_are_not_finite_never_become_masks() {
    let (root, context) = copied("not_finite");
    fs::remove_file(root.join("SHA256SUMS")).unwrap();
    let weights = root.join("finetune/weights.safetensors");
    let masks = |root: &Path| {
        let all = results(root).into_iter();
        all.filter(|(path, _)| path.starts_with("fine_tuned"))
            .collect::<Vec<_>>()
    };
    let before = masks(&root);
    // The head, which comes last, has 4 x 32 weights and 4 biases: finite, and their sums are not.
    overwrite(&weights, 132, f32::MAX);
    let said = predict(&context).unwrap_err().to_string();
    assert!(
        said.contains("predict validation, picture") && said.contains("logit"),
        "{said}"
    );
    overwrite(&weights, 1, f32::NAN);
    let said = predict(&context).unwrap_err().to_string();
    assert!(
        said.contains("finetune/weights.safetensors: 1 tensor holds NaN"),
        "{said}"
    );
    assert_eq!(masks(&root), before);
}
