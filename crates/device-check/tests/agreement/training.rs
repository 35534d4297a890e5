//! Whole training steps of ResNet-18, for a machine with a GPU.
//!
//! A software GPU needs minutes to compile and tune the kernels of a few convolutions, so these are
//! ignored unless asked for:
//!
//! ```text
//! cargo test --release -p device-check --features wgpu -- --ignored --nocapture
//! ```

use pass_model::group::Group;
use std::time::Instant;

use burn::{
    optim::GradientsParams,
    tensor::{DType, Device, Int, Tensor},
};
use device_check::{Numbers, Tolerance, assert_close, tested};
use pass_model::{
    backbone::ResNetConfig,
    loss::{
        LossTerms, LossWeights, SwappedPredictionConfig, d2s_loss, p2p_loss, pixel_cross_entropy,
        swapped_prediction, total_loss,
    },
    norm::NormMode,
    optim::{CosineSchedule, LarsConfig},
    pretrain_net::{NetworkConfig, PretrainNet, PretrainNetConfig},
    queue::Queue,
    resize::upsample_bilinear,
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};

/// Enough for the queue to fill up and take part twice.
const STEPS: u64 = 4;

/// Each loss of a step, relative to the larger of 1 and its size.
///
/// Ten times what rounding does: on the CPU, weights that are off by 1e-6 of their size in every
/// step move these losses by up to 6e-5, weights that are off by TF32's 5e-4 by up to 9e-4.
const LOSSES: Tolerance = Tolerance {
    float32: 1e-3,
    tf32: 1e-2,
};

/// Pictures of a step.
const BATCH: usize = 8;

/// Of each size in pixels there are two crops.
const SIZES: [usize; 2] = [96, 48];

struct Pretraining {
    net: PretrainNet,
    queue: Queue,
    numbers: Numbers,
    device: Device,
}

impl Pretraining {
    fn new(device: &Device) -> Self {
        let device = device.clone().autodiff();
        let config = PretrainNetConfig {
            network: NetworkConfig {
                prototypes: 100,
                ..Default::default()
            },
            ..Default::default()
        };
        Self {
            net: config.init(1, &device),
            queue: Queue::new(2 * BATCH, BATCH, config.network.feature_dim, &device),
            numbers: Numbers::new(2),
            device,
        }
    }

    fn crops(&mut self, size: usize) -> Tensor<4> {
        let crops = self.numbers.normal([2 * BATCH, 3, size, size]);
        Tensor::from_data(crops, (&self.device, DType::F32))
    }

    fn loss(&mut self) -> LossTerms {
        let groups = SIZES.map(|size| self.crops(size)).into();
        let grids = self.numbers.uniform([2 * BATCH, 49, 2], [-1.1, 1.1]);
        let grids = Tensor::from_data(grids, (&self.device, DType::F32));
        let output = self.net.forward(groups, Some(grids), NormMode::Batch);
        let swapped = swapped_prediction(
            output.scores,
            output.embeddings,
            self.net.prototypes.weights(),
            Some(&mut self.queue),
            &SwappedPredictionConfig::default(),
            2 * SIZES.len(),
            &Group::default(),
        );
        let d2s = |(stage, scores)| (stage, d2s_loss(&swapped.assignments, scores, 0.1));
        let d2s = output.shallow_scores.into_iter().map(d2s).collect();
        let p2p = output
            .projected
            .zip(output.predicted)
            .map(|(z, q)| p2p_loss(z, q));
        total_loss(swapped.loss, d2s, p2p, &LossWeights::default())
    }

    /// All losses of each step.
    fn train(mut self) -> Vec<f64> {
        let mut optimizer = LarsConfig::default().init();
        let schedule = CosineSchedule::new(0.6, 6e-4, 10 * STEPS);
        let mut losses = Vec::new();
        for step in 0..STEPS {
            let started = Instant::now();
            self.net.prototypes.normalize();
            let terms = self.loss();
            let mut gradients = GradientsParams::from_grads(terms.total.backward(), &self.net);
            if step == 0 {
                // as prototypes are frozen in the first iterations
                gradients.remove::<2>(self.net.prototypes.weight.id);
            }
            self.net = optimizer.step(schedule.rate(step), self.net, gradients);
            let values = terms.values();
            println!(
                "step {step}, {:.2} s: {values:?}",
                started.elapsed().as_secs_f64()
            );
            losses.extend([values.total, values.image]);
            losses.extend(values.d2s.into_values().chain(values.p2p));
        }
        losses
    }
}

#[test]
#[ignore = "tunes every convolution of ResNet-18: needs a GPU"]
fn whole_training_steps_of_the_pre_training_agree() {
    let tested = tested();
    let cpu = Pretraining::new(&Device::flex()).train();
    let device = Pretraining::new(&tested.device).train();
    assert_close(
        "losses of the pre-training",
        &cpu,
        &device,
        LOSSES.of(tested.products),
    );
}

/// The loss of each step of step 3's network.
fn finetuning_losses(device: &Device) -> Vec<f64> {
    let device = &device.clone().autodiff();
    let config = SegmentationNetConfig {
        backbone: ResNetConfig::resnet18().into(),
        classes: 50,
        head: HeadDraw::He,
    };
    let mut net = config.init(1, device);
    let mut numbers = Numbers::new(3);
    let mut optimizer = LarsConfig::default().init();
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let pictures = numbers.normal([BATCH, 3, 96, 96]);
        let pictures = Tensor::from_data(pictures, (device, DType::F32));
        let labels = Tensor::<3, Int>::from_data(numbers.below([BATCH, 96, 96], 51), device);
        let logits = upsample_bilinear(net.forward(pictures, NormMode::Batch), [96, 96]);
        let loss = pixel_cross_entropy(logits, labels);
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(0.6, net, gradients);
        losses.push(f64::from(loss.into_scalar::<f32>()));
    }
    losses
}

#[test]
#[ignore = "tunes every convolution of ResNet-18: needs a GPU"]
fn whole_training_steps_of_the_fine_tuning_agree() {
    let tested = tested();
    let cpu = finetuning_losses(&Device::flex());
    let device = finetuning_losses(&tested.device);
    println!("CPU    {cpu:?}\ndevice {device:?}");
    assert_close(
        "losses of the fine-tuning",
        &cpu,
        &device,
        LOSSES.of(tested.products),
    );
}
