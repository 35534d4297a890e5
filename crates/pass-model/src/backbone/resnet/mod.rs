//! ResNet (He et al. 2016, <https://arxiv.org/abs/1512.03385>): a stem and four stages; with groups
//! ResNeXt (Xie et al. 2017, <https://arxiv.org/abs/1611.05431>).

mod block;
mod config;

use burn::{
    module::Module,
    nn::{conv::Conv2d, pool::MaxPool2d},
    tensor::{Device, Tensor},
};
use fast_ops::relu;

use super::{
    Backbone, BackboneConfig, BackboneSettings, Features, Network, Spelling,
    conv_norm::conv_config, pool::halving_max_pool,
};
use crate::{
    init::WeightStream,
    norm::{BatchNorm, BatchNormConfig, NormMode},
    precision::convolve,
};

pub use block::{ResidualBlock, ResidualBlockConfig};
pub use config::{Block, ResNetConfig};

/// A ResNet, built as torchvision's (the stride of a bottleneck on its 3×3 convolution).
#[derive(Module, Debug)]
pub struct ResNet {
    /// 7×7, stride 2, padding 3 (the reference pads by 1 and then by 2, which is the same).
    pub conv1: Conv2d,
    /// Norm of `conv1`.
    pub bn1: BatchNorm,
    /// 3×3, stride 2; absent for small pictures.
    pub max_pool: Option<MaxPool2d>,
    /// Stage 1.
    pub layer1: Vec<ResidualBlock>,
    /// Stage 2, stride 2.
    pub layer2: Vec<ResidualBlock>,
    /// Stage 3, stride 2, or 1 and dilated.
    pub layer3: Vec<ResidualBlock>,
    /// Stage 4, stride 2, or 1 and dilated.
    pub layer4: Vec<ResidualBlock>,
}

impl ResNet {
    /// What the first stage takes: `[batch, width, ⌈height / 4⌉, ⌈width / 4⌉]`, or `/ 2` without
    /// max-pooling.
    pub fn stem(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<4> {
        let x = relu(self.bn1.forward(convolve(&self.conv1, pictures), mode));
        match &self.max_pool {
            Some(pool) => pool.forward(x),
            None => x,
        }
    }
}

impl ResNetConfig {
    /// A backbone with the initial weights of a seed.
    pub fn init(&self, seed: u64, device: &Device) -> Backbone {
        BackboneConfig::from(self.clone()).init(seed, device)
    }

    /// A backbone whose weights are the next ones of a stream.
    ///
    /// # Panics
    ///
    /// If [`check`](BackboneSettings::check) fails.
    pub fn init_from(&self, stream: &mut WeightStream, device: &Device) -> ResNet {
        self.assert_sound();
        let conv1 = stream.conv2d(&conv_config([3, self.width], [7, 7], 2), device);
        ResNet {
            conv1,
            bn1: BatchNormConfig::new(self.width).init(device),
            max_pool: self.max_pool.then(halving_max_pool),
            layer1: self.init_stage(1, stream, device),
            layer2: self.init_stage(2, stream, device),
            layer3: self.init_stage(3, stream, device),
            layer4: self.init_stage(4, stream, device),
        }
    }

