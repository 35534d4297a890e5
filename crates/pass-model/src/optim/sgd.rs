//! Plain SGD with momentum, the alternative to LARS.
//!
//! The Jittor release of PASS trains with it at the same rates and reports comparable scores.

use burn::{optim::ModuleOptimizer, tensor::Tensor};

use super::{
    momentum::{GradientRule, MomentumDescent},
    varying::Varying,
};

/// Settings of [`Sgd`]: `g ← g + λ·w`, `m ← μ·m + g` (first step `m ← g`), `w ← w − rate·m`, as
/// PyTorch's without dampening and without Nesterov's look-ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Momentum μ, in `[0, 1)`.
    pub momentum: f64,
    /// Whether gradients are multiplied with the rate before they are added up.
    pub lr_in_buffer: bool,
}

/// The gradients of SGD, for [`MomentumDescent`]. In place of burn's own, whose momentum from a file
/// goes to the default device of the build ([`Momentum`](super::Momentum)).
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    momentum: f64,
}

impl SgdConfig {
    /// The optimiser of one tensor, for [`ModuleOptimizer::with_group`].
    pub fn build(&self) -> MomentumDescent<Sgd> {
        self.build_with(Varying::new(self.weight_decay))
    }

    pub(super) fn build_with(&self, decay: Varying) -> MomentumDescent<Sgd> {
        MomentumDescent {
            rule: Sgd {
                momentum: self.momentum,
            },
            decay,
            lr_in_buffer: self.lr_in_buffer,
        }
    }

    /// The optimiser of a whole module.
    pub fn init(&self) -> ModuleOptimizer {
        self.build().into()
    }
}

impl GradientRule for Sgd {
    const NAME: &'static str = "sgd_buffer";

    fn factor(&self) -> f64 {
        self.momentum
    }

    fn scaled<const D: usize>(
        &self,
        weight: &Tensor<D>,
        gradient: Tensor<D>,
        weight_decay: f64,
    ) -> Tensor<D> {
        gradient + weight.clone() * weight_decay
    }
}
