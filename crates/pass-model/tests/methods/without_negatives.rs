//! Supervised training, SimSiam, BYOL, SwAV and PixPro, none of which has negatives.

use burn::tensor::Device;
use pass_model::{
    loss::SwappedPredictionConfig,
    method::{
        Method,
        byol::{Byol, ByolConfig},
        pass::Pass,
        pixpro::{PixPro, PixProConfig},
        simsiam::{SimSiam, SimSiamConfig},
        supervised::{Supervised, SupervisedConfig},
        swav::SwavConfig,
    },
    optim::{GroupRate, parameters_of},
    pretrain_net::NetworkConfig,
    queue::SwavQueue,
};

use crate::{
    encoders::{MIXED, PAIR},
    two_steps::{PICTURES, Views, agrees, backbone, batch, loss_of, position},
};

/// One crop.
pub(crate) const SINGLE: Views = &[(1, 32)];
const CLASSES: usize = 5;
const DIM: usize = 6;

fn device() -> Device {
    Device::default().autodiff()
}

pub(crate) fn supervised() -> Supervised {
    let config = SupervisedConfig {
        label_smoothing: 0.1,
    };
    Supervised::new(config, &backbone(), CLASSES, 0, &device())
}

pub(crate) fn simsiam() -> SimSiam {
    let config = SimSiamConfig {
        dim: DIM,
        predictor_hidden: 10,
        ..Default::default()
    };
    SimSiam::new(config, &backbone(), 0, &device())
}

pub(crate) fn byol() -> Byol {
    let config = ByolConfig {
        momentum: 0.9,
        hidden: 10,
        dim: DIM,
    };
    Byol::new(config, &backbone(), 0, &device())
}

pub(crate) fn swav() -> Pass {
    let network = NetworkConfig {
        backbone: backbone(),
        hidden: 10,
        feature_dim: DIM,
        prototypes: 7,
    };
    let swapped = SwappedPredictionConfig {
        temperature: 0.2,
        epsilon: 0.3,
        queue_length: 0,
        ..Default::default()
    };
    let queue = SwavQueue::new(0, [PICTURES, DIM], 0, &device());
    SwavConfig { last_norm: false }.init(network, swapped, 1, queue, 0, &device())
}

pub(crate) fn pixpro() -> PixPro {
    let config = PixProConfig {
        hidden: 10,
        dim: DIM,
        momentum: 0.9,
        instance_weight: 0.5,
        ..Default::default()
    };
    PixPro::new(config, &backbone(), 0, &device())
}

#[test]
fn two_steps_of_supervised_training_agree() {
    agrees("supervised", supervised(), SINGLE, &device());
}

#[test]
fn two_steps_of_simsiam_agree() {
    agrees("simsiam", simsiam(), PAIR, &device());
}

#[test]
fn two_steps_of_byol_agree() {
    agrees("byol", byol(), PAIR, &device());
}

#[test]
fn two_steps_of_swav_agree() {
    agrees("swav", swav(), MIXED, &device());
}

#[test]
fn two_steps_of_pixpro_agree() {
    agrees("pixpro", pixpro(), PAIR, &device());
}

#[test]
fn the_predictor_of_simsiam_keeps_its_rate() {
    let method = simsiam();
    let groups = method.parameter_groups();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].rate, GroupRate::Constant(1.0));
    assert_eq!(groups[0].parameters, parameters_of(&method.net.predictor));
}

/// Without whole pictures PixPro has no heads for them, and the pixels' loss alone.
#[test]
fn pixpro_as_published_looks_at_pixels_alone() {
    let config = PixProConfig {
        hidden: 10,
        dim: DIM,
        ..Default::default()
    };
    let mut method = PixPro::new(config, &backbone(), 0, &device());
    assert!(method.net.instance.is_none());
    let batch = batch(PAIR, 0, 0, &device());
    let (loss, _) = loss_of(&mut method, batch, position(0));
    let names: Vec<_> = loss.terms.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["pixels"]);
}
