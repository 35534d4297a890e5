//! The backbone: what turns pictures into the feature maps that every step works on.
//!
//! A family of networks is one file, a row of the table `families!` in this one, and the names of its
//! members. No other type of the workspace names a family.

mod conv_norm;
mod convnext;
mod densenet;
mod efficientnet;
mod inception;
mod network;
mod parts;
mod pool;
mod res2net;
mod resnet;
mod swin;
mod vit;

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use burn::{
    module::{Module, ParamId},
    tensor::{Device, Tensor},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

use crate::{
    init::{WeightStream, name_parameters},
    norm::NormMode,
    optim::parameters_of,
};

pub use conv_norm::ConvNorm;
pub use convnext::{
    ConvNext, ConvNextBlock, ConvNextConfig, ConvNextStage, DepthwiseConv, Dilations, RfConv,
    Shrinking,
};
pub use densenet::{DenseBlock, DenseLayer, DenseNet, DenseNetConfig, Transition};
pub use efficientnet::{EfficientNet, EfficientNetConfig, NarrowBlock, SqueezeExcite};
pub use inception::{Branch, Inception, InceptionConfig, Mixed, transform_input};
pub use network::{
    BackboneSettings, BadSetting, Family, Features, Interpolation, KeyOf, KeyShapes, Network,
    Preprocessing, Published, Spelling,
};
pub use parts::Mlp;
pub use res2net::{Res2Block, Res2Net, Res2NetConfig};
pub use resnet::{
    Block, ResNet, ResNetConfig, ResidualBlock, ResidualBlockConfig, torch_key as resnet_key,
};
pub use swin::{Merging, Swin, SwinBlock, SwinConfig, SwinPatches, SwinStage, WindowAttention};
pub use vit::{
    LayerScale, PatchEmbed, Pool, PositionRule, Remainder, Vit, VitAttention, VitBlock, VitConfig,
};

/// Writes the two enums that hold a network of any family, and the settings of any.
///
/// A row is `Variant "family" (Network, Settings)`; `family` is its name in the tables of run files. The
/// settings are a [`Family`].
macro_rules! families {
    ($($(#[$about:meta])* $variant:ident $family:literal ($network:ty, $config:ty),)*) => {
        /// A backbone of any family.
        #[derive(Module, Debug)]
        pub enum Backbone {
            $($(#[$about])* $variant($network),)*
        }

        /// Settings of a [`Backbone`]: in a file one of [`names`], or a table with its `family`
        /// (`resnet` where there is none) and settings.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum BackboneConfig {
            $($(#[$about])* $variant($config),)*
        }

        impl Backbone {
            fn network(&self) -> &dyn Network {
                match self {
                    $(Self::$variant(network) => network,)*
                }
            }

            fn network_mut(&mut self) -> &mut dyn Network {
                match self {
                    $(Self::$variant(network) => network,)*
                }
            }
        }

        impl Deref for BackboneConfig {
            type Target = dyn BackboneSettings;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$variant(config) => config,)*
                }
            }
        }

        impl DerefMut for BackboneConfig {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self {
                    $(Self::$variant(config) => config,)*
                }
            }
        }

        $(impl From<$config> for BackboneConfig {
            fn from(config: $config) -> Self {
                Self::$variant(config)
            }
        })*

        /// Names of backbones in files and on the command line.
        pub fn names() -> Vec<&'static str> {
            [$(<$config>::names()),*].concat()
        }

        impl BackboneConfig {
            /// The backbone of one of [`names`].
            pub fn named(name: &str) -> Option<Self> {
                $(if let Some(config) = <$config>::named(name) {
                    return Some(config.into());
                })*
                None
            }

            /// The names of the networks whose weights a file may hold, given its keys without wrapper.
            pub fn recognise(keys: &KeyShapes) -> Vec<&'static str> {
                [$(<$config>::recognise(keys)),*].concat()
            }

            /// Its `family` in a file, and its settings.
            fn table(&self) -> (&'static str, Value) {
                match self {
                    $(Self::$variant(config) => ($family, to_value(config)),)*
                }
            }

            /// Reads the settings of a family.
            fn of_family<E: de::Error>(family: &str, settings: Map<String, Value>) -> Result<Self, E> {
                match family {
                    $($family => from_table(settings).map(Self::$variant),)*
                    _ => {
                        let known = [$($family),*].map(|known| format!("\"{known}\"")).join(", ");
                        Err(E::custom(format!(
                            "unknown family \"{family}\", expected one of {known}"
                        )))
                    }
                }
            }
        }
    };
}

families! {
    /// He et al. 2016, <https://arxiv.org/abs/1512.03385>.
    ResNet "resnet" (ResNet, ResNetConfig),
    /// Gao et al. 2019, <https://arxiv.org/abs/1904.01169>.
    Res2Net "res2net" (Res2Net, Res2NetConfig),
    /// Tan and Le 2019, <https://arxiv.org/abs/1905.11946>.
    EfficientNet "efficientnet" (EfficientNet, EfficientNetConfig),
    /// Huang et al. 2017, <https://arxiv.org/abs/1608.06993>.
    DenseNet "densenet" (DenseNet, DenseNetConfig),
    /// Szegedy et al. 2016, <https://arxiv.org/abs/1512.00567>.
    Inception "inception" (Inception, InceptionConfig),
    /// Dosovitskiy et al. 2021, <https://arxiv.org/abs/2010.11929>.
    Vit "vit" (Vit, VitConfig),
    /// Liu et al. 2021, <https://arxiv.org/abs/2103.14030>.
    Swin "swin" (Swin, SwinConfig),
    /// Liu et al. 2022, <https://arxiv.org/abs/2201.03545>.
    ConvNext "convnext" (ConvNext, ConvNextConfig),
}

