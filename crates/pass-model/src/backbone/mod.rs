//! The backbone: a ResNet (He et al. 2016, <https://arxiv.org/abs/1512.03385>) that returns the
//! feature maps of its four stages.

mod block;
mod config;
mod resnet;

pub use block::{Downsample, ResidualBlock, ResidualBlockConfig};
pub use config::{Block, ResNetConfig};
pub use resnet::{ResNet, Stages};
