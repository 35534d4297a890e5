//! The pseudo labels of a whole split in one file, read picture by picture.
//!
//! Layout, little-endian: a header (magic, version, classes); for each picture its ids (`u16`) and
//! attention (`f32`), row-major; the index (key, width, height and offset of each picture); a
//! footer that says where the index lies. The footer comes last, so a file that was cut short
//! cannot be mistaken for a whole one. Writing streams to a temporary name; the file appears
//! under its own name when it is complete.

mod format;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use luss_metrics::IGNORE;

use self::format::{
    BYTES_PER_PIXEL, Entry, HEADER_BYTES, footer, header, index_bytes, labels_from_bytes,
    read_header, read_index,
};
use crate::{
    error::{Error, Result},
    label_generation::FeatureLabels,
    partial_file::PartialFile,
    read_at::read_at,
};

/// Writes a label store, picture by picture.
///
/// Dropped before [`LabelStoreWriter::finish`], it leaves nothing behind.
pub struct LabelStoreWriter {
    file: PartialFile,
    classes: u16,
    offset: u64,
    index: Vec<(String, Entry)>,
    known: HashSet<String>,
}

impl LabelStoreWriter {
    /// Starts the file `path` for labels with ids `1..=classes`.
    ///
    /// # Errors
    ///
    /// The file cannot be created; no class or more than 999.
    pub fn create(path: &Path, classes: u16) -> Result<Self> {
        if classes == 0 || classes >= IGNORE {
            let (name, allowed) = ("label store classes", "1 to 999");
            return Err(Error::Setting {
                name,
                value: classes.to_string(),
                allowed,
            });
        }
        let mut file = PartialFile::create(path)?;
        file.write_all(&header(classes))
            .map_err(|e| Error::io("write", path, e))?;
        let (index, known) = (Vec::new(), HashSet::new());
        Ok(Self {
            file,
            classes,
            offset: HEADER_BYTES,
            index,
            known,
        })
    }

    /// Appends the labels of one picture.
    ///
    /// # Errors
    ///
    /// A key that is there already, an id outside `1..=classes`, a failed write.
    ///
    /// # Panics
    ///
    /// If `labels` does not hold one id and one attention for each pixel.
    pub fn push(&mut self, key: &str, labels: &FeatureLabels) -> Result<()> {
        let pixels = labels.width * labels.height;
        assert_eq!(
            (labels.ids.len(), labels.attention.len()),
            (pixels, pixels),
            "{key}"
        );
        self.check(key, labels)?;
        let mut bytes = Vec::with_capacity(pixels * BYTES_PER_PIXEL as usize);
        bytes.extend(labels.ids.iter().flat_map(|id| id.to_le_bytes()));
        bytes.extend(
            labels
                .attention
                .iter()
                .flat_map(|value| value.to_le_bytes()),
        );
        self.write(&bytes)?;
        let (width, height) = (labels.width as u32, labels.height as u32);
        let entry = Entry {
            width,
            height,
            offset: self.offset,
        };
        self.offset += bytes.len() as u64;
        self.known.insert(key.to_owned());
        self.index.push((key.to_owned(), entry));
        Ok(())
    }

    /// Number of pictures so far.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no picture was written yet.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Writes the index and gives the file its name.
    ///
    /// # Errors
    ///
    /// A failed write; the file then does not appear.
    pub fn finish(mut self) -> Result<()> {
        let index = index_bytes(&self.index);
        self.write(&index)?;
        let footer = footer(self.offset, index.len(), self.index.len());
        self.write(&footer)?;
        self.file.commit()
    }

    fn check(&self, key: &str, labels: &FeatureLabels) -> Result<()> {
        if self.known.contains(key) {
            let path = self.file.destination().to_owned();
            return Err(Error::DuplicateKey {
                path,
                key: key.to_owned(),
            });
        }
        match labels.ids.iter().find(|&&id| id == 0 || id > self.classes) {
            Some(&label) => {
                let row = self.index.len();
                Err(Error::LabelOutOfRange {
                    what: "picture",
                    row,
                    label,
                    classes: self.classes,
                })
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|e| Error::io("write", self.file.destination(), e))
    }
}

/// A label store that was written whole. Any number of threads may read from one.
#[derive(Debug)]
pub struct LabelStore {
    file: File,
    path: PathBuf,
    classes: u16,
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
        let classes = read_header(&file, path, length)?;
        let index = read_index(&file, path, length)?;
        let keys: Vec<String> = index.iter().map(|(key, _)| key.clone()).collect();
        let entries: HashMap<String, Entry> = index.into_iter().collect();
        if entries.len() != keys.len() {
            return Err(Error::damaged(path, "two pictures have the same key"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            classes,
            entries,
            keys,
        })
    }

    /// Reads the labels of one picture.
    ///
    /// # Errors
    ///
    /// An unknown key, a failed read, an id outside `1..=classes`.
    pub fn get(&self, key: &str) -> Result<FeatureLabels> {
        let unknown = || Error::UnknownKey {
            path: self.path.clone(),
            key: key.to_owned(),
            pictures: self.keys.len(),
        };
        let entry = self.entries.get(key).ok_or_else(unknown)?;
        let mut bytes = vec![0; (entry.pixels() * BYTES_PER_PIXEL) as usize];
        read_at(&self.file, &self.path, entry.offset, &mut bytes)?;
        let labels = labels_from_bytes(entry, &bytes);
        match labels.ids.iter().find(|&&id| id == 0 || id > self.classes) {
            Some(id) => {
                let reason = format!("id {id} of {key} is not in 1..={}", self.classes);
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
        self.classes
    }
}

#[cfg(test)]
mod tests;
