//! The network of step 3, fine-tuning: backbone and a 1×1 convolution to one score per class. Its
//! loss is [`pixel_cross_entropy`](crate::loss::pixel_cross_entropy()).

use burn::{
    module::Module,
    nn::conv::{Conv2d, Conv2dConfig},
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    backbone::{Backbone, BackboneConfig},
    init::{WeightStream, name_parameters},
    norm::NormMode,
    precision::convolve,
};

/// Settings of a [`SegmentationNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationNetConfig {
    /// The backbone.
    pub backbone: BackboneConfig,
    /// Classes `C` without "other", which is channel 0 of the output.
    pub classes: usize,
}

/// The network of step 3.
#[derive(Module, Debug)]
pub struct SegmentationNet {
    /// The backbone.
    pub backbone: Backbone,
    /// 1×1 convolution with bias, from the backbone's channels to `C + 1`.
    pub head: Conv2d,
}

impl SegmentationNetConfig {
    /// A network with the initial weights of a seed.
    pub fn init(&self, seed: u64, device: &Device) -> SegmentationNet {
        let stream = &mut WeightStream::new(seed);
        let backbone = self.backbone.build(stream, device);
        let channels = [self.backbone.channels(4), self.classes + 1];
        let head = stream.conv2d(&Conv2dConfig::new(channels, [1, 1]), device);
        name_parameters(SegmentationNet { backbone, head })
    }
}

impl SegmentationNet {
    /// The same on a pre-trained backbone.
    pub fn with_backbone(self, backbone: Backbone) -> Self {
        name_parameters(Self { backbone, ..self })
    }

    /// The same with a head as PyTorch draws convolutions: uniform in `±1/√channels`.
    ///
    /// The published draw follows the number of classes, not that of the channels: with few classes on many
    /// channels it begins with logits that are far from 0.
    pub fn with_uniform_head(self, seed: u64, device: &Device) -> Self {
        let [outputs, inputs, _, _] = self.head.weight.dims();
        let config = Conv2dConfig::new([inputs, outputs], [1, 1]);
        let head = WeightStream::new(seed).uniform_conv2d(&config, device);
        name_parameters(Self { head, ..self })
    }

    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - output: logits `[batch, classes + 1, ⌈height / stride⌉, ⌈width / stride⌉]`
    pub fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<4> {
        convolve(
            &self.head,
            self.backbone.forward(pictures, mode).into_last(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backbone::ResNetConfig,
        pretrain_net::{NetworkConfig, PretrainNetConfig},
    };

    fn config() -> SegmentationNetConfig {
        let backbone = ResNetConfig {
            width: 2,
            ..ResNetConfig::small()
        };
        SegmentationNetConfig {
            backbone: backbone.into(),
            classes: 4,
        }
    }

    #[test]
    fn there_is_one_channel_more_than_classes() {
        let device = Device::default();
        let pictures = Tensor::ones([2, 3, 33, 48], &device);
        let logits = config()
            .init(0, &device)
            .forward(pictures, NormMode::Moving);
        assert_eq!(logits.dims(), [2, 5, 3, 3]);
    }

    /// ReLU6 leaves 1280 channels of numbers from 0 to 6: an untrained head should know nothing of ten classes.
    #[test]
    fn a_uniform_head_begins_near_chance_where_the_published_one_does_not() {
        let device = Device::default();
        let config = SegmentationNetConfig {
            classes: 10,
            ..config()
        };
        let net = config.init(0, &device);
        let channels = 1280;
        let widened = |conv: Conv2d| SegmentationNet {
            head: conv,
            ..net.clone()
        };
        let wide = Conv2dConfig::new([channels, 11], [1, 1]);
        let published = widened(WeightStream::new(3).conv2d(&wide, &device));
        let uniform = published.clone().with_uniform_head(3, &device);
        let loss = |net: &SegmentationNet| {
            let distribution = burn::tensor::Distribution::Uniform(0.0, 1.5);
            let features = Tensor::<4>::random([4, channels, 5, 5], distribution, &device);
            let logits = convolve(&net.head, features);
            let classes = burn::tensor::activation::log_softmax(logits, 1);
            -classes.mean().into_scalar::<f32>()
        };
        let chance = 11f32.ln();
        assert!(loss(&uniform) < chance + 0.3, "{}", loss(&uniform));
        assert!(loss(&published) > 2.0 * chance, "{}", loss(&published));
        assert_eq!(uniform.head.weight.id, net.head.weight.id);
    }

    #[test]
    fn the_backbone_of_step_one_is_taken_over_with_its_statistics() {
        let device = Device::default();
        let pretrain = PretrainNetConfig {
            network: NetworkConfig {
                backbone: config().backbone,
                ..Default::default()
            },
            ..Default::default()
        };
        let mut pretrained = pretrain.init(9, &device);
        let pictures = Tensor::ones([2, 3, 32, 32], &device);
        pretrained
            .backbone
            .forward(pictures.clone(), NormMode::Batch);
        let mut net = config()
            .init(1, &device)
            .with_backbone(pretrained.backbone.clone());
        let features = |backbone: &mut Backbone| {
            backbone
                .forward(pictures.clone(), NormMode::Moving)
                .into_last()
                .into_data()
        };
        assert_eq!(
            features(&mut net.backbone),
            features(&mut pretrained.backbone)
        );
        assert_eq!(net.head.weight.id, config().init(5, &device).head.weight.id);
    }
}
