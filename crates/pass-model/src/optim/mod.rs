//! The optimisers of PASS and the learning-rate schedule.
//!
//! ```
//! use pass_model::optim::{Algorithm, CosineSchedule, OptimConfig};
//!
//! let optimizer = OptimConfig { algorithm: Algorithm::Sgd, ..Default::default() }.init();
//! let schedule = CosineSchedule::new(0.6, 6e-4, 1000);
//! // each iteration: module = optimizer.step(schedule.rate(iteration), module, gradients);
//! # let _ = (optimizer, schedule);
//! ```
//!
//! To treat other tensors apart, give them a group of their own:
//! `config.init().with_group(ParamGroup::from_any_regexes([r"prototypes"]), other.build(), None)`.
//! To freeze a tensor, remove its gradient before the step; LARS and SGD then leave it and its
//! momentum alone.

mod groups;
pub mod lars;
mod momentum;
pub mod resume;
pub mod schedule;
pub mod sgd;

pub use groups::{GroupRate, ParameterGroup, parameters_of, vectors_of};
pub use lars::{Lars, LarsConfig, LarsDecay, LarsExclusion};
pub use momentum::{GradientRule, Momentum, MomentumDescent};
pub use resume::{OptimizerError, load_optimizer};
pub use schedule::CosineSchedule;
pub use sgd::{Sgd, SgdConfig};

use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};

/// Which optimiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// LARS, as the paper.
    #[default]
    Lars,
    /// LARS with biases and batch norms left to plain SGD.
    LarsExcludingNorms,
    /// The LARS of PixPro, for PASS_p: the same, with the decay in the gradient.
    LarsPixpro,
    /// Plain SGD with momentum.
    Sgd,
}

/// Optimiser and schedule of a training step; the defaults are those of step 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimConfig {
    /// Which optimiser.
    pub algorithm: Algorithm,
    /// Learning rate at the start of the cosine.
    pub base_lr: f64,
    /// Learning rate at its end.
    pub final_lr: f64,
    /// Epochs of linear warm-up before the cosine.
    pub warmup_epochs: usize,
    /// Learning rate at the start of the warm-up.
    pub warmup_lr: f64,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Momentum μ, in `[0, 1)`.
    pub momentum: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Lars,
            base_lr: 0.6,
            final_lr: 6e-4,
            warmup_epochs: 0,
            warmup_lr: 0.0,
            weight_decay: 1e-6,
            momentum: 0.9,
        }
    }
}

impl OptimConfig {
    /// The optimiser: `step(rate, module, gradients) -> module`, `save(path)`, and
    /// [`load_optimizer`].
    pub fn init(&self) -> ModuleOptimizer {
        let Self {
            weight_decay,
            momentum,
            ..
        } = *self;
        let lars = match self.algorithm {
            Algorithm::Lars => LarsConfig::default(),
            Algorithm::LarsExcludingNorms => LarsConfig {
                exclude: LarsExclusion::BiasAndNorm,
                ..LarsConfig::default()
            },
            Algorithm::LarsPixpro => LarsConfig::pixpro(),
            Algorithm::Sgd => {
                return SgdConfig {
                    weight_decay,
                    momentum,
                }
                .init();
            }
        };
        LarsConfig {
            weight_decay,
            momentum,
            ..lars
        }
        .init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::{
        module::Module,
        nn::{Linear, LinearConfig},
        optim::GradientsParams,
        tensor::{Device, Tensor, TensorData},
    };

    pub(super) fn both() -> [OptimConfig; 2] {
        [Algorithm::Lars, Algorithm::Sgd].map(|algorithm| OptimConfig {
            algorithm,
            ..Default::default()
        })
    }

    pub(super) fn model() -> Linear {
        let device = Device::default().autodiff();
        LinearConfig::new(5, 3).init(&device)
    }

    /// Batches that depend on nothing but the iteration.
    pub(super) fn steps(
        optimizer: &mut ModuleOptimizer,
        mut model: Linear,
        iterations: std::ops::Range<u64>,
    ) -> Linear {
        let device = Device::default().autodiff();
        for iteration in iterations {
            let x = (0..35).map(|i| ((i * 7 + iteration * 3) % 11) as f32 / 11.0 - 0.4);
            let x = TensorData::new(x.collect::<Vec<f32>>(), [7, 5]);
            let x = Tensor::<2>::from_data(x, &device);
            let loss = model.forward(x).square().sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(0.01 * (iteration + 1) as f64, model, gradients);
        }
        model
    }

    pub(super) fn weights(model: &Linear) -> [TensorData; 2] {
        [
            model.weight.val().into_data(),
            model.bias.as_ref().unwrap().val().into_data(),
        ]
    }

    /// Two steps by hand: w = 1, gradients ½ and ½, λ = 0.1, μ = 0.9, rate 1.
    #[test]
    fn sgd_has_no_dampening() {
        let device = Device::default().autodiff();
        let mut optimizer = OptimConfig {
            weight_decay: 0.1,
            ..both()[1].clone()
        }
        .init();
        let linear = LinearConfig::new(1, 1).with_bias(false).init(&device);
        let weight = linear
            .weight
            .clone()
            .map(|w| w.inner().ones_like().autodiff().require_grad());
        let mut linear = Linear { weight, bias: None };
        for _ in 0..2 {
            let x = Tensor::<2>::from_floats([[0.5]], &device);
            let gradients =
                GradientsParams::from_grads(linear.forward(x).sum().backward(), &linear);
            linear = optimizer.step(1.0, linear, gradients);
        }
        // m = 0.6, w = 0.4; m = 0.54 + 0.54, w = -0.68
        let w = linear.weight.val().into_scalar::<f32>();
        assert!((w + 0.68).abs() < 1e-6, "{w}");
    }

    #[test]
    fn a_parameter_without_gradient_is_left_alone() {
        for config in both() {
            let mut frozen = model();
            frozen.weight = frozen.weight.no_grad();
            let after = steps(&mut config.init(), frozen.clone(), 0..2);
            assert_eq!(weights(&after)[0], weights(&frozen)[0]);
            assert_ne!(weights(&after)[1], weights(&frozen)[1]);
        }
    }
}
