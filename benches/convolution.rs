//! How long does a convolution take on the CPU, alone and with its gradients, burn's and ours?
//!
//! Rates count two operations a weight, place and pass: one pass forward, two more backward.
//!
//! ```text
//! cargo bench -p luss-benches --bench convolution
//! ```

use std::time::Duration;

use burn::tensor::{Device, Tensor, module, ops::ConvOptions};
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use luss_benches::Noise;

const BATCH: usize = 8;

/// Channels in and out, side of the input, kernel and stride.
struct Layer([usize; 2], usize, usize, usize);

/// Of a ResNet-18 and a ResNet-50, at 224 pixels and, the last two, at 96.
const LAYERS: [Layer; 10] = [
    Layer([3, 64], 224, 7, 2),
    Layer([64, 64], 56, 3, 1),
    Layer([64, 256], 56, 1, 1),
    Layer([128, 128], 56, 3, 2),
    Layer([512, 128], 28, 1, 1),
    Layer([256, 512], 56, 1, 2),
    Layer([256, 256], 14, 3, 1),
    Layer([512, 512], 7, 3, 1),
    Layer([64, 64], 24, 3, 1),
    Layer([512, 512], 3, 3, 1),
];

impl Layer {
    fn options(&self) -> ConvOptions<2> {
        let &Self(_, _, kernel, stride) = self;
        ConvOptions::new([stride; 2], [kernel / 2; 2], [1; 2], 1)
    }

    fn input(&self, device: &Device) -> Tensor<4> {
        let &Self([channels, _], side, ..) = self;
        Noise::new(1).tensor([BATCH, channels, side, side], [-1.0, 1.0], device)
    }

    fn weight(&self, device: &Device) -> Tensor<4> {
        let &Self([inputs, outputs], _, kernel, _) = self;
        Noise::new(2).tensor([outputs, inputs, kernel, kernel], [-1.0, 1.0], device)
    }

    /// Of one pass.
    fn operations(&self) -> u64 {
        let &Self([inputs, outputs], side, kernel, stride) = self;
        let places = side.div_ceil(stride).pow(2);
        (2 * BATCH * inputs * outputs * kernel * kernel * places) as u64
    }

    fn name(&self) -> String {
        let Self([inputs, outputs], side, kernel, stride) = self;
        format!("{inputs} to {outputs}, {side}², kernel {kernel}, stride {stride}")
    }
}

/// Input, weights and options of a convolution, and its output.
type Convolution = fn(Tensor<4>, Tensor<4>, ConvOptions<2>) -> Tensor<4>;

const CONVOLUTIONS: [(&str, Convolution); 2] = [
    ("burn", |input, weight, options| {
        module::conv2d(input, weight, None, options)
    }),
    ("ours", |input, weight, options| {
        fast_ops::conv2d(input, weight, None, options)
    }),
];

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    group
}

fn forward(criterion: &mut Criterion) {
    let mut group = group(criterion, "convolution/forward");
    for layer in LAYERS {
        let (input, weight) = (layer.input(&Device::flex()), layer.weight(&Device::flex()));
        group.throughput(Throughput::Elements(layer.operations()));
        for (whose, convolution) in CONVOLUTIONS {
            group.bench_function(format!("{whose}, {}", layer.name()), |bencher| {
                bencher.iter(|| convolution(input.clone(), weight.clone(), layer.options()));
            });
        }
    }
    group.finish();
}

fn with_gradients(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let mut group = group(criterion, "convolution/with gradients");
    for layer in LAYERS {
        let (input, weight) = (layer.input(&device), layer.weight(&device));
        group.throughput(Throughput::Elements(3 * layer.operations()));
        for (whose, convolution) in CONVOLUTIONS {
            group.bench_function(format!("{whose}, {}", layer.name()), |bencher| {
                bencher.iter(|| {
                    let input = input.clone().detach().require_grad();
                    let weight = weight.clone().detach().require_grad();
                    let output = convolution(input.clone(), weight.clone(), layer.options());
                    let gradients = output.sum().backward();
                    (input.grad(&gradients), weight.grad(&gradients))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, forward, with_gradients);
criterion_main!(benches);
