//! A block of a transformer: attention among all tokens, then two linear layers of each.

use burn::{
    module::{Module, Param},
    nn::{LayerNorm, Linear, LinearConfig},
    tensor::{Device, Tensor},
};

use super::{EPSILON, VitConfig};
use crate::{
    backbone::parts::{Mlp, attention, join_heads, layer_norm, linear, normalize, split_heads},
    init::WeightStream,
};

/// The scales of DINOv2's branches when its training begins.
const FIRST_SCALE: f32 = 1e-5;

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`.
#[derive(Module, Debug)]
pub struct VitBlock {
    /// Norm of the attention's input.
    pub norm1: LayerNorm,
    /// The first branch.
    pub attn: VitAttention,
    /// Its scale.
    pub ls1: Option<LayerScale>,
    /// Norm of the linear layers' input.
    pub norm2: LayerNorm,
    /// The second branch.
    pub mlp: Mlp,
    /// Its scale.
    pub ls2: Option<LayerScale>,
}

/// Attention of several heads among all tokens.
#[derive(Module, Debug)]
pub struct VitAttention {
    /// Queries, keys and values.
    pub qkv: Linear,
    /// Of all heads together.
    pub proj: Linear,
    heads: usize,
}

/// A factor by channel (Touvron et al. 2021, <https://arxiv.org/abs/2103.17239>).
#[derive(Module, Debug)]
pub struct LayerScale {
    /// `[width]`
    pub gamma: Param<Tensor<1>>,
}

impl VitBlock {
    pub(super) fn new(config: &VitConfig, stream: &mut WeightStream, device: &Device) -> Self {
        let width = config.width;
        let norm = || layer_norm(width, EPSILON, device);
        let scale = || config.layer_scale.then(|| LayerScale::new(width, device));
        Self {
            norm1: norm(),
            attn: VitAttention::new(config, stream, device),
            ls1: scale(),
            norm2: norm(),
            mlp: Mlp::new(width, 4 * width, stream, device),
            ls2: scale(),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[batch, tokens, width]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let branch = attention(self.heads(x.clone()), None);
        let branch = linear(&self.attn.proj, join_heads(branch));
        let x = x + scaled(&self.ls1, branch);
        let branch = self.mlp.forward(normalize(&self.norm2, x.clone()));
        x + scaled(&self.ls2, branch)
    }

    /// Queries, keys and values, `[batch, heads, tokens, dims]` each.
    pub(super) fn heads(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        let packed = linear(&self.attn.qkv, normalize(&self.norm1, x));
        split_heads(packed, self.attn.heads)
    }
}

impl VitAttention {
    fn new(config: &VitConfig, stream: &mut WeightStream, device: &Device) -> Self {
        let width = config.width;
        let mut linear = |inputs, outputs| {
            stream.transformer_linear(&LinearConfig::new(inputs, outputs), device)
        };
        Self {
            qkv: linear(width, 3 * width),
            proj: linear(width, width),
            heads: config.heads,
        }
    }
}

impl LayerScale {
    fn new(width: usize, device: &Device) -> Self {
        let gamma = Tensor::full([width], FIRST_SCALE, device);
        Self {
            gamma: Param::from_tensor(gamma),
        }
    }
}

fn scaled(scale: &Option<LayerScale>, x: Tensor<3>) -> Tensor<3> {
    match scale {
        Some(scale) => x * scale.gamma.val().unsqueeze::<3>(),
        None => x,
    }
}
