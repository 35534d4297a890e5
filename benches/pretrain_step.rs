//! How long does one published pre-training step take, and how much memory, beside PyTorch's?
//!
//! Not Criterion: a step takes seconds, and the highest memory is that of a process of its own. So
//! one process measures one case, `benches/peers/pretrain_step.py` runs the cases in turns with
//! PyTorch's, and `--phases` tells where the time goes, by further steps: to time a phase is to wait
//! for the device, while in a step the host is ahead of it.
//!
//! ```text
//! cargo bench -p luss-benches --bench pretrain_step -- resnet18 2x224,6x96 4 --steps 3
//! cargo bench -p luss-benches --features cuda --bench pretrain_step -- resnet18 2x224,6x96 64 \
//!     --device cuda --warm-up 4
//! ```

use pass_model::group::Group;
use std::{collections::BTreeMap, env, fs, time::Instant};

use burn::{
    module::Module,
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use luss_benches::{Noise, device_named};
use pass_model::{
    backbone::{Block, ResNetConfig},
    loss::{
        LossTerms, LossWeights, SwappedPredictionConfig, d2s_loss, p2p_loss, swapped_prediction,
        total_loss,
    },
    norm::NormMode,
    optim::LarsConfig,
    precision::Precision,
    pretrain_net::{NetworkConfig, PretrainNet, PretrainNetConfig, PretrainOutput},
};

/// Low, so that the weights stay sound however many steps are timed.
const RATE: f64 = 0.01;

/// What the loss is multiplied with.
const LOSS_SCALE: f64 = 1024.0;

/// For a look at a device that is too slow for more: a software GPU.
const TINY: ResNetConfig = ResNetConfig {
    block: Block::Basic,
    depths: [1, 1, 1, 1],
    width: 4,
    bottleneck_width: 64,
    max_pool: false,
    groups: 1,
    dilated_stages: 0,
    zero_init_residual: false,
};

struct Case {
    backbone: ResNetConfig,
    /// Count and side of the crops of each resolution.
    groups: Vec<[usize; 2]>,
    batch: usize,
    precision: Precision,
    device: Device,
    warm_up: usize,
    steps: usize,
    phases: bool,
}

impl Case {
    /// `BACKBONE COUNTxSIDE,… BATCH [--device cuda|wgpu] [--precision bfloat16|float16]
    /// [--warm-up N] [--steps N] [--threads N] [--phases]`; `cargo bench` adds `--bench`.
    fn from_arguments() -> Self {
        let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
        let option = |flag: &str| {
            let at = arguments.iter().position(|a| a == flag)?;
            arguments.get(at + 1)
        };
        let number = |flag: &str| option(flag)?.parse().ok();
        if let Some(threads) = number("--threads") {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build_global().expect("the first pool");
        }
        let at = |index: usize, or: &str| arguments.get(index).cloned().unwrap_or(or.into());
        let group = |text: &str| {
            let (count, side) = text.split_once('x').expect("COUNTxSIDE");
            [count, side].map(|n| n.parse().expect("a number"))
        };
        Self {
            backbone: match at(0, "resnet18").as_str() {
                "resnet18" => ResNetConfig::resnet18(),
                "resnet50" => ResNetConfig::resnet50(),
                "tiny" => TINY,
                other => panic!("{other}: resnet18, resnet50 or tiny"),
            },
            groups: at(1, "2x224,6x96").split(',').map(group).collect(),
            batch: at(2, "4").parse().expect("a number"),
            precision: match option("--precision").map(String::as_str) {
                None | Some("float32") => Precision::Float32,
                Some("bfloat16") => Precision::Bfloat16,
                Some("float16") => Precision::Float16,
                Some(other) => panic!("{other}: float32, bfloat16 or float16"),
            },
            device: device_named(option("--device").map_or("cpu", String::as_str)),
            warm_up: number("--warm-up").unwrap_or(1),
            steps: number("--steps").unwrap_or(3),
            phases: arguments.iter().any(|a| a == "--phases"),
        }
    }
}

struct Training {
    net: PretrainNet,
    optimizer: ModuleOptimizer,
    groups: Vec<Tensor<4>>,
    grids: Tensor<3>,
    crops: usize,
}

/// What a step is made of.
const PHASES: [&str; 4] = ["forward", "losses", "backward", "optimiser"];

impl Training {
    fn new(case: &Case, device: Device) -> Self {
        let mut noise = Noise::new(6);
        let config = PretrainNetConfig {
            network: NetworkConfig {
                backbone: case.backbone.clone().into(),
                ..Default::default()
            },
            ..PretrainNetConfig::default()
        };
        let mut crops = |&[count, side]: &[usize; 2]| {
            let shape = [count * case.batch, 3, side, side];
            case.precision
                .cast(noise.tensor(shape, [-2.0, 2.0], &device))
        };
        Self {
            net: config.init(7, &device),
            optimizer: LarsConfig::default().init(),
            groups: case.groups.iter().map(&mut crops).collect(),
            grids: Noise::new(8).tensor([2 * case.batch, 49, 2], [-1.0, 1.0], &device),
            crops: case.groups.iter().map(|[count, _]| count).sum(),
        }
    }

    /// One step and its loss; `finished` is told of each phase.
    fn step(&mut self, mut finished: impl FnMut()) -> f64 {
        self.net.prototypes.normalize();
        let grids = Some(self.grids.clone());
        let output = self
            .net
            .forward(self.groups.clone(), grids, NormMode::Batch);
        finished();
        let losses = self.losses(output);
        let value = losses.values().total;
        finished();
        // In float16 many gradients of the plain loss are 0. LARS takes the factor out again.
        let scaled = losses.total * LOSS_SCALE;
        let gradients = GradientsParams::from_grads(scaled.backward(), &self.net);
        finished();
        self.net = self.optimizer.step(RATE, self.net.clone(), gradients);
        finished();
        value
    }

    fn losses(&self, output: PretrainOutput) -> LossTerms {
        let config = SwappedPredictionConfig::default();
        let (scores, embeddings) = (output.scores, output.embeddings);
        let prototypes = self.net.prototypes.weights();
        let swapped = swapped_prediction(
            scores,
            embeddings,
            prototypes,
            None,
            &config,
            self.crops,
            &Group::default(),
        );
        let shallow = output.shallow_scores.into_iter();
        let d2s = shallow.map(|(stage, scores)| {
            let loss = d2s_loss(&swapped.assignments, scores, config.temperature);
            (stage, loss)
        });
        let weights = LossWeights {
            image: 1.0,
            d2s: BTreeMap::from([(3, 1.0)]),
            p2p: 1.0,
        };
        let p2p = output.projected.zip(output.predicted);
        let p2p = p2p.map(|(projected, predicted)| p2p_loss(projected, predicted));
        total_loss(swapped.loss, d2s.collect(), p2p, &weights)
    }
}

/// In MiB, what was reserved on a GPU, which never shrinks; on the CPU the highest resident memory
/// of this process.
fn peak_mib(device: &Device) -> f64 {
    if let Some(usage) = device.memory_pool_usage() {
        return usage.bytes_reserved as f64 / (1 << 20) as f64;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

fn wait_for(device: &Device) {
    device.sync().expect("the device finishes");
}

/// Seconds of a step, which ends when the device has finished it.
fn seconds_of_step(training: &mut Training, device: &Device) -> f64 {
    let started = Instant::now();
    let loss = training.step(|| ());
    wait_for(device);
    assert!(loss.is_finite(), "the timed training diverged");
    started.elapsed().as_secs_f64()
}

/// Seconds of each phase of a step that waits for the device after each.
fn seconds_of_phases(training: &mut Training, device: &Device) -> Vec<f64> {
    let mut clock = Instant::now();
    let mut phases = Vec::new();
    training.step(|| {
        wait_for(device);
        phases.push(clock.elapsed().as_secs_f64());
        clock = Instant::now();
    });
    phases
}

/// The phases of the fastest of the steps.
fn fastest_phases(training: &mut Training, case: &Case) -> Vec<f64> {
    let steps = (0..case.steps).map(|_| seconds_of_phases(training, &case.device));
    let seconds = |phases: &[f64]| phases.iter().sum::<f64>();
    let fastest = steps.min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
    fastest.expect("a step at least")
}

fn main() {
    let case = Case::from_arguments();
    let mut training = Training::new(&case, case.device.clone().autodiff());
    for step in 0..case.warm_up {
        // kernels are compiled and tuned
        let seconds = seconds_of_step(&mut training, &case.device);
        eprintln!("step {step}: {seconds:.2} s");
    }
    let times = (0..case.steps).map(|_| seconds_of_step(&mut training, &case.device));
    let seconds = times.fold(f64::INFINITY, f64::min);
    if case.phases {
        let phases = fastest_phases(&mut training, &case);
        let phases = PHASES.iter().zip(phases);
        let words: Vec<_> = phases.map(|(name, s)| format!("{name} {s:.3} s")).collect();
        println!("{}", words.join(", "));
    }
    let weights = training.net.num_params();
    println!(
        r#"{{"seconds": {seconds}, "peak_mib": {}, "weights": {weights}}}"#,
        peak_mib(&case.device)
    );
}
