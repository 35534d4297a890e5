//! DenseNet (Huang et al. 2017, <https://arxiv.org/abs/1608.06993>): each layer takes the maps of all layers
//! before it.

use burn::{
    module::Module,
    nn::{conv::Conv2d, pool::MaxPool2d},
    tensor::{Device, Tensor},
};
use fast_ops::relu;
use serde::{Deserialize, Serialize};

use super::{
    Backbone, BackboneSettings, BadSetting, Family, Features, KeyShapes, Network, Published,
    Spelling,
    conv_norm::conv_config,
    pool::{halving_max_pool, halving_mean},
};
use crate::{
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::convolve,
};

/// Inner channels of a layer per channel that it adds.
const BOTTLENECK: usize = 4;
/// Maps that a norm leaves for the backward pass: its result and that of the ReLU.
const KEPT_MAPS: f64 = 2.0;

/// Settings of a [`DenseNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenseNetConfig {
    /// Layers of each of the four blocks.
    pub depths: [usize; 4],
    /// Channels after the stem.
    pub width: usize,
    /// Channels that each layer adds.
    pub growth: usize,
}

impl Default for DenseNetConfig {
    fn default() -> Self {
        Self::densenet161()
    }
}

impl Family for DenseNetConfig {
    const PUBLISHED: &[Published<Self>] = &[("densenet161", Self::densenet161)];

    fn is_in(&self, keys: &KeyShapes) -> bool {
        SPELLINGS.iter().any(|spelling| self.fits(keys, spelling))
    }
}

impl DenseNetConfig {
    /// Whether the first and the last convolution have its shapes.
    fn fits(&self, keys: &KeyShapes, spelling: &Spelling) -> bool {
        let has = |path: String, shape: [usize; 4]| {
            let found = keys.get(&(spelling.key)(&path));
            found.is_some_and(|found| *found == shape)
        };
        let last = format!("blocks.3.layers.{}.conv1.weight", self.depths[3] - 1);
        let before = self.channels(4) - self.growth;
        has("conv0.weight".into(), [self.width, 3, 7, 7])
            && has(last, [BOTTLENECK * self.growth, before, 1, 1])
    }

    /// 26.5 million parameters, 2208 channels, stride 32.
    pub fn densenet161() -> Self {
        Self {
            depths: [6, 12, 36, 24],
            width: 96,
            growth: 48,
        }
    }

    /// Channels before a block, which count from 1.
    fn channels_before(&self, block: usize) -> usize {
        match block {
            1 => self.width,
            _ => self.channels(block - 1) / 2,
        }
    }

    /// Channels before each layer of a block.
    fn layers(&self, block: usize) -> impl Iterator<Item = usize> {
        let (first, growth) = (self.channels_before(block), self.growth);
        (0..self.depths[block - 1]).map(move |layer| first + layer * growth)
    }

    fn block(&self, block: usize, stream: &mut WeightStream, device: &Device) -> DenseBlock {
        let inner = BOTTLENECK * self.growth;
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let mut layer = |channels: usize| DenseLayer {
            norm1: norm(channels),
            conv1: conv([channels, inner], [1, 1], stream, device),
            norm2: norm(inner),
            conv2: conv([inner, self.growth], [3, 1], stream, device),
        };
        DenseBlock {
            layers: self.layers(block).map(&mut layer).collect(),
        }
    }

    fn transition(&self, block: usize, stream: &mut WeightStream, device: &Device) -> Transition {
        let channels = self.channels(block);
        Transition {
            norm: BatchNormConfig::new(channels).init(device),
            conv: conv([channels, channels / 2], [1, 1], stream, device),
        }
    }
}

/// He weights of the fan-in.
fn conv(
    channels: [usize; 2],
    [kernel, stride]: [usize; 2],
    stream: &mut WeightStream,
    device: &Device,
) -> Conv2d {
    let config = conv_config(channels, [kernel; 2], stride);
    let fan_in = channels[0] * kernel * kernel;
    stream.conv2d_normal(&config, (2.0 / fan_in as f64).sqrt(), device)
}

