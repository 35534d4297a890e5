//! The classifier that lies beside a backbone in its file.

use burn::tensor::Device;
use pass_model::{
    Error,
    backbone::{BackboneConfig, EfficientNetConfig},
    import::{keys_of_backbone, read_classifier},
};

use crate::{
    hashed::values,
    oracle::{spelling, write_weights},
};

fn tiny() -> BackboneConfig {
    let config = EfficientNetConfig {
        channels: [2, 2, 2, 2, 3, 3, 3, 4, 5],
        depths: [1; 7],
        ..EfficientNetConfig::b3()
    };
    config.into()
}

#[test]
fn a_classifier_is_read_as_it_lies_in_the_file() {
    let net = tiny().init(0, &Device::default());
    let mut keys = keys_of_backbone(&net, spelling(&net, "timm"));
    keys.insert("classifier.weight".into(), vec![3, 5]);
    keys.insert("classifier.bias".into(), vec![3]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    write_weights(&path, &keys);
    let classifier = read_classifier(&path, &net).unwrap();
    let number = |key: &str| keys.keys().position(|known| known == key).unwrap() as u64;
    let rows = values(number("classifier.weight"), "classifier.weight", &[3, 5]);
    let weight = classifier.weight.val().transpose().into_data();
    assert_eq!(weight.try_to_vec::<f32>().unwrap(), rows);
    let expected = values(number("classifier.bias"), "classifier.bias", &[3]);
    let bias = classifier.bias.unwrap().val().into_data();
    assert_eq!(bias.try_to_vec::<f32>().unwrap(), expected);
}

#[test]
fn a_file_without_a_classifier_has_none() {
    let net = tiny().init(0, &Device::default());
    let mut keys = keys_of_backbone(&net, spelling(&net, "timm"));
    keys.retain(|key, _| !key.starts_with("classifier"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    write_weights(&path, &keys);
    let Error::Mismatch { mismatch, .. } = read_classifier(&path, &net).unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(mismatch.missing, ["classifier.weight", "classifier.bias"]);
}
