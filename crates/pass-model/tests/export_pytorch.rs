//! Backbones go to torchvision and timm and come from there. The networks of PASS are tested with
//! the pixel attention, in `pixel-attention/tests/published_weights.rs`.
//!
//! Runs where a Python with torch, torchvision, timm and safetensors is at hand: `$PYTHON`, else
//! `python3`.

use std::process::Command;

use burn::tensor::Device;
use pass_model::{backbone::ResNetConfig, export::export_backbone, import::import_backbone};

/// A Python that can import `modules`, or a printed line and `None`.
fn python(modules: &str) -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} lacks one of {modules}; name one that has them in PYTHON");
    None
}

fn run(python: &str, arguments: &[&str]) {
    let output = Command::new(python).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// Both have the same keys for plain ResNets; with the classifier left out, nothing else differs.
#[test]
fn torchvision_and_timm_load_an_exported_backbone() {
    let Some(python) = python("torch, torchvision, timm, safetensors") else {
        return;
    };
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
    run(&python, &["-c", script, path.to_str().unwrap()]);
}

/// The other way round: a model of timm's becomes a backbone.
#[test]
fn a_backbone_of_timm_is_imported() {
    let Some(python) = python("timm, safetensors") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timm.safetensors");
    let script = "
import sys, timm
from safetensors.torch import save_file
save_file(timm.create_model('resnet18').state_dict(), sys.argv[1])
";
    run(&python, &["-c", script, path.to_str().unwrap()]);
    let mut net = ResNetConfig::resnet18().init(3, &Device::default());
    let imported = import_backbone(&mut net, &path).unwrap();
    assert!(imported.ignored.contains(&"fc.weight".to_owned()));
}
