//! Whole training steps agree with PyTorch in float64: loss terms, all gradients, and parameters and
//! moving statistics after three updates.
//!
//! `oracle/make_steps.py` made the fixtures from `oracle/method.py`, which was written from the
//! description of the method. The tolerances and their reasons are in `common/steps.rs`.

#[path = "common/steps.rs"]
mod steps;

use pass_model::group::Group;
use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use pass_model::{
    backbone::resnet_key,
    import::{import_backbone, import_pretrain_net, pass_key},
    init::name_parameters,
    loss::{
        PretrainLossConfig, pixel_consistency_loss, pixel_cross_entropy, positive_pairs,
        pretrain_loss,
    },
    method::pass::ConsistencyConfig,
    momentum_encoder::{MomentumSchedule, frozen_copy},
    norm::NormMode,
    optim::{CosineSchedule, LarsConfig},
    overlap::OverlapPoints,
    pass_p_net::{MomentumEncoder, PassPNet, PassPNetConfig},
    pretrain_net::PretrainNet,
    resize::upsample_bilinear,
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};
use steps::{Fixture, ITERATIONS, PICTURES, SHALLOW, UPDATES, by_key, named};

fn schedule(base: f64) -> CosineSchedule {
    CosineSchedule::new(base, 6e-4, ITERATIONS)
}

fn pass_s_tensors(net: &PretrainNet) -> BTreeMap<String, TensorData> {
    by_key(net, |path| pass_key(resnet_key, path, &SHALLOW))
}

#[test]
fn three_steps_of_pass_s_agree() {
    let device = Device::default().autodiff();
    let (inputs, fixture) = (
        Fixture::open("step_inputs.npz"),
        Fixture::open("pass_s_step.npz"),
    );
    let mut net = steps::config().init(0, &device);
    import_pretrain_net(&mut net, &steps::place("step_weights.safetensors")).unwrap();
    let start = pass_s_tensors(&net);
    let mut queue = inputs.queue(&device);
    let mut optimizer = LarsConfig::default().init();
    for update in 0..UPDATES {
        net.prototypes.normalize();
        let groups = ["global", "local"].map(|name| inputs.pictures(name, &device));
        let output = net.forward(groups.into(), Some(inputs.grids(&device)), NormMode::Batch);
        let prototypes = net.prototypes.weights();
        let config = PretrainLossConfig::default();
        let terms = pretrain_loss(
            output,
            prototypes,
            Some(&mut queue),
            &config,
            4,
            &Group::default(),
        )
        .terms;
        fixture.check_losses(update, &named(&terms.values()));
        let gradients = terms.total.backward();
        if update == 0 {
            let gradients = steps::gradients_of(&net, &gradients);
            steps::check_gradients(&pass_s_tensors(&gradients), &fixture.group("grad"));
        }
        let mut gradients = GradientsParams::from_grads(gradients, &net);
        if update == 0 {
            gradients.remove::<2>(net.prototypes.weight.id);
        }
        net = optimizer.step(schedule(0.6).rate(update), net, gradients);
    }
    steps::check_moved(&fixture, 0.6, &start, &pass_s_tensors(&net));
}

/// The published keys for what PASS_s has too, our own paths for the rest.
fn pass_p_key(path: &str) -> String {
    if let Some(path) = path.strip_prefix("base.") {
        return pass_key(resnet_key, path, &SHALLOW);
    }
    match path.strip_prefix("momentum.backbone.") {
        Some(path) => format!("momentum.{}", resnet_key(path)),
        None => path.to_owned(),
    }
}

/// The start of the fixture: its momentum encoder has three quarters of the trained parameters.
fn pass_p_net(inputs: &Fixture, device: &Device) -> PassPNet {
    let config = PassPNetConfig {
        base: steps::config(),
        consistency: ConsistencyConfig {
            hidden: 10,
            dim: 6,
            ..Default::default()
        },
    };
    let mut net = config.init(0, device);
    import_pretrain_net(&mut net.base, &steps::place("step_weights.safetensors")).unwrap();
    net = steps::filled(net, pass_p_key, &inputs.group("pass_p"));
    let copy = frozen_copy(&MomentumEncoder {
        backbone: net.base.backbone.clone(),
        projection: net.consistency.projection.clone(),
    });
    net.momentum = copy.map(&mut ThreeQuarters::default());
    name_parameters(net)
}

