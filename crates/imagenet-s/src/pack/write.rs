//! Packing: whole or absent, and going on where it stopped.

use std::{
    fs::{self, File, TryLockError},
    io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{END, Pack, Place, RECORD_HEAD, head, name_of, number};
use crate::{
    Dataset, Loader, Split,
    error::Error,
    progress::{Counter, Watcher},
};

/// Files that are read ahead: on a slow disk waiting is what takes the time.
const AHEAD: usize = 64;
/// Threads that read them.
const READERS: usize = 8;

/// What a pack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackSummary {
    /// Its pictures.
    pub pictures: u64,
    /// Of these, how many an earlier start had packed.
    pub kept: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Packs the pictures of some splits.
///
/// The pack is written under a hidden name and gets its own when it is complete. What an
/// interrupted start has left is checked by its sums and kept; a complete pack of the same names and
/// lengths is left alone. Of several processes one packs, the others are refused.
///
/// # Errors
///
/// [`Error::Io`] for a picture that cannot be read or a pack that cannot be written,
/// [`Error::PackBusy`].
pub fn write_pack(
    data: &Dataset,
    splits: &[Split],
    output: &Path,
    watcher: Watcher<'_>,
) -> Result<PackSummary, Error> {
    let wanted = wanted(data, splits);
    let _lock = lock(output)?;
    if let Some(summary) = complete(output, &wanted)? {
        return Ok(summary);
    }
    let partial = hidden(output, "part");
    let mut records = kept_records(&partial, &wanted)?;
    let summary = PackSummary {
        pictures: wanted.len() as u64,
        kept: records.len() as u64,
        bytes: 0,
    };
    append(&partial, &wanted, &mut records, watcher)?;
    fs::rename(&partial, output).map_err(Error::io(output))?;
    let bytes = records.iter().map(|place| place.length).sum();
    Ok(PackSummary { bytes, ..summary })
}

/// Compares every picture of a dataset with its pack, byte for byte.
///
/// # Errors
///
/// Those of [`Dataset::with_pack`], [`Error::PackStale`] for the first picture that differs.
pub fn verify_pack(
    data: &Dataset,
    path: &Path,
    watcher: Watcher<'_>,
) -> Result<PackSummary, Error> {
    use rayon::prelude::*;
    data.clone().with_pack(path)?;
    let pack = Pack::open(path)?;
    let held = Split::ALL.into_iter().filter(|&split| pack.holds(split));
    let samples: Vec<_> = held
        .flat_map(|split| {
            data.samples(split)
                .iter()
                .map(move |sample| (split, sample))
        })
        .collect();
    let counter = Counter::new("comparing", samples.len(), watcher);
    let bytes = samples.par_iter().map(|&(split, sample)| {
        let packed = pack.picture(split, sample).expect("with_pack found all");
        let bytes = fs::read(&sample.picture).map_err(Error::io(&sample.picture))?;
        counter.step();
        match packed.read()? == bytes {
            true => Ok(bytes.len() as u64),
            false => Err(Error::PackStale {
                pack: path.to_owned(),
                picture: sample.picture.clone(),
            }),
        }
    });
    Ok(PackSummary {
        pictures: samples.len() as u64,
        kept: samples.len() as u64,
        bytes: bytes.sum::<Result<u64, Error>>()?,
    })
}

/// A picture to be packed.
struct Wanted {
    name: String,
    path: PathBuf,
}

fn wanted(data: &Dataset, splits: &[Split]) -> Vec<Wanted> {
    let samples = splits.iter().flat_map(|&split| {
        data.samples(split)
            .iter()
            .map(move |sample| (split, sample))
    });
    samples
        .map(|(split, sample)| Wanted {
            name: name_of(split, sample),
            path: sample.picture.clone(),
        })
        .collect()
}

/// A hidden name beside the pack.
fn hidden(output: &Path, extension: &str) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.{extension}"))
}

