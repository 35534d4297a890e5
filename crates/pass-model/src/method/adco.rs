//! AdCo (Hu et al. 2021, <https://arxiv.org/abs/2011.08435>): the negatives are vectors that learn to be
//! mistaken for the queries' keys.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{
    Chance, Loss, Memory, Method, Position, ViewBatch,
    moco_v2::{REMEDY, watched},
};
use crate::{
    adversaries::{Adversaries, AdversariesConfig},
    backbone::{Backbone, BackboneConfig, BadSetting},
    group::Group,
    loss::{bank_contrast, bank_gradient, info_nce},
    momentum_pair::MomentumPair,
    normalize::l2_normalize,
    shuffle::{KeyNorms, KeyNormsConfig},
};

/// Settings of [`AdCo`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdCoConfig {
    /// The vectors that learn against the network.
    pub bank: AdversariesConfig,
    /// τ of the network's loss.
    pub temperature: f64,
    /// What the momentum encoder keeps of itself in each iteration.
    pub momentum: f64,
    /// Length of the embeddings.
    pub dim: usize,
    /// Whether each view is the query once, not the first alone.
    pub symmetric: bool,
    /// Which pictures share their batch statistics.
    pub norms: KeyNormsConfig,
}

impl Default for AdCoConfig {
    fn default() -> Self {
        Self {
            bank: AdversariesConfig::default(),
            temperature: 0.12,
            momentum: 0.999,
            dim: 128,
            symmetric: true,
            norms: KeyNormsConfig::default(),
        }
    }
}

impl AdCoConfig {
    /// Refuses what does not go with `share` pictures that go through the network of a rank at a time.
    ///
    /// # Errors
    ///
    /// The setting, its value and the rule.
    pub fn check(&self, share: usize) -> Result<(), BadSetting> {
        self.norms.check(share)
    }
}

/// AdCo in training.
///
/// Its first iterations fill the bank with the keys of their batches. What learns then finds its own key
/// among what is in the bank; when it is full, the momentum encoder starts as a copy again.
#[derive(Debug)]
pub struct AdCo {
    /// The network.
    pub net: MomentumPair,
    /// The vectors that learn against it.
    pub bank: Adversaries,
    norms: KeyNorms,
    batch: usize,
    config: AdCoConfig,
}

/// Of one view as queries.
struct Direction {
    loss: Tensor<1>,
    /// By the bank, of this rank's queries.
    gradient: Tensor<2>,
    encoded: [Tensor<2>; 2],
}

impl AdCo {
    /// The method with the initial weights of a seed, for batches of `batch` pictures on all ranks.
    pub fn new(
        config: AdCoConfig,
        backbone: &BackboneConfig,
        batch: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        Self {
            net: MomentumPair::new(backbone, config.dim, seed, device),
            bank: Adversaries::new(config.bank, config.dim, seed, device),
            norms: KeyNorms::new(config.norms, seed),
            batch,
            config,
        }
    }

    /// The loss of an iteration that fills the bank.
    fn filling(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let encoded = self.net.encode(views.pair(), &mut self.norms, group);
        let heads = watched(&views, &encoded);
        let [queries, keys] = encoded;
        let negatives = l2_normalize(self.bank.vectors(), 1);
        let loss = info_nce(queries, keys.clone(), negatives, self.config.temperature);
        self.bank.stage_keys(group.gather_rows(keys));
        Loss::new("contrast", loss).with_heads(heads)
    }

    fn direction(&mut self, views: [Tensor<4>; 2], group: &Group) -> Direction {
        let encoded = self.net.encode(views, &mut self.norms, group);
        let [queries, keys] = encoded.clone();
        let candidates = [group.gather_rows(keys.clone()), self.bank.vectors()];
        let temperature = self.config.bank.temperature;
        Direction {
            gradient: bank_gradient(queries.clone(), candidates.clone(), temperature),
            loss: bank_contrast(queries, keys, candidates, self.config.temperature),
            encoded,
        }
    }
}

impl Method for AdCo {
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
        if !self.bank.is_full() {
            return self.filling(views, group);
        }
        let [first, second] = views.pair();
        let mut directions = vec![self.direction([first.clone(), second.clone()], group)];
        if self.config.symmetric {
            directions.push(self.direction([second, first], group));
        }
        let heads = watched(&views, &directions[0].encoded);
        let count = directions.len() as f64;
        let (losses, gradients): (Vec<_>, Vec<_>) = directions
            .into_iter()
            .map(|of| (of.loss, of.gradient))
            .unzip();
        let gradient = group.sum_of(sum(gradients)) / (count * group.size() as f64);
        self.bank.stage_gradient(gradient);
        Loss::new("contrast", sum(losses) / count).with_heads(heads)
    }

    fn after_update(&mut self, _at: Position, _group: &Group) {
        let was_full = self.bank.is_full();
        self.bank.apply();
        if self.bank.is_full() && !was_full {
            self.net.catch_up();
        }
    }

    fn across_batch(&self) -> Option<&'static str> {
        Some("the keys of a batch are each other's negatives")
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        Some(&mut self.bank)
    }

    fn chance(&self) -> Option<Chance> {
        Some(Chance {
            term: "contrast",
            value: ((self.batch + self.config.bank.rows) as f64).ln(),
            called: "ln(B + K)",
            remedy: REMEDY,
            rises_first: true,
        })
    }
}

fn sum<const D: usize>(tensors: Vec<Tensor<D>>) -> Tensor<D> {
    let sum = tensors.into_iter().reduce(|sum, tensor| sum + tensor);
    sum.expect("one direction at least")
}
