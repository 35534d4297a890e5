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
