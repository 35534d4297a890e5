//! Inception v3 (Szegedy et al. 2016, <https://arxiv.org/abs/1512.00567>): blocks of parallel convolutions.

mod blocks;
mod config;

use burn::{
    module::Module,
    nn::{
        PaddingConfig2d,
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    tensor::{DType, Device, Tensor},
};
use fast_ops::relu;

use super::{
    BackboneSettings, Features, Network, Preprocessing, Spelling,
    conv_norm::{ConvNorm, conv_config},
    pool::mean_of_nine,
};
use crate::{init::WeightStream, norm::NormMode};

use blocks::{BlockShape, BranchShape, Layer, blocks, blocks_with_inputs, stem};
pub use config::InceptionConfig;

const EPSILON: f64 = 1e-3;
/// Standard deviation of initial weights.
const DEVIATION: f64 = 0.1;
/// The blocks whose maps are the last three stages.
const STAGES: [usize; 3] = [2, 7, 10];

/// An Inception v3 without its auxiliary classifier. Layers with a stride do not pad, so that sizes round
/// down.
#[derive(Module, Debug)]
pub struct Inception {
    /// Five layers, of which the first has stride 2.
    pub stem: Vec<ConvNorm>,
    /// 3×3, stride 2, without padding.
    pub max_pool: MaxPool2d,
    /// The eleven blocks.
    pub blocks: Vec<Mixed>,
}

/// Branches that all take the same map, and whose maps lie one after the other.
#[derive(Module, Debug)]
pub struct Mixed {
    /// The branches of convolutions.
    pub branches: Vec<Branch>,
    /// 1×1 after means of nine places; without it the block halves the map, and the last branch is a
    /// max-pooling.
    pub branch_pool: Option<ConvNorm>,
}

/// Convolutions one after the other, and those that all take the last one's map.
#[derive(Module, Debug)]
pub struct Branch {
    /// One after the other.
    pub chain: Vec<ConvNorm>,
    /// Beside each other.
    pub fork: Vec<ConvNorm>,
}

impl InceptionConfig {
    fn init_from(&self, stream: &mut WeightStream, device: &Device) -> Inception {
        self.assert_sound();
        Inception {
            stem: self.stem(stream, device),
            max_pool: max_pool(),
            blocks: blocks_with_inputs()
                .map(|(before, shape)| self.block(before, &shape, stream, device))
                .collect(),
        }
    }

    fn stem(&self, stream: &mut WeightStream, device: &Device) -> Vec<ConvNorm> {
        let mut before = 3;
        let mut layers = Vec::new();
        for layer in stem() {
            let channels = self.scaled(layer.channels);
            layers.push(conv_norm([before, channels], &layer, stream, device));
            before = channels;
        }
        layers
    }

    fn block(
        &self,
        before: usize,
        shape: &BlockShape,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Mixed {
        let mut branch = |shape: &BranchShape| {
            let layers = shape.layers(before);
            let layers = layers.map(|(before, layer)| self.layer(before, &layer, stream, device));
            let mut chain: Vec<_> = layers.collect();
            let fork = chain.split_off(shape.chain.len());
            Branch { chain, fork }
        };
        Mixed {
            branches: shape.branches.iter().map(&mut branch).collect(),
            branch_pool: (shape.branch_pool)
                .map(|layer| self.layer(before, &layer, stream, device)),
        }
    }

    /// A layer of a block, behind so many published channels.
    fn layer(
        &self,
        before: usize,
        layer: &Layer,
        stream: &mut WeightStream,
        device: &Device,
    ) -> ConvNorm {
        let channels = [before, layer.channels].map(|count| self.scaled(count));
        conv_norm(channels, layer, stream, device)
    }
}

fn conv_norm(
    channels: [usize; 2],
    layer: &Layer,
    stream: &mut WeightStream,
    device: &Device,
) -> ConvNorm {
    let config = conv_config(channels, layer.kernel, layer.stride);
    let config = match layer.padded {
        true => config,
        false => config.with_padding(PaddingConfig2d::Valid),
    };
    let conv = stream.conv2d_normal(&config, DEVIATION, device);
    ConvNorm::new(conv, EPSILON, device)
}

/// 3×3, stride 2, without padding.
fn max_pool() -> MaxPool2d {
    MaxPool2dConfig::new([3, 3]).with_strides([2, 2]).init()
}

/// Pictures normalised by ImageNet's mean and deviation as those of the network's training: of mean and
/// deviation ½.
///
/// # Shapes
///
/// - `pictures` and output: `[batch, 3, height, width]`
pub fn transform_input(pictures: Tensor<4>) -> Tensor<4> {
    let (device, dtype) = (pictures.device(), pictures.dtype());
    let of_channels = |values: [f32; 3]| {
        let values = Tensor::<1>::from_data(values, (&device, DType::F32));
        values.reshape([1, 3, 1, 1]).cast(dtype)
    };
    let Preprocessing { mean, std, .. } = Preprocessing::default();
    let scale = of_channels(std.map(|deviation| deviation / 0.5));
    pictures * scale + of_channels(mean.map(|mean| (mean - 0.5) / 0.5))
}

impl Inception {
    /// What the first block takes, 192 channels.
    fn stem(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let (fine, coarse) = self.stem.split_at_mut(3);
        let x = run(fine, transform_input(pictures), mode);
        run(coarse, self.max_pool.forward(x), mode)
    }
}

impl Mixed {
    /// # Shapes
    ///
    /// - `x`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, height, width]`, or half of the sides, rounded down
    pub fn forward(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let branches = self.branches.iter_mut();
        let mut maps: Vec<_> = branches
            .flat_map(|branch| branch.forward(x.clone(), mode))
            .collect();
        maps.push(match &mut self.branch_pool {
            Some(layer) => relu(layer.forward(mean_of_nine(x, 1), mode)),
            None => max_pool().forward(x),
        });
        Tensor::cat(maps, 1)
    }
}

impl Branch {
    fn forward(&mut self, x: Tensor<4>, mode: NormMode) -> Vec<Tensor<4>> {
        let x = run(&mut self.chain, x, mode);
        match self.fork.is_empty() {
            true => vec![x],
            false => (self.fork.iter_mut())
                .map(|layer| relu(layer.forward(x.clone(), mode)))
                .collect(),
        }
    }
}

/// One layer after the other, each with its ReLU.
fn run(layers: &mut [ConvNorm], x: Tensor<4>, mode: NormMode) -> Tensor<4> {
    let layers = layers.iter_mut();
    layers.fold(x, |x, layer| relu(layer.forward(x, mode)))
}

/// The auxiliary classifier takes part in torchvision's training only.
const SPELLINGS: [Spelling; 1] = [Spelling {
    extra: |key| key.starts_with("AuxLogits."),
    ..Spelling::new("torchvision or timm", torch_key, "fc")
}];

impl Network for Inception {
    /// The maps before each halving, and that of the last block.
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features {
        let stem = self.stem(pictures, mode);
        let mut x = self.max_pool.forward(stem.clone());
        let mut maps = vec![stem];
        for (index, block) in self.blocks.iter_mut().enumerate() {
            x = block.forward(x, mode);
            if STAGES.contains(&index) {
                maps.push(x.clone());
            }
        }
        Features {
            maps,
            strides: vec![4, 8, 16, 32],
        }
    }

    fn spellings(&self) -> &'static [Spelling] {
        &SPELLINGS
    }

    fn channels(&self) -> usize {
        let last = self.blocks.last().expect("eleven blocks");
        let forks = last.branches.iter().flat_map(|branch| {
            let ends = branch.chain.last().filter(|_| branch.fork.is_empty());
            ends.into_iter().chain(&branch.fork)
        });
        let ends = forks.chain(&last.branch_pool);
        ends.map(ConvNorm::channels).sum()
    }
}

fn torch_key(parameter: &str) -> String {
    let number = |word: &str| word.parse::<usize>().expect("a place in a list");
    let words: Vec<_> = parameter.split('.').collect();
    match *words {
        ["stem", index, ref rest @ ..] => {
            let name = stem()[number(index)].name;
            format!("{name}.{}", rest.join("."))
        }
        ["blocks", block, "branch_pool", ref rest @ ..] => {
            let name = blocks()[number(block)].name;
            format!("{name}.branch_pool.{}", rest.join("."))
        }
        [
            "blocks",
            block,
            "branches",
            branch,
            part,
            index,
            ref rest @ ..,
        ] => {
            let block = &blocks()[number(block)];
            let branch = &block.branches[number(branch)];
            let layers = match part {
                "chain" => &branch.chain,
                _ => &branch.fork,
            };
            let layer = layers[number(index)].name;
            format!("{}.{layer}.{}", block.name, rest.join("."))
        }
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Backbone, BackboneConfig};

    #[test]
    fn sizes_round_down() {
        let device = Device::default();
        let config = BackboneConfig::from(InceptionConfig { width: 2 });
        let mut net: Backbone = config.init(0, &device);
        for ([height, width], last) in [
            ([224, 224], [5, 5]),
            ([256, 341], [6, 9]),
            ([75, 75], [1, 1]),
        ] {
            let pictures = Tensor::zeros([1, 3, height, width], &device);
            let map = net.forward(pictures, NormMode::Moving).into_last();
            assert_eq!(map.dims(), [1, net.channels(), last[0], last[1]]);
        }
    }
}
