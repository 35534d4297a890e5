//! Vision transformers: those of DINO, MAE, SERE and other programs, and DINOv2's.
//!
//! A picture becomes one token a patch. The blocks keep their number, so that all four stages have the
//! same size: they end after each quarter of the blocks, the last one behind the final norm.

mod block;
mod config;
mod positions;
mod spellings;

use burn::{
    module::{Module, Param},
    nn::conv::{Conv2d, Conv2dConfig},
    tensor::{Device, Tensor},
};
use fast_ops::join_heads;

use super::{
    BackboneSettings, Features, Network, Spelling,
    parts::{LayerNorm, filled_up, map_of},
};
use crate::{
    init::{TRANSFORMER_DEVIATION, WeightStream},
    norm::NormMode,
    precision::{attention_weights, convolve, widened},
};

pub use block::{LayerScale, VitAttention, VitBlock};
pub use config::{Pool, Remainder, VitConfig};
pub use positions::PositionRule;

/// Of all norms.
const EPSILON: f64 = 1e-6;
/// Deviation of DINOv2's tokens that stand for no place.
const DINOV2_DEVIATION: f64 = 1e-6;

/// A vision transformer with a class token.
#[derive(Module, Debug)]
pub struct Vit {
    /// Makes the tokens.
    pub patch_embed: PatchEmbed,
    /// `[1, 1, width]`
    pub cls_token: Param<Tensor<3>>,
    /// Of the class token and of each place of a square grid, `[1, 1 + grid², width]`.
    pub pos_embed: Param<Tensor<3>>,
    /// `[1, registers, width]`
    pub register_tokens: Option<Param<Tensor<3>>>,
    /// The blocks.
    pub blocks: Vec<VitBlock>,
    /// Of the tokens that leave the network.
    pub norm: LayerNorm,
    #[module(skip)]
    config: VitConfig,
}

/// A convolution whose stride is its kernel.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The convolution.
    pub proj: Conv2d,
}

impl VitConfig {
    /// A network whose weights are the next ones of a stream.
    ///
    /// # Panics
    ///
    /// If [`check`](BackboneSettings::check) fails.
    pub fn init_from(&self, stream: &mut WeightStream, device: &Device) -> Vit {
        self.assert_sound();
        let (width, patch) = (self.width, [self.patch; 2]);
        let proj = Conv2dConfig::new([3, width], patch).with_stride(patch);
        let of_no_place = match self.layer_scale {
            true => DINOV2_DEVIATION,
            false => TRANSFORMER_DEVIATION,
        };
        let places = 1 + self.grid * self.grid;
        Vit {
            patch_embed: PatchEmbed {
                proj: stream.uniform_conv2d(&proj, device),
            },
            cls_token: stream.normal([1, 1, width], of_no_place, device),
            pos_embed: stream.normal([1, places, width], TRANSFORMER_DEVIATION, device),
            register_tokens: (self.registers > 0)
                .then(|| stream.normal([1, self.registers, width], of_no_place, device)),
            blocks: (0..self.depth)
                .map(|_| VitBlock::new(self, stream, device))
                .collect(),
            norm: LayerNorm::new(width, EPSILON, device),
            config: self.clone(),
        }
    }
}

impl Vit {
    /// The token of each patch, row by row: `[batch, places, width]`.
    pub fn patches(&self, pictures: Tensor<4>) -> Tensor<3> {
        let [_, _, height, width] = pictures.dims();
        let whole = [height, width].map(|side| self.config.patches(side) * self.config.patch);
        let map = convolve(&self.patch_embed.proj, filled_up(pictures, whole));
        widened(map).flatten::<3>(2, 3).swap_dims(1, 2)
    }

    /// What the first block takes: class token, registers, then a token a place, `[batch, tokens,
    /// width]`.
    pub fn tokens(&self, pictures: Tensor<4>) -> Tensor<3> {
        let [batch, _, height, width] = pictures.dims();
        let [class, places] = self.positions([height, width]);
        let of_all = |token: Tensor<3>| token.repeat_dim(0, batch);
        let mut tokens = vec![of_all(self.cls_token.val() + class)];
        tokens.extend(self.register_tokens.as_ref().map(|it| of_all(it.val())));
        tokens.push(self.patches(pictures) + places);
        Tensor::cat(tokens, 1)
    }

    /// Positions of the class token, `[1, 1, width]`, and of the places of a picture.
    fn positions(&self, size: [usize; 2]) -> [Tensor<3>; 2] {
        let table = self.pos_embed.val();
        let side = self.config.grid;
        let class = table.clone().narrow(1, 0, 1);
        let places = table.narrow(1, 1, side * side);
        let grid = size.map(|side| self.config.patches(side));
        let is_square = size[0] == size[1] || self.config.remainder == Remainder::Pad;
        match grid == [side, side] && is_square {
            true => [class, places],
            false => [class, self.config.positions.resize(places, grid)],
        }
    }

