//! Methods of pre-training whose statistics are those of all ranks.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Distribution, Gradients, Tensor, TensorData},
};
use pass_model::{
    backbone::{BackboneConfig, ResNetConfig},
    group::Group,
    method::{
        Method, Position, ViewBatch,
        adco::{AdCo, AdCoConfig},
        barlow_twins::{BarlowTwins, BarlowTwinsConfig},
        byol::{Byol, ByolConfig},
        densecl::{DenseCl, DenseClConfig},
        dino::{Dino, DinoConfig},
        emp_ssl::{EmpSsl, EmpSslConfig},
        moco_v2::{MoCoV2, MoCoV2Config},
        moco_v3::{MoCoV3, MoCoV3Config},
        pixpro::{PixPro, PixProConfig},
        simclr::{SimClr, SimClrConfig},
        simsiam::{SimSiam, SimSiamConfig},
        vicreg::{VicReg, VicRegConfig},
    },
    shuffle::KeyNormsConfig,
};
use pass_ranks::ThreadRanks;

use crate::training_device;

const PICTURES: usize = 8;
const RANKS: usize = 2;
/// Of the loss; the norms of a rank add up in another order.
const LOSS: f32 = 1e-5;
/// Of the length of a gradient.
const GRADIENT: f32 = 2e-3;

const AT: Position = Position {
    epoch: 1,
    iteration: 1,
    iterations: 4,
    lr: 0.0,
};

fn backbone() -> BackboneConfig {
    let small = ResNetConfig::small();
    ResNetConfig { width: 2, ..small }.into()
}

/// Two views, `[2, pictures, 3, side, side]`.
fn pictures() -> Tensor<5> {
    let device = Device::flex();
    device.seed(3);
    Tensor::random([2, PICTURES, 3, 32, 32], Distribution::Default, &device)
}

/// The left half of each picture, and all of it.
fn frames(count: usize, device: &Device) -> Tensor<2> {
    let frame = |crop: usize| match crop < count {
        true => [0.0f32, 0.0, 0.5, 1.0],
        false => [0.0, 0.0, 1.0, 1.0],
    };
    let values: Vec<f32> = (0..2 * count).flat_map(frame).collect();
    Tensor::from_data(TensorData::new(values, [2 * count, 4]), device)
}

/// A rank's share of the pictures.
fn share(pictures: &Tensor<5>, group: &Group) -> ViewBatch {
    let count = PICTURES / group.size();
    let own = pictures.clone().narrow(1, group.rank() * count, count);
    let own = own.reshape([2 * count, 3, 32, 32]).into_data();
    let device = training_device();
    ViewBatch {
        groups: vec![Tensor::from_data(own, &device)],
        crops: vec![2],
        frames: frames(count, &device),
        overlap: None,
        pictures: (0..count).collect(),
        labels: vec![0; count],
        watched: false,
    }
}

/// All gradients of a module, one after the other, each over its share of the ranks.
struct Flat<'a> {
    gradients: &'a Gradients,
    values: Vec<Vec<f32>>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            self.values.push(gradient.into_data().try_to_vec().unwrap());
        }
    }
}

/// The loss of a rank and the gradients of the network.
fn step<M: Method>(method: &mut M, pictures: &Tensor<5>, group: &Group) -> (f32, Vec<Vec<f32>>) {
    method.before_step(AT, group);
    let loss = method.loss(share(pictures, group), group).total;
    let gradients = loss.clone().backward();
    let mut flat = Flat {
        gradients: &gradients,
        values: Vec::new(),
    };
    method.net().visit(&mut flat);
    (loss.into_scalar(), flat.values)
}

/// The trainer takes the mean over ranks, of losses and of gradients.
#[track_caller]
fn agree<M: Method>(make: fn() -> M) {
    let pictures = pictures();
    let (loss, gradients) = step(&mut make(), &pictures, &Group::default());
    let steps = ThreadRanks::run(RANKS, |ranks| step(&mut make(), &pictures, &ranks));
    let mean = steps.iter().map(|(loss, _)| loss).sum::<f32>() / RANKS as f32;
    assert!(
        (mean - loss).abs() < LOSS * loss.abs(),
        "{mean}, not {loss}"
    );
    let longest = gradients.iter().map(|it| length(it)).fold(0.0, f32::max);
    for (index, expected) in gradients.iter().enumerate() {
        let at = |i: usize| steps.iter().map(|(_, all)| all[index][i]).sum::<f32>() / RANKS as f32;
        let apart: Vec<f32> = (0..expected.len()).map(|i| at(i) - expected[i]).collect();
        let allowed = GRADIENT * length(expected) + 1e-6 * longest;
        assert!(
            length(&apart) < allowed,
            "gradient {index}: {}",
            length(&apart)
        );
    }
}

fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

