//! Backbones go to torchvision and timm and come from there. The networks of PASS are tested with
//! the pixel attention, in `pixel-attention/tests/published_weights.rs`.

use burn::tensor::Device;
use golden::run_python;
use pass_model::{
    backbone::{BackboneConfig, ResNetConfig},
    export::export_backbone,
    import::import_backbone,
};

/// The name of a backbone, and the models whose keys its export has.
const MODELS: [(&str, &[&str]); 12] = [
    ("resnet18", &["torchvision:resnet18", "timm:resnet18"]),
    (
        "resnext50",
        &["torchvision:resnext50_32x4d", "timm:resnext50_32x4d"],
    ),
    ("res2net50", &["timm:res2net50_26w_4s"]),
    ("res2net50d", &["timm:res2net50d"]),
    ("densenet161", &["torchvision:densenet161"]),
    ("inception_v3", &["torchvision:inception_v3"]),
    ("efficientnet_b3", &["torchvision:efficientnet_b3"]),
    ("efficientnet_lite0", &["timm:tf_efficientnet_lite0"]),
    ("swin_t", &["timm:swin_tiny_patch4_window7_224"]),
    ("convnext_t", &["timm:convnext_tiny"]),
    ("vit_s16", &["timm:vit_small_patch16_224"]),
    ("dinov2_s14", &["timm:vit_small_patch14_dinov2"]),
];

/// With the classifier, counters and tables that follow from the shape left out, nothing differs.
#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn torchvision_and_timm_load_exported_backbones_into_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec![];
    for (name, models) in MODELS {
        let path = folder.path().join(format!("{name}.safetensors"));
        let net = BackboneConfig::named(name).unwrap();
        export_backbone(&net.init(3, &Device::default()), &path).unwrap();
        let path = path.to_str().unwrap();
        arguments.extend(models.iter().map(|model| format!("{model}={path}")));
    }
    let script = "
import sys, timm, torchvision
from safetensors.torch import load_file
MAY_LACK = ('num_batches_tracked', 'relative_position_index', 'attn_mask')
CLASSIFIERS = ('fc.', 'classifier.', 'head.fc.', 'head.weight', 'head.bias', 'AuxLogits.')
wrong = []
for argument in sys.argv[1:]:
    model, path = argument.split('=')
    package, name = model.split(':')
    made = torchvision.models.get_model(name, weights=None) if package == 'torchvision' else timm.create_model(name)
    found = made.load_state_dict(load_file(path), strict=False)
    left = [k for k in found.missing_keys if not k.endswith(MAY_LACK) and not k.startswith(CLASSIFIERS)]
    if left or found.unexpected_keys:
        wrong.append((model, left[:5], found.unexpected_keys[:5]))
assert not wrong, wrong
";
    let options = ["-c".to_owned(), script.to_owned()];
    run_python(options.into_iter().chain(arguments));
}

/// The other way round: a model of timm's becomes a backbone.
#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn a_backbone_of_timm_is_imported_from_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timm.safetensors");
    let script = "
import sys, timm
from safetensors.torch import save_file
save_file(timm.create_model('resnet18').state_dict(), sys.argv[1])
";
    run_python(["-c", script, path.to_str().unwrap()]);
    let mut net = ResNetConfig::resnet18().init(3, &Device::default());
    let imported = import_backbone(&mut net, &path).unwrap();
    assert!(imported.ignored.contains(&"fc.weight".to_owned()));
}
