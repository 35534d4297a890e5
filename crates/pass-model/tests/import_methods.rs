//! Backbones come out of checkpoints with the keys of other programs of pre-training, made here: what is
//! around the backbone's keys, the heads on it, and what lies beside it.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::{Device, Tensor};
use pass_model::{
    backbone::{Backbone, BackboneConfig, ResNetConfig, VitConfig},
    export::export_backbone,
    import::{import_backbone, recognise_backbone},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// A form of checkpoint.
struct Form {
    of: &'static str,
    /// Before each key of the backbone.
    wrapper: &'static str,
    /// Keys of heads behind the wrapper.
    heads: &'static [&'static str],
    /// Keys of other tensors.
    beside: &'static [&'static str],
}

const fn form(
    of: &'static str,
    wrapper: &'static str,
    heads: &'static [&'static str],
    beside: &'static [&'static str],
) -> Form {
    Form {
        of,
        wrapper,
        heads,
        beside,
    }
}

const LAYERS: &[&str] = &["fc.0.bias", "fc.0.weight", "fc.2.bias", "fc.2.weight"];

/// Appendix of the programs' own loaders.
const RESNETS: [Form; 11] = [
    form(
        "MoCo v2, AdCo, PCL",
        "state_dict.module.encoder_q.",
        LAYERS,
        &[
            "state_dict.module.queue",
            "state_dict.module.encoder_k.conv1.weight",
        ],
    ),
    form("MoCo v1", "state_dict.module.encoder_q.", &[], &[]),
    form(
        "SimSiam",
        "state_dict.module.encoder.",
        &["fc.0.weight", "fc.1.running_mean", "fc.6.bias"],
        &["state_dict.module.predictor.0.weight"],
    ),
    form(
        "MoCo v3",
        "state_dict.module.base_encoder.",
        &["fc.0.weight", "fc.1.weight", "fc.4.running_var"],
        &[
            "state_dict.module.momentum_encoder.conv1.weight",
            "state_dict.module.predictor.0.weight",
        ],
    ),
    form("DenseCL, extracted", "state_dict.", &[], &[]),
    form(
        "PixPro",
        "model.module.encoder.",
        &[],
        &[
            "model.module.projector.linear1.weight",
            "model.module.encoder_k.conv1.weight",
        ],
    ),
    form(
        "SwAV",
        "module.",
        &["projection_head.0.weight", "prototypes.weight"],
        &[],
    ),
    form("Barlow Twins", "", &[], &[]),
    form("VICReg", "", &[], &[]),
    form("DINO, its backbone", "", &[], &[]),
    form(
        "DINO",
        "teacher.backbone.",
        &[],
        &[
            "student.module.backbone.conv1.weight",
            "teacher.head.mlp.0.weight",
        ],
    ),
];

const VITS: [Form; 2] = [
    form(
        "MoCo v3",
        "state_dict.module.base_encoder.",
        &["head.0.weight", "head.1.running_mean"],
        &["state_dict.module.momentum_encoder.cls_token"],
    ),
    form(
        "DINO",
        "teacher.backbone.",
        &[],
        &[
            "student.module.backbone.cls_token",
            "teacher.head.last_layer.weight_g",
        ],
    ),
];

/// The tensors of a file by key, as shapes and bytes.
fn read(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let entry = |(key, view): (&str, TensorView)| {
        (
            key.to_owned(),
            (view.shape().to_vec(), view.data().to_vec()),
        )
    };
    file.iter().map(|(key, view)| entry((key, view))).collect()
}

/// Writes a checkpoint of a form around the weights of `plain`.
fn write(plain: &Path, form: &Form, path: &Path) {
    let (own, one) = (read(plain).into_iter(), (vec![1], vec![0; 4]));
    let wrapped = own.map(|(key, tensor)| (format!("{}{key}", form.wrapper), tensor));
    let heads = form
        .heads
        .iter()
        .map(|key| format!("{}{key}", form.wrapper));
    let beside = form.beside.iter().map(ToString::to_string);
    let others = heads.chain(beside).map(|key| (key, one.clone()));
    let all: BTreeMap<_, _> = wrapped.chain(others).collect();
    let views = all.iter().map(|(key, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (key, view)
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn features(net: &mut Backbone) -> Vec<f32> {
    let pictures = Tensor::ones([1, 3, 24, 24], &Device::default());
    net.pooled(pictures).into_data().try_to_vec().unwrap()
}

#[track_caller]
fn check(config: impl Into<BackboneConfig>, form: &Form) {
    let (config, device) = (config.into(), Device::default());
    let folder = tempfile::tempdir().unwrap();
    let [plain, path] = ["plain", "form"].map(|it| folder.path().join(format!("{it}.safetensors")));
    let mut published = config.init(1, &device);
    let tensors = export_backbone(&published, &plain).unwrap();
    write(&plain, form, &path);
    let mut net = config.init(2, &device);
    let imported = import_backbone(&mut net, &path).unwrap();
    assert_eq!(imported.loaded, tensors, "{}", form.of);
    assert_eq!(imported.wrapper, form.wrapper, "{}", form.of);
    assert_eq!(imported.ignored, form.heads, "{}", form.of);
    assert_eq!(imported.outside, form.beside.len(), "{}", form.of);
    assert_eq!(features(&mut net), features(&mut published), "{}", form.of);
}

#[test]
fn backbones_come_out_of_the_checkpoints_of_other_methods() {
    for form in &RESNETS {
        let config = ResNetConfig {
            width: 2,
            ..ResNetConfig::resnet18()
        };
        check(config, form);
    }
    for form in &VITS {
        let config = VitConfig {
            width: 12,
            heads: 3,
            depth: 2,
            patch: 4,
            grid: 3,
            ..VitConfig::vit_s16()
        };
        check(config, form);
    }
}

/// The keys tell which network it is; shapes of this width are those of ResNet-18.
#[test]
fn a_checkpoint_of_moco_names_its_backbone() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, path] = ["plain", "form"].map(|it| folder.path().join(format!("{it}.safetensors")));
    let backbone = ResNetConfig::resnet18().init(1, &Device::default());
    export_backbone(&backbone, &plain).unwrap();
    write(&plain, &RESNETS[0], &path);
    assert_eq!(recognise_backbone(&path).unwrap(), ["resnet18"]);
}

/// A layer that no head has is still a mistake.
#[test]
fn other_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, path] = ["plain", "form"].map(|it| folder.path().join(format!("{it}.safetensors")));
    let config = ResNetConfig {
        width: 2,
        ..ResNetConfig::resnet18()
    };
    export_backbone(&config.init(1, &Device::default()), &plain).unwrap();
    let strange = form("?", "module.", &["fc.extra.weight"], &[]);
    write(&plain, &strange, &path);
    let error = import_backbone(&mut config.init(2, &Device::default()), &path).unwrap_err();
    assert!(error.to_string().contains("fc.extra.weight"), "{error}");
}
