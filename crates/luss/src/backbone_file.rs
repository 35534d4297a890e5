//! `--backbone NAME=FILE`: a network and its published weights.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::OnceLock,
};

use anyhow::{anyhow, bail, ensure};
use burn::tensor::Device;
use pass_model::{
    backbone::{Backbone, BackboneConfig, names},
    import::{Imported, import_backbone, recognise_backbone, settings_for_file},
};

use crate::hub::HubFile;

/// A file of weights, and the name of the network where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackboneFile {
    name: Option<String>,
    place: Place,
}

/// Where the weights are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    /// On the hub, and where they were put once they were fetched.
    Hub(HubFile, OnceLock<PathBuf>),
}

/// `hf:…`, or a path.
impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match HubFile::is_meant(text) {
            true => Ok(Self::Hub(text.parse()?, OnceLock::new())),
            false => Ok(Self::File(text.into())),
        }
    }
}

/// `NAME=FILE`, or `FILE` alone; FILE may be a [`HubFile`].
impl FromStr for BackboneFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = |name: Option<&str>, place: &str| {
            Ok(Self {
                name: name.map(str::to_owned),
                place: place.parse()?,
            })
        };
        match text.split_once('=') {
            Some((name, place)) if BackboneConfig::named(name).is_some() => of(Some(name), place),
            Some((name, _)) if !HubFile::is_meant(text) && !Path::new(text).exists() => Err(
                format!("{name} is no backbone; there are {}", names().join(", ")),
            ),
            _ => of(None, text),
        }
    }
}

impl BackboneFile {
    /// The file, fetched first if it is on the hub.
    ///
    /// # Errors
    ///
    /// As [`HubFile::fetch`].
    pub fn path(&self) -> anyhow::Result<&Path> {
        match &self.place {
            Place::File(path) => Ok(path),
            Place::Hub(file, fetched) => match fetched.get() {
                Some(path) => Ok(path),
                None => {
                    let path = file.fetch()?;
                    Ok(fetched.get_or_init(|| path))
                }
            },
        }
    }

    /// The name of the network: the one that was given, or the only one whose keys the file has.
    ///
    /// # Errors
    ///
    /// As [`Self::path`]; a file that cannot be read, of no known network, or of several.
    pub fn name(&self) -> anyhow::Result<String> {
        let path = self.path()?;
        let shown = path.display();
        ensure!(path.exists(), "--backbone: there is no file {shown}");
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        match recognise_backbone(path)?[..] {
            [name] => Ok(name.to_owned()),
            [] => bail!(
                "{shown}: its keys are those of no known backbone; name it, as --backbone NAME={shown}, if \
                 it is one of {}",
                names().join(", ")
            ),
            ref several => Err(anyhow!(
                "{shown}: the networks {} have the same keys and compute differently; say which, as \
                 --backbone {}={shown}",
                several.join(" and "),
                several[0]
            )),
        }
    }

    /// The settings of the network.
    ///
    /// # Errors
    ///
    /// As [`Self::name`].
    pub fn config(&self) -> anyhow::Result<BackboneConfig> {
        let name = self.name()?;
        self.settings_of(&name)
    }

    fn settings_of(&self, name: &str) -> anyhow::Result<BackboneConfig> {
        let config = BackboneConfig::named(name).expect("the name of a backbone");
        Ok(settings_for_file(config, self.path()?)?)
    }

    /// Whether the name of the network was given.
    pub fn is_named(&self) -> bool {
        self.name.is_some()
    }

    /// The network with these weights.
    ///
    /// # Errors
    ///
    /// As [`Self::name`]; weights that do not fit, with every key at fault.
    pub fn load(&self, device: &Device) -> anyhow::Result<LoadedBackbone> {
        let name = self.name()?;
        let config = self.settings_of(&name)?;
        let mut network = config.init(0, device);
        let imported = import_backbone(&mut network, self.path()?)?;
        Ok(LoadedBackbone {
            name,
            config,
            network,
            imported,
        })
    }
}

/// A backbone with the weights of a file.
pub struct LoadedBackbone {
    /// One of [`names`].
    pub name: String,
    /// Its settings.
    pub config: BackboneConfig,
    /// The network.
    pub network: Backbone,
    /// What was read and what passed over.
    pub imported: Imported,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_the_first_equals_sign() {
        let read = |text: &str| BackboneFile::from_str(text);
        let file = read("resnet50=a=b.pth").unwrap();
        assert_eq!(file.name.as_deref(), Some("resnet50"));
        assert_eq!(file.path().unwrap(), Path::new("a=b.pth"));
        let file = read("resnet50=hf:timm/w=1/a.pth").unwrap();
        assert_eq!(file.name.as_deref(), Some("resnet50"));
        assert!(matches!(file.place, Place::Hub(..)));
        assert!(matches!(read("hf:timm/w=1").unwrap().place, Place::Hub(..)));
        assert!(read("resnet50=hf:timm").unwrap_err().contains("OWNER/REPO"));
        assert_eq!(read("weights.pth").unwrap().name, None);
        let error = read("resnet5=weights.pth").unwrap_err();
        assert!(
            error.contains("resnet5 is no backbone") && error.contains("resnet50"),
            "{error}"
        );
    }
}