impl BackboneSettings for DenseNetConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        self.assert_sound();
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        Backbone::DenseNet(DenseNet {
            conv0: conv([3, self.width], [7, 2], stream, device),
            norm0: norm(self.width),
            pool0: halving_max_pool(),
            blocks: (1..=4)
                .map(|block| self.block(block, stream, device))
                .collect(),
            transitions: (1..=3)
                .map(|block| self.transition(block, stream, device))
                .collect(),
            norm5: norm(self.channels(4)),
        })
    }

    fn channels(&self, stage: usize) -> usize {
        assert!((1..=4).contains(&stage), "stage {stage} not in 1..=4");
        self.channels_before(stage) + self.depths[stage - 1] * self.growth
    }

    fn stride(&self) -> usize {
        32
    }

    /// The stem rounds up, the three transitions down.
    fn map_side(&self, side: usize) -> usize {
        side.div_ceil(4) / 8
    }

    fn describe(&self) -> String {
        format!(
            "DenseNet {:?}, width {}, growth {}",
            self.depths, self.width, self.growth
        )
    }

    fn check(&self) -> Result<(), BadSetting> {
        BadSetting::unless_depths(&self.depths)?;
        BadSetting::unless_within("width", self.width, 1..=4096)?;
        BadSetting::unless_within("growth", self.growth, 1..=4096)
    }

    fn size(&self) -> (&'static str, usize) {
        ("growth", self.growth)
    }

    fn weights(&self) -> f64 {
        let (inner, growth) = (BOTTLENECK * self.growth, self.growth);
        let blocks = (1..=4).map(|block| {
            let layers = self.layers(block);
            let layers = layers.map(|channels| (channels * inner + 9 * inner * growth) as f64);
            layers.sum::<f64>()
        });
        let transitions = (1..=3).map(|block| self.channels(block).pow(2) as f64 / 2.0);
        blocks.chain(transitions).sum()
    }

    fn kept_values(&self, side: usize) -> f64 {
        let blocks = (1..=4).map(|block| {
            let layers = self.layers(block);
            let channels = layers.map(|channels| (channels + BOTTLENECK * self.growth) as f64);
            channels.sum::<f64>() * ((side >> (block + 1)) as f64).powi(2)
        });
        KEPT_MAPS * (self.first_map(side) + blocks.sum::<f64>())
    }

    fn first_map(&self, side: usize) -> f64 {
        self.width as f64 * side.div_ceil(2).pow(2) as f64
    }
}

/// A DenseNet with bottlenecks that halves channels between its blocks, without dropout.
#[derive(Module, Debug)]
pub struct DenseNet {
    /// 7×7, stride 2.
    pub conv0: Conv2d,
    /// Norm of `conv0`.
    pub norm0: BatchNorm,
    /// 3×3, stride 2.
    pub pool0: MaxPool2d,
    /// The four blocks.
    pub blocks: Vec<DenseBlock>,
    /// Between the blocks.
    pub transitions: Vec<Transition>,
    /// Norm of the last block, before the last ReLU.
    pub norm5: BatchNorm,
}

/// Layers that each add channels to those before.
#[derive(Module, Debug)]
pub struct DenseBlock {
    /// In their order.
    pub layers: Vec<DenseLayer>,
}

/// Norm, ReLU and 1×1, then norm, ReLU and 3×3.
#[derive(Module, Debug)]
pub struct DenseLayer {
    /// Norm of all channels before.
    pub norm1: BatchNorm,
    /// 1×1, to the bottleneck.
    pub conv1: Conv2d,
    /// Norm of `conv1`.
    pub norm2: BatchNorm,
    /// 3×3, to the new channels.
    pub conv2: Conv2d,
}

/// Norm, ReLU and 1×1 to half of the channels, then means of four places.
#[derive(Module, Debug)]
pub struct Transition {
    /// Norm of the block before.
    pub norm: BatchNorm,
    /// 1×1.
    pub conv: Conv2d,
}