#[derive(Default)]
struct ThreeQuarters {
    field: String,
}

impl ModuleMapper for ThreeQuarters {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.field = name.to_owned();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.field.starts_with("running_") {
            return param;
        }
        Param::initialized(param.id, param.val() * 0.75)
    }
}

#[test]
fn three_steps_of_pass_p_agree() {
    let device = Device::default().autodiff();
    let (inputs, fixture) = (
        Fixture::open("step_inputs.npz"),
        Fixture::open("pass_p_step.npz"),
    );
    let mut net = pass_p_net(&inputs, &device);
    let start = by_key(&net, pass_p_key);
    // The published start: a hundredth of the rate, five epochs of warm-up.
    let warm_up = CosineSchedule::new(1.0, 1e-6, 500_000).with_warmup(0.01, 25_000);
    let momentum = MomentumSchedule {
        base: 0.99,
        total: ITERATIONS,
    };
    let frames = inputs.tensor::<2>("frames", &device);
    let mut queue = inputs.queue(&device);
    let mut optimizer = LarsConfig::pixpro().init();
    for update in 0..UPDATES {
        net.base.prototypes.normalize();
        net.follow(momentum.momentum(update));
        let points = OverlapPoints::all(inputs.grids(&device));
        let groups = vec![inputs.pictures("global", &device)];
        let output = net.forward(groups, Some(points), NormMode::Batch);
        let [_, _, height, width] = output.target.dims();
        let pairs = positive_pairs(frames.clone(), [height, width], 0.7);
        assert_eq!(
            f64::from(pairs.clone().sum().into_scalar::<f32>()),
            fixture.number("pairs")
        );
        let consistency = pixel_consistency_loss(output.propagated, output.target, pairs);
        let prototypes = net.base.prototypes.weights();
        let config = PretrainLossConfig::default();
        let loss = pretrain_loss(
            output.base,
            prototypes,
            Some(&mut queue),
            &config,
            2,
            &Group::default(),
        );
        let terms = loss.terms.with_consistency(consistency, 1.0);
        fixture.check_losses(update, &named(&terms.values()));
        let gradients = terms.total.backward();
        if update == 0 {
            let gradients = steps::gradients_of(&net, &gradients);
            steps::check_gradients(&by_key(&gradients, pass_p_key), &fixture.group("grad"));
        }
        let mut gradients = GradientsParams::from_grads(gradients, &net);
        if update == 0 {
            gradients.remove::<2>(net.base.prototypes.weight.id);
        }
        net = optimizer.step(warm_up.rate(update), net, gradients);
    }
    steps::check_moved(&fixture, 0.01, &start, &by_key(&net, pass_p_key));
}

#[test]
fn three_steps_of_fine_tuning_agree() {
    let device = Device::default().autodiff();
    let (inputs, fixture) = (
        Fixture::open("step_inputs.npz"),
        Fixture::open("finetune_step.npz"),
    );
    let config = SegmentationNetConfig {
        backbone: steps::config().network.backbone,
        classes: 5,
        head: HeadDraw::He,
    };
    let key = |path: &str| pass_key(resnet_key, path, &[]);
    let mut net = config.init(0, &device);
    import_backbone(&mut net.backbone, &steps::place("step_weights.safetensors")).unwrap();
    net = steps::filled(net, key, &inputs.group("finetune"));
    let start = by_key(&net, key);
    let pictures = inputs.pictures("global", &device).narrow(0, 0, PICTURES);
    let labels = inputs.labels(&Device::default());
    let [_, height, width] = labels.dims();
    let mut optimizer = LarsConfig::default().init();
    for update in 0..UPDATES {
        let logits = net.forward(pictures.clone(), NormMode::Batch);
        let loss = pixel_cross_entropy(upsample_bilinear(logits, [height, width]), labels.clone());
        let value = f64::from(loss.clone().into_scalar::<f32>());
        fixture.check_losses(update, &[("cross_entropy", value)]);
        let gradients = loss.backward();
        if update == 0 {
            let gradients = steps::gradients_of(&net, &gradients);
            steps::check_gradients(&by_key(&gradients, key), &fixture.group("grad"));
        }
        let gradients = GradientsParams::from_grads(gradients, &net);
        net = optimizer.step(schedule(0.6).rate(update), net, gradients);
    }
    steps::check_moved(&fixture, 0.6, &start, &by_key(&net, key));
}
