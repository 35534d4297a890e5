//! Plain SGD with momentum, the alternative to LARS.
//!
//! The Jittor release of PASS trains with it at the same rates and reports comparable scores.

use burn::{optim::ModuleOptimizer, tensor::Tensor};

use super::momentum::{GradientRule, MomentumDescent};

/// Settings of [`Sgd`]: `g ← g + λ·w`, `m ← μ·m + g` (first step `m ← g`), `w ← w − rate·m`, as
/// PyTorch's without dampening and without Nesterov's look-ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Momentum μ, in `[0, 1)`.
    pub momentum: f64,
}

/// The gradients of SGD, for [`MomentumDescent`]. In place of burn's own, whose momentum from a file
/// goes to the default device of the build ([`Momentum`](super::Momentum)).
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    config: SgdConfig,
}

impl SgdConfig {
    /// The optimiser of one tensor, for [`ModuleOptimizer::with_group`].
    pub fn build(&self) -> MomentumDescent<Sgd> {
        MomentumDescent(Sgd { config: *self })
    }

    /// The optimiser of a whole module.
    pub fn init(&self) -> ModuleOptimizer {
        self.build().into()
    }
}

impl GradientRule for Sgd {
    const NAME: &'static str = "sgd_buffer";

    fn factor(&self) -> f64 {
        self.config.momentum
    }

    fn scaled<const D: usize>(&self, weight: &Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
        gradient + weight.clone() * self.config.weight_decay
    }
}
