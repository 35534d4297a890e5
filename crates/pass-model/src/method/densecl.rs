//! DenseCL (Wang et al. 2021, <https://arxiv.org/abs/2011.09157>): MoCo v2 on pooled features, and on
//! each place of the feature map with the place of the other view that looks most alike.

use std::collections::BTreeMap;

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use super::{
    Chance, Loss, Memory, Method, Position, ViewBatch,
    moco_v2::{of_ring, watched},
};
use crate::{
    backbone::{Backbone, BackboneConfig, BadSetting},
    group::Group,
    heads::{Activation, InitialWeights, LayerConfig, Mlp, MlpConfig},
    init::{WeightStream, name_parameters},
    loss::{dense_contrast, info_nce, matching_places},
    momentum_encoder::{follow, frozen_copy},
    norm::NormMode,
    normalize::{global_average_pool, l2_normalize},
    queue::MemoryError,
    ring::Ring,
    shuffle::{KeyNorms, KeyNormsConfig, KeyOrder},
};

/// Settings of [`DenseCl`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenseClConfig {
    /// Keys of earlier batches in each of the two rings, K: a multiple of the batch, and at most an
    /// eighth of the pictures.
    pub queue: usize,
    /// τ
    pub temperature: f64,
    /// What the momentum encoder keeps of itself in each iteration.
    pub momentum: f64,
    /// Width of the hidden layer of both heads.
    pub hidden: usize,
    /// Length of the embeddings.
    pub dim: usize,
    /// Weight λ of the dense contrast; that of the other is 1 - λ.
    pub dense_weight: f64,
    /// Iterations at the start in which λ is 0.
    pub dense_from_iteration: usize,
    /// Which pictures share their batch statistics.
    pub norms: KeyNormsConfig,
}

impl Default for DenseClConfig {
    fn default() -> Self {
        Self {
            queue: 65_536,
            temperature: 0.2,
            momentum: 0.999,
            hidden: 2048,
            dim: 128,
            dense_weight: 0.5,
            dense_from_iteration: 0,
            norms: KeyNormsConfig::default(),
        }
    }
}

impl DenseClConfig {
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

/// The two heads.
#[derive(Module, Debug)]
pub struct DenseHeads {
    /// On pooled features.
    pub global: Mlp,
    /// On each place of the map.
    pub dense: Mlp,
}

/// Trained encoder or momentum encoder.
#[derive(Module, Debug)]
pub struct DenseEncoder {
    /// On pictures.
    pub backbone: Backbone,
    /// On its last map.
    pub heads: DenseHeads,
}

/// The network of [`DenseCl`].
#[derive(Module, Debug)]
pub struct DenseClNet {
    /// What the later steps go on with.
    pub backbone: Backbone,
    /// On its last map.
    pub heads: DenseHeads,
    /// Gives the keys.
    pub momentum: DenseEncoder,
}

/// What an encoder makes of some pictures.
struct Encoded {
    /// `[pictures, channels, height, width]`
    map: Tensor<4>,
    /// `[pictures, dim]`, of unit length
    global: Tensor<2>,
    /// `[pictures, dim, height, width]`, of any length
    dense: Tensor<4>,
}

impl DenseHeads {
    fn new(
        channels: usize,
        config: &DenseClConfig,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Self {
        let hidden = LayerConfig::new(config.hidden).activation(Activation::Relu);
        let head = MlpConfig::new(channels, vec![hidden, LayerConfig::new(config.dim)]);
        let head = head.weights(InitialWeights::HeFanIn);
        Self {
            global: head.init(stream, device),
            dense: head.init(stream, device),
        }
    }

    fn forward(&mut self, map: Tensor<4>, mode: NormMode) -> Encoded {
        let pooled = global_average_pool(map.clone());
        Encoded {
            global: l2_normalize(self.global.forward(pooled, mode), 1),
            dense: self.dense.forward_map(map.clone(), mode),
            map,
        }
    }
}

impl Encoded {
    /// The same pictures as they came.
    fn restored(self, order: &KeyOrder, group: &Group) -> Self {
        Self {
            map: order.restored(self.map, group),
            global: order.restored(self.global, group),
            dense: order.restored(self.dense, group),
        }
    }

    /// What the dense embeddings of a picture have in common, `[pictures, dim]`, of unit length.
    fn summary(&self) -> Tensor<2> {
        l2_normalize(global_average_pool(self.dense.clone()), 1)
    }
}

impl DenseClNet {
    fn new(config: &DenseClConfig, backbone: &BackboneConfig, seed: u64, device: &Device) -> Self {
        let stream = &mut WeightStream::new(seed);
        let encoder = DenseEncoder {
            backbone: backbone.build(stream, device),
            heads: DenseHeads::new(backbone.channels(4), config, stream, device),
        };
        name_parameters(Self {
            momentum: frozen_copy(&encoder),
            backbone: encoder.backbone,
            heads: encoder.heads,
        })
    }