    fn init_stage(
        &self,
        stage: usize,
        stream: &mut WeightStream,
        device: &Device,
    ) -> Vec<ResidualBlock> {
        let depth = self.depths[stage - 1];
        let before = if stage == 1 {
            self.width
        } else {
            self.channels(stage - 1)
        };
        let block = |first: bool| ResidualBlockConfig {
            block: self.block,
            channels_in: if first { before } else { self.channels(stage) },
            channels_inner: self.inner_channels(stage),
            channels_out: self.channels(stage),
            stride: if first { self.stage_stride(stage) } else { 1 },
            groups: self.groups,
            dilation: self.dilation(if first { stage - 1 } else { stage }),
            zero_init: self.zero_init_residual,
        };
        (0..depth)
            .map(|index| block(index == 0).init(stream, device))
            .collect()
    }
}

/// The spelling of torchvision, timm and PASS.
const SPELLINGS: [Spelling; 1] = [Spelling::new("torchvision, timm or PASS", torch_key, "fc")];

impl Network for ResNet {
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - stage `s`: `[batch, channels(s), ⌈height / r⌉, ⌈width / r⌉]` with `r = 2^(s+1)`, or `2^s`
    ///   without max-pooling; a dilated stage has the size of the one before
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features {
        let x = self.stem(pictures, mode);
        let stage1 = run(&mut self.layer1, x, mode);
        let stage2 = run(&mut self.layer2, stage1.clone(), mode);
        let stage3 = run(&mut self.layer3, stage2.clone(), mode);
        let stage4 = run(&mut self.layer4, stage3.clone(), mode);
        let first = if self.max_pool.is_some() { 4 } else { 2 };
        let strides = [&self.layer2, &self.layer3, &self.layer4].map(|blocks| blocks[0].stride());
        let strides = strides.into_iter().scan(first, |so_far, own| {
            *so_far *= own;
            Some(*so_far)
        });
        let strides = std::iter::once(first).chain(strides).collect();
        Features {
            maps: vec![stage1, stage2, stage3, stage4],
            strides,
        }
    }

    fn spellings(&self) -> &'static [Spelling] {
        &SPELLINGS
    }

    fn channels(&self) -> usize {
        let last = self.layer4.last().expect("a stage has a block");
        let norm = last.bn3.as_ref().unwrap_or(&last.bn2);
        norm.running_mean.dims()[0]
    }
}

/// The key of a parameter in torchvision, timm and PASS, given its path with PyTorch's last word.
pub fn torch_key(parameter: &str) -> String {
    parameter
        .replace("downsample.conv.", "downsample.0.")
        .replace("downsample.bn.", "downsample.1.")
}