    /// Tokens behind the blocks that `range` counts.
    fn run(&self, range: std::ops::Range<usize>, tokens: Tensor<3>) -> Tensor<3> {
        let blocks = self.blocks[range].iter();
        blocks.fold(tokens, |tokens, block| block.forward(tokens))
    }

    /// The tokens of places, `[batch, places, width]`.
    fn places(&self, tokens: Tensor<3>) -> Tensor<3> {
        let before = 1 + self.config.registers;
        let count = tokens.dims()[1] - before;
        tokens.narrow(1, before, count)
    }

    fn map_of_places(&self, tokens: Tensor<3>, pictures: [usize; 4]) -> Tensor<4> {
        let [_, _, height, width] = pictures;
        let grid = [height, width].map(|side| self.config.patches(side));
        map_of(self.places(tokens), grid)
    }

    /// Queries, keys and values of the last block.
    fn last_heads(&self, pictures: Tensor<4>) -> [Tensor<4>; 3] {
        let last = self.blocks.len() - 1;
        let tokens = self.run(0..last, self.tokens(pictures));
        self.blocks[last].heads(tokens)
    }

    /// Of each head, how much of each place the class token of the last block takes.
    fn class_attention(&self, pictures: Tensor<4>) -> Tensor<4> {
        let size = pictures.dims();
        let [q, k, _] = self.last_heads(pictures);
        let weights = attention_weights(q.narrow(2, 0, 1), k, None);
        self.map_of_places(weights.squeeze_dim::<3>(2).swap_dims(1, 2), size)
    }

    /// The class token behind the norm, `[batch, width]`.
    fn class(&self, tokens: Tensor<3>) -> Tensor<2> {
        self.norm
            .forward(tokens.narrow(1, 0, 1).squeeze_dim::<2>(1))
    }
}

impl Network for Vit {
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - stages: `[batch, width, ⌊height / patch⌋, ⌊width / patch⌋]`, or rounded up where
    ///   [`Remainder::Pad`] is set
    fn forward(&mut self, pictures: Tensor<4>, _mode: NormMode) -> Features {
        let size = pictures.dims();
        let mut tokens = self.tokens(pictures);
        let mut done = 0;
        let mut stages = Vec::with_capacity(4);
        for end in self.config.ends() {
            tokens = self.run(done..end, tokens);
            stages.push(tokens.clone());
            done = end;
        }
        stages[3] = self.norm.forward(tokens);
        Features {
            maps: stages
                .into_iter()
                .map(|it| self.map_of_places(it, size))
                .collect(),
            strides: vec![self.config.patch; 4],
        }
    }

    fn spellings(&self) -> &'static [Spelling] {
        match self.config.registers {
            0 => &spellings::PLAIN,
            _ => &spellings::WITH_REGISTERS,
        }
    }

    /// Beside the stages: queries, keys and values of the last block; the class token behind the norm;
    /// how much of each place it takes in the last block, one channel a head.
    fn layers(&self) -> &'static [&'static str] {
        &[
            "stage1",
            "stage2",
            "stage3",
            "stage4",
            "queries",
            "keys",
            "values",
            "class",
            "attention",
        ]
    }

    fn layer(&mut self, pictures: Tensor<4>, name: &str) -> Tensor<4> {
        let index = self.layers().iter().position(|known| *known == name);
        let index = index.unwrap_or_else(|| panic!("no layer {name}"));
        let size = pictures.dims();
        match index {
            0..4 => self.forward(pictures, NormMode::Moving).stage(index + 1),
            4..7 => {
                let [q, k, v] = self.last_heads(pictures);
                let heads = [q, k, v].into_iter().nth(index - 4).expect("three of them");
                self.map_of_places(join_heads(heads), size)
            }
            7 => {
                let tokens = self.run(0..self.blocks.len(), self.tokens(pictures));
                self.class(tokens).unsqueeze_dims::<4>(&[2, 3])
            }
            _ => self.class_attention(pictures),
        }
    }

    fn channels(&self) -> usize {
        self.config.width
    }

    fn pooled(&mut self, pictures: Tensor<4>, _mode: NormMode) -> Tensor<2> {
        let tokens = self.run(0..self.blocks.len(), self.tokens(pictures));
        match self.config.pool {
            Pool::Class => self.class(tokens),
            Pool::Mean => {
                let mean = self.places(tokens).mean_dim(1).squeeze_dim::<2>(1);
                self.norm.forward(mean)
            }
        }
    }
}
