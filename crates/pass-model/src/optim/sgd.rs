//! Plain SGD with momentum, the alternative to LARS.
//!
//! The Jittor release of PASS trains with it at the same rates and reports comparable scores.

use burn::{
    optim::{LearningRate, ModuleOptimizer, Optimizer, RecordState, StateSink, StateSource},
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::Momentum;

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

/// What [`Sgd`] knows of one tensor.
#[derive(Clone, Debug)]
pub struct SgdState<const D: usize> {
    /// Of the gradients with their decay.
    pub momentum: Momentum<D>,
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let decayed = gradient + weight.clone() * self.config.weight_decay;
        let old = state.as_ref().map(|state| &state.momentum);
        let momentum = Momentum::after(old, self.config.momentum, decayed);
        let weight = weight - momentum.tensor() * rate;
        (weight, Some(SgdState { momentum }))
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        SgdState {
            momentum: state.momentum.placed_on(device),
        }
    }
}

const BUFFER: &str = "sgd_buffer";

impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        self.momentum.flatten(prefix, BUFFER, out);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _: &Device) -> Option<Self> {
        let momentum = Momentum::unflatten(prefix, BUFFER, source)?;
        Some(Self { momentum })
    }
}
