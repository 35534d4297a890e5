//! Batch normalisation.

use burn::tensor::Tensor;
use device_check::{NETWORK, assert_agreement};
use pass_model::{
    group::{Communicator, Group},
    norm::{BatchNormConfig, NormMode},
};

use crate::{MAPS, MODES};

/// One of two ranks that hold the same: the sum of both is twice the own.
#[derive(Debug)]
struct Twin;

impl Communicator for Twin {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        2
    }

    fn sum_tensor(&self, tensor: Tensor<1>) -> Tensor<1> {
        tensor * 2.0
    }

    fn sum(&self, values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value *= 2.0);
    }

    fn sum_f64(&self, values: &mut [f64]) {
        values.iter_mut().for_each(|value| *value *= 2.0);
    }

    fn max(&self, _: &mut [f32]) {}

    fn broadcast(&self, _: usize, _: &mut [u8]) {}

    fn barrier(&self) {}
}

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
fn a_norm_over_ranks_agrees() {
    let ranks = NormMode::Group(&Group::new(Twin));
    check(MAPS, BatchNormConfig::new(6), ranks);
    check(MAPS, BatchNormConfig::new(6).without_affine(), ranks);
    check([8, 6], BatchNormConfig::new(6), ranks);
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
