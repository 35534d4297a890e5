//! EfficientNet (Tan and Le 2019, <https://arxiv.org/abs/1905.11946>): seven stages of blocks that widen,
//! convolve each channel on its own, and narrow.

mod block;
mod config;
mod keys;

use burn::{
    module::Module,
    nn::PaddingConfig2d,
    tensor::{Device, Tensor},
};

use super::{BackboneSettings, Features, Network, Spelling, conv_norm::ConvNorm};
use crate::{init::WeightStream, norm::NormMode};

pub use block::{NarrowBlock, SqueezeExcite};
use block::{activated, padded};
pub use config::EfficientNetConfig;

/// An EfficientNet, without stochastic depth.
#[derive(Module, Debug)]
pub struct EfficientNet {
    /// 3×3, stride 2.
    pub stem: ConvNorm,
    /// The seven stages.
    pub stages: Vec<Vec<NarrowBlock>>,
    /// 1×1, to the channels of the classifier.
    pub head: ConvNorm,
    /// See [`EfficientNetConfig::lite`].
    pub lite: bool,
}

impl EfficientNetConfig {
    fn init_from(&self, stream: &mut WeightStream, device: &Device) -> EfficientNet {
        self.assert_sound();
        let [before, channels] = [self.channels[7], self.channels[8]];
        EfficientNet {
            stem: self.layer([3, self.channels[0]], 3, 2, 1, stream, device),
            stages: (0..7)
                .map(|stage| self.stage(stage, stream, device))
                .collect(),
            head: self.layer([before, channels], 1, 1, 1, stream, device),
            lite: self.lite,
        }
    }

    fn stage(&self, stage: usize, stream: &mut WeightStream, device: &Device) -> Vec<NarrowBlock> {
        let blocks = self.blocks().filter(|block| block.stage == stage);
        blocks
            .map(|block| block.init(self, stream, device))
            .collect()
    }
}

impl EfficientNet {
    /// The nine maps: of the stem, of each stage and of the head.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    /// - map `i`: `[batch, channels[i], ⌈height / r⌉, ⌈width / r⌉]`, `r` = 2, 2, 4, 8, 16, 16, 32, 32, 32
    pub fn maps(&mut self, pictures: Tensor<4>, mode: NormMode) -> Vec<Tensor<4>> {
        let lite = self.lite;
        let x = padded(pictures, &self.stem.conv);
        let mut maps = vec![activated(self.stem.forward(x, mode), lite)];
        let last = |maps: &[Tensor<4>]| maps[maps.len() - 1].clone();
        for stage in &mut self.stages {
            let blocks = stage.iter_mut();
            maps.push(blocks.fold(last(&maps), |x, block| block.forward(x, mode, lite)));
        }
        maps.push(activated(self.head.forward(last(&maps), mode), lite));
        maps
    }

    fn is_tensorflow(&self) -> bool {
        self.stem.conv.padding == PaddingConfig2d::Valid
    }
}

impl Network for EfficientNet {
    /// The maps before each halving, and that of the head.
    fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features {
        let maps = self.maps(pictures, mode);
        Features {
            maps: [2, 3, 5, 8].map(|map| maps[map].clone()).to_vec(),
            strides: vec![4, 8, 16, 32],
        }
    }

    fn spellings(&self) -> &'static [Spelling] {
        let depths: Vec<usize> = self.stages.iter().map(Vec::len).collect();
        keys::spellings(self.lite, self.is_tensorflow(), &depths)
    }

    /// The four stages, and what the head takes.
    fn layers(&self) -> &'static [&'static str] {
        &["stage1", "stage2", "stage3", "stage4", "before_head"]
    }

    fn layer(&mut self, pictures: Tensor<4>, name: &str) -> Tensor<4> {
        let names = self.layers().iter().zip([2, 3, 5, 8, 7]);
        let map = names.clone().find(|(known, _)| **known == name);
        let (_, map) = map.unwrap_or_else(|| panic!("no layer {name}"));
        self.maps(pictures, NormMode::Moving).swap_remove(map)
    }

    fn channels(&self) -> usize {
        self.head.channels()
    }
}
