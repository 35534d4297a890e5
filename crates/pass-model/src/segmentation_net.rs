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
    /// How the head is drawn, which is not stored: weights that are there need no draw.
    #[serde(skip)]
    pub head: HeadDraw,
}

/// How the weights of the head are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadDraw {
    /// Normal, with a deviation that follows the number of classes: the published draw. With few classes on
    /// many channels logits begin far from 0.
    #[default]
    He,
    /// Uniform in `±1/√channels`, as PyTorch draws convolutions: logits begin near 0 for any number of
    /// classes.
    Uniform,
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
        let head = self.head.draw(channels, stream, device);
        name_parameters(SegmentationNet { backbone, head })
    }
}

impl HeadDraw {
    fn draw(self, channels: [usize; 2], stream: &mut WeightStream, device: &Device) -> Conv2d {
        let config = Conv2dConfig::new(channels, [1, 1]);
        match self {
            Self::He => stream.conv2d(&config, device),
            Self::Uniform => stream.uniform_conv2d(&config, device),
        }
    }
}

impl SegmentationNet {
    /// The same on a pre-trained backbone.
    pub fn with_backbone(self, backbone: Backbone) -> Self {
        name_parameters(Self { backbone, ..self })
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
            head: HeadDraw::He,
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

    /// Of ten classes an untrained head should know nothing, on as many channels as EfficientNet-Lite0 has.
    #[test]
    fn a_uniform_head_begins_near_chance_where_the_published_one_does_not() {
        let device = Device::default();
        let channels = 1280;
        let mut stream = WeightStream::new(3);
        let share = stream.uniform_fan_in([4, channels, 5, 5], 1, &device).val(); // in ±1
        let features = (share + 1.0) * 0.75;
        let mut loss = |draw: HeadDraw| {
            let head = draw.draw([channels, 11], &mut stream, &device);
            let logits = convolve(&head, features.clone());
            let classes = burn::tensor::activation::log_softmax(logits, 1);
            -classes.mean().into_scalar::<f32>()
        };
        let (chance, uniform) = (11f32.ln(), loss(HeadDraw::Uniform));
        assert!(uniform < chance + 0.3, "{uniform}");
        let published = loss(HeadDraw::He);
        assert!(published > 2.0 * chance, "{published}");
    }

    /// Each parameter has a stream of its own, and both draw the same bias from that of the bias.
    #[test]
    fn the_head_is_drawn_behind_the_backbone() {
        let device = Device::default();
        let [published, uniform] = [HeadDraw::He, HeadDraw::Uniform].map(|head| {
            let config = SegmentationNetConfig { head, ..config() };
            config.init(3, &device).head
        });
        let bias = |head: &Conv2d| head.bias.as_ref().unwrap().val().into_data();
        assert_eq!(bias(&uniform), bias(&published));
        let [_, channels, ..] = uniform.weight.dims();
        let largest = uniform.weight.val().abs().max().into_scalar::<f32>();
        assert!(largest <= 1.0 / (channels as f32).sqrt(), "{largest}");
        assert_eq!(uniform.weight.id, published.weight.id);
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
