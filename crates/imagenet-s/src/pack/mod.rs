//! Packs: the pictures of a dataset in one file, for disks on which a million small files are slow.
//!
//! A pack holds the files as they are, so that a picture has the same bits with and without it. It
//! stands beside the dataset, whose folders still say which pictures there are:
//! [`Dataset::with_pack`](crate::Dataset::with_pack).
//!
//! ```text
//! LUSSPACK, version
//! a record for each picture     length of the name, length of the file, CRC-32 of the file; name; file
//! an entry for each record      length of the name, place and length of the file, its CRC-32; name
//! place and length of the entries, their number, CRC-32 of the entries, PACKLUSS
//! ```
//!
//! Numbers are little-endian. A name is `SPLIT/PATH`. The records alone say what a pack that
//! is not complete holds, so that packing can go on where it stopped.

mod write;

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Dataset, Sample, Split, error::Error};

pub use write::{PackSummary, verify_pack, write_pack};

const START: [u8; 8] = *b"LUSSPACK";
const END: [u8; 8] = *b"PACKLUSS";
const VERSION: u64 = 1;

/// Bytes before the first record.
const HEAD: usize = 16;
/// Bytes of a record before its name.
const RECORD_HEAD: usize = 16;
/// Bytes of an entry before its name.
const ENTRY_HEAD: usize = 24;
/// Bytes behind the entries.
const TAIL: usize = 36;

/// Where a picture lies in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    offset: u64,
    length: u64,
    crc: u32,
}

/// An open pack.
#[derive(Debug)]
pub struct Pack {
    file: Arc<PackFile>,
    places: HashMap<String, Place>,
}

#[derive(Debug)]
struct PackFile {
    path: PathBuf,
    file: File,
}

impl Dataset {
    /// This dataset with its pictures read from a pack (see [`pack`](crate::pack)): those of each
    /// split of which the pack has any.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::PackFormat`] for a pack that is not whole, [`Error::PackLacks`] for
    /// one that was made before pictures came.
    pub fn with_pack(mut self, path: &Path) -> Result<Self, Error> {
        let pack = Pack::open(path)?;
        let lacks = |first: &Path, count: usize| Error::PackLacks {
            pack: path.to_owned(),
            count: count as u64,
            first: first.to_owned(),
        };
        if !Split::ALL.into_iter().any(|split| pack.holds(split)) {
            return Err(lacks(&self.root, 0));
        }
        for split in Split::ALL.into_iter().filter(|&split| pack.holds(split)) {
            let samples = &mut self.splits[split as usize].samples;
            for sample in samples.iter_mut() {
                sample.packed = pack.picture(split, sample);
            }
            let mut bare = samples.iter().filter(|sample| sample.packed.is_none());
            if let Some(first) = bare.next() {
                return Err(lacks(&first.picture, 1 + bare.count()));
            }
        }
        Ok(self)
    }
}

/// A picture in a pack, which stays open as long as one of its pictures is there.
#[derive(Debug, Clone)]
pub(crate) struct PackedPicture {
    pack: Arc<PackFile>,
    place: Place,
}

impl PartialEq for PackedPicture {
    fn eq(&self, other: &Self) -> bool {
        (&self.pack.path, self.place) == (&other.pack.path, other.place)
    }
}

impl Eq for PackedPicture {}

impl Pack {
    /// Opens a pack and checks that it is whole: its entries by their sum, its length by them. The
    /// pictures themselves are checked as they are read.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::PackFormat`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io(path))?;
        let file = PackFile {
            path: path.to_owned(),
            file,
        };
        let entries = file.entries()?;
        let places =
            places_of(&entries).ok_or_else(|| file.damaged("the entries do not add up"))?;
        Ok(Self {
            file: Arc::new(file),
            places,
        })
    }

    /// The number of pictures.
    pub fn pictures(&self) -> u64 {
        self.places.len() as u64
    }

    /// Whether it has pictures of a split.
    pub fn holds(&self, split: Split) -> bool {
        let prefix = format!("{}/", split.name());
        self.places.keys().any(|name| name.starts_with(&prefix))
    }

    pub(crate) fn picture(&self, split: Split, sample: &Sample) -> Option<PackedPicture> {
        let place = self.places.get(&name_of(split, sample))?;
        Some(PackedPicture {
            pack: self.file.clone(),
            place: *place,
        })
    }
}

