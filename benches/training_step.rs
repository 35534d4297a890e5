//! How long does one step of the pre-training take: forward, losses, backward and LARS?
//!
//! A network for small pictures on the CPU; the pictures are ready, loading them is not measured.

use pass_model::group::Group;
use std::time::Duration;

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use luss_benches::Noise;
use pass_model::{
    backbone::ResNetConfig,
    loss::{LossTerms, PretrainLossConfig, pretrain_loss},
    norm::NormMode,
    optim::LarsConfig,
    pretrain_net::{NetworkConfig, PretrainNet, PretrainNetConfig},
};

const BATCH: usize = 32;
const CROPS: usize = 2;
const SIDE_PX: usize = 64;

/// Low, so that the weights stay sound however many steps are timed.
const RATE: f64 = 0.01;

fn config() -> PretrainNetConfig {
    PretrainNetConfig {
        network: NetworkConfig {
            backbone: ResNetConfig {
                width: 16,
                ..ResNetConfig::small()
            }
            .into(),
            hidden: 128,
            feature_dim: 16,
            prototypes: 64,
        },
        shallow: vec![3],
        ..Default::default()
    }
}

struct Training {
    net: PretrainNet,
    optimizer: ModuleOptimizer,
    pictures: Tensor<4>,
    grids: Tensor<3>,
}

impl Training {
    fn new(device: &Device) -> Self {
        let (mut noise, rows) = (Noise::new(6), CROPS * BATCH);
        Self {
            net: config().init(7, device),
            optimizer: LarsConfig::default().init(),
            pictures: noise.tensor([rows, 3, SIDE_PX, SIDE_PX], [-2.0, 2.0], device),
            grids: noise.tensor([rows, 49, 2], [-1.0, 1.0], device),
        }
    }

    fn step(&mut self) -> f64 {
        self.net.prototypes.normalize();
        let losses = self.losses();
        let gradients = GradientsParams::from_grads(losses.total.backward(), &self.net);
        self.net = self.optimizer.step(RATE, self.net.clone(), gradients);
        losses.values().total
    }

    fn losses(&mut self) -> LossTerms {
        let groups = vec![self.pictures.clone()];
        let grids = Some(self.grids.clone());
        let output = self.net.forward(groups, grids, NormMode::Batch);
        let prototypes = self.net.prototypes.weights();
        let config = PretrainLossConfig::default();
        pretrain_loss(output, prototypes, None, &config, CROPS, &Group::default()).terms
    }
}

fn training_step(criterion: &mut Criterion) {
    let device = Device::default().autodiff();
    let mut training = Training::new(&device);
    let mut group = criterion.benchmark_group("training_step");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(10));
    let name = format!("batch {BATCH}, {CROPS} crops of {SIDE_PX}, width 16, depths 1 1 1 1");
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let loss = training.step();
            device.sync().expect("the device finishes");
            assert!(loss.is_finite(), "the timed training diverged");
        });
    });
    group.finish();
}

criterion_group!(benches, training_step);
criterion_main!(benches);
