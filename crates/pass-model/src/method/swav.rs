//! SwAV (Caron et al. 2020, <https://arxiv.org/abs/2006.09882>): swapped prediction alone, which PASS
//! builds on.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::pass::{ConsistencyConfig, Pass, PassConfig};
use crate::{
    loss::{LossWeights, PretrainLossConfig, SwappedPredictionConfig, d2s::SupervisionConfig},
    overlap::AlignmentConfig,
    pretrain_net::{NetworkConfig, PretrainNet, PretrainNetConfig},
    queue::SwavQueue,
};

/// Settings of SwAV beside those of swapped prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwavConfig {
    /// Whether the projector ends in a norm without scale and shift, as that of PASS; not so in SwAV's
    /// own program.
    pub last_norm: bool,
}

impl Default for SwavConfig {
    fn default() -> Self {
        Self { last_norm: true }
    }
}

impl SwavConfig {
    /// SwAV with the initial weights of a seed: PASS_s without P2P and D2S, which then has this loss
    /// alone. The prototypes keep still for so many iterations.
    pub fn init(
        &self,
        network: NetworkConfig,
        swapped: SwappedPredictionConfig,
        freeze_prototypes_iterations: usize,
        queue: SwavQueue,
        seed: u64,
        device: &Device,
    ) -> Pass {
        let config = PassConfig {
            net: net_config(network),
            loss: PretrainLossConfig {
                swapped,
                supervision: SupervisionConfig::default(),
                p2p: None,
                weights: LossWeights {
                    image: 1.0,
                    d2s: Default::default(),
                    p2p: 0.0,
                },
            },
            alignment: AlignmentConfig::default(),
            consistency: ConsistencyConfig::default(),
            freeze_prototypes_iterations,
        };
        let mut method = Pass::pass_s(config, queue, seed, device);
        self.shape(&mut method.net);
        method
    }

    /// Takes the last norm of the projector away where it is not wanted.
    pub fn shape(&self, net: &mut PretrainNet) {
        if !self.last_norm {
            net.projection.bn2 = None;
        }
    }
}

/// The network: backbone, projector and prototypes.
fn net_config(network: NetworkConfig) -> PretrainNetConfig {
    PretrainNetConfig {
        network,
        shallow: Vec::new(),
        p2p: false,
        p2p_projection: false,
    }
}
