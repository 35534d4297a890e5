//! Batch normalisation.

use device_check::{NETWORK, assert_agreement};
use pass_model::norm::{BatchNormConfig, NormMode};

use crate::{MAPS, MODES};

/// Two batches, so that the second one meets moving statistics that the first one moved.
fn check<const D: usize>(shape: [usize; D], config: BatchNormConfig, mode: NormMode) {
    assert_agreement(NETWORK, |lab| {
        let norm = config.init(lab.device());
        let mut norm = lab.module(norm);
        for name in ["first", "second"] {
            let batch = lab.input(name, shape);
            let normalised = norm.forward(batch, mode);
            lab.output(name, normalised);
        }
        lab.buffers(&norm);
    });
}

#[test]
fn a_norm_of_feature_maps_agrees() {
    for mode in MODES {
        check(MAPS, BatchNormConfig::new(6), mode);
    }
}

#[test]
fn a_norm_of_feature_maps_without_affine_parameters_agrees() {
    for mode in MODES {
        check(MAPS, BatchNormConfig::new(6).without_affine(), mode);
    }
}

#[test]
fn a_norm_of_embeddings_agrees() {
    for mode in MODES {
        check([8, 6], BatchNormConfig::new(6), mode);
    }
}

#[test]
fn a_norm_of_embeddings_without_affine_parameters_agrees() {
    for mode in MODES {
        check([8, 6], BatchNormConfig::new(6).without_affine(), mode);
    }
}

#[test]
fn a_frozen_norm_passes_gradients_on_and_moves_its_statistics_alike() {
    use burn::module::Module;
    assert_agreement(NETWORK, |lab| {
        let norm = BatchNormConfig::new(6).init(lab.device());
        let mut norm = lab.module(norm.no_grad());
        let x = lab.input("x", MAPS);
        let normalised = norm.forward(x, NormMode::Batch);
        lab.output("normalised", normalised);
        lab.buffers(&norm);
    });
}
