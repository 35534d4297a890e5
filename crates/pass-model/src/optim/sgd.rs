//! Plain SGD with momentum, the alternative to LARS.
//!
//! The Jittor release of PASS trains with it at the same rates and reports comparable scores.

use burn::optim::{ModuleOptimizer, decay::WeightDecayConfig, momentum::MomentumConfig};
use serde::{Deserialize, Serialize};

/// Settings of plain SGD: `g ← g + λ·w`, `m ← μ·m + g` (first step `m ← g`), `w ← w − rate·m`.
///
/// This is burn's SGD with PyTorch's conventions: no dampening (burn's default is 0.1) and no
/// Nesterov look-ahead.
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

impl SgdConfig {
    /// The optimiser of a whole module.
    pub fn init(&self) -> ModuleOptimizer {
        let momentum = MomentumConfig::new()
            .with_momentum(self.momentum)
            .with_dampening(0.0);
        let decay = WeightDecayConfig::new(self.weight_decay as f32);
        let config = burn::optim::SgdConfig::new();
        config
            .with_momentum(Some(momentum))
            .with_weight_decay(Some(decay))
            .init()
    }
}