impl Backbone {
    /// The feature maps of some pictures.
    ///
    /// # Shapes
    ///
    /// - `pictures`: `[batch, 3, height, width]`, normalised by [`Preprocessing`]
    pub fn forward(&mut self, pictures: Tensor<4>, mode: NormMode) -> Features {
        self.network_mut().forward(pictures, mode)
    }

    /// What its files look like, see [`Network::spellings`].
    pub fn spellings(&self) -> &'static [Spelling] {
        self.network().spellings()
    }

    /// Channels of [`pooled`](Self::pooled).
    pub fn channels(&self) -> usize {
        self.network().channels()
    }

    /// Names of the layers that [`layer`](Self::layer) knows.
    pub fn layers(&self) -> &'static [&'static str] {
        self.network().layers()
    }

    /// See [`Network::imported`].
    pub(crate) fn imported(&mut self) {
        self.network_mut().imported();
    }

    /// See [`Network::layer`].
    pub fn layer(&mut self, pictures: Tensor<4>, name: &str) -> Tensor<4> {
        self.network_mut().layer(pictures, name)
    }

    /// See [`Network::pooled`]; norms take their moving statistics.
    pub fn pooled(&mut self, pictures: Tensor<4>) -> Tensor<2> {
        self.pooled_by(pictures, NormMode::Moving)
    }

    /// See [`Network::pooled`].
    pub fn pooled_by(&mut self, pictures: Tensor<4>, mode: NormMode) -> Tensor<2> {
        self.network_mut().pooled(pictures, mode)
    }

    /// What makes the patches of a ViT into tokens; nothing of other networks.
    pub fn patch_parameters(&self) -> Vec<ParamId> {
        match self {
            Self::Vit(network) => parameters_of(&network.patch_embed),
            _ => Vec::new(),
        }
    }

    /// The network itself, where it is a ResNet.
    pub fn as_resnet(&self) -> Option<&ResNet> {
        match self {
            Self::ResNet(network) => Some(network),
            _ => None,
        }
    }

    /// The same.
    pub fn as_resnet_mut(&mut self) -> Option<&mut ResNet> {
        match self {
            Self::ResNet(network) => Some(network),
            _ => None,
        }
    }

    /// Gives the key of a parameter in the files that export writes, see [`Spelling::key`]: torchvision's or
    /// timm's, and for a ViT with register tokens those of DINOv2.
    pub fn key(&self) -> KeyOf {
        self.spellings()[0].key
    }
}

impl BackboneConfig {
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

fn to_value(config: &impl Serialize) -> Value {
    serde_json::to_value(config).expect("settings are plain values")
}

fn from_table<T: DeserializeOwned, E: de::Error>(settings: Map<String, Value>) -> Result<T, E> {
    serde_json::from_value(Value::Object(settings)).map_err(E::custom)
}

/// The settings of a ResNet have no `family`: they are what run files had before there were others.
impl Serialize for BackboneConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Self::ResNet(config) = self {
            return config.serialize(serializer);
        }
        let (family, mut settings) = self.table();
        settings["family"] = family.into();
        settings.serialize(serializer)
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
        write!(f, "the name of a backbone or a table of its settings")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<BackboneConfig, E> {
        BackboneConfig::named(name).ok_or_else(|| {
            let known: Vec<_> = names().iter().map(|known| format!("\"{known}\"")).collect();
            let known = known.join(", ");
            E::custom(format!(
                "unknown backbone \"{name}\", expected one of {known}"
            ))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BackboneConfig, A::Error> {
        let mut settings = Map::deserialize(MapAccessDeserializer::new(map))?;
        match settings.remove("family") {
            None => BackboneConfig::of_family("resnet", settings),
            Some(Value::String(family)) => BackboneConfig::of_family(&family, settings),
            Some(other) => Err(de::Error::custom(format!("family is a name, not {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backbone_is_read_by_name_or_by_its_settings() {
        let read = |text: &str| serde_json::from_str::<BackboneConfig>(text);
        assert!(
            names()
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
    fn every_named_backbone_is_written_and_read() {
        for name in names() {
            let config = BackboneConfig::named(name).unwrap();
            assert!(config.check().is_ok() && config.channels(4) > 0, "{name}");
            let text = serde_json::to_string(&config).unwrap();
            let is_resnet = matches!(config, BackboneConfig::ResNet(_));
            assert_eq!(text.contains("family"), !is_resnet, "{text}");
            assert_eq!(
                serde_json::from_str::<BackboneConfig>(&text).unwrap(),
                config
            );
        }
    }

    /// Run files from before there were groups and dilated stages.
    #[test]
    fn settings_of_a_resnet_without_the_newer_ones_are_read() {
        let text = r#"{"block": "bottleneck", "depths": [3, 4, 6, 3], "width": 64,
            "bottleneck_width": 64, "max_pool": true}"#;
        let read = serde_json::from_str::<BackboneConfig>(text).unwrap();
        assert_eq!(read, ResNetConfig::resnet50().into());
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
