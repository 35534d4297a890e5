//! SimCLR, MoCo v3, Barlow Twins, VICReg, DINO and EMP-SSL.

use burn::tensor::Device;
use pass_model::method::{
    Method,
    barlow_twins::{BarlowTwins, BarlowTwinsConfig},
    dino::{Dino, DinoConfig},
    emp_ssl::{EmpSsl, EmpSslConfig},
    moco_v3::{MoCoV3, MoCoV3Config},
    simclr::{SimClr, SimClrConfig},
    vicreg::{VicReg, VicRegConfig},
};

use crate::two_steps::{PICTURES, Views, agrees, backbone};

/// Two crops.
pub(crate) const PAIR: Views = &[(2, 32)];
/// Two global and two local crops.
pub(crate) const MIXED: Views = &[(2, 32), (2, 16)];
/// Three patches.
pub(crate) const PATCHES: Views = &[(3, 32)];

fn device() -> Device {
    Device::default().autodiff()
}

pub(crate) fn simclr() -> SimClr {
    let config = SimClrConfig {
        temperature: 0.2,
        dim: 6,
        ..Default::default()
    };
    SimClr::new(config, &backbone(), PICTURES, 0, &device())
}

pub(crate) fn moco_v3() -> MoCoV3 {
    let config = MoCoV3Config {
        temperature: 0.5,
        momentum: 0.9,
        hidden: 10,
        dim: 6,
        ..Default::default()
    };
    MoCoV3::new(config, &backbone(), PICTURES, 0, &device())
}

pub(crate) fn barlow_twins() -> BarlowTwins {
    let config = BarlowTwinsConfig {
        lambda: 0.02,
        hidden: 10,
        dim: 6,
        ..Default::default()
    };
    BarlowTwins::new(config, &backbone(), 0, &device())
}

pub(crate) fn vicreg() -> VicReg {
    let config = VicRegConfig {
        hidden: 10,
        dim: 6,
        ..Default::default()
    };
    VicReg::new(config, &backbone(), 0, &device())
}

pub(crate) fn dino() -> Dino {
    let config = DinoConfig {
        prototypes: 8,
        hidden: 10,
        bottleneck: 6,
        student_temperature: 0.2,
        teacher_temperature: 0.08,
        warmup_teacher_temperature: 0.05,
        warmup_teacher_epochs: 2,
        momentum: 0.9,
        centre_momentum: 0.8,
        ..Default::default()
    };
    Dino::new(config, &backbone(), 0, &device())
}

pub(crate) fn emp_ssl() -> EmpSsl {
    let config = EmpSslConfig {
        hidden: 10,
        dim: 6,
        ..Default::default()
    };
    EmpSsl::new(config, &backbone(), 0, &device())
}

#[test]
fn two_steps_of_simclr_agree() {
    agrees("simclr", simclr(), PAIR, &device());
}

#[test]
fn two_steps_of_moco_v3_agree() {
    agrees("moco_v3", moco_v3(), PAIR, &device());
}

#[test]
fn two_steps_of_barlow_twins_agree() {
    agrees("barlow_twins", barlow_twins(), PAIR, &device());
}

#[test]
fn two_steps_of_vicreg_agree() {
    agrees("vicreg", vicreg(), PAIR, &device());
}

#[test]
fn two_steps_of_dino_agree() {
    agrees("dino", dino(), MIXED, &device());
}

#[test]
fn two_steps_of_emp_ssl_agree() {
    agrees("emp_ssl", emp_ssl(), PATCHES, &device());
}

/// Those whose loss is one of batches are refused in parts.
#[test]
fn every_loss_looks_across_the_batch() {
    let reasons = [
        simclr().across_batch(),
        moco_v3().across_batch(),
        barlow_twins().across_batch(),
        vicreg().across_batch(),
        dino().across_batch(),
        emp_ssl().across_batch(),
    ];
    assert!(reasons.iter().all(Option::is_some));
}
