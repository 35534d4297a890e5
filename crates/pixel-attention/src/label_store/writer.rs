//! Writes a label store, and goes on after a kill.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    LabelFormat,
    format::{Entry, HEADER_BYTES, footer, header, index_bytes, parse_index, record, stray_id},
};
use crate::{
    error::{Error, Result},
    label_generation::FeatureLabels,
    partial_file::open_locked,
};

/// Bytes of the store, bytes of the index, pictures: what the cursor counts.
const COUNTS_BYTES: u64 = 24;

/// Writes a label store, picture by picture.
///
/// The labels go to `NAME.partial` in the same folder. `NAME.cursor` beside it holds the index so
/// far and counts what [`LabelStoreWriter::sync`] has brought to the disk. A process that was
/// killed is followed by one that calls [`LabelStoreWriter::resume`] and pushes from picture
/// [`LabelStoreWriter::len`] on: the bytes are those of a process that was not killed.
/// [`LabelStoreWriter::finish`] gives the file its name and removes the cursor.
#[derive(Debug)]
pub struct LabelStoreWriter {
    labels: BufWriter<File>,
    cursor: File,
    place: Place,
    format: LabelFormat,
    offset: u64,
    index: Vec<(String, Entry)>,
    known: HashSet<String>,
    /// Pictures that the cursor counts, and the bytes of their index.
    synced: usize,
    synced_index_bytes: u64,
}

impl LabelStoreWriter {
    /// Starts the file `path` afresh, whatever an earlier process left.
    ///
    /// # Errors
    ///
    /// The file cannot be created, or another process is writing it; no class or more than 999;
    /// numbers that a label store does not hold.
    pub fn create(path: &Path, format: LabelFormat) -> Result<Self> {
        format.check()?;
        let mut this = Self::open(path, format)?;
        this.start_over()?;
        Ok(this)
    }

    /// Goes on with what an earlier process wrote of `path`, or starts it.
    ///
    /// The caller answers that the labels come from the same source in the same order. A finished
    /// `path` is not looked at.
    ///
    /// # Errors
    ///
    /// As [`LabelStoreWriter::create`]; the earlier labels are of another format, or damaged.
    pub fn resume(path: &Path, format: LabelFormat) -> Result<Self> {
        format.check()?;
        let mut this = Self::open(path, format)?;
        let counts = read_if_whole(&mut this.cursor, COUNTS_BYTES);
        match this.place.read(counts)? {
            Some(counts) => this.go_on(&counts)?,
            None => this.start_over()?, // killed before anything was counted
        }
        Ok(this)
    }

    fn open(path: &Path, format: LabelFormat) -> Result<Self> {
        let place = Place::of(path);
        let labels = open_locked(&place.partial)?;
        let cursor = open_locked(&place.cursor)?;
        Ok(Self {
            labels: BufWriter::with_capacity(1 << 20, labels),
            cursor,
            place,
            format,
            offset: HEADER_BYTES,
            index: Vec::new(),
            known: HashSet::new(),
            synced: 0,
            synced_index_bytes: 0,
        })
    }

    fn start_over(&mut self) -> Result<()> {
        // The cursor first: it must never count what is not there.
        let start = |cursor: &File, labels: &mut File, header: &[u8]| {
            cursor.set_len(0)?;
            labels.set_len(0)?;
            labels.rewind()?;
            labels.write_all(header)
        };
        let header = header(self.format);
        let started = start(&self.cursor, self.labels.get_mut(), &header);
        self.place.written(started)?;
        self.sync()
    }

    fn go_on(&mut self, counts: &[u8]) -> Result<()> {
        let (numbers, _) = counts.as_chunks();
        let [offset, index_bytes, pictures] =
            std::array::from_fn(|i| u64::from_le_bytes(numbers[i]));
        self.check_header()?;
        let index = read_if_whole(&mut self.cursor, index_bytes);
        let index = self.place.read(index)?;
        let index = index.and_then(|bytes| parse_index(&bytes, pictures, offset, self.format));
        let length = self.labels.get_ref().metadata().map(|data| data.len());
        let index = index.filter(|_| length.is_ok_and(|length| length >= offset));
        let index = index.ok_or_else(|| {
            let reason = format!("{} does not fit to it", self.place.cursor.display());
            Error::damaged(&self.place.partial, reason)
        })?;
        let cut = |labels: &mut File, cursor: &mut File| -> io::Result<()> {
            labels.set_len(offset)?;
            labels.seek(SeekFrom::Start(offset))?;
            cursor.set_len(COUNTS_BYTES + index_bytes)
        };
        let cut = cut(self.labels.get_mut(), &mut self.cursor);
        self.place.written(cut)?;
        self.known = index.iter().map(|(key, _)| key.clone()).collect();
        (self.synced, self.synced_index_bytes) = (index.len(), index_bytes);
        (self.offset, self.index) = (offset, index);
        Ok(())
    }

