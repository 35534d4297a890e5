//! The networks of all steps with published weights: the pixel attention computes what PyTorch
//! computes, and what is exported PyTorch loads. `pass-model/tests/fixtures/make_pass.py` made the
//! files.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use golden::Arrays;
use pass_model::{
    backbone::ResNetConfig,
    export::{export_backbone, export_pretrain_net, export_segmentation_net},
    import::{import_backbone, import_pretrain_net, import_segmentation_net},
    pretrain_net::{NetworkConfig, PretrainNetConfig},
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};
use pixel_attention::{
    attention_net::{AttentionNet, export_attention_net, import_attention_net},
    centroids::read_centroids,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../pass-model/tests/fixtures")
        .join(name)
}

fn published(name: &str) -> PathBuf {
    fixture("published").join(name)
}

fn config() -> PretrainNetConfig {
    PretrainNetConfig {
        network: NetworkConfig {
            backbone: ResNetConfig {
                width: 2,
                ..ResNetConfig::resnet18()
            }
            .into(),
            hidden: 5,
            feature_dim: 3,
            prototypes: 7,
        },
        ..Default::default()
    }
}

fn attention_net() -> AttentionNet {
    let mut net = AttentionNet::from_pretrained(config().init(0, &Device::default()), 0);
    import_attention_net(&mut net, &published("pixelatt.pth.tar")).unwrap();
    net
}

fn array(name: &str) -> TensorData {
    Arrays::open(&published("outputs.npz")).data(name)
}

/// 1e-4 of the largest value: the rounding of float32 through 18 layers of another order of sums.
#[track_caller]
fn assert_agrees<const D: usize>(actual: Tensor<D>, name: &str) {
    let (actual, expected) = (actual.into_data(), array(name));
    assert_eq!(actual.shape(), expected.shape(), "{name}");
    let (actual, expected) = (actual.iter::<f32>(), expected.iter::<f32>());
    let (mut worst, mut largest) = (0.0f32, 0.0f32);
    for (a, b) in actual.zip(expected) {
        assert!(a.is_finite(), "{name}");
        worst = worst.max((a - b).abs());
        largest = largest.max(b.abs());
    }
    assert!(worst < 1e-4 * largest, "{name}: {worst} of {largest}");
}

#[test]
fn a_pixel_attention_checkpoint_gives_the_same_features_attention_and_embedding() {
    let mut net = attention_net();
    let pictures = Tensor::<4>::from_data(array("x"), &Device::default());
    let (features, attention) = net.label_features(pictures.clone());
    assert_agrees(features, "label_features");
    assert_agrees(attention, "label_attention");
    assert_agrees(net.cluster_embedding(pictures), "cluster_embedding");
}

#[test]
fn the_centroids_beside_it_are_read() {
    let centroids = read_centroids(&published("centroids.npy")).unwrap();
    assert_eq!(centroids.dim(), (4, 16));
}

#[test]
fn an_exported_attention_is_imported_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pixelatt.safetensors");
    let mut net = attention_net();
    let written = export_attention_net(&net, &path).unwrap();
    let mut other = AttentionNet::from_pretrained(config().init(1, &Device::default()), 1);
    let read = import_attention_net(&mut other, &path).unwrap();
    assert_eq!((read.loaded, read.ignored.len()), (written, 0));
    let pictures = Tensor::<4>::from_data(array("x"), &Device::default());
    let attention = |net: &mut AttentionNet| net.label_features(pictures.clone()).1.into_data();
    assert_eq!(attention(&mut net), attention(&mut other));
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn pytorch_computes_the_same_with_what_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    export_all(folder.path());
    let script = fixture("make_pass.py");
    golden::run_python([
        script.as_os_str(),
        "--read".as_ref(),
        folder.path().as_os_str(),
    ]);
}

/// Every published network, imported and exported again, beside the outputs to be reached.
fn export_all(folder: &Path) {
    let place = |name: &str| folder.join(name);
    let device = Device::default();

    let mut net = config().init(0, &device);
    import_pretrain_net(&mut net, &published("pretrained.pth.tar")).unwrap();
    export_pretrain_net(&net, &place("pretrained.safetensors")).unwrap();

    export_attention_net(&attention_net(), &place("pixelatt.safetensors")).unwrap();

    let segmentation = SegmentationNetConfig {
        backbone: config().network.backbone,
        classes: 4,
        head: HeadDraw::He,
    };
    let mut net = segmentation.init(0, &device);
    import_segmentation_net(&mut net, &published("finetuning.pth.tar")).unwrap();
    export_segmentation_net(&net, &place("finetuning.safetensors")).unwrap();

    let mut net = config().network.backbone.init(0, &device);
    import_backbone(&mut net, &published("swav.pth.tar")).unwrap();
    export_backbone(&net, &place("swav.safetensors")).unwrap();

    std::fs::copy(published("outputs.npz"), place("outputs.npz")).unwrap();
}
