//! A trivial backbone: four convolutions that halve the picture, each with a ReLU behind it.

use burn::{
    module::Module,
    nn::{
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use fast_ops::relu;

use super::{Backbone, BackboneSettings, Features};
use crate::{init::WeightStream, precision::convolve};

/// The network.
#[derive(Module, Debug)]
pub struct Patches {
    stages: Vec<Conv2d>,
}

/// Its settings.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PatchesConfig {
    /// Channels of every stage.
    pub width: usize,
}

impl Patches {
    /// As [`Backbone::forward`].
    pub fn forward(&mut self, pictures: Tensor<4>) -> Features {
        let mut maps: Vec<Tensor<4>> = Vec::new();
        for conv in &self.stages {
            let before = maps.last().unwrap_or(&pictures).clone();
            maps.push(relu(convolve(conv, before)));
        }
        let strides = vec![2, 4, 8, 16];
        Features { maps, strides }
    }
}

impl BackboneSettings for PatchesConfig {
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone {
        let stage = |stage: usize| {
            let before = if stage == 0 { 3 } else { self.width };
            let config = Conv2dConfig::new([before, self.width], [3, 3])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
            stream.conv2d(&config, device)
        };
        let stages = (0..4).map(stage).collect();
        Backbone::Patches(Patches { stages })
    }

    fn channels(&self, _stage: usize) -> usize {
        self.width
    }

    fn stride(&self) -> usize {
        16
    }

    fn describe(&self) -> String {
        format!("patches, width {}", self.width)
    }

    fn size(&self) -> (&'static str, usize) {
        ("width", self.width)
    }

    fn weights(&self) -> f64 {
        27.0 * (self.width * self.width) as f64
    }

    fn kept_values(&self, side: usize) -> f64 {
        self.first_map(side)
    }

    fn first_map(&self, side: usize) -> f64 {
        (self.width * side.div_ceil(2).pow(2)) as f64
    }
}
