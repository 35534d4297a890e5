//! What a method promises the trainer: a momentum encoder that starts as a copy, a state that a
//! checkpoint holds whole, and settings with the published constants.

use std::fmt::Debug;

use burn::{
    module::Module,
    tensor::{Device, TensorData},
};
use pass_model::{
    export::export_module,
    group::Group,
    import::import_module,
    method::{
        Method, adco::AdCoConfig, barlow_twins::BarlowTwinsConfig, byol::ByolConfig,
        densecl::DenseClConfig, dino::DinoConfig, emp_ssl::EmpSslConfig, moco_v2::MoCoV2Config,
        moco_v3::MoCoV3Config, pcl::PclConfig, pixpro::PixProConfig, simclr::SimClrConfig,
        simsiam::SimSiamConfig, supervised::SupervisedConfig, swav::SwavConfig,
        vicreg::VicRegConfig,
    },
    optim::GroupRate,
};
use serde::de::DeserializeOwned;

use crate::{
    contrast::{adco, densecl, moco_v2, pcl},
    encoders::{MIXED, PAIR, PATCHES, barlow_twins, dino, emp_ssl, moco_v3, simclr, vicreg},
    two_steps::{Views, batch, loss_of, position, tensors, update},
    without_negatives::{SINGLE, byol, pixpro, simsiam, supervised, swav},
};

/// One step with its update.
fn step<M: Method>(method: &mut M, views: Views, number: usize) {
    let device = Device::default().autodiff();
    let batch = batch(views, 0, number as u64, &device);
    let (_, gradients) = loss_of(method, batch, position(number));
    update(method, &gradients, 1e-3, position(number));
}

/// All that a checkpoint holds of a method.
fn state<M: Method>(method: &mut M) -> Vec<(String, TensorData)> {
    let memory = method.memory().map(|it| it.save(&Group::default()));
    let net = tensors(method.net()).into_iter();
    net.chain(memory.unwrap_or_default()).collect()
}

