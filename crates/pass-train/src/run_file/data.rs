//! The section `data` of a run file.

use std::path::{Path, PathBuf};

use imagenet_s::{Dataset, OddPictures, synthetic::SyntheticConfig};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSection {
    /// Where they come from.
    pub source: Source,
    /// CMYK JPEGs and files whose content is not what their name says.
    pub odd_pictures: OddPictures,
    /// Training pictures that cannot be read. Those of the other splits always stop a run, since
    /// its numbers would be about other pictures.
    pub bad_pictures: BadPictures,
    /// Threads that decode and crop.
    pub workers: usize,
    /// Other pictures for step 1 alone, as the paper pre-trains on all of ImageNet-1k for 919
    /// classes; left out, step 1 learns from the training pictures.
    pub pretrain_pictures: Option<PathBuf>,
    /// A pack of the source's pictures, from which they are then read. It changes no result, so a
    /// run may be continued with another one or none.
    pub pack: Option<PathBuf>,
    /// The same for `pretrain_pictures`.
    pub pretrain_pack: Option<PathBuf>,
    /// Pictures with masks of your own as the validation split.
    pub validation: Option<Pairs>,
    /// Deviation that divides the red channel in steps 1 and 2.1.
    pub red_deviation: RedDeviation,
}

/// Two folders of pictures and their masks, paired by the paths below them without extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// The pictures, flat or nested.
    pub pictures: PathBuf,
    /// The masks: PNG with `id = R + 256 G`.
    pub masks: PathBuf,
}

impl DataSection {
    /// The pictures of step 1 alone, if there are any, without those of the run in the folder `run`.
    pub(crate) fn open_pretrain_pictures(
        &self,
        run: &Path,
        classes: u16,
    ) -> Result<Option<Dataset>, Error> {
        let Some(folder) = &self.pretrain_pictures else {
            return Ok(None);
        };
        let pictures = Dataset::open_pictures_for(Some(run), folder, classes)?;
        Ok(Some(match &self.pretrain_pack {
            Some(pack) => pictures.with_pack(pack)?,
            None => pictures,
        }))
    }
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            source: Source::Synthetic(SyntheticConfig::default()),
            odd_pictures: OddPictures::Refuse,
            bad_pictures: BadPictures::Refuse,
            workers: 2,
            pretrain_pictures: None,
            pack: None,
            pretrain_pack: None,
            validation: None,
            red_deviation: RedDeviation::Published,
        }
    }
}

/// Deviation of the red channel in the multi-crop views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedDeviation {
    /// 0.228 there and 0.229 in all other steps, as the reference.
    #[default]
    Published,
    /// 0.229 everywhere.
    Unified,
}

/// What becomes of training pictures that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadPictures {
    /// The run stops before it begins, and names them.
    #[default]
    Refuse,
    /// They are left out of every step and listed in `done/check_data.json`.
    Skip,
}

/// Where the pictures come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// The embedded dataset, written into the run directory.
    Synthetic(SyntheticConfig),
    /// A tree in the ImageNet-S layout.
    Layout {
        /// Its root.
        path: PathBuf,
    },
    /// Any folder of pictures without labels.
    Pictures {
        /// The folder.
        path: PathBuf,
        /// Categories to discover.
        classes: u16,
    },
}
