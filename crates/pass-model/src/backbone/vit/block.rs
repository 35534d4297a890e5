//! A block of a transformer: attention among all tokens, then two linear layers of each.

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use fast_ops::{residual, split_heads};

use super::{EPSILON, VitConfig};
use crate::{
    backbone::parts::{LayerNorm, Mlp, linear},
    init::WeightStream,
    precision::self_attention,
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
        let norm = || LayerNorm::new(width, EPSILON, device);
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
        let branch = self_attention(self.packed(x.clone()), self.attn.heads, None);
        let branch = linear(&self.attn.proj, branch);
        let x = residual(x, branch, scale(&self.ls1));
        let branch = self.mlp.forward(self.norm2.forward(x.clone()));
        residual(x, branch, scale(&self.ls2))
    }

    fn packed(&self, x: Tensor<3>) -> Tensor<3> {
        linear(&self.attn.qkv, self.norm1.forward(x))
    }

    /// Queries, keys and values, `[batch, heads, tokens, dims]` each.
    pub(super) fn heads(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        split_heads(self.packed(x), self.attn.heads)
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

fn scale(of: &Option<LayerScale>) -> Option<Tensor<1>> {
    of.as_ref().map(|scale| scale.gamma.val())
}
