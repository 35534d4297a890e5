//! How long do the operations of vision transformers, ConvNeXt, EfficientNet and ResNeXt take on the CPU, alone
//! and with all their gradients, burn's and ours?
//!
//! Batches of 8 pictures of 224 pixels; gradients of the sum of the output. `peers/operations.py` times
//! PyTorch's at the same shapes. With the variables glibc keeps freed memory, as the program does.
//!
//! ```text
//! export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=8589934592
//! cargo bench -p luss-benches --bench operations
//! cargo bench -p luss-benches --bench operations -- attention
//! ```

use std::time::Duration;

use burn::tensor::{Device, Tensor, activation, module, ops::ConvOptions};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use luss_benches::Noise;

/// All inputs of an operation, those that are vectors or matrices too.
type Inputs = Vec<Tensor<4>>;

/// An operation, whose it is.
type Operation = (&'static str, Box<dyn Fn(Inputs) -> Tensor<4>>);

/// Burn's and ours on inputs of these shapes.
struct Pair {
    name: String,
    shapes: Vec<[usize; 4]>,
    operations: [Operation; 2],
}

impl Pair {
    fn new(
        name: String,
        shapes: &[[usize; 4]],
        burns: impl Fn(Inputs) -> Tensor<4> + 'static,
        ours: impl Fn(Inputs) -> Tensor<4> + 'static,
    ) -> Self {
        Self {
            name,
            shapes: shapes.to_vec(),
            operations: [("burn", Box::new(burns)), ("ours", Box::new(ours))],
        }
    }

    fn inputs(&self, device: &Device) -> Inputs {
        let shapes = self.shapes.iter().zip(1..);
        let input = |(&shape, seed)| Noise::new(seed).tensor(shape, [-1.0, 1.0], device);
        shapes.map(input).collect()
    }
}

fn vector(values: &Tensor<4>) -> Tensor<1> {
    values.clone().reshape([-1])
}

fn matrix(values: &Tensor<4>) -> Tensor<2> {
    let [.., rows, columns] = values.dims();
    values.clone().reshape([rows, columns])
}

/// `[batch, tokens, channels]`
fn tokens_of(values: &Tensor<4>) -> Tensor<3> {
    let [_, batch, tokens, channels] = values.dims();
    values.clone().reshape([batch, tokens, channels])
}

fn gelu(tokens: usize, channels: usize) -> Pair {
    Pair::new(
        format!("gelu/{tokens} x {channels}"),
        &[[1, 1, tokens, channels]],
        |inputs| activation::gelu(inputs[0].clone()),
        |inputs| fast_ops::gelu(inputs[0].clone()),
    )
}

fn silu(channels: usize, side: usize) -> Pair {
    Pair::new(
        format!("silu/{channels}, {side}²"),
        &[[8, channels, side, side]],
        |inputs| activation::silu(inputs[0].clone()),
        |inputs| fast_ops::silu(inputs[0].clone()),
    )
}

fn layer_norm(tokens: usize, channels: usize) -> Pair {
    let affine = [1, 1, 1, channels];
    Pair::new(
        format!("layer norm/{tokens} x {channels}"),
        &[[1, 1, tokens, channels], affine, affine],
        |inputs| {
            let [gamma, beta] = [1, 2].map(|at| vector(&inputs[at]));
            module::layer_norm(inputs[0].clone(), gamma, Some(beta), 1e-6)
        },
        |inputs| {
            let [gamma, beta] = [1, 2].map(|at| vector(&inputs[at]));
            fast_ops::layer_norm(inputs[0].clone(), gamma, beta, 1e-6)
        },
    )
}

fn linear(batch: usize, tokens: usize, [ins, outs]: [usize; 2]) -> Pair {
    Pair::new(
        format!("linear/{batch} x {tokens}, {ins} to {outs}"),
        &[[1, batch, tokens, ins], [1, 1, ins, outs], [1, 1, 1, outs]],
        |inputs| {
            let bias = Some(vector(&inputs[2]));
            module::linear(inputs[0].clone(), matrix(&inputs[1]), bias)
        },
        |inputs| {
            let bias = Some(vector(&inputs[2]));
            fast_ops::linear(inputs[0].clone(), matrix(&inputs[1]), bias)
        },
    )
}

fn attention(shape: [usize; 4]) -> Pair {
    let [batch, heads, tokens, channels] = shape;
    Pair::new(
        format!("attention/{batch} x {heads} x {tokens} x {channels}"),
        &[[1, batch, tokens, 3 * heads * channels]],
        move |inputs| {
            let [q, k, v] = fast_ops::split_heads(tokens_of(&inputs[0]), heads);
            let output = module::attention(q, k, v, None, None, Default::default());
            fast_ops::join_heads(output).unsqueeze()
        },
        move |inputs| {
            let output = fast_ops::self_attention(tokens_of(&inputs[0]), heads, None);
            output.unsqueeze()
        },
    )
}

/// Kernel, stride and groups of a convolution of maps of one side.
struct Layer {
    channels: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

fn convolution(layer: &Layer) -> Pair {
    let &Layer {
        channels,
        side,
        kernel,
        stride,
        groups,
    } = layer;
    let options = move || ConvOptions::new([stride; 2], [kernel / 2; 2], [1; 2], groups);
    Pair::new(
        format!(
            "convolution/{channels} in {groups} groups, {side}², kernel {kernel}, stride {stride}"
        ),
        &[
            [8, channels, side, side],
            [channels, channels / groups, kernel, kernel],
        ],
        move |inputs| module::conv2d(inputs[0].clone(), inputs[1].clone(), None, options()),
        move |inputs| fast_ops::conv2d(inputs[0].clone(), inputs[1].clone(), None, options()),
    )
}

const fn layer(channels: usize, side: usize, kernel: usize, stride: usize, groups: usize) -> Layer {
    Layer {
        channels,
        side,
        kernel,
        stride,
        groups,
    }
}

/// Of ConvNeXt-T, of EfficientNet-Lite0 and, the last four, of a ResNeXt-50.
const LAYERS: [Layer; 13] = [
    layer(96, 56, 7, 1, 96),
    layer(192, 28, 7, 1, 192),
    layer(384, 14, 7, 1, 384),
    layer(768, 7, 7, 1, 768),
    layer(32, 112, 3, 1, 32),
    layer(96, 112, 3, 2, 96),
    layer(144, 56, 5, 2, 144),
    layer(240, 28, 5, 1, 240),
    layer(672, 14, 5, 1, 672),
    layer(128, 56, 3, 1, 32),
    layer(256, 28, 3, 1, 32),
    layer(512, 14, 3, 1, 32),
    layer(1024, 7, 3, 1, 32),
];

fn pairs() -> Vec<Pair> {
    let mut pairs = vec![gelu(1576, 1536), gelu(25088, 384), silu(144, 56)];
    let norms = [(1576, 384), (25088, 96), (6272, 192), (392, 768)];
    pairs.extend(norms.map(|(tokens, channels)| layer_norm(tokens, channels)));
    let of_vit = [[384, 1152], [384, 384], [384, 1536], [1536, 384]];
    pairs.extend(of_vit.map(|sides| linear(8, 197, sides)));
    pairs.extend([[96, 384], [384, 96]].map(|sides| linear(8, 3136, sides)));
    pairs.extend([[768, 3072], [3072, 768]].map(|sides| linear(8, 49, sides)));
    pairs.extend([[8, 6, 197, 64], [512, 3, 49, 32]].map(attention));
    pairs.extend(LAYERS.iter().map(convolution));
    pairs
}

fn operations(criterion: &mut Criterion) {
    let [plain, trained] = [Device::flex(), Device::flex().autodiff()];
    for pair in pairs() {
        let mut group = criterion.benchmark_group(&pair.name);
        group
            .sample_size(10)
            .sampling_mode(SamplingMode::Flat)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(500));
        for (whose, operation) in &pair.operations {
            let inputs = pair.inputs(&plain);
            group.bench_function(format!("{whose}, forward"), |bencher| {
                bencher.iter(|| operation(inputs.clone()));
            });
            let inputs = pair.inputs(&trained);
            group.bench_function(format!("{whose}, with gradients"), |bencher| {
                bencher.iter(|| {
                    let inputs = inputs.iter().cloned();
                    let inputs: Inputs = inputs.map(|x| x.detach().require_grad()).collect();
                    let gradients = operation(inputs.clone()).backward();
                    inputs
                        .into_iter()
                        .map(|x| x.grad(&gradients))
                        .collect::<Vec<_>>()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
