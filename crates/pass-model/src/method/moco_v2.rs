//! MoCo v2 (Chen et al. 2020, <https://arxiv.org/abs/2003.04297>): each view has to find the momentum
//! encoder's embedding of the other among those of earlier batches.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{Chance, HeadSignal, Loss, Memory, Method, Position, ViewBatch};
use crate::{
    backbone::{Backbone, BackboneConfig, BadSetting},
    group::Group,
    loss::info_nce,
    momentum_pair::MomentumPair,
    ring::Ring,
    shuffle::{KeyNorms, KeyNormsConfig},
};

/// What has helped where a contrast against earlier keys stayed at its value by chance.
pub(super) const REMEDY: &str = "more updates (more `epochs`, a smaller `batch`), a shorter queue, a \
                                 momentum further from 1, milder `views.jitter`";

/// Settings of [`MoCoV2`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MoCoV2Config {
    /// Keys of earlier batches that are the negatives, K: a multiple of the batch. At most an eighth of
    /// the pictures, or each picture meets its own key of the epoch before as a negative.
    pub queue: usize,
    /// τ
    pub temperature: f64,
    /// What the momentum encoder keeps of itself in each iteration.
    pub momentum: f64,
    /// Length of the embeddings.
    pub dim: usize,
    /// Which pictures share their batch statistics.
    pub norms: KeyNormsConfig,
}

impl Default for MoCoV2Config {
    fn default() -> Self {
        Self {
            queue: 65_536,
            temperature: 0.2,
            momentum: 0.999,
            dim: 128,
            norms: KeyNormsConfig::default(),
        }
    }
}

impl MoCoV2Config {
    /// Refuses what does not go with a batch of all ranks, of which `share` pictures go through the
    /// network of a rank at a time.
    ///
    /// # Errors
    ///
    /// The setting, its value and the rule.
    pub fn check(&self, batch: usize, share: usize) -> Result<(), BadSetting> {
        Ring::check(self.queue, batch)?;
        self.norms.check(share)
    }
}

/// MoCo v2 in training.
#[derive(Debug)]
pub struct MoCoV2 {
    /// The network.
    pub net: MomentumPair,
    /// The negatives.
    pub ring: Ring,
    norms: KeyNorms,
    config: MoCoV2Config,
}

impl MoCoV2 {
    /// The method with the initial weights of a seed.
    pub fn new(
        config: MoCoV2Config,
        backbone: &BackboneConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        Self {
            net: MomentumPair::new(backbone, config.dim, seed, device),
            ring: Ring::new(config.queue, config.dim, seed, device),
            norms: KeyNorms::new(config.norms, seed),
            config,
        }
    }
}

impl Method for MoCoV2 {
    type Net = MomentumPair;
    const CROPS: Option<usize> = Some(2);

    fn net(&self) -> &MomentumPair {
        &self.net
    }

    fn net_mut(&mut self) -> &mut MomentumPair {
        &mut self.net
    }

    fn backbone(&self) -> &Backbone {
        &self.net.backbone
    }

    fn result(&self) -> impl Module {
        self.net.encoder()
    }

    fn before_step(&mut self, at: Position, _group: &Group) {
        self.norms.begin(at.iteration);
        self.net.follow(self.config.momentum);
    }

    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let encoded = self.net.encode(views.pair(), &mut self.norms, group);
        let heads = watched(&views, &encoded);
        let [queries, keys] = encoded;
        let negatives = self.ring.keys();
        let loss = info_nce(queries, keys.clone(), negatives, self.config.temperature);
        self.ring.stage(group.gather_rows(keys));
        Loss::new("contrast", loss).with_heads(heads)
    }

    fn after_update(&mut self, _at: Position, _group: &Group) {
        self.ring.push();
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        Some(&mut self.ring)
    }

    fn chance(&self) -> Option<Chance> {
        Some(of_ring(self.config.queue))
    }
}

/// What a look at queries and keys is to see.
pub(super) fn watched(views: &ViewBatch, encoded: &[Tensor<2>; 2]) -> Vec<HeadSignal> {
    let description = "queries and keys, which come from the projector (`momentum`, `temperature` \
                       of the method's section)";
    HeadSignal::of_embeddings(views.watched, "embedding", description, || {
        Tensor::cat(encoded.to_vec(), 0)
    })
}

/// The value by chance against a ring of so many keys.
pub(super) fn of_ring(keys: usize) -> Chance {
    Chance {
        term: "contrast",
        value: ((keys + 1) as f64).ln(),
        called: "ln(K + 1)",
        remedy: REMEDY,
        rises_first: true,
    }
}