impl PackedPicture {
    /// The bytes of the file that was packed.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Error> {
        let bytes = self.pack.bytes(self.place.offset, self.place.length)?;
        if crc32fast::hash(&bytes) == self.place.crc {
            return Ok(bytes);
        }
        let offset = self.place.offset;
        Err(self.pack.damaged(&format!(
            "the picture at byte {offset} is not what was packed"
        )))
    }
}

impl PackedPicture {
    /// The length of the file that was packed, and its first bytes, at most `most`.
    pub(crate) fn beginning(&self, most: u64) -> Result<(u64, Vec<u8>), Error> {
        let Place { offset, length, .. } = self.place;
        Ok((length, self.pack.bytes(offset, length.min(most))?))
    }
}

impl PackFile {
    fn damaged(&self, reason: &str) -> Error {
        Error::PackFormat {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }

    fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        let too_large = || self.damaged("a file in it is larger than the memory");
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| too_large())?];
        read_at(&self.file, &mut bytes, offset).map_err(Error::io(&self.path))?;
        Ok(bytes)
    }

    /// The bytes of the entries, whose sum is right.
    fn entries(&self) -> Result<Vec<u8>, Error> {
        let length = self.file.metadata().map_err(Error::io(&self.path))?.len();
        if length < (HEAD + TAIL) as u64 {
            return Err(self.damaged("it is too short for one"));
        }
        if self.bytes(0, HEAD as u64)? != head() {
            return Err(self.damaged("it is none, or of another version"));
        }
        let tail = self.bytes(length - TAIL as u64, TAIL as u64)?;
        let (offset, entries_length) = (number(&tail[..8]), number(&tail[8..16]));
        let expected = offset
            .checked_add(entries_length)
            .and_then(|end| end.checked_add(TAIL as u64));
        if expected != Some(length) || tail[28..] != END {
            return Err(self.damaged("its end is missing"));
        }
        let entries = self.bytes(offset, entries_length)?;
        match crc32fast::hash(&entries) == number(&tail[24..28]) as u32 {
            true => Ok(entries),
            false => Err(self.damaged("its entries are not what was written")),
        }
    }
}

fn head() -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&START);
    head[8..].copy_from_slice(&VERSION.to_le_bytes());
    head
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(whole)
}

/// The entries by name; `None` for bytes that are no entries, or name a picture twice.
fn places_of(mut entries: &[u8]) -> Option<HashMap<String, Place>> {
    let mut places = HashMap::new();
    while !entries.is_empty() {
        let (head, rest) = entries.split_at_checked(ENTRY_HEAD)?;
        let (name, rest) = rest.split_at_checked(number(&head[..4]) as usize)?;
        let place = Place {
            offset: number(&head[4..12]),
            length: number(&head[12..20]),
            crc: number(&head[20..24]) as u32,
        };
        let name = String::from_utf8(name.to_owned()).ok()?;
        if places.insert(name, place).is_some() {
            return None;
        }
        entries = rest;
    }
    Some(places)
}

/// The name of a picture in a pack: its path below the split.
fn name_of(split: Split, sample: &Sample) -> String {
    let folder = sample.key.rsplit_once('/').map_or("", |(folder, _)| folder);
    let file = sample.picture.file_name().unwrap_or_default();
    let path = Path::new(split.name()).join(folder).join(file);
    path.to_string_lossy().replace('\\', "/")
}

/// Reads without moving a place in the file, so that threads share it.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// The same where every read names its place.
#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}
