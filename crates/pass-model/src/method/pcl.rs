//! PCL (Li et al. 2021, <https://arxiv.org/abs/2005.04966>), second version: MoCo v2, and contrast
//! against the clusters of the training pictures, which are found anew before each epoch.

use std::collections::BTreeMap;

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use super::{
    Chance, Embed, EpochError, KMeansSettings, Loss, Memory, Method, Position, ViewBatch,
    moco_v2::{of_ring, watched},
};
use crate::{
    backbone::{Backbone, BackboneConfig, BadSetting},
    clusters::PrototypeTable,
    group::Group,
    loss::{info_nce, prototype_contrast},
    momentum_pair::MomentumPair,
    norm::NormMode,
    queue::MemoryError,
    ring::Ring,
    shuffle::{KeyNorms, KeyNormsConfig},
};

/// Settings of [`Pcl`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PclConfig {
    /// Keys of earlier batches that are negatives, K: a multiple of the batch.
    pub queue: usize,
    /// τ, and the mean of the clusters' concentrations.
    pub temperature: f64,
    /// What the momentum encoder keeps of itself in each iteration.
    pub momentum: f64,
    /// Length of the embeddings.
    pub dim: usize,
    /// Epochs before the first clusters.
    pub warmup_epochs: usize,
    /// Clusters of each clustering; fewer than there are pictures.
    pub clusters: Vec<usize>,
    /// Prototypes that are negatives, r, beside those of the batch.
    pub negatives: usize,
    /// Iterations of k-means.
    pub kmeans_iterations: usize,
    /// Restarts of k-means.
    pub kmeans_restarts: usize,
    /// Which pictures share their batch statistics.
    pub norms: KeyNormsConfig,
}

impl Default for PclConfig {
    fn default() -> Self {
        Self {
            queue: 16_384,
            temperature: 0.2,
            momentum: 0.999,
            dim: 128,
            warmup_epochs: 20,
            clusters: vec![25_000, 50_000, 100_000],
            negatives: 16_384,
            kmeans_iterations: 20,
            kmeans_restarts: 5,
            norms: KeyNormsConfig::default(),
        }
    }
}

impl PclConfig {
    /// Refuses what does not go with a batch of all ranks, of which `share` pictures go through the
    /// network of a rank at a time.
    ///
    /// # Errors
    ///
    /// The setting, its value and the rule.
    pub fn check(&self, batch: usize, share: usize) -> Result<(), BadSetting> {
        Ring::check(self.queue, batch)?;
        let fewest = self.clusters.iter().copied().min();
        let rule = format!(
            "with the {share} prototypes of a batch it must not exceed the smallest of `clusters`"
        );
        let fits = fewest.is_none_or(|fewest| self.negatives + share <= fewest);
        BadSetting::unless(fits, "negatives", self.negatives, rule)?;
        self.norms.check(share)
    }

    /// Refuses fewer pictures than clusters.
    fn check_pictures(&self, pictures: usize) -> Result<(), EpochError> {
        let most = self.clusters.iter().copied().max().unwrap_or(0);
        if most <= pictures {
            return Ok(());
        }
        Err(format!(
            "`pretrain.pcl.clusters` asks for {most} clusters of {pictures} pictures; the published \
             numbers are 1/51, 1/26 and 1/13 of those of the pictures"
        )
        .into())
    }
}

/// PCL in training.
#[derive(Debug)]
pub struct Pcl {
    /// The network.
    pub net: MomentumPair,
    /// The negatives of both contrasts.
    pub memory: PclMemory,
    norms: KeyNorms,
    seed: u64,
    /// Names the next draw of negatives.
    next_draw: u64,
    config: PclConfig,
}

/// Keys of earlier batches, and the clusters of this epoch.
#[derive(Clone, Debug)]
pub struct PclMemory {
    /// Keys of earlier batches.
    pub ring: Ring,
    /// One for each clustering; none before the first.
    pub tables: Vec<PrototypeTable>,
    /// `[K, dim]` of each.
    shapes: Vec<[usize; 2]>,
    device: Device,
}

impl Pcl {
    /// The method with the initial weights of a seed.
    pub fn new(config: PclConfig, backbone: &BackboneConfig, seed: u64, device: &Device) -> Self {
        let shapes = config
            .clusters
            .iter()
            .map(|&clusters| [clusters, config.dim]);
        Self {
            net: MomentumPair::new(backbone, config.dim, seed, device),
            memory: PclMemory {
                ring: Ring::new(config.queue, config.dim, seed, device),
                tables: Vec::new(),
                shapes: shapes.collect(),
                device: device.clone().without_autodiff(),
            },
            norms: KeyNorms::new(config.norms, seed),
            seed,
            next_draw: 0,
            config,
        }
    }

