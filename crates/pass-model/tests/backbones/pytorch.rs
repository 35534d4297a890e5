//! Feature maps and gradients of whole networks, as torchvision and timm compute them with random weights.
//!
//! A network is a row of `NETWORKS` in `tests/oracle/backbones.py` and of a list here.

use std::path::Path;

use burn::{
    module::ParamId,
    optim::GradientsParams,
    store::{BurnToPyTorchAdapter, ModuleSnapshot},
    tensor::{Device, Tensor, TensorData},
};
use golden::{Arrays, run_python};
use pass_model::{
    backbone::{Backbone, BackboneConfig, Family, PositionRule, ResNetConfig, VitConfig},
    import::import_backbone,
    norm::NormMode,
};

/// Largest difference as a part of the largest value: of maps, and of gradients.
const TOLERANCES: [f32; 2] = [1e-4, 1e-3];

#[track_caller]
fn assert_close(what: &str, actual: TensorData, expected: TensorData, tolerance: f32) {
    assert_eq!(actual.shape(), expected.shape(), "{what}");
    let values = |data: TensorData| data.iter::<f32>().collect::<Vec<_>>();
    let (actual, expected) = (values(actual), values(expected));
    let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let differences = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    let far = differences.fold(
        0.0f32,
        |far, it| if it.is_nan() { f32::MAX } else { far.max(it) },
    );
    let far = far / largest;
    assert!(far <= tolerance, "{what}: {far} of the largest value");
}

/// The identity of the parameter that has a key in the file.
fn parameter(net: &Backbone, key: &str) -> ParamId {
    let all = net.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let spellings = net.spellings().iter();
    let found = spellings.flat_map(|spelling| {
        all.iter()
            .filter(|tensor| (spelling.key)(&tensor.name) == key)
    });
    let ids: Vec<_> = found.filter_map(|tensor| tensor.param_id).collect();
    ParamId::from(*ids.first().unwrap_or_else(|| panic!("no parameter {key}")))
}

fn check_maps(name: &str, net: &mut Backbone, arrays: &mut Arrays) {
    let device = Device::default();
    for size in 0..2 {
        let pictures = arrays.tensor(&format!("picture{size}"), &device);
        let maps = net.forward(pictures, NormMode::Moving);
        for stage in 1..=4 {
            let key = format!("map{size}.stage{stage}");
            let what = format!("{name}, {key}");
            let map = maps.stage(stage).into_data();
            assert_close(&what, map, arrays.data(&key), TOLERANCES[0]);
        }
    }
}

fn check_gradients(name: &str, net: &mut Backbone, arrays: &mut Arrays) {
    let device = Device::default().autodiff();
    let [pictures, direction]: [Tensor<4>; 2] =
        ["picture0", "direction"].map(|key| arrays.tensor(key, &device));
    let last = net.forward(pictures, NormMode::Moving).into_last();
    let gradients = (last * direction).sum().backward();
    let gradients = GradientsParams::from_grads(gradients, net);
    let names = arrays.names().into_iter();
    let keys: Vec<_> = names
        .filter_map(|name| Some(name.strip_prefix("gradient.")?.to_owned()))
        .collect();
    assert!(!keys.is_empty(), "{name} has gradients");
    for key in keys {
        let found = gradients.get::<4>(parameter(net, &key)).unwrap();
        let expected = arrays.data(&format!("gradient.{key}"));
        let what = format!("{name}, gradient of {key}");
        assert_close(&what, found.into_data(), expected, TOLERANCES[1]);
    }
}

/// Each network, by its name in the script and its settings.
fn check(networks: &[(&str, BackboneConfig)]) {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/backbones.py");
    let names = networks.iter().map(|(name, _)| Path::new(*name));
    run_python([script.as_path(), folder.path()].into_iter().chain(names));
    for (name, config) in networks {
        let file = |extension: &str| folder.path().join(format!("{name}.{extension}"));
        let arrays = &mut Arrays::open(&file("npz"));
        let mut net = config.init(0, &Device::default());
        import_backbone(&mut net, &file("safetensors")).unwrap();
        check_maps(name, &mut net, arrays);
        let mut net = config.init(0, &Device::default().autodiff());
        import_backbone(&mut net, &file("safetensors")).unwrap();
        check_gradients(name, &mut net, arrays);
    }
}

fn check_named<const N: usize>(names: [&'static str; N]) {
    check(&names.map(|name| (name, BackboneConfig::named(name).unwrap())));
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn resnets_agree() {
    check_named(["resnet18", "resnet34", "resnet50", "resnet101"]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn dilated_resnets_agree() {
    let dilated = |dilated_stages| ResNetConfig {
        dilated_stages,
        ..ResNetConfig::resnet50()
    };
    check(&[
        ("resnet50_d16", dilated(1).into()),
        ("resnet50_d8", dilated(2).into()),
    ]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn resnexts_agree() {
    check_named(["resnext50", "resnext101"]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn res2nets_agree() {
    check_named(["res2net50", "res2net50d", "res2net101"]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn efficientnets_agree() {
    check_named([
        "efficientnet_b3",
        "tf_efficientnet_b3",
        "efficientnet_lite0",
    ]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn densenet_and_inception_agree() {
    check_named(["densenet161", "inception_v3"]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn vision_transformers_agree() {
    let of_timm = |name| VitConfig {
        positions: PositionRule::Antialias,
        ..VitConfig::named(name).unwrap()
    };
    check(&[
        ("vit_s16", of_timm("vit_s16").into()),
        ("vit_s16_dino", VitConfig::vit_s16().into()),
        ("vit_b16", of_timm("vit_b16").into()),
    ]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn dinov2_agrees() {
    let of_timm = |name, registers| VitConfig {
        positions: PositionRule::Antialias,
        registers,
        ..VitConfig::named(name).unwrap()
    };
    check(&[
        ("dinov2_s14", of_timm("dinov2_s14", 0).into()),
        ("dinov2_s14_registers", of_timm("dinov2_s14", 4).into()),
        ("dinov2_b14", of_timm("dinov2_b14", 0).into()),
    ]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn swins_agree() {
    check_named(["swin_t", "swin_s", "swin_b"]);
}

#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn convnexts_agree() {
    check_named(["convnext_t", "rf_convnext_t"]);
}
