//! The methods that a run file can name: each a variant, and what trains it.

use burn::tensor::Device;
use pass_model::{
    loss::{LossWeights, PretrainLossConfig},
    method::pass::{Pass, PassConfig},
    pass_p_net::PassPNet,
    queue::SwavQueue,
};
use serde::{Deserialize, Serialize};

use super::{net_config, pretrain_with, swav_queue};
use crate::{Context, Error, RunFile};

/// The method of step 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// On SwAV: swapped prediction, P2P, D2S.
    #[default]
    PassS,
    /// On PixPro: its consistency of pixels with a momentum encoder, and all of `pass_s`.
    PassP,
}

impl Method {
    /// Trains the method on a device with gradients.
    pub(super) fn train(self, context: &Context, device: &Device) -> Result<(), Error> {
        let file = &context.file;
        match self {
            Self::PassS => pretrain_with(context, pass_s(file, device)),
            Self::PassP => pretrain_with(context, pass_p(file, device)),
        }
    }
}

/// PASS_s with the initial weights of the run's seed.
pub(crate) fn pass_s(file: &RunFile, device: &Device) -> Pass {
    Pass::pass_s(
        pass_config(file),
        pass_queue(file, device),
        file.seed,
        device,
    )
}

/// PASS_p, which contains PASS_s.
pub(crate) fn pass_p(file: &RunFile, device: &Device) -> Pass<PassPNet> {
    Pass::pass_p(
        pass_config(file),
        pass_queue(file, device),
        file.seed,
        device,
    )
}

fn pass_config(file: &RunFile) -> PassConfig {
    let section = &file.pretrain;
    let stages = section.shallow.iter().copied();
    PassConfig {
        net: net_config(file),
        loss: PretrainLossConfig {
            swapped: section.swapped.clone(),
            supervision: section.supervision,
            p2p: section.p2p.then_some(section.alignment.kind),
            weights: LossWeights {
                image: section.swapped_weight,
                d2s: stages
                    .zip(section.shallow_weights.iter().copied())
                    .collect(),
                p2p: section.p2p_weight,
            },
        },
        alignment: section.alignment.clone(),
        consistency: section.consistency.clone(),
        freeze_prototypes_iterations: section.freeze_prototypes_iterations,
    }
}

fn pass_queue(file: &RunFile, device: &Device) -> SwavQueue {
    let section = &file.pretrain;
    let part = section.batch / section.accumulate;
    swav_queue(
        &section.swapped,
        section
            .batch_rule
            .queue_length(section.swapped.queue_length, section.batch),
        [part, file.network.feature_dim],
        device,
    )
}
