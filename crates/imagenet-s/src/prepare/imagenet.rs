//! The ImageNet-1k tree that a preparation reads.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use super::PrepareError;
use crate::{
    dataset::scan::scan,
    error::Error,
    layout::{IMAGENET_TRAIN, IMAGENET_VALIDATION},
    pictures::format::named_format,
};

/// ImageNet-1k on disk.
#[derive(Debug, Clone)]
pub struct ImageNet {
    /// Training pictures in class folders; absolute, without symbolic links.
    pub(super) train: PathBuf,
    /// Validation pictures, flat or in class folders; absolute, without symbolic links.
    pub(super) validation: PathBuf,
}

impl ImageNet {
    /// The tree below `root`: pictures in `train/CLASS`, and in `val` or `validation`, where they
    /// may lie flat or in class folders.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFolder`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        let validation = IMAGENET_VALIDATION.map(|name| root.join(name));
        let validation = validation.iter().find(|folder| folder.is_dir());
        let missing = || root.join(IMAGENET_VALIDATION[0]);
        let validation = validation.cloned().unwrap_or_else(missing);
        Self::of_folders(&root.join(IMAGENET_TRAIN), &validation)
    }

    /// The tree whose two folders lie anywhere.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFolder`].
    pub fn of_folders(train: &Path, validation: &Path) -> Result<Self, Error> {
        Ok(Self {
            train: existing(train)?,
            validation: existing(validation)?,
        })
    }

    /// Names of the class folders.
    pub(super) fn class_folders(&self) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.train).map_err(Error::io(&self.train))? {
            let entry = entry.map_err(Error::io(&self.train))?;
            if entry.path().is_dir() {
                names.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    /// Names of the pictures of one class folder, sorted.
    pub(super) fn class_pictures(&self, wnid: &str) -> Result<Vec<String>, Error> {
        let folder = self.train.join(wnid);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let entry = entry.map_err(Error::io(&folder))?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|_| Error::NameNotUtf8 { path: entry.path() })?;
            if !name.starts_with('.') && named_format(Path::new(&name)).is_some() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The validation pictures by file name without extension.
    pub(super) fn validation_pictures(&self) -> Result<HashMap<String, PathBuf>, PrepareError> {
        let found = scan(&self.validation, |path| named_format(path).is_some())?.files;
        let mut pictures = HashMap::with_capacity(found.len());
        for picture in found {
            let stem = picture.key.rsplit('/').next().unwrap_or_default();
            if let Some(first) = pictures.insert(stem.to_owned(), picture.path.clone()) {
                let second = picture.path;
                return Err(PrepareError::TwoPictures { first, second });
            }
        }
        Ok(pictures)
    }
}

fn existing(folder: &Path) -> Result<PathBuf, Error> {
    if !folder.is_dir() {
        return Err(Error::MissingFolder {
            path: folder.to_owned(),
            remedy: "give the root of an unpacked ImageNet-1k (train/CLASS, and val flat or in \
                     class folders), or its two folders by name",
        });
    }
    fs::canonicalize(folder).map_err(Error::io(folder))
}
