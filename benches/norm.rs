//! How long does the batch norm of a map take, burn's and ours? Forward and backward by statistics of the
//! batch, alone and as one of several ranks (whose sums cost nothing here), and forward by fixed ones.
//!
//! On GPUs on maps in the order in which a convolution writes them there:
//!
//! ```text
//! cargo bench -p luss-benches --bench norm                      # the CPU
//! cargo bench -p luss-benches --features cuda --bench norm      # or wgpu
//! ```

use std::time::Duration;

use burn::tensor::{Device, Tensor, module};
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main, measurement::WallTime,
};
use luss_benches::{Noise, measured_device};

/// Pictures, channels, height and width: the first and the last stage of a ResNet-18, and the widest
/// maps of a ResNet-50.
const SHAPES: [[usize; 4]; 3] = [[64, 64, 56, 56], [64, 512, 7, 7], [64, 256, 56, 56]];

const EPSILON: f64 = 1e-5;

/// The input, scale and shift of a norm, and its output.
type Norm = fn(Tensor<4>, Tensor<1>, Tensor<1>) -> Tensor<4>;

const NORMS: [(&str, Norm); 3] = [
    ("burn", |maps, gamma, beta| {
        module::batch_norm_train(maps, gamma, beta, EPSILON).output
    }),
    ("ours", |maps, gamma, beta| {
        fast_ops::batch_norm_train(maps, gamma, beta, EPSILON).output
    }),
    ("ours of ranks", |maps, gamma, beta| {
        fast_ops::batch_norm_of_ranks(maps, gamma, beta, EPSILON, |own| own).output
    }),
];

const FIXED_NORMS: [(&str, Norm); 2] = [
    ("burn", |maps, gamma, beta| {
        let [mean, variance] = [beta.clone(), gamma.clone()];
        module::batch_norm(maps, gamma, beta, mean, variance, EPSILON)
    }),
    ("ours", |maps, gamma, beta| {
        let moments = [beta.clone(), gamma.clone()];
        fast_ops::batch_norm(maps, [gamma, beta], moments, EPSILON)
    }),
];

/// Noise in the order in which a convolution writes it: on GPUs with channels side by side.
fn maps(seed: u64, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let mut noise = Noise::new(seed);
    if device.clone().without_autodiff() == Device::flex() {
        return noise.tensor(shape, [-1.0, 1.0], device);
    }
    let [pictures, channels, height, width] = shape;
    let last = noise.tensor::<4>([pictures, height, width, channels], [-1.0, 1.0], device);
    last.permute([0, 3, 1, 2])
}

/// Scale and shift of a norm of maps of this shape.
fn affine(shape: [usize; 4], device: &Device) -> [Tensor<1>; 2] {
    [1.0, 0.0].map(|value| Tensor::full([shape[1]], value, device))
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(5));
    group
}

fn norm(criterion: &mut Criterion) {
    let device = measured_device().autodiff();
    let mut group = group(criterion, "norm");
    for shape in SHAPES {
        let [input, weights] = [1, 2].map(|seed| maps(seed, shape, &device));
        let [gamma, beta] = affine(shape, &device);
        for (name, norm) in NORMS {
            group.bench_function(format!("{name}, {shape:?}"), |bencher| {
                bencher.iter(|| {
                    let input = input.clone().detach().require_grad();
                    let gamma = gamma.clone().detach().require_grad();
                    let output = norm(input.clone(), gamma, beta.clone());
                    let gradients = (output * weights.clone()).sum().backward();
                    let gradient = input.grad(&gradients);
                    device.sync().expect("the device finishes");
                    gradient
                });
            });
        }
    }
    group.finish();
}

fn fixed_norm(criterion: &mut Criterion) {
    let device = measured_device();
    let mut group = group(criterion, "fixed norm");
    for shape in SHAPES {
        let input = maps(1, shape, &device);
        let [gamma, beta] = affine(shape, &device);
        for (name, norm) in FIXED_NORMS {
            group.bench_function(format!("{name}, {shape:?}"), |bencher| {
                bencher.iter(|| {
                    let output = norm(input.clone(), gamma.clone(), beta.clone());
                    device.sync().expect("the device finishes");
                    output
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, norm, fixed_norm);
criterion_main!(benches);
