//! Every family of backbones goes through all steps, at a reduced width.

use std::path::Path;

use burn::tensor::Device;
use pass_train::{Context, RunFile, Step, Verbosity, pipeline};

/// The smallest run with all steps.
const RUN_FILE: &str = r#"
[data.source.synthetic]
classes = 2
train = 8
train_semi_per_class = 1
validation = 2
test = 1
side_px = 40

[network]
hidden = 4
feature_dim = 3
prototypes = 5

[pretrain]
epochs = 1
batch = 8
views.groups = [{ count = 2, size = 32, min_scale = 0.3, max_scale = 1.0 }]

[attention]
epochs = 1
batch = 8
views.groups = [{ count = 2, size = 32, min_scale = 0.3, max_scale = 1.0 }]

[finetune]
epochs = 1
batch = 8
crop = 32

[cluster]
restarts = 1
resize = 40
crop = 32

[predict]
resize = 40
"#;

fn context(root: &Path, backbone: &str, others: &[&str]) -> Context {
    let mut settings = vec![format!("network.backbone={backbone}")];
    settings.extend(others.iter().map(ToString::to_string));
    let file = RunFile::parse(RUN_FILE, "test", &settings).unwrap();
    Context::open(root, file, Device::flex(), Verbosity::Quiet)
        .unwrap_or_else(|error| panic!("{backbone}: {error}"))
}

/// Runs all steps, and once more, which must find all of them finished.
fn check(backbone: &str, settings: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    pipeline::run(&context(folder.path(), backbone, settings), &[])
        .unwrap_or_else(|error| panic!("{backbone}: {error}"));
    let again = context(folder.path(), backbone, settings);
    let steps = [
        Step::Pretrain,
        Step::TuneAttention,
        Step::Finetune,
        Step::Predict,
    ];
    assert!(
        steps.iter().all(|&step| again.run.is_done(step)),
        "{backbone}"
    );
}

#[test]
fn residual_networks_go_through_all_steps() {
    check(
        "{ block = 'bottleneck', width = 8, groups = 2, bottleneck_width = 16, dilated_stages = 1 }",
        &[],
    );
    check(
        "{ family = 'res2net', depths = [1, 1, 1, 1], width = 8 }",
        &[],
    );
}

#[test]
fn other_convolutional_networks_go_through_all_steps() {
    check(
        "{ family = 'densenet', depths = [1, 1, 1, 1], width = 8, growth = 4 }",
        &[],
    );
    let channels = "channels = [4, 4, 4, 4, 4, 4, 4, 4, 8], depths = [1, 1, 1, 1, 1, 1, 1]";
    check(&format!("{{ family = 'efficientnet', {channels} }}"), &[]);
    check(
        &format!("{{ family = 'efficientnet', {channels}, lite = true, tensorflow = true }}"),
        &[],
    );
}

#[test]
fn vision_transformers_go_through_all_steps() {
    let size = "width = 8, heads = 2, depth = 4";
    check(&format!("{{ family = 'vit', {size}, patch = 8 }}"), &[]);
    let dino = "patch = 14, remainder = 'pad', registers = 2, layer_scale = true";
    check(&format!("{{ family = 'vit', {size}, {dino} }}"), &[]);
    let size = "depths = [1, 2, 1, 1], width = 8, head_width = 4, window = 3";
    check(&format!("{{ family = 'swin', {size} }}"), &[]);
}

#[test]
fn networks_of_the_convnext_kind_go_through_all_steps() {
    let size = "depths = [1, 1, 1, 1], width = 4";
    check(&format!("{{ family = 'convnext', {size} }}"), &[]);
    check(
        &format!("{{ family = 'convnext', {size}, receptive_fields = true }}"),
        &[],
    );
}

#[test]
fn a_network_that_needs_large_pictures_goes_through_all_steps_of_them() {
    let views = "[{ count = 2, size = 76, min_scale = 0.5, max_scale = 1.0 }]";
    let [pretrain, attention] =
        ["pretrain", "attention"].map(|step| format!("{step}.views.groups={views}"));
    let settings = [
        &pretrain,
        &attention,
        "finetune.crop=76",
        "cluster.resize=76",
        "cluster.crop=76",
        "predict.resize=76",
    ];
    check("{ family = 'inception', width = 2 }", &settings);
}

#[test]
fn pictures_that_are_too_small_for_a_network_are_refused_by_their_key() {
    let settings = ["network.backbone=inception_v3".to_owned()];
    let error = RunFile::parse(RUN_FILE, "test", &settings)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("pretrain.views.groups") && error.contains("75"),
        "{error}"
    );
}
