//! Released checkpoints as results of steps. `pass-model/tests/fixtures/make_pass.py` made them.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use pass_model::export::export_backbone;
use pass_train::{
    Context, Error, RunFile, Step, Verbosity,
    step::{
        labels::generate_labels,
        predict::predict,
        pretrain::pretrain,
        threshold::sweep_threshold,
        weights::{Weights, begin_with_backbone, export_weights, import_centroids, import_weights},
    },
};

/// The network of the fixtures.
const RUN_FILE: &str = r#"
[data.source.synthetic]
classes = 4
train = 8
train_semi_per_class = 1
validation = 4
test = 1
side_px = 40

[network]
hidden = 5
feature_dim = 3
prototypes = 7
backbone = { width = 2 }

[pretrain]
batch = 8

[attention]
batch = 8

[finetune]
batch = 8

[predict]
resize = 40
"#;

fn published(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../pass-model/tests/fixtures/published")
        .join(name)
}

fn open(root: &Path) -> Context {
    let file = RunFile::parse(RUN_FILE, "test", &[]).unwrap();
    Context::open(root, file, Device::flex(), Verbosity::Quiet)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn released_checkpoints_give_labels_and_predictions_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let context = open(folder.path());
    for (weights, name) in [
        (Weights::Pretrained, "pretrained.pth.tar"),
        (Weights::PixelAttention, "pixelatt.pth.tar"),
    ] {
        import_weights(&context, weights, &published(name)).unwrap();
    }
    import_centroids(&context, &published("centroids.npy")).unwrap();
    sweep_threshold(&context).unwrap();
    let labels = generate_labels(&context).unwrap();
    assert_eq!(labels.pictures, 8);
    import_weights(
        &context,
        Weights::FineTuned,
        &published("finetuning.pth.tar"),
    )
    .unwrap();
    predict(&context).unwrap();
    assert!(context.run.is_done(Step::Predict));

    // What is exported is what was imported.
    let exported = folder.path().join("finetuning.safetensors");
    export_weights(&context, Weights::FineTuned, &exported).unwrap();
    let before = std::fs::read(context.run.weights(Step::Finetune)).unwrap();
    import_weights(&context, Weights::FineTuned, &exported).unwrap();
    let after = std::fs::read(context.run.weights(Step::Finetune)).unwrap();
    assert!(before == after);
}

#[test]
fn weights_that_are_not_finite_are_not_imported() {
    let folder = tempfile::tempdir().unwrap();
    let context = open(folder.path());
    let weights = Weights::FineTuned;
    import_weights(&context, weights, &published("finetuning.pth.tar")).unwrap();
    let exported = folder.path().join("exported.safetensors");
    export_weights(&context, weights, &exported).unwrap();
    let mut file = std::fs::read(&exported).unwrap();
    let last = file.len() - 4;
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        file[last..].copy_from_slice(&bad.to_le_bytes());
        std::fs::write(&exported, &file).unwrap();
        let said = import_weights(&context, weights, &exported)
            .unwrap_err()
            .to_string();
        let facts = [
            "exported.safetensors",
            "1 tensor",
            &format!("the first {bad} at"),
        ];
        assert!(facts.iter().all(|fact| said.contains(*fact)), "{said}");
    }
    assert!(context.run.is_done(Step::Finetune));
}

#[test]
fn a_checkpoint_of_another_network_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let context = open(folder.path());
    import_weights(&context, Weights::Backbone, &published("swav.pth.tar")).unwrap();
    let before = std::fs::read(context.run.weights(Step::Pretrain)).unwrap();
    let error = import_weights(&context, Weights::Pretrained, &published("swav.pth.tar"));
    let Err(Error::Model(pass_model::Error::Mismatch { mismatch, .. })) = error else {
        panic!("accepted")
    };
    assert!(!mismatch.missing.is_empty());
    assert!(context.run.is_done(Step::Pretrain));
    assert!(before == std::fs::read(context.run.weights(Step::Pretrain)).unwrap());
}

#[test]
fn centroids_of_another_number_of_classes_are_refused_with_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let context = open(folder.path());
    let path = folder.path().join("centroids.npy");
    let five = ndarray::Array2::<f32>::ones((5, 16));
    pixel_attention::centroids::write_centroids(&path, five.view()).unwrap();
    let error = import_centroids(&context, &path).unwrap_err().to_string();
    assert!(
        error.contains("5 rows of 16") && error.contains("4 classes"),
        "{error}"
    );
    assert!(!context.run.is_done(Step::Cluster));
}

#[test]
fn a_run_begins_with_one_backbone_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let context = open(&place("run"));
    let [first, second] = [1, 2].map(|seed| {
        let path = place(&format!("{seed}.safetensors"));
        let network = context.file.network.backbone.init(seed, &context.device);
        export_backbone(&network, &path).unwrap();
        path
    });
    begin_with_backbone(&context, &first).unwrap();
    let weights = || std::fs::read(context.run.weights(Step::Pretrain)).unwrap();
    let before = weights();
    std::fs::copy(&first, place("copy.safetensors")).unwrap();
    begin_with_backbone(&context, &place("copy.safetensors")).unwrap();
    let error = begin_with_backbone(&context, &second).unwrap_err();
    assert!(matches!(&error, Error::OtherBackbone { .. }), "{error}");
    assert!(before == weights());
    let half = open(&place("half"));
    half.stop.ask();
    let stopped = pretrain(&half).unwrap_err();
    assert!(matches!(&stopped, Error::Stopped { .. }), "{stopped}");
    let error = begin_with_backbone(&half, &first).unwrap_err().to_string();
    assert!(error.contains("half trained here"), "{error}");

    let done = std::fs::read_to_string(place("run/done/pretrain.json")).unwrap();
    assert!(
        done.contains("normalization") && done.contains("0.485"),
        "{done}"
    );
}
