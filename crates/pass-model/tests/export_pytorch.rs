//! Backbones go to torchvision and timm and come from there. The networks of PASS are tested with
//! the pixel attention, in `pixel-attention/tests/published_weights.rs`.

use burn::tensor::Device;
use golden::run_python;
use pass_model::{backbone::ResNetConfig, export::export_backbone, import::import_backbone};

/// Both have the same keys for plain ResNets; with the classifier left out, nothing else differs.
#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn torchvision_and_timm_load_an_exported_backbone_into_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet50.safetensors");
    let net = ResNetConfig::resnet50().init(3, &Device::default());
    export_backbone(&net, &path).unwrap();
    let script = "
import sys, timm, torch, torchvision
from safetensors.torch import load_file
state = load_file(sys.argv[1])
made = [torchvision.models.resnet50(), timm.create_model('resnet50')]
for net in made:
    keys = net.load_state_dict(state, strict=False)
    left = [key for key in keys.missing_keys if not key.endswith('num_batches_tracked')]
    assert left == ['fc.weight', 'fc.bias'] and not keys.unexpected_keys, (left, keys.unexpected_keys)
";
    run_python(["-c", script, path.to_str().unwrap()]);
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