    fn check_header(&mut self) -> Result<()> {
        let file = self.labels.get_mut();
        let found = file
            .rewind()
            .and_then(|()| read_if_whole(file, HEADER_BYTES));
        match self.place.read(found)? {
            Some(found) if found == header(self.format) => Ok(()),
            _ => Err(Error::damaged(
                &self.place.partial,
                "an earlier start wrote it for other classes or numbers",
            )),
        }
    }

    /// Appends the labels of one picture.
    ///
    /// # Errors
    ///
    /// A key that is there already, an id outside `1..=classes`, attention that is not finite, a
    /// failed write.
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
        let bytes = record(labels, self.format);
        self.write(&bytes)?;
        let entry = Entry {
            width: labels.width as u32,
            height: labels.height as u32,
            offset: self.offset,
        };
        self.offset += bytes.len() as u64;
        self.known.insert(key.to_owned());
        self.index.push((key.to_owned(), entry));
        Ok(())
    }

    /// Number of pictures so far; the next one that is pushed has this index.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no picture was written yet.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Brings all labels to the disk and counts them: a later [`LabelStoreWriter::resume`] starts
    /// here.
    ///
    /// # Errors
    ///
    /// A failed write.
    pub fn sync(&mut self) -> Result<()> {
        let new = index_bytes(&self.index[self.synced..]);
        let index_bytes = self.synced_index_bytes + new.len() as u64;
        let counts = [self.offset, index_bytes, self.index.len() as u64];
        let counts: Vec<u8> = counts.iter().flat_map(|n| n.to_le_bytes()).collect();
        let synced = self.sync_then_count(&new, &counts);
        self.place.written(synced)?;
        (self.synced, self.synced_index_bytes) = (self.index.len(), index_bytes);
        Ok(())
    }

    /// The counts say nothing that is not on the disk yet.
    fn sync_then_count(&mut self, new_index: &[u8], counts: &[u8]) -> io::Result<()> {
        self.labels.flush()?;
        self.labels.get_ref().sync_data()?;
        let end = COUNTS_BYTES + self.synced_index_bytes;
        self.cursor.seek(SeekFrom::Start(end))?;
        self.cursor.write_all(new_index)?;
        self.cursor.sync_data()?;
        self.cursor.rewind()?;
        self.cursor.write_all(counts)
    }

    /// Writes the index and gives the file its name.
    ///
    /// # Errors
    ///
    /// A failed write; the labels can still be resumed.
    pub fn finish(mut self) -> Result<()> {
        self.sync()?;
        let index = index_bytes(&self.index);
        self.write(&index)?;
        let footer = footer(self.offset, index.len(), self.index.len());
        self.write(&footer)?;
        let named = self
            .labels
            .flush()
            .and_then(|()| self.labels.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.place.partial, &self.place.destination));
        self.place.written(named)?;
        remove_cursor(&self.place.destination)
    }

    fn check(&self, key: &str, labels: &FeatureLabels) -> Result<()> {
        if self.known.contains(key) {
            let path = self.place.destination.clone();
            return Err(Error::DuplicateKey {
                path,
                key: key.to_owned(),
            });
        }
        let held = |value: &f32| self.format.attention.holds(*value);
        if !labels.attention.iter().all(held) {
            let (what, row) = ("attention of picture", self.index.len());
            return Err(Error::NotFinite { what, row });
        }
        match stray_id(labels, self.format.classes) {
            Some(label) => Err(Error::LabelOutOfRange {
                what: "picture",
                row: self.index.len(),
                label,
                classes: self.format.classes,
            }),
            None => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.labels.write_all(bytes);
        self.place.written(written)
    }
}

/// Removes the cursor of a finished store, in case the process ended just before it did so.
///
/// # Errors
///
/// The system refuses.
pub fn remove_cursor(path: &Path) -> Result<()> {
    let cursor = Place::of(path).cursor;
    match fs::remove_file(&cursor) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", cursor, e)),
        _ => Ok(()),
    }
}

/// The names of a store while it is written.
#[derive(Debug)]
struct Place {
    destination: PathBuf,
    partial: PathBuf,
    cursor: PathBuf,
}

impl Place {
    fn of(destination: &Path) -> Self {
        let with = |ending: &str| {
            let mut name = destination.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            destination.with_file_name(name)
        };
        Self {
            destination: destination.to_owned(),
            partial: with(".partial"),
            cursor: with(".cursor"),
        }
    }

    fn written<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|e| Error::io("write", &self.partial, e))
    }

    fn read<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|e| Error::io("read", &self.partial, e))
    }
}

/// The next `count` bytes; `None` if the file ends before.
fn read_if_whole(file: &mut File, count: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    Read::take(&mut *file, count).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == count).then_some(bytes))
}
