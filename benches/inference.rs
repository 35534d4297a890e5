//! How long does a backbone take to look at a batch of pictures, with weights and statistics fixed, as in
//! the extraction of embeddings and in prediction? The peer is `peers/inference.py`.
//!
//! ```text
//! cargo bench -p luss-benches --bench inference                      # the CPU
//! cargo bench -p luss-benches --features cuda --bench inference      # or wgpu
//! ```

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use luss_benches::{Noise, measured_device};
use pass_model::{backbone::ResNetConfig, norm::NormMode};

/// Pictures, channels, height and width.
const SHAPE: [usize; 4] = [8, 3, 224, 224];

fn inference(criterion: &mut Criterion) {
    let device = measured_device();
    let pictures = Noise::new(1).tensor::<4>(SHAPE, [-2.0, 2.0], &device);
    let mut group = criterion.benchmark_group("inference");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(8))
        .throughput(Throughput::Elements(SHAPE[0] as u64));
    let backbones = [
        ("resnet18", ResNetConfig::resnet18()),
        ("resnet50", ResNetConfig::resnet50()),
    ];
    for (name, config) in backbones {
        let mut backbone = config.init(7, &device);
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

criterion_group!(benches, inference);
criterion_main!(benches);
