//! The optimisers of PASS and the learning-rate schedule.
//!
//! ```
//! use pass_model::optim::{Algorithm, OptimConfig, Schedule};
//!
//! let config = OptimConfig { algorithm: Algorithm::Sgd, ..Default::default() };
//! let optimizer = config.init(&[]);
//! let schedule = Schedule::new(&config, 1.0, [250, 4]); // four epochs of 250 iterations
//! // each iteration: module = optimizer.step(schedule.rates(iteration), module, gradients);
//! # let _ = (optimizer, schedule);
//! ```
//!
//! Other tensors are treated apart by a [`ParameterGroup`]. To freeze a tensor, remove its gradient
//! before the step; it is then left alone, with its state.

mod adamw;
mod groups;
pub mod lars;
mod momentum;
mod optimizer;
pub mod resume;
pub mod schedule;
pub mod sgd;
mod varying;

pub use adamw::{Adamw, AdamwConfig, Moments};
pub use groups::{GroupRate, ParameterGroup, parameters_of, vectors_of};
pub use lars::{Lars, LarsConfig, LarsDecay, LarsExclusion};
pub use momentum::{GradientRule, Momentum, MomentumDescent};
pub use optimizer::NetworkOptimizer;
pub use resume::OptimizerError;
pub use schedule::{CosineSchedule, Decline, Rates, Schedule, WarmupEnd};
pub use sgd::{Sgd, SgdConfig};

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
    /// The LARS of PixPro, for PASS_p: the same, with the decay in the gradient. SimCLR, BYOL, Barlow
    /// Twins, VICReg and MoCo v3 train with it too.
    LarsPixpro,
    /// Plain SGD with momentum.
    Sgd,
    /// Adam with the decay of the weights beside the gradients; `momentum` is its β₁, and β₂ is 0.999.
    Adamw,
}

/// Optimiser and schedule of a training step; the defaults are those of step 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimConfig {
    /// Which optimiser.
    pub algorithm: Algorithm,
    /// Learning rate at the start of the decline.
    pub base_lr: f64,
    /// Learning rate at the end of a cosine.
    pub final_lr: f64,
    /// Epochs of linear warm-up before the decline.
    pub warmup_epochs: usize,
    /// Learning rate at the start of the warm-up.
    pub warmup_lr: f64,
    /// Where the warm-up ends.
    pub warmup_end: WarmupEnd,
    /// How the rate falls behind the warm-up.
    pub decline: Decline,
    /// Epochs from which on it is multiplied with `step_factor`, of [`Decline::Steps`].
    pub step_epochs: Vec<usize>,
    /// The factor of each step.
    pub step_factor: f64,
    /// Weight decay λ; the first one where `final_weight_decay` names another.
    pub weight_decay: f64,
    /// Weight decay that half a cosine over the training approaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_weight_decay: Option<f64>,
    /// Momentum μ, in `[0, 1)`.
    pub momentum: f64,
    /// Whether gradients are multiplied with the rate before they are added up, not after; AdamW does
    /// not look at it.
    pub lr_in_buffer: bool,
    /// Euclidean norm that the gradient of each tensor is shortened to where it is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Lars,
            base_lr: 0.6,
            final_lr: 6e-4,
            warmup_epochs: 0,
            warmup_lr: 0.0,
            warmup_end: WarmupEnd::Inclusive,
            decline: Decline::Cosine,
            step_epochs: Vec::new(),
            step_factor: 0.1,
            weight_decay: 1e-6,
            final_weight_decay: None,
            momentum: 0.9,
            lr_in_buffer: false,
            clip_norm: None,
        }
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

    pub(super) fn all() -> [OptimConfig; 3] {
        [Algorithm::Lars, Algorithm::Sgd, Algorithm::Adamw].map(|algorithm| OptimConfig {
            algorithm,
            ..Default::default()
        })
    }

    pub(super) fn model() -> Linear {
        let device = Device::default().autodiff();
        LinearConfig::new(5, 3).init(&device)
    }

    /// Of a batch that depends on nothing but the iteration.
    pub(super) fn gradients(model: &Linear, iteration: u64) -> GradientsParams {
        let x = (0..35).map(|i| ((i * 7 + iteration * 3) % 11) as f32 / 11.0 - 0.4);
        let x = TensorData::new(x.collect::<Vec<f32>>(), [7, 5]);
        let x = Tensor::<2>::from_data(x, &Device::default().autodiff());
        let loss = model.forward(x).square().sum();
        GradientsParams::from_grads(loss.backward(), model)
    }

    pub(super) fn steps(
        optimizer: &mut NetworkOptimizer,
        mut model: Linear,
        iterations: std::ops::Range<u64>,
    ) -> Linear {
        for iteration in iterations {
            let rates = Rates {
                lr: 0.01 * (iteration + 1) as f64,
                base_lr: 0.5,
                weight_decay: 1e-6,
            };
            let gradients = gradients(&model, iteration);
            model = optimizer.step(rates, model, gradients);
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
        let mut optimizer = all()[1].init(&[]);
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
            let rates = Rates {
                lr: 1.0,
                base_lr: 1.0,
                weight_decay: 0.1,
            };
            linear = optimizer.step(rates, linear, gradients);
        }
        // m = 0.6, w = 0.4; m = 0.54 + 0.54, w = -0.68
        let w = linear.weight.val().into_scalar::<f32>();
        assert!((w + 0.68).abs() < 1e-6, "{w}");
    }

    #[test]
    fn a_parameter_without_gradient_is_left_alone() {
        for config in all() {
            let mut frozen = model();
            frozen.weight = frozen.weight.no_grad();
            let after = steps(&mut config.init(&[]), frozen.clone(), 0..2);
            assert_eq!(weights(&after)[0], weights(&frozen)[0]);
            assert_ne!(weights(&after)[1], weights(&frozen)[1]);
        }
    }
}
