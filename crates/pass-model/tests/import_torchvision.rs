//! A ResNet with torchvision's weights computes what torchvision computes.

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use common::assert_close;
use golden::Arrays;
use pass_model::{
    Error,
    backbone::{Backbone, BackboneConfig, ResNetConfig},
    export::export_backbone,
    import::{import_backbone, recognise_backbone},
    norm::NormMode,
    pretrain_net::{NetworkConfig, PretrainNetConfig},
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn resnet18_w5() -> ResNetConfig {
    ResNetConfig {
        width: 5,
        ..ResNetConfig::resnet18()
    }
}

fn resnet50_w3() -> ResNetConfig {
    ResNetConfig {
        width: 3,
        ..ResNetConfig::resnet50()
    }
}

/// 1e-4 of the largest value: the rounding of float32 through 53 layers of another order of sums.
#[track_caller]
fn assert_stages_agree(mut net: Backbone, arrays: &Path) {
    let device = Device::default();
    let mut arrays = Arrays::open(arrays);
    let stages = net.forward(arrays.tensor("x", &device), NormMode::Moving);
    for stage in 1..=4 {
        assert_close(
            stages.stage(stage),
            arrays.tensor(&format!("stage{stage}"), &device),
            1e-4,
        );
    }
}

#[track_caller]
fn check(config: &ResNetConfig, weights: &Path, arrays: &Path) {
    let mut net = config.init(0, &Device::default());
    let imported = import_backbone(&mut net, weights).unwrap();
    assert!(imported.ignored.contains(&"fc.weight".to_owned()));
    assert!(
        imported
            .ignored
            .contains(&"bn1.num_batches_tracked".to_owned())
    );
    assert_stages_agree(net, arrays);
}

#[test]
fn a_reduced_resnet18_agrees_stage_by_stage() {
    check(
        &resnet18_w5(),
        &fixture("resnet18_w5.pth"),
        &fixture("resnet18_w5.npz"),
    );
}

#[test]
fn a_reduced_resnet50_in_a_distributed_checkpoint_agrees_stage_by_stage() {
    check(
        &resnet50_w3(),
        &fixture("resnet50_w3.pth.tar"),
        &fixture("resnet50_w3.npz"),
    );
}

#[test]
fn a_backbone_inside_another_network_can_be_imported() {
    let config = SegmentationNetConfig {
        backbone: resnet18_w5().into(),
        classes: 3,
        head: HeadDraw::He,
    };
    let mut net = config.init(0, &Device::default());
    import_backbone(&mut net.backbone, &fixture("resnet18_w5.pth")).unwrap();
    assert_stages_agree(net.backbone, &fixture("resnet18_w5.npz"));
}

#[test]
fn every_key_of_another_network_is_listed_and_nothing_is_loaded() {
    let config = ResNetConfig {
        depths: [2, 2, 1, 2],
        width: 5,
        ..ResNetConfig::resnet18()
    };
    let mut net = ResNetConfig { width: 6, ..config }.init(0, &Device::default());
    let mean = |net: &Backbone| {
        let net = net.as_resnet().unwrap();
        net.bn1.running_mean.val().into_data()
    };
    let before = mean(&net);
    let error = import_backbone(&mut net, &fixture("resnet18_w5.pth")).unwrap_err();
    let text = error.to_string();
    let Error::Mismatch { mismatch, .. } = error else {
        panic!("{text}")
    };
    assert!(mismatch.missing.is_empty());
    assert!(
        mismatch
            .unexpected
            .contains(&"layer3.1.conv2.weight".to_owned())
    );
    assert_eq!(mismatch.unexpected.len(), 10);
    let stem = mismatch
        .misshaped
        .iter()
        .find(|m| m.key == "conv1.weight")
        .unwrap();
    assert_eq!(
        (&stem.found[..], &stem.expected[..]),
        (&[5, 3, 7, 7][..], &[6, 3, 7, 7][..])
    );
    assert!(
        text.contains("layer3.1.conv2.weight") && text.contains("[5, 3, 7, 7]"),
        "{text}"
    );
    assert_eq!(before, mean(&net));
}

#[test]
fn missing_keys_are_listed() {
    let config = ResNetConfig {
        depths: [2, 2, 2, 3],
        ..resnet18_w5()
    };
    let mut net = config.init(0, &Device::default());
    let error = import_backbone(&mut net, &fixture("resnet18_w5.pth")).unwrap_err();
    let Error::Mismatch { mismatch, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(mismatch.missing.len(), 10);
    assert!(
        mismatch
            .missing
            .contains(&"layer4.2.bn1.running_var".to_owned())
    );
}

#[test]
fn a_torchvision_file_is_no_checkpoint_of_pre_training() {
    let config = PretrainNetConfig {
        network: NetworkConfig {
            backbone: resnet18_w5().into(),
            ..Default::default()
        },
        ..Default::default()
    };
    let mut net = config.init(0, &Device::default());
    let path = fixture("resnet18_w5.pth");
    let error = pass_model::import::import_pretrain_net(&mut net, &path).unwrap_err();
    let Error::Mismatch { mismatch, .. } = error else {
        panic!("{error}")
    };
    assert!(mismatch.missing.contains(&"prototypes.weight".to_owned()));
    assert!(mismatch.unexpected.contains(&"fc.weight".to_owned()));
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn the_full_networks_of_pytorch_agree_stage_by_stage() {
    let folder = tempfile::tempdir().unwrap();
    golden::run_python([
        fixture("make_resnet.py").as_os_str(),
        folder.path().as_os_str(),
        "full".as_ref(),
    ]);
    for (config, name) in [
        (ResNetConfig::resnet18(), "resnet18"),
        (ResNetConfig::resnet50(), "resnet50"),
    ] {
        let file = |extension: &str| folder.path().join(format!("{name}.{extension}"));
        check(&config, &file("pth"), &file("npz"));
    }
}

#[test]
fn a_backbone_is_recognised_from_its_keys_and_halves_are_widened_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::default();
    let net = BackboneConfig::named("resnet18").unwrap().init(3, &device);
    let path = folder.path().join("whole.safetensors");
    export_backbone(&net, &path).unwrap();
    assert_eq!(recognise_backbone(&path).unwrap(), ["resnet18"]);

    let halves = folder.path().join("half.safetensors");
    write_bfloat16(&path, &halves);
    assert_eq!(recognise_backbone(&halves).unwrap(), ["resnet18"]);
    let mut read = BackboneConfig::named("resnet18").unwrap().init(4, &device);
    import_backbone(&mut read, &halves).unwrap();
    let weights = |net: &Backbone| net.as_resnet().unwrap().conv1.weight.val().into_data();
    let cut = |value: f32| f32::from_bits(value.to_bits() & 0xffff_0000);
    let expected: Vec<f32> = weights(&net).iter().map(cut).collect();
    assert!(weights(&read).iter::<f32>().eq(expected));
}

/// The tensors of a file with the upper half of each number.
fn write_bfloat16(from: &Path, to: &Path) {
    let bytes = std::fs::read(from).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter().map(|(key, view)| {
        let (numbers, _) = view.data().as_chunks::<4>();
        let halves: Vec<u8> = numbers.iter().flat_map(|it| [it[2], it[3]]).collect();
        (key, view.shape().to_vec(), halves)
    });
    let tensors: Vec<_> = tensors.collect();
    let views = tensors.iter().map(|(key, shape, halves)| {
        (
            key,
            TensorView::new(Dtype::BF16, shape.clone(), halves).unwrap(),
        )
    });
    std::fs::write(to, serialize(views, None).unwrap()).unwrap();
}
