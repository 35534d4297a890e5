//! Plain SGD with momentum, the alternative to LARS.
//!
//! The Jittor release of PASS trains with it at the same rates and reports comparable scores.

use burn::{
    optim::{LearningRate, ModuleOptimizer, Optimizer},
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::momentum::{Momentum, MomentumName};

/// Settings of [`Sgd`]: `g ← g + λ·w`, `m ← μ·m + g` (first step `m ← g`), `w ← w − rate·m`, as
/// PyTorch's without dampening and without Nesterov's look-ahead.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Momentum μ, in `[0, 1)`.
    pub momentum: f64,
}

impl Default for SgdConfig {
    /// The settings of the Jittor release.
    fn default() -> Self {
        Self {
            weight_decay: 1e-6,
            momentum: 0.9,
        }
    }
}

/// SGD with momentum, for one tensor at a time. In place of burn's own, whose momentum from a file
/// goes to the default device of the build ([`Momentum`]).
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    config: SgdConfig,
}

impl SgdConfig {
    /// The optimiser of one tensor, for [`ModuleOptimizer::with_group`].
    pub fn build(&self) -> Sgd {
        Sgd { config: *self }
    }

    /// The optimiser of a whole module.
    pub fn init(&self) -> ModuleOptimizer {
        self.build().into()
    }
}

impl MomentumName for Sgd {
    const NAME: &'static str = "sgd_buffer";
}

impl Optimizer for Sgd {
    type State<const D: usize> = Momentum<D, Self>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        momentum: Option<Momentum<D, Self>>,
    ) -> (Tensor<D>, Option<Momentum<D, Self>>) {
        let decayed = gradient + weight.clone() * self.config.weight_decay;
        let momentum = Momentum::after(momentum, self.config.momentum, decayed);
        let weight = weight - momentum.clone().into_tensor() * rate;
        (weight, Some(momentum))
    }

    fn to_device<const D: usize>(
        momentum: Momentum<D, Self>,
        device: &Device,
    ) -> Momentum<D, Self> {
        momentum.placed_on(device)
    }
}
