//! How long does a backbone take to look at a batch of pictures, with weights and statistics fixed, as in
//! the extraction of embeddings and in prediction; and to learn from it? The peer is `peers/inference.py`.
//!
//! ```text
//! cargo bench -p luss-benches --bench inference                      # the CPU
//! cargo bench -p luss-benches --features cuda --bench inference      # or wgpu
//! ```

use std::time::Duration;

use burn::tensor::{Device, Gradients, Tensor};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use luss_benches::{Noise, measured_device};
use pass_model::{
    backbone::{Backbone, BackboneConfig},
    norm::NormMode,
};

/// Pictures, channels, height and width.
const SHAPE: [usize; 4] = [8, 3, 224, 224];

/// Networks of each kind of layer.
const INFERENCE: [&str; 6] = [
    "resnet18",
    "resnet50",
    "efficientnet_lite0",
    "convnext_t",
    "vit_s16",
    "swin_t",
];
const TRAINING: [&str; 3] = ["resnet50", "convnext_t", "vit_s16"];

fn built(name: &str, device: &Device) -> Backbone {
    let config = BackboneConfig::named(name).expect("a name of a backbone");
    config.init(7, device)
}

/// Forward and backward through the last map, with statistics of the batch where there are norms of it.
fn training_step(backbone: &mut Backbone, pictures: Tensor<4>) -> Gradients {
    let map = backbone.forward(pictures, NormMode::Batch).into_last();
    (map.clone() * map).mean().backward()
}

fn inference(criterion: &mut Criterion) {
    let device = measured_device();
    let pictures = Noise::new(1).tensor::<4>(SHAPE, [-2.0, 2.0], &device);
    let mut group = criterion.benchmark_group("inference");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(8))
        .throughput(Throughput::Elements(SHAPE[0] as u64));
    for name in INFERENCE {
        let mut backbone = built(name, &device);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let map = backbone.forward(pictures.clone(), NormMode::Moving);
                let map = map.into_last();
                device.sync().expect("the device finishes");
                map
            });
        });
    }
    group.finish();
}

fn training(criterion: &mut Criterion) {
    let device = measured_device().autodiff();
    let pictures = Noise::new(1).tensor::<4>(SHAPE, [-2.0, 2.0], &device);
    let mut group = criterion.benchmark_group("training");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(15))
        .throughput(Throughput::Elements(SHAPE[0] as u64));
    for name in TRAINING {
        let mut backbone = built(name, &device);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let gradients = training_step(&mut backbone, pictures.clone());
                device.sync().expect("the device finishes");
                gradients
            });
        });
    }
    group.finish();
}

criterion_group!(benches, inference, training);
criterion_main!(benches);