#[test]
fn contrasts_of_a_batch_agree() {
    agree(|| {
        let config = SimClrConfig {
            dim: 6,
            ..Default::default()
        };
        SimClr::new(config, &backbone(), PICTURES, 1, &training_device())
    });
    agree(|| {
        let config = MoCoV3Config {
            hidden: 10,
            dim: 6,
            ..Default::default()
        };
        MoCoV3::new(config, &backbone(), PICTURES, 1, &training_device())
    });
}

#[test]
fn regressions_agree() {
    agree(|| {
        let config = SimSiamConfig {
            dim: 6,
            predictor_hidden: 10,
            ..Default::default()
        };
        SimSiam::new(config, &backbone(), 1, &training_device())
    });
    agree(|| {
        let config = ByolConfig {
            hidden: 10,
            dim: 6,
            ..Default::default()
        };
        Byol::new(config, &backbone(), 1, &training_device())
    });
    agree(|| {
        let config = PixProConfig {
            hidden: 10,
            dim: 6,
            instance_weight: 0.5,
            ..Default::default()
        };
        PixPro::new(config, &backbone(), 1, &training_device())
    });
}

#[test]
fn covariances_of_a_batch_agree() {
    agree(|| {
        let config = BarlowTwinsConfig {
            hidden: 10,
            dim: 6,
            ..Default::default()
        };
        BarlowTwins::new(config, &backbone(), 1, &training_device())
    });
    agree(|| {
        let config = VicRegConfig {
            hidden: 10,
            dim: 6,
            ..Default::default()
        };
        VicReg::new(config, &backbone(), 1, &training_device())
    });
    agree(|| {
        let config = EmpSslConfig {
            hidden: 10,
            dim: 6,
            ..Default::default()
        };
        EmpSsl::new(config, &backbone(), 1, &training_device())
    });
}

fn dino() -> Dino {
    let config = DinoConfig {
        prototypes: 8,
        hidden: 10,
        bottleneck: 6,
        ..Default::default()
    };
    Dino::new(config, &backbone(), 1, &training_device())
}

#[test]
fn dino_and_its_centre_agree() {
    agree(dino);
    let pictures = pictures();
    let centre = |group: &Group| {
        let mut method = dino();
        step(&mut method, &pictures, group);
        method
            .centre
            .value()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap()
    };
    let expected = centre(&Group::default());
    for found in ThreadRanks::run(RANKS, |ranks| centre(&ranks)) {
        let apart: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        assert!(length(&apart) < 1e-5 * length(&expected), "{found:?}");
    }
}

/// Statistics of all ranks, and those of one rank each: keys then come from the other rank too.
const KEY_NORMS: [KeyNormsConfig; 2] = [
    KeyNormsConfig {
        pictures: 0,
        shuffle_keys: true,
    },
    KeyNormsConfig {
        pictures: PICTURES / RANKS,
        shuffle_keys: true,
    },
];

fn moco_v2(norms: KeyNormsConfig) -> MoCoV2 {
    let config = MoCoV2Config {
        queue: 2 * PICTURES,
        dim: 6,
        norms,
        ..Default::default()
    };
    MoCoV2::new(config, &backbone(), 1, &training_device())
}

fn adco(norms: KeyNormsConfig, full: bool) -> AdCo {
    let mut config = AdCoConfig {
        dim: 6,
        norms,
        ..Default::default()
    };
    config.bank.rows = PICTURES;
    let mut method = AdCo::new(config, &backbone(), PICTURES, 1, &training_device());
    if full {
        method.bank.stage_keys(method.bank.vectors());
        method.bank.apply();
    }
    method
}

#[test]
fn contrasts_against_earlier_keys_agree() {
    agree(|| moco_v2(KEY_NORMS[0]));
    agree(|| moco_v2(KEY_NORMS[1]));
    agree(|| {
        let config = DenseClConfig {
            queue: 2 * PICTURES,
            hidden: 10,
            dim: 6,
            norms: KEY_NORMS[1],
            ..Default::default()
        };
        DenseCl::new(config, &backbone(), 1, &training_device())
    });
    agree(|| adco(KEY_NORMS[1], false));
    agree(|| adco(KEY_NORMS[1], true));
}

/// What a method saves behind a step of all ranks is what one process would.
#[track_caller]
fn memories_agree<M: Method>(make: fn() -> M) {
    let pictures = pictures();
    let saved = |group: &Group| -> Vec<f32> {
        let mut method = make();
        step(&mut method, &pictures, group);
        method.after_update(AT, group);
        let saved = method.memory().unwrap().save(group);
        saved
            .values()
            .flat_map(|data| data.iter::<f32>().collect::<Vec<_>>())
            .collect()
    };
    let expected = saved(&Group::default());
    for found in ThreadRanks::run(RANKS, |ranks| saved(&ranks)) {
        let apart: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        assert!(
            length(&apart) < 1e-4 * length(&expected),
            "{}",
            length(&apart)
        );
    }
}

#[test]
fn ring_and_bank_are_those_of_one_process() {
    memories_agree(|| moco_v2(KEY_NORMS[1]));
    memories_agree(|| adco(KEY_NORMS[1], false));
    memories_agree(|| adco(KEY_NORMS[1], true));
}
