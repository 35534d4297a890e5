//! Writes rows as they are computed, and goes on after a kill.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    Element,
    npy::{HEADER_BYTES, NpyRows, header_bytes},
    unreadable,
};
use crate::{
    error::{Error, Result},
    partial_file::open_locked,
    read_at::read_at,
};

/// Rows are brought to the disk, and counted in the header, whenever this much is new.
const SYNC_BYTES: u64 = 64 << 20;

/// Writes a `.npy` file row by row.
///
/// The rows go to `NAME.partial` in the same folder, whose header counts those that are whole and
/// on the disk; this is the cursor. A process that was killed is followed by one that calls
/// [`RowFileWriter::resume`] and appends from row [`RowFileWriter::rows`] on: the bytes are those
/// of a process that was not killed. [`RowFileWriter::finish`] gives the file its name.
#[derive(Debug)]
pub struct RowFileWriter {
    writer: BufWriter<File>,
    partial: PathBuf,
    destination: PathBuf,
    element: Element,
    columns: usize,
    /// Sizes between the first and the last of the array; a picture of `[height, width]` rows, say.
    inner: Vec<usize>,
    rows: usize,
    /// Rows that the header counts.
    synced: usize,
    bytes: Vec<u8>,
}

impl RowFileWriter {
    /// Starts the file `path` afresh, whatever an earlier process left.
    ///
    /// # Errors
    ///
    /// The file cannot be created, or another process is writing it.
    ///
    /// # Panics
    ///
    /// If there are no columns, or `element` is none of those of a `.npy` file.
    pub fn create(path: &Path, columns: usize, element: Element) -> Result<Self> {
        let mut this = Self::open(path, columns, element)?;
        this.cut_to(0)?;
        Ok(this)
    }

    /// Goes on with what an earlier process wrote of `path`, or starts it.
    ///
    /// The caller answers that the rows come from the same source in the same order. A finished
    /// `path` is not looked at.
    ///
    /// # Errors
    ///
    /// As [`RowFileWriter::create`]; the earlier rows have other columns or are stored otherwise.
    ///
    /// # Panics
    ///
    /// As [`RowFileWriter::create`].
    pub fn resume(path: &Path, columns: usize, element: Element) -> Result<Self> {
        Self::resume_maps(path, &[], columns, element)
    }

    /// [`RowFileWriter::resume`] of the array `[n, inner.., columns]`. [`RowFileWriter::rows`] still
    /// counts rows of `columns`.
    ///
    /// # Errors
    ///
    /// As [`RowFileWriter::resume`].
    ///
    /// # Panics
    ///
    /// As [`RowFileWriter::create`].
    pub fn resume_maps(
        path: &Path,
        inner: &[usize],
        columns: usize,
        element: Element,
    ) -> Result<Self> {
        let mut this = Self::open(path, columns, element)?;
        this.inner = inner.to_vec();
        let whole = this.whole_rows()?;
        this.cut_to(whole)?;
        Ok(this)
    }

    fn open(path: &Path, columns: usize, element: Element) -> Result<Self> {
        assert!(columns > 0, "rows have at least one column");
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let file = open_locked(&partial)?;
        Ok(Self {
            writer: BufWriter::with_capacity(1 << 20, file),
            partial,
            destination: path.to_owned(),
            element,
            columns,
            inner: Vec::new(),
            rows: 0,
            synced: 0,
            bytes: Vec::new(),
        })
    }

    /// Rows so far; the next one that is appended has this index.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The last row as it was stored, if there is any.
    ///
    /// # Errors
    ///
    /// A failed read or write.
    pub fn last(&mut self) -> Result<Option<Vec<f32>>> {
        let flushed = self.writer.flush();
        self.written(flushed)?;
        let width = self.columns * self.element.bytes();
        let Some(before) = self.rows.checked_sub(1) else {
            return Ok(None);
        };
        let mut bytes = vec![0; width];
        let offset = HEADER_BYTES + (before * width) as u64;
        read_at(self.writer.get_ref(), &self.partial, offset, &mut bytes)?;
        let mut row = vec![0.0; self.columns];
        self.element.decode(&bytes, &mut row);
        Ok(Some(row))
    }

