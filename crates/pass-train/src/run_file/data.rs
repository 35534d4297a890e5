//! The section `data` of a run file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use imagenet_s::{
    Background, Dataset, Decoding, OddPictures, Orienting, Selection, Split, Stretch,
    synthetic::{SyntheticConfig, write_synthetic},
};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSection {
    /// Where they come from.
    pub source: Source,
    /// Only pictures of these names: a pattern as `*.jpg`, or as `left/*` about the path below the
    /// folder.
    pub pattern: Option<String>,
    /// What to do with the orientation of EXIF. Left out, pictures of a plain folder are turned, and
    /// those of a tree with masks are read as they are stored.
    pub orientation: Option<Orienting>,
    /// Which values of samples with more than 8 bits become black and white.
    pub stretch: Stretch,
    /// Which band of TIFF files is grey, or which three are red, green and blue, from 1 on.
    pub bands: Vec<u16>,
    /// What is seen through transparent pixels. Left out, white in a plain folder, and nothing in a
    /// tree.
    pub background: Option<Background>,
    /// CMYK pictures and files whose content is not what their name says.
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
    /// Settles what the source decides where the section leaves it open.
    pub(crate) fn settle(&mut self) {
        let by_source = match self.source {
            Source::Pictures { .. } => Decoding::as_shown(),
            Source::Synthetic(_) | Source::Layout { .. } => Decoding::default(),
        };
        self.orientation.get_or_insert(by_source.orientation);
        self.background.get_or_insert(by_source.background);
    }

    /// How the files of the pictures become pixels.
    pub fn decoding(&self) -> Decoding {
        let mut settled = self.clone();
        settled.settle();
        Decoding {
            orientation: settled.orientation.expect("settled"),
            stretch: self.stretch,
            bands: self.bands.clone(),
            background: settled.background.expect("settled"),
        }
    }

    /// The pictures of the run in the folder `run`; the embedded dataset is written there first.
    pub(crate) fn open(&self, run: &Path) -> Result<Dataset, Error> {
        let selection = self.selection(run)?;
        let mut data = match &self.source {
            Source::Synthetic(config) => {
                fs::create_dir_all(run).map_err(Error::io(run, "create the run directory"))?;
                let place = run.join("data");
                write_synthetic(&place, config)?;
                Dataset::open(&place)?
            }
            Source::Layout { path } => Dataset::open_selected(&selection, path)?,
            Source::Pictures { path, classes } => {
                Dataset::open_selected_pictures(&selection, path, *classes)?
            }
        };
        if let Some(pairs) = &self.validation {
            data = data.with_pairs(Split::Validation, &pairs.pictures, &pairs.masks)?;
        }
        if let Some(pack) = &self.pack {
            data = data.with_pack(pack)?;
        }
        Ok(data.with_decoding(self.decoding()))
    }

    /// The pictures of step 1 alone, if there are any, without those of the run in the folder `run`.
    pub(crate) fn open_pretrain_pictures(
        &self,
        run: &Path,
        classes: u16,
    ) -> Result<Option<Dataset>, Error> {
        let Some(folder) = &self.pretrain_pictures else {
            return Ok(None);
        };
        let selection = self.selection(run)?;
        let pictures = Dataset::open_selected_pictures(&selection, folder, classes)?;
        let pictures = pictures.with_decoding(self.decoding());
        Ok(Some(match &self.pretrain_pack {
            Some(pack) => pictures.with_pack(pack)?,
            None => pictures,
        }))
    }

    fn selection(&self, run: &Path) -> Result<Selection, Error> {
        let selection = Selection::of_run(run);
        Ok(match &self.pattern {
            Some(pattern) => selection.matching(pattern)?,
            None => selection,
        })
    }
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            source: Source::Synthetic(SyntheticConfig::default()),
            pattern: None,
            orientation: None,
            stretch: Stretch::Full,
            bands: Vec::new(),
            background: None,
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
