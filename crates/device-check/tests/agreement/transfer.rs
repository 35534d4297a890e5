//! What travels between host and device: pictures and checkpoints.

use device_check::{NETWORK, OPERATION, assert_agreement};
use imagenet_s::{pictures_to_tensor, views::MULTI_CROP};
use pass_model::{
    checkpoint::{load_module, save_module},
    heads::ProjectionHeadConfig,
    init::WeightStream,
    norm::NormMode,
};

/// Bytes where the device has them, 32-bit integers elsewhere.
#[test]
fn pictures_become_the_same_tensors() {
    assert_agreement(OPERATION, |lab| {
        let bytes: Vec<u8> = (0..2 * 3 * 5 * 7).map(|at| (at * 37 % 256) as u8).collect();
        let (first, second) = bytes.split_at(3 * 5 * 7);
        let pictures = pictures_to_tensor(&[first, second], 5, 7, &MULTI_CROP, lab.device());
        lab.value("pictures", pictures);
    });
}

/// Trained on a device, saved, loaded there again: also the moving statistics.
#[test]
fn a_saved_head_is_the_same_when_loaded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("head.safetensors");
    assert_agreement(NETWORK, |lab| {
        let config = ProjectionHeadConfig {
            features: 6,
            hidden: 10,
            embedding: 5,
        };
        let mut saved = config.init(&mut WeightStream::new(3), lab.device());
        let features = lab.constant([8, 6]);
        saved.forward(features.clone(), NormMode::Batch);
        save_module(&saved, &path).expect("a writable folder");
        let mut loaded = config.init(&mut WeightStream::new(4), lab.device());
        load_module(&mut loaded, &path).expect("the file just written");
        lab.value("embeddings", loaded.forward(features, NormMode::Moving));
    });
}