    /// Clusters embeddings of all pictures.
    fn table(
        &self,
        rows: &Tensor<2>,
        number: usize,
        pictures: &mut dyn Embed,
    ) -> Result<PrototypeTable, EpochError> {
        let settings = KMeansSettings {
            clusters: self.config.clusters[number],
            iterations: self.config.kmeans_iterations,
            restarts: self.config.kmeans_restarts,
            seed: number as u64,
        };
        let clusters = pictures.k_means(rows.clone(), &settings)?;
        Ok(PrototypeTable::new(rows, clusters, self.config.temperature))
    }

    /// The contrast against the clusters, the mean over clusterings; none before there are any.
    fn prototype_loss(&mut self, queries: &Tensor<2>, pictures: &[usize]) -> Option<Tensor<1>> {
        let losses = self.memory.tables.iter().map(|table| {
            let own = table.clusters_of(pictures);
            let others = table.others(&own, self.config.negatives, [self.seed, self.next_draw]);
            self.next_draw += 1;
            let [own, others] = [own, others].map(|of| table.prototypes_of(&of));
            prototype_contrast(queries.clone(), own, others)
        });
        let sum = losses.reduce(|sum, loss| sum + loss)?;
        Some(sum / self.memory.tables.len() as f64)
    }
}

impl Method for Pcl {
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

    /// Refuses too few pictures at once. Behind the warm-up embeds all of them with the momentum encoder and its moving statistics, and clusters them.
    fn before_epoch(
        &mut self,
        at: Position,
        pictures: &mut dyn Embed,
        _group: &Group,
    ) -> Result<(), EpochError> {
        self.config.check_pictures(pictures.count())?;
        if at.epoch < self.config.warmup_epochs {
            return Ok(());
        }
        let net = &mut self.net;
        let rows = pictures.embed(&mut |batch| net.keys(batch, NormMode::Moving))?;
        let numbers = 0..self.config.clusters.len();
        let tables = numbers.map(|number| self.table(&rows, number, pictures));
        self.memory.tables = tables.collect::<Result<_, _>>()?;
        Ok(())
    }

    fn before_step(&mut self, at: Position, group: &Group) {
        self.norms.begin(at.iteration);
        self.next_draw = first_draw(at.iteration, group.rank());
        self.net.follow(self.config.momentum);
    }

    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let encoded = self.net.encode(views.pair(), &mut self.norms, group);
        let heads = watched(&views, &encoded);
        let [queries, keys] = encoded;
        let prototypes = self.prototype_loss(&queries, &views.pictures);
        let negatives = self.memory.ring.keys();
        let contrast = info_nce(queries, keys.clone(), negatives, self.config.temperature);
        self.memory.ring.stage(group.gather_rows(keys));
        let loss = match prototypes {
            None => Loss::new("contrast", contrast),
            Some(prototypes) => Loss::of_terms(
                contrast.clone() + prototypes.clone(),
                [("contrast", contrast), ("prototypes", prototypes)],
            ),
        };
        loss.with_heads(heads)
    }

    fn after_update(&mut self, _at: Position, _group: &Group) {
        self.memory.ring.push();
    }

    fn across_batch(&self) -> Option<&'static str> {
        Some("the prototypes of a batch are each other's negatives")
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        Some(&mut self.memory)
    }

    fn chance(&self) -> Option<Chance> {
        Some(of_ring(self.config.queue))
    }
}

impl Memory for PclMemory {
    fn save(&self, _group: &Group) -> BTreeMap<String, TensorData> {
        let mut tensors = self.ring.to_tensors("ring");
        for (number, table) in self.tables.iter().enumerate() {
            tensors.append(&mut table.to_tensors(&table_name(number)));
        }
        tensors
    }

    fn restore(
        &mut self,
        saved: &BTreeMap<String, TensorData>,
        _group: &Group,
    ) -> Result<(), MemoryError> {
        let table = |(number, &shape)| {
            PrototypeTable::restored(&table_name(number), saved, shape, &self.device)
        };
        let tables = self.shapes.iter().enumerate().map(table);
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        self.ring.restore_from("ring", saved)?;
        self.tables = tables.into_iter().flatten().collect();
        Ok(())
    }

    fn rows(&self) -> usize {
        self.ring.length()
    }
}

fn table_name(number: usize) -> String {
    format!("clusters.{number}")
}

/// Far from the streams of parameters and of keys' orders; an iteration has fewer draws than a rank has
/// room for.
fn first_draw(iteration: usize, rank: usize) -> u64 {
    (1 << 63) | ((iteration as u64) << 24) | ((rank as u64) << 8)
}
