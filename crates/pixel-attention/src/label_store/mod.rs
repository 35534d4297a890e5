//! The pseudo labels of a whole split in one file, read picture by picture.
//!
//! Layout, little-endian: a header (magic, version, classes, kind of the attention's numbers); for
//! each picture its ids (`u16`) and attention (`f32` or `f16`), row-major; the index (key, width,
//! height and offset of each picture); a footer that says where the index lies. The footer comes
//! last, so a file that was cut short cannot be mistaken for a whole one. Writing streams to a
//! temporary name and goes on after a kill; the file appears under its own name when it is
//! complete.

mod format;
mod writer;

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
};

use self::format::{Entry, labels_from_record, read_header, read_index, stray_id};
use crate::{
    error::{Error, Result},
    label_generation::FeatureLabels,
    read_at::read_at,
};

pub use self::{
    format::LabelFormat,
    writer::{LabelStoreWriter, remove_cursor},
};

/// A label store that was written whole. Any number of threads may read from one.
#[derive(Debug)]
pub struct LabelStore {
    file: File,
    path: PathBuf,
    format: LabelFormat,
    entries: HashMap<String, Entry>,
    keys: Vec<String>,
}

impl LabelStore {
    /// Opens a store and reads its index; labels are read when asked for.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no label store, is of another version or was cut short.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
        let length = file
            .metadata()
            .map_err(|e| Error::io("read", path, e))?
            .len();
        let format = read_header(&file, path, length)?;
        let index = read_index(&file, path, length, format)?;
        let keys: Vec<String> = index.iter().map(|(key, _)| key.clone()).collect();
        let entries: HashMap<String, Entry> = index.into_iter().collect();
        if entries.len() != keys.len() {
            return Err(Error::damaged(path, "two pictures have the same key"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            format,
            entries,
            keys,
        })
    }

    /// Reads the labels of one picture.
    ///
    /// # Errors
    ///
    /// An unknown key, a failed read, an id outside `1..=classes`, attention that is not finite.
    pub fn get(&self, key: &str) -> Result<FeatureLabels> {
        let unknown = || Error::UnknownKey {
            path: self.path.clone(),
            key: key.to_owned(),
            pictures: self.keys.len(),
        };
        let entry = self.entries.get(key).ok_or_else(unknown)?;
        let mut bytes = vec![0; entry.bytes(self.format) as usize];
        read_at(&self.file, &self.path, entry.offset, &mut bytes)?;
        let labels = labels_from_record(entry, &bytes, self.format);
        if !labels.attention.iter().all(|value| value.is_finite()) {
            let reason = format!("the attention of {key} holds NaN or infinity");
            return Err(Error::damaged(&self.path, reason));
        }
        match stray_id(&labels, self.classes()) {
            Some(id) => {
                let reason = format!("id {id} of {key} is not in 1..={}", self.classes());
                Err(Error::damaged(&self.path, reason))
            }
            None => Ok(labels),
        }
    }

    /// Whether there are labels for `key`.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The keys in the order in which they were written.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of classes C; ids are `1..=C`.
    pub fn classes(&self) -> u16 {
        self.format.classes
    }
}

#[cfg(test)]
mod tests;