fn run(blocks: &mut [ResidualBlock], x: Tensor<4>, mode: NormMode) -> Tensor<4> {
    blocks.iter_mut().fold(x, |x, block| block.forward(x, mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::{
        module::Param,
        tensor::{Distribution, s},
    };

    fn sizes(config: &ResNetConfig, height: usize, width: usize) -> [[usize; 4]; 4] {
        let device = Device::default();
        let pictures = Tensor::ones([2, 3, height, width], &device);
        let stages = config.init(0, &device).forward(pictures, NormMode::Moving);
        [1, 2, 3, 4].map(|stage| stages.stage(stage).dims())
    }

    #[test]
    fn every_halving_rounds_up() {
        let config = ResNetConfig {
            width: 2,
            ..ResNetConfig::resnet18()
        };
        let expected = [[2, 2, 9, 17], [2, 4, 5, 9], [2, 8, 3, 5], [2, 16, 2, 3]];
        assert_eq!(sizes(&config, 33, 65), expected);
    }

    #[test]
    fn without_pooling_the_total_stride_is_sixteen() {
        let config = ResNetConfig {
            width: 2,
            ..ResNetConfig::small()
        };
        assert_eq!(config.stride(), 16);
        assert_eq!(sizes(&config, 32, 48)[3], [2, 16, 2, 3]);
    }

    /// A dilated stage sees at every second place what it saw with its stride.
    #[test]
    fn dilation_keeps_the_features_of_the_places_that_a_stride_leaves() {
        let device = Device::default();
        let config = |dilated_stages| ResNetConfig {
            width: 3,
            depths: [1, 2, 2, 2],
            bottleneck_width: 64,
            dilated_stages,
            ..ResNetConfig::resnet50()
        };
        for [height, width] in [[64, 96], [45, 70]] {
            let pictures = Tensor::random([2, 3, height, width], Distribution::Default, &device);
            let last = |dilated| {
                let mut net = config(dilated).init(4, &device);
                net.forward(pictures.clone(), NormMode::Moving).into_last()
            };
            let coarse = last(0);
            for (dilated, step) in [(1, 2), (2, 4)] {
                assert_eq!(config(dilated).stride(), 32 / step as usize);
                let fine = last(dilated).slice([s![..], s![..], s![..;step], s![..;step]]);
                let difference = (fine - coarse.clone()).abs().max().into_scalar::<f32>();
                let largest = coarse.clone().abs().max().into_scalar::<f32>();
                assert!(
                    difference <= 1e-5 * largest,
                    "{dilated}: {difference} of {largest}"
                );
            }
        }
    }

    /// Groups are blocks on the diagonal of a convolution's weights.
    #[test]
    fn a_grouped_block_is_a_dense_one_with_zeros() {
        let device = Device::default();
        let config = |groups| ResidualBlockConfig {
            block: Block::Bottleneck,
            channels_in: 6,
            channels_inner: 4,
            channels_out: 6,
            stride: 2,
            groups,
            dilation: 1,
            zero_init: false,
        };
        let mut grouped = config(2).init(&mut WeightStream::new(1), &device);
        let mut dense = grouped.clone();
        let other = config(1).init(&mut WeightStream::new(1), &device);
        let weights = grouped.conv2.weight.val();
        let zeros = Tensor::zeros([2, 2, 3, 3], &device);
        let part = |group: i32| weights.clone().narrow(0, 2 * group as usize, 2);
        let rows = [
            Tensor::cat(vec![part(0), zeros.clone()], 1),
            Tensor::cat(vec![zeros, part(1)], 1),
        ];
        dense.conv2 = other.conv2;
        dense.conv2.weight = Param::from_tensor(Tensor::cat(rows.to_vec(), 0));
        let x = Tensor::random([2, 6, 7, 9], Distribution::Default, &device);
        let [grouped, dense] =
            [&mut grouped, &mut dense].map(|block| block.forward(x.clone(), NormMode::Moving));
        let difference = (grouped - dense).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn a_block_that_begins_at_zero_is_its_shortcut() {
        let device = Device::default();
        for config in [ResNetConfig::resnet18(), ResNetConfig::resnet50()] {
            let config = ResNetConfig {
                width: 2,
                bottleneck_width: 64,
                zero_init_residual: true,
                ..config
            };
            let mut net = config.init_from(&mut WeightStream::new(3), &device);
            let channels = config.channels(1);
            let x = Tensor::random([1, channels, 4, 4], Distribution::Default, &device);
            let after = net.layer1[1].forward(x.clone(), NormMode::Moving);
            assert_eq!(after.into_data(), x.into_data()); // not below 0, so ReLU leaves it
        }
    }

    #[test]
    fn parameter_counts_are_those_of_the_known_networks() {
        let device = Device::default();
        let count = |config: ResNetConfig| {
            // num_params also counts the two buffers of each norm, as many values as gamma and beta
            let net = config.init_from(&mut WeightStream::new(0), &device);
            net.num_params() - buffer_values(&net)
        };
        assert_eq!(count(ResNetConfig::resnet18()), 11_176_512); // torchvision without fc
        assert_eq!(count(ResNetConfig::resnet50()), 23_508_032);
        assert_eq!(count(ResNetConfig::resnet101()), 42_500_160);
        assert_eq!(count(ResNetConfig::resnext50()), 22_979_904);
        assert_eq!(count(ResNetConfig::resnext101()), 86_742_336);
    }

    fn buffer_values(net: &ResNet) -> usize {
        let norm = |norm: &BatchNorm| 2 * norm.running_mean.dims()[0];
        let blocks = [&net.layer1, &net.layer2, &net.layer3, &net.layer4]
            .into_iter()
            .flatten();
        let values = blocks.map(|block| {
            let optional = block
                .bn3
                .iter()
                .chain(block.downsample.iter().map(|d| &d.bn));
            [&block.bn1, &block.bn2]
                .into_iter()
                .chain(optional)
                .map(norm)
                .sum::<usize>()
        });
        norm(&net.bn1) + values.sum::<usize>()
    }

    #[test]
    fn the_same_seed_gives_the_same_backbone() {
        let device = Device::default();
        let weights = |seed| {
            let config = ResNetConfig {
                width: 2,
                ..ResNetConfig::resnet18()
            };
            let net = config.init_from(&mut WeightStream::new(seed), &device);
            net.layer4[1]
                .conv2
                .weight
                .val()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap()
        };
        assert_eq!(weights(4), weights(4));
        assert_ne!(weights(4), weights(5));
    }
}
