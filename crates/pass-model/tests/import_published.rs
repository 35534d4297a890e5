//! Networks with weights in the forms that PASS and SwAV publish compute what PyTorch computes.
//! `fixtures/make_pass.py` made the files; the pixel attention is tested where it lives.

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use common::assert_close;
use golden::Arrays;
use pass_model::{
    Error,
    backbone::ResNetConfig,
    import::{import_backbone, import_pretrain_net, import_segmentation_net},
    norm::NormMode,
    pretrain_net::{NetworkConfig, PretrainNet, PretrainNetConfig},
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};

/// 1e-4 of the largest value, as in `import_torchvision.rs`.
const TOLERANCE: f32 = 1e-4;

fn published(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/published")
        .join(name)
}

fn backbone() -> ResNetConfig {
    ResNetConfig {
        width: 2,
        ..ResNetConfig::resnet18()
    }
}

fn pretrain_net() -> PretrainNet {
    let config = PretrainNetConfig {
        network: NetworkConfig {
            backbone: backbone().into(),
            hidden: 5,
            feature_dim: 3,
            prototypes: 7,
        },
        ..Default::default()
    };
    config.init(0, &Device::default())
}

fn outputs() -> Arrays {
    Arrays::open(&published("outputs.npz"))
}

#[test]
fn a_pre_training_checkpoint_gives_the_same_embeddings_and_scores() {
    let (device, mut arrays) = (Device::default(), outputs());
    let mut net = pretrain_net();
    let imported = import_pretrain_net(&mut net, &published("pretrained.pth.tar")).unwrap();
    let is_counter = |key: &String| key.ends_with("num_batches_tracked");
    assert!(imported.ignored.iter().all(is_counter));
    let output = net.forward(vec![arrays.tensor("x", &device)], None, NormMode::Moving);
    assert_close(
        output.embeddings,
        arrays.tensor("embeddings", &device),
        TOLERANCE,
    );
    assert_close(output.scores, arrays.tensor("scores", &device), TOLERANCE);
}

#[test]
fn a_fine_tuning_checkpoint_gives_the_same_logits() {
    let (device, mut arrays) = (Device::default(), outputs());
    let config = SegmentationNetConfig {
        backbone: backbone().into(),
        classes: 4,
        head: HeadDraw::He,
    };
    let mut net = config.init(0, &device);
    import_segmentation_net(&mut net, &published("finetuning.pth.tar")).unwrap();
    let logits = net.forward(arrays.tensor("x", &device), NormMode::Moving);
    assert_close(logits, arrays.tensor("logits", &device), TOLERANCE);
}

#[test]
fn the_backbone_of_swav_gives_the_same_features_and_its_head_is_named() {
    let (device, mut arrays) = (Device::default(), outputs());
    let mut net = backbone().init(0, &device);
    let imported = import_backbone(&mut net, &published("swav.pth.tar")).unwrap();
    assert!(imported.ignored.contains(&"prototypes.weight".to_owned()));
    let features = net.forward(arrays.tensor("x", &device), NormMode::Moving);
    assert_close(
        features.into_last(),
        arrays.tensor("swav", &device),
        TOLERANCE,
    );
}

#[test]
fn a_checkpoint_of_another_step_is_refused_with_all_its_keys() {
    let mut net = pretrain_net();
    let error = import_pretrain_net(&mut net, &published("pixelatt.pth.tar")).unwrap_err();
    let Error::Mismatch { mismatch, .. } = error else {
        panic!("{error}")
    };
    let has = |keys: &[String], key: &str| keys.iter().any(|it| it == key);
    assert!(has(&mismatch.unexpected, "fbg.threshold"));
    assert!(has(&mismatch.missing, "predictor_head_pixel.3.bias"));
}