impl DenseNet {
    /// What the first block takes: `[batch, width, ⌈height / 4⌉, ⌈width / 4⌉]`.
    pub fn stem(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let x = convolve(&self.conv0, pictures);
        self.pool0.forward(relu(self.norm0.forward(x, mode)))
    }
}

impl DenseBlock {
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`
    /// - output: `[batch, channels + layers · growth, height, width]`, the input first
    pub fn forward(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        self.layers.iter_mut().fold(x, |x, layer| {
            let new = layer.forward(x.clone(), mode);
            Tensor::cat(vec![x, new], 1)
        })
    }
}

impl DenseLayer {
    /// The new channels.
    fn forward(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let x = convolve(&self.conv1, relu(self.norm1.forward(x, mode)));
        convolve(&self.conv2, relu(self.norm2.forward(x, mode)))
    }
}

impl Transition {
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`
    /// - output: `[batch, channels / 2, ⌊height / 2⌋, ⌊width / 2⌋]`
    pub fn forward(&mut self, x: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let x = convolve(&self.conv, relu(self.norm.forward(x, mode)));
        halving_mean(x, false)
    }
}

const SPELLINGS: [Spelling; 2] = [
    Spelling::new("torchvision or timm", torch_key, "classifier"),
    Spelling::new("torchvision's files", dotted_key, "classifier"),
];

impl Network for DenseNet {
    /// The maps of the blocks; the last one after norm and ReLU.
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features {
        let mut x = self.stem(pictures, mode);
        let mut maps = Vec::with_capacity(4);
        for (block, transition) in self.blocks.iter_mut().zip(&mut self.transitions) {
            x = block.forward(x, mode);
            maps.push(x.clone());
            x = transition.forward(x, mode);
        }
        let last = self.blocks.last_mut().expect("four blocks");
        let x = last.forward(x, mode);
        maps.push(relu(self.norm5.forward(x, mode)));
        Features {
            maps,
            strides: vec![4, 8, 16, 32],
        }
    }

    fn spellings(&self) -> &'static [Spelling] {
        &SPELLINGS
    }

    fn channels(&self) -> usize {
        self.norm5.running_mean.dims()[0]
    }
}

fn torch_key(parameter: &str) -> String {
    let words: Vec<_> = parameter.split('.').collect();
    let next = |place: &str| place.parse::<usize>().expect("a place in a list") + 1;
    match *words {
        ["blocks", block, "layers", layer, part, last] => {
            let (block, layer) = (next(block), next(layer));
            format!("features.denseblock{block}.denselayer{layer}.{part}.{last}")
        }
        ["transitions", block, part, last] => {
            format!("features.transition{}.{part}.{last}", next(block))
        }
        _ => format!("features.{parameter}"),
    }
}

/// The published files have a dot before the number of a layer's norm or convolution.
fn dotted_key(parameter: &str) -> String {
    let key = torch_key(parameter);
    if !parameter.starts_with("blocks.") {
        return key;
    }
    let parts = ["norm1", "norm2", "conv1", "conv2"];
    parts.iter().fold(key, |key, part| {
        let (word, number) = part.split_at(4);
        key.replace(&format!(".{part}."), &format!(".{word}.{number}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All published parameters but those of the classifier.
    #[test]
    fn weights_are_those_of_the_published_backbone_or_fewer() {
        let share = DenseNetConfig::densenet161().weights() / 26_472_000.0;
        assert!((0.95..1.0).contains(&share), "{share}");
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let config = DenseNetConfig {
            growth: 0,
            ..DenseNetConfig::densenet161()
        };
        assert_eq!(config.check().unwrap_err().key, "growth");
    }

    #[test]
    fn published_files_have_dots_within_layers_only() {
        let key = "features.denseblock2.denselayer11.norm.1.running_var";
        assert_eq!(dotted_key("blocks.1.layers.10.norm1.running_var"), key);
        let key = "features.transition2.norm.weight";
        assert_eq!(dotted_key("transitions.1.norm.weight"), key);
    }
}
