//! Swin transformers (Liu et al. 2021, <https://arxiv.org/abs/2103.14030>): attention within windows that
//! every second block moves by half their side.

mod config;
mod spellings;
mod window;

use burn::{
    module::Module,
    nn::{
        Linear, LinearConfig,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use fast_ops::residual;

use super::{
    BackboneSettings, Features, Network, Spelling,
    parts::{LayerNorm, Mlp, channels_first, channels_last, filled_up, linear},
};
use crate::{init::WeightStream, norm::NormMode, precision::convolve};

pub use config::SwinConfig;
pub use window::WindowAttention;
use window::fill_up;

/// Of all norms.
const EPSILON: f64 = 1e-5;
/// Side of a patch in pixels.
const PATCH: usize = 4;

/// A Swin transformer. Inside, maps are `[batch, height, width, channels]`.
#[derive(Module, Debug)]
pub struct Swin {
    /// Makes the first map.
    pub patch_embed: SwinPatches,
    /// The four stages.
    pub layers: Vec<SwinStage>,
    /// Of the last map.
    pub norm: LayerNorm,
}

/// A convolution whose stride is its kernel, and a norm.
#[derive(Module, Debug)]
pub struct SwinPatches {
    /// The convolution.
    pub proj: Conv2d,
    /// Over channels.
    pub norm: LayerNorm,
}

/// Blocks of one size, and what halves that size for the next stage.
#[derive(Module, Debug)]
pub struct SwinStage {
    /// The blocks.
    pub blocks: Vec<SwinBlock>,
    /// Absent in the last stage.
    pub downsample: Option<Merging>,
}

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`.
#[derive(Module, Debug)]
pub struct SwinBlock {
    /// Norm of the attention's input.
    pub norm1: LayerNorm,
    /// Attention within windows.
    pub attn: WindowAttention,
    /// Norm of the linear layers' input.
    pub norm2: LayerNorm,
    /// Of each place by itself.
    pub mlp: Mlp,
}

/// Makes one place of each 2×2.
#[derive(Module, Debug)]
pub struct Merging {
    /// Of the channels of four places.
    pub norm: LayerNorm,
    /// To half as many.
    pub reduction: Linear,
}

impl SwinConfig {
    /// A network whose weights are the next ones of a stream.
    ///
    /// # Panics
    ///
    /// If [`check`](BackboneSettings::check) fails.
    pub fn init_from(&self, stream: &mut WeightStream, device: &Device) -> Swin {
        self.assert_sound();
        let patches = Conv2dConfig::new([3, self.width], [PATCH; 2]).with_stride([PATCH; 2]);
        Swin {
            patch_embed: SwinPatches {
                proj: stream.uniform_conv2d(&patches, device),
                norm: LayerNorm::new(self.width, EPSILON, device),
            },
            layers: (1..=4)
                .map(|stage| self.init_stage(stage, stream, device))
                .collect(),
            norm: LayerNorm::new(self.channels(4), EPSILON, device),
        }
    }

    fn init_stage(&self, stage: usize, stream: &mut WeightStream, device: &Device) -> SwinStage {
        let channels = self.channels(stage);
        let blocks = (0..self.depths[stage - 1]).map(|index| {
            let shift = if index % 2 == 1 { self.window / 2 } else { 0 };
            SwinBlock {
                norm1: LayerNorm::new(channels, EPSILON, device),
                attn: WindowAttention::new(self, channels, shift, stream, device),
                norm2: LayerNorm::new(channels, EPSILON, device),
                mlp: Mlp::new(channels, 4 * channels, stream, device),
            }
        });
        let blocks = blocks.collect();
        let halving = LinearConfig::new(4 * channels, 2 * channels).with_bias(false);
        SwinStage {
            blocks,
            downsample: (stage < 4).then(|| Merging {
                norm: LayerNorm::new(4 * channels, EPSILON, device),
                reduction: stream.transformer_linear(&halving, device),
            }),
        }
    }
}

impl SwinBlock {
    /// # Shapes
    ///
    /// - `x` and output: `[batch, height, width, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let branch = self.attn.forward(self.norm1.forward(x.clone()));
        let x = residual(x, branch, None);
        let branch = self.mlp.forward(self.norm2.forward(x.clone()));
        residual(x, branch, None)
    }
}

impl SwinStage {
    /// The blocks alone.
    ///
    /// # Shapes
    ///
    /// - `x` and output: `[batch, height, width, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

impl Merging {
    /// Sides that are odd are filled up with zeros.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, height, width, channels]`
    /// - output: `[batch, ⌈height / 2⌉, ⌈width / 2⌉, 2 · channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        linear(&self.reduction, self.norm.forward(of_four(x)))
    }
}

/// The channels of each 2×2 places: first those of the left column, from top to bottom.
fn of_four(x: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let x = fill_up(x, [height % 2, width % 2]);
    let [rows, columns] = [height.div_ceil(2), width.div_ceil(2)];
    let x = x.reshape([batch, rows, 2, columns, 2, channels]);
    x.permute([0, 1, 3, 4, 2, 5])
        .reshape([batch, rows, columns, 4 * channels])
}

impl Swin {
    /// What the first stage takes: `[batch, ⌊height / 4⌋, ⌊width / 4⌋, width]`.
    pub fn patches(&self, pictures: Tensor<4>) -> Tensor<4> {
        let map = convolve(&self.patch_embed.proj, filled_up(pictures, [PATCH; 2]));
        self.patch_embed.norm.forward(channels_last(map))
    }
}

const LAST: &str = "a network has four stages";

impl Network for Swin {
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - stage 1: `[batch, width, ⌊height / 4⌋, ⌊width / 4⌋]`, at least 1×1; each other stage has half the
    ///   sides of the one before, rounded up. The last is behind the final norm
    fn forward(&mut self, pictures: Tensor<4>, _mode: NormMode) -> Features {
        let mut x = self.patches(pictures);
        let mut maps = Vec::with_capacity(4);
        for stage in &self.layers {
            let map = stage.forward(x);
            x = match &stage.downsample {
                Some(downsample) => downsample.forward(map.clone()),
                None => map.clone(),
            };
            maps.push(map);
        }
        *maps.last_mut().expect(LAST) = self.norm.forward(x);
        Features {
            maps: maps.into_iter().map(channels_first).collect(),
            strides: vec![4, 8, 16, 32],
        }
    }

    fn spellings(&self) -> &'static [Spelling] {
        &spellings::SPELLINGS
    }

    fn channels(&self) -> usize {
        self.norm.gamma.dims()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Int;

    #[test]
    fn four_places_are_joined_column_by_column() {
        let x = Tensor::<1, Int>::arange(0..8, &Device::default()).float();
        let joined = of_four(x.reshape([1, 2, 4, 1]));
        assert_eq!(joined.dims(), [1, 1, 2, 4]);
        let values: Vec<f32> = joined.into_data().try_to_vec().unwrap();
        assert_eq!(values, [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
    }
}