/// The operating system opens the lock when the process ends, however it ends.
fn lock(output: &Path) -> Result<File, Error> {
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let path = hidden(output, "lock");
    let file = File::create(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::PackBusy {
            path: output.to_owned(),
        }),
        // Some network file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// What a pack holds that needs nothing more.
fn complete(output: &Path, wanted: &[Wanted]) -> Result<Option<PackSummary>, Error> {
    if !output.exists() {
        return Ok(None);
    }
    let Ok(pack) = Pack::open(output) else {
        return Ok(None); // it is written anew
    };
    let mut bytes = 0;
    for picture in wanted {
        let length = file_length(&picture.path)?;
        match pack.places.get(&picture.name) {
            Some(place) if place.length == length => bytes += length,
            _ => return Ok(None),
        }
    }
    let pictures = wanted.len() as u64;
    Ok((pack.pictures() == pictures).then_some(PackSummary {
        pictures,
        kept: pictures,
        bytes,
    }))
}

fn file_length(path: &Path) -> Result<u64, Error> {
    Ok(fs::metadata(path).map_err(Error::io(path))?.len())
}

/// The first records of a partial pack, as far as they are those that are wanted.
fn kept_records(partial: &Path, wanted: &[Wanted]) -> Result<Vec<Place>, Error> {
    let mut records = Vec::new();
    let file = match File::open(partial) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(records),
        Err(error) => return Err(Error::io(partial)(error)),
    };
    let mut file = BufReader::new(file);
    let mut start = [0; super::HEAD];
    if file.read_exact(&mut start).is_err() || start != head() {
        return Ok(records);
    }
    let mut end = start.len() as u64;
    for picture in wanted {
        let Some(place) = next_record(&mut file, end, picture) else {
            break;
        };
        if place.length != file_length(&picture.path)? {
            break;
        }
        end = place.offset + place.length;
        records.push(place);
    }
    Ok(records)
}

/// The record at `offset`, if it is whole and this picture's.
fn next_record(file: &mut impl Read, offset: u64, picture: &Wanted) -> Option<Place> {
    let mut head = [0; RECORD_HEAD];
    file.read_exact(&mut head).ok()?;
    if number(&head[..4]) != picture.name.len() as u64 {
        return None;
    }
    let mut name = vec![0; picture.name.len()];
    file.read_exact(&mut name).ok()?;
    let (length, crc) = (number(&head[4..12]), number(&head[12..16]) as u32);
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    let whole = bytes.len() as u64 == length && crc32fast::hash(&bytes) == crc;
    let offset = offset + (RECORD_HEAD + name.len()) as u64;
    (whole && name == picture.name.as_bytes()).then_some(Place {
        offset,
        length,
        crc,
    })
}

/// Writes the records that are missing, the entries and the end.
fn append(
    partial: &Path,
    wanted: &[Wanted],
    records: &mut Vec<Place>,
    watcher: Watcher<'_>,
) -> Result<(), Error> {
    let failed = || Error::io(partial);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(partial)
        .map_err(failed())?;
    let mut end = records.last().map_or(0, |last| last.offset + last.length);
    file.set_len(end).map_err(failed())?;
    file.seek(SeekFrom::End(0)).map_err(failed())?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    if records.is_empty() {
        file.write_all(&head()).map_err(failed())?;
        end = head().len() as u64;
    }
    let counter = Counter::new("packing", wanted.len() - records.len(), watcher);
    let left = &wanted[records.len()..];
    let paths = left.iter().map(|picture| picture.path.clone()).collect();
    let files = Loader::new(paths, READERS, AHEAD, |path: &PathBuf| {
        fs::read(path).map_err(Error::io(path))
    });
    for (picture, bytes) in left.iter().zip(files) {
        let place = write_record(&mut file, end, &picture.name, &bytes?).map_err(failed())?;
        end = place.offset + place.length;
        records.push(place);
        counter.step();
    }
    write_end(&mut file, end, wanted, records).map_err(failed())?;
    let file = file.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all()).map_err(failed())
}

fn write_record(
    file: &mut impl Write,
    end: u64,
    name: &str,
    bytes: &[u8],
) -> std::io::Result<Place> {
    let (length, crc) = (bytes.len() as u64, crc32fast::hash(bytes));
    file.write_all(&(name.len() as u32).to_le_bytes())?;
    file.write_all(&length.to_le_bytes())?;
    file.write_all(&crc.to_le_bytes())?;
    file.write_all(name.as_bytes())?;
    file.write_all(bytes)?;
    let offset = end + (RECORD_HEAD + name.len()) as u64;
    Ok(Place {
        offset,
        length,
        crc,
    })
}

fn write_end(
    file: &mut impl Write,
    end: u64,
    wanted: &[Wanted],
    records: &[Place],
) -> std::io::Result<()> {
    let mut entries = Vec::new();
    for (picture, place) in wanted.iter().zip(records) {
        entries.extend((picture.name.len() as u32).to_le_bytes());
        entries.extend(place.offset.to_le_bytes());
        entries.extend(place.length.to_le_bytes());
        entries.extend(place.crc.to_le_bytes());
        entries.extend(picture.name.as_bytes());
    }
    file.write_all(&entries)?;
    file.write_all(&end.to_le_bytes())?;
    file.write_all(&(entries.len() as u64).to_le_bytes())?;
    file.write_all(&(records.len() as u64).to_le_bytes())?;
    file.write_all(&crc32fast::hash(&entries).to_le_bytes())?;
    file.write_all(&END)
}