/// A method that goes on from what the first left behind takes the same second step, to the bit.
#[track_caller]
fn goes_on<M: Method>(make: fn() -> M, views: Views) {
    let (mut whole, mut resumed) = (make(), make());
    step(&mut whole, views, 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    export_module(whole.net(), &path, &str::to_owned).unwrap();
    import_module(resumed.net_mut(), &path, &str::to_owned, &|_| false).unwrap();
    let saved = whole.memory().map(|it| it.save(&Group::default()));
    if let (Some(memory), Some(saved)) = (resumed.memory(), saved) {
        memory.restore(&saved, &Group::default()).unwrap();
    }
    for method in [&mut whole, &mut resumed] {
        step(method, views, 1);
    }
    assert_eq!(state(&mut whole), state(&mut resumed));
}

#[test]
fn a_resumed_method_takes_the_same_step() {
    goes_on(simclr, PAIR);
    goes_on(moco_v3, PAIR);
    goes_on(barlow_twins, PAIR);
    goes_on(vicreg, PAIR);
    goes_on(dino, MIXED);
    goes_on(emp_ssl, PATCHES);
    goes_on(supervised, SINGLE);
    goes_on(simsiam, PAIR);
    goes_on(byol, PAIR);
    goes_on(swav, MIXED);
    goes_on(pixpro, PAIR);
    goes_on(moco_v2, PAIR);
    goes_on(adco, PAIR);
    goes_on(pcl, PAIR);
    goes_on(densecl, PAIR);
}

/// The momentum encoder's parameters and those that it follows, by path.
#[track_caller]
fn starts_as_a_copy<M: Module>(net: &M) {
    let all = tensors(net);
    let twin = all.iter().filter_map(|(key, value)| {
        let followed = key.strip_prefix("momentum.")?;
        Some((&all[followed], value))
    });
    let twin: Vec<_> = twin.collect();
    assert!(twin.len() > 40, "{}", twin.len());
    assert!(twin.iter().all(|(followed, value)| followed == value));
}

#[test]
fn momentum_encoders_start_as_copies() {
    starts_as_a_copy(moco_v3().net());
    starts_as_a_copy(dino().net());
    starts_as_a_copy(byol().net());
    starts_as_a_copy(pixpro().net());
    starts_as_a_copy(moco_v2().net());
    starts_as_a_copy(adco().net());
    starts_as_a_copy(pcl().net());
    starts_as_a_copy(densecl().net());
}

#[test]
fn the_later_steps_get_the_backbone_and_nothing_that_followed_it() {
    #[track_caller]
    fn check<M: Method>(method: M, beside: &str) {
        let keys = tensors(&method.result()).into_keys();
        let mut keys = keys.filter(|key| !key.starts_with("backbone."));
        assert!(keys.all(|key| key.starts_with(beside)), "{beside}");
    }
    check(simclr(), "projector.");
    check(moco_v3(), "projector.");
    check(dino(), "head.");
    check(byol(), "projector.");
    check(pixpro(), "projector.");
    check(moco_v2(), "projector.");
    check(adco(), "projector.");
    check(pcl(), "projector.");
    check(densecl(), "heads.");
    // Of DINO it is the teacher's.
    let mut dino = dino();
    step(&mut dino, MIXED, 0);
    let [result, teacher] = [tensors(&dino.result()), tensors(&dino.net().momentum)];
    assert_eq!(result, teacher);
}

#[test]
fn biases_and_norms_of_barlow_twins_have_a_rate_of_their_own() {
    let method = barlow_twins();
    let groups = method.parameter_groups();
    let [group] = &groups[..] else {
        panic!("{groups:?}")
    };
    assert_eq!(group.rate, GroupRate::Scheduled(0.024));
    let scale = &method.net.projector.layers[0].bn.as_ref().unwrap();
    let scale = scale.gamma.as_ref().unwrap();
    assert!(group.parameters.contains(&scale.id));
    let weight = &method.net.projector.layers[0].linear.weight;
    assert!(!group.parameters.contains(&weight.id));
}

/// The teacher's temperature rises over 30 epochs, both ends among them.
#[test]
fn the_temperature_of_dino_warms_up_by_epochs() {
    let config = DinoConfig {
        teacher_temperature: 0.07,
        warmup_teacher_epochs: 30,
        ..Default::default()
    };
    for (epoch, expected) in [
        (0, 0.04),
        (1, 0.041034),
        (15, 0.055517),
        (29, 0.07),
        (30, 0.07),
    ] {
        let found = config.teacher_temperature_in(epoch);
        assert!((found - expected).abs() < 1e-6, "epoch {epoch}: {found}");
    }
}

/// A section that says nothing is the default, and a slip of the pen is refused.
#[track_caller]
fn is_a_section<C: DeserializeOwned + Default + PartialEq + Debug>() {
    assert_eq!(serde_json::from_str::<C>("{}").unwrap(), C::default());
    let error = serde_json::from_str::<C>(r#"{"temprature": 1}"#).unwrap_err();
    assert!(error.to_string().contains("temprature"), "{error}");
}

#[test]
fn sections_default_to_the_published_constants() {
    is_a_section::<SimClrConfig>();
    is_a_section::<MoCoV3Config>();
    is_a_section::<BarlowTwinsConfig>();
    is_a_section::<VicRegConfig>();
    is_a_section::<DinoConfig>();
    is_a_section::<EmpSslConfig>();
    is_a_section::<SupervisedConfig>();
    is_a_section::<SimSiamConfig>();
    is_a_section::<ByolConfig>();
    is_a_section::<SwavConfig>();
    is_a_section::<PixProConfig>();
    let simsiam = SimSiamConfig::default();
    assert_eq!((simsiam.dim, simsiam.predictor_hidden), (2048, 512));
    let byol = ByolConfig::default();
    assert_eq!((byol.momentum, byol.hidden, byol.dim), (0.99, 4096, 256));
    let pixpro = PixProConfig::default();
    assert_eq!((pixpro.momentum, pixpro.positive_ratio), (0.99, 0.7));
    is_a_section::<MoCoV2Config>();
    is_a_section::<AdCoConfig>();
    is_a_section::<PclConfig>();
    is_a_section::<DenseClConfig>();
    let SimClrConfig {
        temperature, dim, ..
    } = Default::default();
    assert_eq!((temperature, dim), (0.1, 128));
    let moco = MoCoV3Config::default();
    assert_eq!(
        (moco.temperature, moco.momentum, moco.dim),
        (1.0, 0.99, 256)
    );
    let barlow = BarlowTwinsConfig::default();
    assert_eq!((barlow.lambda, barlow.dim), (0.0051, 8192));
    let dino = DinoConfig::default();
    let temperatures = [dino.student_temperature, dino.teacher_temperature];
    assert_eq!((temperatures, dino.prototypes), ([0.1, 0.04], 65_536));
    let moco = MoCoV2Config::default();
    assert_eq!((moco.queue, moco.temperature), (65_536, 0.2));
    assert_eq!((moco.momentum, moco.norms.pictures), (0.999, 32));
    let adco = AdCoConfig::default();
    assert_eq!((adco.temperature, adco.bank.temperature), (0.12, 0.02));
    assert_eq!((adco.bank.lr, adco.bank.weight_decay), (3.0, 1e-4));
    let pcl = PclConfig::default();
    assert_eq!((pcl.queue, pcl.negatives), (16_384, 16_384));
    assert_eq!(pcl.clusters, [25_000, 50_000, 100_000]);
    let dense = DenseClConfig::default();
    assert_eq!((dense.hidden, dense.dense_weight), (2048, 0.5));
}