    /// Appends whole rows.
    ///
    /// # Errors
    ///
    /// A failed write; a value that is not finite, or would not be when stored: nothing of `rows`
    /// is then written.
    ///
    /// # Panics
    ///
    /// If the last row is not whole, or at the end of 64 MiB the last picture of maps.
    pub fn append(&mut self, rows: &[f32]) -> Result<()> {
        let whole = rows.len() / self.columns;
        assert_eq!(rows.len(), whole * self.columns, "whole rows");
        if let Some(bad) = rows.iter().position(|&value| !self.element.holds(value)) {
            let (what, row) = ("row", self.rows + bad / self.columns);
            return Err(Error::NotFinite { what, row });
        }
        self.bytes.clear();
        self.element.encode(rows, &mut self.bytes);
        let written = self.writer.write_all(&self.bytes);
        self.written(written)?;
        self.rows += whole;
        let new = self.rows - self.synced;
        if (new * self.columns * self.element.bytes()) as u64 >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    /// Brings all rows to the disk and counts them in the header: a later
    /// [`RowFileWriter::resume`] starts here. Happens by itself every 64 MiB.
    ///
    /// # Errors
    ///
    /// A failed write.
    pub fn sync(&mut self) -> Result<()> {
        let header = self.header(self.rows);
        let synced = self.sync_then_write(&header);
        self.written(synced)?;
        self.synced = self.rows;
        Ok(())
    }

    /// The header says nothing that is not on the disk yet.
    fn sync_then_write(&mut self, header: &[u8]) -> io::Result<()> {
        self.writer.flush()?;
        let file = self.writer.get_mut();
        file.sync_data()?;
        let end = file.stream_position()?;
        file.rewind()?;
        file.write_all(header)?;
        file.seek(SeekFrom::Start(end)).map(|_| ())
    }

    /// Counts all rows and gives the file its name.
    ///
    /// # Errors
    ///
    /// A failed write; the rows can still be resumed.
    pub fn finish(mut self) -> Result<()> {
        self.sync()?;
        let finished = self.writer.get_mut().sync_all();
        let finished = finished.and_then(|()| fs::rename(&self.partial, &self.destination));
        self.written(finished)
    }

    /// Rows of the earlier process that are known to be whole.
    fn whole_rows(&mut self) -> Result<usize> {
        let length = self.writer.get_ref().metadata().map(|data| data.len());
        let length = length.map_err(|e| Error::io("read", &self.partial, e))?;
        if length < HEADER_BYTES {
            return Ok(0); // killed before the first header
        }
        let earlier = NpyRows::read(&self.partial, self.writer.get_mut())?;
        if (earlier.columns, earlier.element) != (self.columns, self.element) {
            let reason = format!(
                "an earlier run wrote rows of {} columns as {:?}, now they have {} as {:?}; remove \
                 it to start afresh",
                earlier.columns, earlier.element, self.columns, self.element
            );
            return Err(unreadable(&self.partial, reason));
        }
        let inner = &earlier.shape[1..earlier.shape.len() - 1];
        if inner != self.inner {
            let reason = format!(
                "an earlier run wrote maps of {inner:?}, now they are of {:?}; remove it to start afresh",
                self.inner
            );
            return Err(unreadable(&self.partial, reason));
        }
        if earlier.length() > u128::from(length) {
            let reason = format!(
                "it counts {} rows, but its {length} bytes hold fewer; remove it to start afresh",
                earlier.count
            );
            return Err(unreadable(&self.partial, reason));
        }
        Ok(earlier.count)
    }

    /// Forgets all behind the first `rows` rows.
    fn cut_to(&mut self, rows: usize) -> Result<()> {
        let header = self.header(rows);
        let length = HEADER_BYTES + (rows * self.columns * self.element.bytes()) as u64;
        let file = self.writer.get_mut();
        let mut cut = || -> io::Result<()> {
            // The header first: it must never count more than there is.
            file.rewind()?;
            file.write_all(&header)?;
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length)).map(|_| ())
        };
        let cut = cut();
        self.written(cut)?;
        (self.rows, self.synced) = (rows, rows);
        Ok(())
    }

    /// The header of so many rows, whole pictures of them.
    fn header(&self, rows: usize) -> Vec<u8> {
        let each: usize = self.inner.iter().product();
        assert_eq!(rows % each, 0, "rows of whole pictures");
        let outer = std::iter::once(rows / each).chain(self.inner.iter().copied());
        header_bytes(outer.chain([self.columns]).collect(), self.element)
    }

    fn written(&self, result: io::Result<()>) -> Result<()> {
        result.map_err(|e| Error::io("write", &self.partial, e))
    }
}
