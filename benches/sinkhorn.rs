//! How long does the balancing of a batch take, alone and together with a queue?

use pass_model::group::Group;
use std::{hint::black_box, time::Duration};

use burn::tensor::Device;
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use luss_benches::Noise;
use pass_model::sinkhorn::{SinkhornConfig, sinkhorn_knopp};

/// Rows and prototypes: a small run; a batch of 256 behind a queue of 3840 in the full one.
const SHAPES: [[usize; 2]; 2] = [[64, 64], [256 + 3840, 3000]];

fn sinkhorn(criterion: &mut Criterion) {
    let device = Device::default();
    let config = SinkhornConfig::new();
    let mut group = criterion.benchmark_group("sinkhorn");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(5));
    for shape in SHAPES {
        let scores = Noise::new(5).tensor(shape, [-0.8, 0.8], &device);
        let [rows, prototypes] = shape;
        let name = format!("{rows}x{prototypes}, {} iterations", config.iterations);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let weights = sinkhorn_knopp(black_box(scores.clone()), &config, &Group::default());
                device.sync().expect("the device finishes");
                weights
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sinkhorn);
criterion_main!(benches);
