//! Head of a shallow stage in deep-to-shallow supervision (D2S): `P_s(GAP(H_s(Z_s)))`, PASS
//! equation (3).

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use super::{PixelProjection, PixelProjectionConfig, ProjectionHead, ProjectionHeadConfig};
use crate::{init::WeightStream, norm::NormMode, normalize::global_average_pool};

/// Settings of a [`ShallowHead`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShallowHeadConfig {
    /// The stage, in `1..=3`.
    pub stage: usize,
    /// Channels of the stage's feature map.
    pub channels: usize,
    /// Width of the hidden layers of both parts.
    pub hidden: usize,
    /// Length of the embedding.
    pub embedding: usize,
}

/// Pixel MLP, pooling and image-level projection of one shallow stage.
#[derive(Module, Debug)]
pub struct ShallowHead {
    /// The stage that it belongs to.
    pub stage: usize,
    /// `H_s`, keeps the number of channels.
    pub pixel_mlp: PixelProjection,
    /// `P_s`.
    pub projection: ProjectionHead,
}

impl ShallowHeadConfig {
    /// Draws the weights.
    pub fn init(&self, stream: &mut WeightStream, device: &Device) -> ShallowHead {
        let Self {
            stage,
            channels,
            hidden,
            embedding,
        } = *self;
        let pixel_mlp = PixelProjectionConfig {
            channels_in: channels,
            hidden,
            channels_out: channels,
        };
        let projection = ProjectionHeadConfig {
            features: channels,
            hidden,
            embedding,
        };
        ShallowHead {
            stage,
            pixel_mlp: pixel_mlp.init(stream, device),
            projection: projection.init(stream, device),
        }
    }
}

impl ShallowHead {
    /// # Shapes
    ///
    /// - `map`: `[batch, channels, height, width]`, the feature map of this head's stage
    /// - output: `[batch, embedding]`, not of unit length
    pub fn forward(&mut self, map: Tensor<4>, mode: NormMode) -> Tensor<2> {
        let map = self.pixel_mlp.forward(map, mode);
        self.projection.forward(global_average_pool(map), mode)
    }
}
