//! The bytes of a label store; the layout is described in [`super`].

use std::{fs::File, path::Path};

use luss_metrics::IGNORE;

use crate::{
    error::{Error, Result, setting},
    label_generation::FeatureLabels,
    read_at::read_at,
    row_file::Element,
};

/// What a label store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelFormat {
    /// Number of classes C, 1 to 999; ids are `1..=C`.
    pub classes: u16,
    /// How the attention is stored: [`Element::Float32`] as it was computed, or
    /// [`Element::Float16`], rounded to 11 bits, for two thirds of the bytes.
    pub attention: Element,
}

impl LabelFormat {
    /// Labels of `classes` classes with the attention as it was computed.
    pub fn new(classes: u16) -> Self {
        let attention = Element::Float32;
        Self { classes, attention }
    }

    pub(super) fn check(self) -> Result<()> {
        let fits = (1..IGNORE).contains(&self.classes);
        setting("label store classes", self.classes, fits, "1 to 999")?;
        let fits = self.attention != Element::Bfloat16;
        let allowed = "float32 or float16";
        setting("label store attention", "bfloat16", fits, allowed)
    }

    fn bytes_per_pixel(self) -> u64 {
        2 + self.attention.bytes() as u64
    }
}

const MAGIC: [u8; 8] = *b"LUSSLBLS";
const END_MAGIC: [u8; 8] = *b"LUSSLBLE";
const VERSION: u32 = 1;
/// Magic, version, classes, kind of the attention's numbers (0: float32, 1: float16).
pub(super) const HEADER_BYTES: u64 = 16;
/// Offset of the index, its length, number of pictures, magic.
const FOOTER_BYTES: u64 = 32;

/// Where a picture's labels lie in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) offset: u64,
}

impl Entry {
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Length of the record.
    pub(super) fn bytes(&self, format: LabelFormat) -> u64 {
        self.pixels() * format.bytes_per_pixel()
    }

    /// First byte behind the record, unless the numbers are absurd.
    fn end(&self, format: LabelFormat) -> Option<u64> {
        self.pixels()
            .checked_mul(format.bytes_per_pixel())?
            .checked_add(self.offset)
    }
}

pub(super) fn header(format: LabelFormat) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(format.classes.to_le_bytes());
    bytes.extend(u16::from(format.attention == Element::Float16).to_le_bytes());
    bytes
}

/// Offset of the index, its length in bytes, number of pictures, end mark.
pub(super) fn footer(offset: u64, index_bytes: usize, pictures: usize) -> Vec<u8> {
    let counts = [offset, index_bytes as u64, pictures as u64];
    counts
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .chain(END_MAGIC)
        .collect()
}

pub(super) fn index_bytes(index: &[(String, Entry)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, entry) in index {
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend(key.as_bytes());
        bytes.extend(entry.width.to_le_bytes());
        bytes.extend(entry.height.to_le_bytes());
        bytes.extend(entry.offset.to_le_bytes());
    }
    bytes
}

pub(super) fn read_header(file: &File, path: &Path, length: u64) -> Result<LabelFormat> {
    let mut bytes = [0; HEADER_BYTES as usize];
    if length < HEADER_BYTES {
        return Err(Error::NotALabelStore {
            path: path.to_owned(),
        });
    }
    read_at(file, path, 0, &mut bytes)?;
    if bytes[..8] != MAGIC {
        return Err(Error::NotALabelStore {
            path: path.to_owned(),
        });
    }
    let mut fields = Fields(&bytes[8..]);
    let found = u32::from_le_bytes(fields.take().expect("16 bytes"));
    if found != VERSION {
        return Err(Error::LabelStoreVersion {
            path: path.to_owned(),
            found,
            supported: VERSION,
        });
    }
    let [classes, kind] =
        std::array::from_fn(|_| u16::from_le_bytes(fields.take().expect("16 bytes")));
    let attention = match kind {
        0 => Element::Float32,
        1 => Element::Float16,
        _ => {
            return Err(Error::damaged(
                path,
                format!("attention of unknown kind {kind}"),
            ));
        }
    };
    Ok(LabelFormat { classes, attention })
}

pub(super) fn read_index(
    file: &File,
    path: &Path,
    length: u64,
    format: LabelFormat,
) -> Result<Vec<(String, Entry)>> {
    let cut = || Error::damaged(path, format!("no end mark in its {length} bytes"));
    let footer_at = length.checked_sub(FOOTER_BYTES).ok_or_else(cut)?;
    let mut footer = [0; FOOTER_BYTES as usize];
    read_at(file, path, footer_at, &mut footer)?;
    if footer[24..] != END_MAGIC {
        return Err(cut());
    }
    let mut fields = Fields(&footer);
    let [offset, bytes, pictures] =
        std::array::from_fn(|_| u64::from_le_bytes(fields.take().expect("32 bytes")));
    if offset.checked_add(bytes) != Some(footer_at) {
        let reason = format!("index of {bytes} bytes at {offset} does not end at {footer_at}");
        return Err(Error::damaged(path, reason));
    }
    let mut index = vec![0; bytes as usize];
    read_at(file, path, offset, &mut index)?;
    parse_index(&index, pictures, offset, format)
        .ok_or_else(|| Error::damaged(path, format!("index of {pictures} pictures is garbled")))
}

/// `None` unless the index holds exactly `pictures` entries within the first `end` bytes.
pub(super) fn parse_index(
    bytes: &[u8],
    pictures: u64,
    end: u64,
    format: LabelFormat,
) -> Option<Vec<(String, Entry)>> {
    let mut fields = Fields(bytes);
    let mut index = Vec::new();
    for _ in 0..pictures {
        let key_bytes = u32::from_le_bytes(fields.take()?) as usize;
        let key = String::from_utf8(fields.take_slice(key_bytes)?.to_vec()).ok()?;
        let width = u32::from_le_bytes(fields.take()?);
        let height = u32::from_le_bytes(fields.take()?);
        let entry = Entry {
            width,
            height,
            offset: u64::from_le_bytes(fields.take()?),
        };
        if entry.pixels() == 0 || entry.end(format)? > end {
            return None;
        }
        index.push((key, entry));
    }
    fields.0.is_empty().then_some(index)
}

/// The bytes that were not taken yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take_slice(N)?.try_into().ok()
    }

    fn take_slice(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Ids, then attention, row-major.
pub(super) fn record(labels: &FeatureLabels, format: LabelFormat) -> Vec<u8> {
    let pixels = labels.ids.len() * format.bytes_per_pixel() as usize;
    let mut bytes = Vec::with_capacity(pixels);
    bytes.extend(labels.ids.iter().flat_map(|id| id.to_le_bytes()));
    format.attention.encode(&labels.attention, &mut bytes);
    bytes
}

pub(super) fn labels_from_record(
    entry: &Entry,
    bytes: &[u8],
    format: LabelFormat,
) -> FeatureLabels {
    let pixels = entry.pixels() as usize;
    let (ids, numbers) = bytes.split_at(2 * pixels);
    let mut attention = vec![0.0; pixels];
    format.attention.decode(numbers, &mut attention);
    let ids = ids.as_chunks().0.iter();
    FeatureLabels {
        width: entry.width as usize,
        height: entry.height as usize,
        ids: ids.map(|&pair| u16::from_le_bytes(pair)).collect(),
        attention,
    }
}

/// The first id that is none of `1..=classes`.
pub(super) fn stray_id(labels: &FeatureLabels, classes: u16) -> Option<u16> {
    let stray = |id: &u16| *id == 0 || *id > classes;
    labels.ids.iter().copied().find(stray)
}
