//! The backbone: what turns pictures into the feature maps that every step works on.
//!
//! A family of networks is one file, and in this one a line for each of its two variants and in each
//! `match`. No other type of the workspace names a family.

mod resnet;

use std::{fmt, ops::Deref};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    init::{WeightStream, name_parameters},
    norm::NormMode,
};

pub use resnet::{
    Block, Downsample, ResNet, ResNetConfig, ResidualBlock, ResidualBlockConfig,
    torch_key as resnet_key,
};

/// A backbone of any family.
#[derive(Module, Debug)]
pub enum Backbone {
    /// He et al. 2016, <https://arxiv.org/abs/1512.03385>.
    ResNet(ResNet),
}

/// Settings of a [`Backbone`]: in a file one of [`NAMES`], or the settings of a ResNet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum BackboneConfig {
    /// Of a ResNet.
    ResNet(ResNetConfig),
}

/// Names of backbones in a file.
pub const NAMES: [&str; 3] = ["small", "resnet18", "resnet50"];

/// What the settings of a family tell about its network before it is built.
pub trait BackboneSettings {
    /// A network whose weights are the next ones of a stream.
    ///
    /// # Panics
    ///
    /// If [`check`](Self::check) fails.
    fn build(&self, stream: &mut WeightStream, device: &Device) -> Backbone;

    /// Channels of a stage's feature map.
    ///
    /// # Panics
    ///
    /// If `stage` is not in `1..=4`.
    fn channels(&self, stage: usize) -> usize;

    /// Pixels of the picture per position of the last feature map, along each axis.
    fn stride(&self) -> usize;

    /// One line for people.
    fn describe(&self) -> String;

    /// Refuses what no network can be built with.
    fn check(&self) -> Result<(), BadSetting> {
        Ok(())
    }

    /// A setting that was changed and has no effect: its name and the reason.
    fn without_effect(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// The setting that its size depends on most, and the value.
    fn size(&self) -> (&'static str, usize);

    /// Number of weights, or less.
    fn weights(&self) -> f64;

    /// Values that a picture of `side` pixels leaves for the backward pass, or less.
    fn kept_values(&self, side: usize) -> f64;

    /// Values of the first map of a picture of `side` pixels.
    fn first_map(&self, side: usize) -> f64;
}

/// A setting that no network can be built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting {
    /// Its name.
    pub key: &'static str,
    /// What it holds.
    pub value: String,
    /// What is allowed.
    pub rule: &'static str,
}

/// The feature maps of one forward pass, from the finest to the coarsest.
#[derive(Debug, Clone)]
pub struct Features {
    /// One map a stage, `[batch, channels, ⌈height / stride⌉, ⌈width / stride⌉]`.
    pub maps: Vec<Tensor<4>>,
    /// Pixels of the picture per position of each map, along each axis.
    pub strides: Vec<usize>,
}

impl Features {
    /// The feature map of a stage.
    ///
    /// # Panics
    ///
    /// If there is no such stage; they count from 1.
    pub fn stage(&self, stage: usize) -> Tensor<4> {
        let count = self.maps.len();
        assert!(
            (1..=count).contains(&stage),
            "stage {stage} not in 1..={count}"
        );
        self.maps[stage - 1].clone()
    }

    /// The feature map of the last stage, dropping the others.
    pub fn into_last(mut self) -> Tensor<4> {
        self.maps.pop().expect("a backbone has a stage")
    }
}

impl Backbone {
    /// The feature maps of some pictures.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised
    pub fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features {
        match self {
            Self::ResNet(network) => network.forward(pictures, mode),
        }
    }

    /// The network itself, where it is a ResNet.
    pub fn as_resnet(&self) -> Option<&ResNet> {
        match self {
            Self::ResNet(network) => Some(network),
        }
    }

    /// The same.
    pub fn as_resnet_mut(&mut self) -> Option<&mut ResNet> {
        match self {
            Self::ResNet(network) => Some(network),
        }
    }

    /// PyTorch's key of a parameter, given its path in the backbone with PyTorch's last word.
    pub fn torch_key(&self, parameter: &str) -> String {
        match self {
            Self::ResNet(_) => resnet_key(parameter),
        }
    }
}

impl BackboneConfig {
    /// The backbone of one of [`NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "small" => ResNetConfig::small().into(),
            "resnet18" => ResNetConfig::resnet18().into(),
            "resnet50" => ResNetConfig::resnet50().into(),
            _ => return None,
        })
    }

    /// A backbone with the initial weights of a seed.
    ///
    /// # Panics
    ///
    /// As [`BackboneSettings::build`].
    pub fn init(&self, seed: u64, device: &Device) -> Backbone {
        name_parameters(self.build(&mut WeightStream::new(seed), device))
    }
}

/// ResNet-18.
impl Default for BackboneConfig {
    fn default() -> Self {
        ResNetConfig::resnet18().into()
    }
}

impl Deref for BackboneConfig {
    type Target = dyn BackboneSettings;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::ResNet(config) => config,
        }
    }
}

impl From<ResNetConfig> for BackboneConfig {
    fn from(config: ResNetConfig) -> Self {
        Self::ResNet(config)
    }
}

impl<'de> Deserialize<'de> for BackboneConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrSettings)
    }
}

struct NameOrSettings;

impl<'de> Visitor<'de> for NameOrSettings {
    type Value = BackboneConfig;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the name of a backbone or the settings of a ResNet")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<BackboneConfig, E> {
        BackboneConfig::named(name).ok_or_else(|| {
            let known = NAMES.map(|known| format!("\"{known}\"")).join(", ");
            E::custom(format!(
                "unknown backbone \"{name}\", expected one of {known}"
            ))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BackboneConfig, A::Error> {
        ResNetConfig::deserialize(MapAccessDeserializer::new(map)).map(BackboneConfig::ResNet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backbone_is_read_by_name_or_by_its_settings() {
        let read = |text: &str| serde_json::from_str::<BackboneConfig>(text);
        assert!(
            NAMES
                .iter()
                .all(|name| read(&format!("\"{name}\"")).is_ok())
        );
        let expected = BackboneConfig::from(ResNetConfig::resnet50());
        assert_eq!(read("\"resnet50\"").unwrap(), expected);
        let text = serde_json::to_string(&expected).unwrap();
        assert_eq!(read(&text).unwrap(), expected);
        for (text, said) in [
            ("\"resnet5\"", "expected one of \"small\""),
            ("{\"widht\": 3}", "unknown field `widht`"),
            ("3", "the name of a backbone"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_family_leaves_no_trace_in_the_paths_of_parameters() {
        let device = Device::default();
        let config = ResNetConfig {
            width: 2,
            ..ResNetConfig::small()
        };
        let paths = |list: Vec<crate::checkpoint::Parameter>| -> Vec<String> {
            list.into_iter().map(|parameter| parameter.path).collect()
        };
        let alone = config.init_from(&mut WeightStream::new(1), &device);
        let alone = name_parameters(alone);
        let any = config.init(1, &device);
        let inside = any.as_resnet().unwrap();
        assert_eq!(alone.conv1.weight.id, inside.conv1.weight.id);
        let [alone, any] = [
            paths(crate::checkpoint::parameters_of(&alone)),
            paths(crate::checkpoint::parameters_of(&any)),
        ];
        assert_eq!(alone, any);
    }
}
