//! How long does the batch norm of a map take, forward and backward, burn's and ours?
//!
//! On GPUs on maps in the order in which a convolution writes them there:
//!
//! ```text
//! cargo bench -p luss-benches --bench norm                      # the CPU
//! cargo bench -p luss-benches --features cuda --bench norm      # or wgpu
//! ```

use std::time::Duration;

use burn::tensor::{Device, Tensor, module};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use luss_benches::Noise;

/// Pictures, channels, height and width: the first and the last stage of a ResNet-18, and the widest
/// maps of a ResNet-50.
const SHAPES: [[usize; 4]; 3] = [[64, 64, 56, 56], [64, 512, 7, 7], [64, 256, 56, 56]];

const EPSILON: f64 = 1e-5;

/// The input, scale and shift of a norm, and its output.
type Norm = fn(Tensor<4>, Tensor<1>, Tensor<1>) -> Tensor<4>;

const NORMS: [(&str, Norm); 2] = [
    ("burn", |maps, gamma, beta| {
        module::batch_norm_train(maps, gamma, beta, EPSILON).output
    }),
    ("ours", |maps, gamma, beta| {
        batch_norm::batch_norm_train(maps, gamma, beta, EPSILON).output
    }),
];

fn device() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0);
    #[cfg(all(feature = "wgpu", not(feature = "cuda")))]
    return Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
    #[cfg(not(any(feature = "cuda", feature = "wgpu")))]
    Device::flex()
}

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

fn norm(criterion: &mut Criterion) {
    let device = device().autodiff();
    let mut group = criterion.benchmark_group("norm");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(5));
    for shape in SHAPES {
        let [input, weights] = [1, 2].map(|seed| maps(seed, shape, &device));
        let [gamma, beta] = [1.0, 0.0].map(|value| Tensor::<1>::full([shape[1]], value, &device));
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

criterion_group!(benches, norm);
criterion_main!(benches);