    fn encoder(&self) -> DenseEncoder {
        DenseEncoder {
            backbone: self.backbone.clone(),
            heads: self.heads.clone(),
        }
    }

    fn queries(&mut self, pictures: Tensor<4>, mode: NormMode) -> Encoded {
        let map = self.backbone.forward(pictures, mode).into_last();
        self.heads.forward(map, mode)
    }

    /// Nothing of it takes a gradient.
    fn keys(&mut self, pictures: Tensor<4>, mode: NormMode) -> Encoded {
        let DenseEncoder { backbone, heads } = &mut self.momentum;
        let map = backbone.forward(pictures, mode).into_last();
        let Encoded { map, global, dense } = heads.forward(map, mode);
        Encoded {
            map: map.inner(),
            global: global.inner(),
            dense: dense.inner(),
        }
    }
}

/// DenseCL in training.
#[derive(Debug)]
pub struct DenseCl {
    /// The network.
    pub net: DenseClNet,
    /// The negatives.
    pub rings: DenseRings,
    norms: KeyNorms,
    /// λ of this iteration.
    dense_weight: f64,
    config: DenseClConfig,
}

/// The negatives of both contrasts.
#[derive(Clone, Debug)]
pub struct DenseRings {
    /// Keys of pooled features.
    pub global: Ring,
    /// One key of each picture, what its places have in common.
    pub dense: Ring,
}

impl DenseCl {
    /// The method with the initial weights of a seed.
    pub fn new(
        config: DenseClConfig,
        backbone: &BackboneConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        let ring = |seed| Ring::new(config.queue, config.dim, seed, device);
        Self {
            net: DenseClNet::new(&config, backbone, seed, device),
            rings: DenseRings {
                global: ring(seed),
                dense: ring(seed.wrapping_add(1)),
            },
            norms: KeyNorms::new(config.norms, seed),
            dense_weight: config.dense_weight,
            config,
        }
    }

    /// Queries of one view and keys of the other.
    fn encode(&mut self, [query_view, key_view]: [Tensor<4>; 2], group: &Group) -> [Encoded; 2] {
        let pictures = query_view.dims()[0];
        let mode = self.norms.mode(pictures, group);
        let queries = self.net.queries(query_view, mode);
        let order = self.norms.key_order(pictures, group);
        let keys = self.net.keys(order.shuffled(key_view, group), mode);
        [queries, keys.restored(&order, group)]
    }
}

impl Method for DenseCl {
    type Net = DenseClNet;
    const CROPS: Option<usize> = Some(2);

    fn net(&self) -> &DenseClNet {
        &self.net
    }

    fn net_mut(&mut self) -> &mut DenseClNet {
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
        let waits = at.iteration < self.config.dense_from_iteration;
        self.dense_weight = if waits { 0.0 } else { self.config.dense_weight };
        let trained = self.net.encoder();
        follow(&mut self.net.momentum, &trained, self.config.momentum);
    }

    fn loss(&mut self, views: ViewBatch, group: &Group) -> Loss {
        let [queries, keys] = self.encode(views.pair(), group);
        let heads = watched(&views, &[queries.global.clone(), keys.global.clone()]);
        let temperature = self.config.temperature;
        let matches = matching_places(queries.map, keys.map.clone());
        let dense_keys = keys.dense.clone();
        let negatives = self.rings.dense.keys();
        let dense = dense_contrast(queries.dense, dense_keys, matches, negatives, temperature);
        let negatives = self.rings.global.keys();
        let global = info_nce(queries.global, keys.global.clone(), negatives, temperature);
        self.rings.dense.stage(group.gather_rows(keys.summary()));
        self.rings.global.stage(group.gather_rows(keys.global));
        let total = global.clone() * (1.0 - self.dense_weight) + dense.clone() * self.dense_weight;
        Loss::of_terms(total, [("contrast", global), ("dense_contrast", dense)]).with_heads(heads)
    }

    fn after_update(&mut self, _at: Position, _group: &Group) {
        self.rings.global.push();
        self.rings.dense.push();
    }

    fn memory(&mut self) -> Option<&mut dyn Memory> {
        Some(&mut self.rings)
    }

    fn chance(&self) -> Option<Chance> {
        Some(of_ring(self.config.queue))
    }
}

impl Memory for DenseRings {
    fn save(&self, _group: &Group) -> BTreeMap<String, TensorData> {
        let mut tensors = self.global.to_tensors("global");
        tensors.append(&mut self.dense.to_tensors("dense"));
        tensors
    }

    fn restore(
        &mut self,
        saved: &BTreeMap<String, TensorData>,
        _group: &Group,
    ) -> Result<(), MemoryError> {
        let mut restored = self.clone();
        restored.global.restore_from("global", saved)?;
        restored.dense.restore_from("dense", saved)?;
        *self = restored;
        Ok(())
    }

    fn rows(&self) -> usize {
        self.global.length() + self.dense.length()
    }
}
