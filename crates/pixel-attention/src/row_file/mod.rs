//! Rows of numbers in files, made here or by other programs: `.npy` and `.safetensors`.
//!
//! The numbers are float32, float16 or (safetensors only) bfloat16, little-endian, row after row.
//! [`RowFile`] reads any of its rows at any time and holds none of them, so what is clustered need
//! not fit in memory. The narrow kinds become `f32` exactly. [`RowFileWriter`] writes `.npy`, and
//! goes on where a process was killed.

mod element;
mod npy;
mod safetensors;
mod shards;
mod writer;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

pub use element::Element;
pub use shards::{shard_path, shards_of};
pub use writer::RowFileWriter;

use crate::{
    error::{Error, Result},
    read_at::read_at,
    rows::Rows,
};

/// The rows of a file.
///
/// Reads at positions instead of mapping the file: the pages do not count as this process's
/// memory, and a file that is cut short under a reader is an error, not a signal.
#[derive(Debug)]
pub struct RowFile {
    path: PathBuf,
    element: Element,
    shape: Vec<usize>,
    count: usize,
    columns: usize,
    /// One after the other they hold the rows.
    parts: Vec<FilePart>,
}

#[derive(Debug)]
struct FilePart {
    path: PathBuf,
    file: File,
    /// Offset of the first row.
    start: u64,
    /// Rows of it and of all before it.
    end: usize,
}

impl RowFile {
    /// Opens a `.npy` file, or a `.safetensors` file that holds one two-dimensional tensor.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is of neither format, is cut short, or holds something else
    /// than rows of float32, float16 or bfloat16.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_dense(path)?.two_dimensional()
    }

    /// As [`RowFile::open`], for an array of two or more dimensions: each of its innermost lines is
    /// a row. A `.safetensors` file may hold one such tensor.
    ///
    /// Where there is no `NAME.npy` but [`shards`](shard_path) of it, `NAME.1-of-3.npy` and so on, they
    /// are read as one array.
    ///
    /// # Errors
    ///
    /// As [`RowFile::open`]; a shard that is missing or of another shape.
    pub fn open_dense(path: &Path) -> Result<Self> {
        match shards_of(path)? {
            None => Self::open_one(path),
            Some(shards) => {
                let parts = shards.iter().map(|path| Self::open_one(path));
                Self::joined(path, parts.collect::<Result<_>>()?)
            }
        }
    }

    fn open_one(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => npy::open(path),
            Some("safetensors") => safetensors::open(path, None),
            _ => Err(unreadable(
                path,
                "its name ends in neither .npy nor .safetensors; save the rows in one of the two",
            )),
        }
    }

    /// Opens one tensor of a `.safetensors` file.
    ///
    /// # Errors
    ///
    /// As [`RowFile::open`]; no tensor of this name, in which case the message lists those there
    /// are.
    pub fn open_tensor(path: &Path, name: &str) -> Result<Self> {
        Self::open_dense_tensor(path, name)?.two_dimensional()
    }

    /// As [`RowFile::open_tensor`], for a tensor of two or more dimensions.
    ///
    /// # Errors
    ///
    /// As [`RowFile::open_tensor`].
    pub fn open_dense_tensor(path: &Path, name: &str) -> Result<Self> {
        safetensors::open(path, Some(name))
    }

    /// An array of two or more dimensions in one file, from the offset `start` on.
    fn of_one(path: &Path, file: File, start: u64, element: Element, shape: Vec<usize>) -> Self {
        let (&columns, outer) = shape.split_last().expect("a shape of rows");
        let count = outer.iter().product();
        let part = FilePart {
            path: path.to_owned(),
            file,
            start,
            end: count,
        };
        Self {
            path: path.to_owned(),
            element,
            columns,
            count,
            parts: vec![part],
            shape,
        }
    }

    /// The arrays as one, whose first axis has the sizes of all of theirs together.
    fn joined(path: &Path, all: Vec<Self>) -> Result<Self> {
        let mut all = all.into_iter();
        let mut whole = all.next().expect("a shard");
        for next in all {
            if (next.element, &next.shape[1..]) != (whole.element, &whole.shape[1..]) {
                let reason = format!(
                    "its shape is {:?} as {:?}, that of the first part {:?} as {:?}; make all parts \
                     with the same command but for --shard",
                    next.shape, next.element, whole.shape, whole.element
                );
                return Err(unreadable(&next.path, reason));
            }
            whole.shape[0] += next.shape[0];
            let moved = next.parts.into_iter().map(|part| FilePart {
                end: whole.count + part.end,
                ..part
            });
            whole.parts.extend(moved);
            whole.count += next.count;
        }
        whole.path = path.to_owned();
        Ok(whole)
    }

    fn two_dimensional(self) -> Result<Self> {
        match self.shape.len() {
            2 => Ok(self),
            _ => Err(no_rows(&self.path, &self.shape)),
        }
    }

    /// The sizes that the file states; the last is the number of columns, the product of the others
    /// that of the rows.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How the numbers are stored.
    pub fn element(&self) -> Element {
        self.element
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Bytes that are read at a time before they become numbers.
const CHUNK_BYTES: usize = 1 << 18;

impl Rows for RowFile {
    fn count(&self) -> usize {
        self.count
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn read(&self, mut first: usize, mut into: &mut [f32]) -> Result<()> {
        let mut begin = 0;
        for part in &self.parts {
            let here = part.end.saturating_sub(first) * self.columns;
            let (now, later) = into.split_at_mut(here.min(into.len()));
            if !now.is_empty() {
                self.read_part(part, first - begin, now)?;
                first += now.len() / self.columns;
            }
            (begin, into) = (part.end, later);
        }
        assert!(into.is_empty(), "rows behind the last");
        Ok(())
    }
}

impl RowFile {
    /// Reads rows of one part, from its row `first` on.
    fn read_part(&self, part: &FilePart, first: usize, into: &mut [f32]) -> Result<()> {
        let width = self.element.bytes();
        let mut offset = part.start + (first * self.columns * width) as u64;
        let mut bytes = vec![0; CHUNK_BYTES.min(into.len() * width)];
        for values in into.chunks_mut(CHUNK_BYTES / width) {
            let bytes = &mut bytes[..values.len() * width];
            read_at(&part.file, &part.path, offset, bytes)?;
            self.element.decode(bytes, values);
            offset += bytes.len() as u64;
        }
        Ok(())
    }
}

fn unreadable(path: &Path, reason: impl Into<String>) -> Error {
    let (path, reason) = (path.to_owned(), reason.into());
    Error::RowFile { path, reason }
}

fn open_file(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let metadata = file.metadata().map_err(|e| Error::io("read", path, e))?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(unreadable(path, "it is not a file")),
    }
}

/// Rows and columns of a shape of two or more dimensions.
fn rows_and_columns(path: &Path, shape: &[usize]) -> Result<[usize; 2]> {
    let Some((&columns, outer @ [_, ..])) = shape.split_last() else {
        return Err(no_rows(path, shape));
    };
    let rows = outer
        .iter()
        .try_fold(1, |rows: usize, &size| rows.checked_mul(size));
    match rows {
        Some(rows) if columns > 0 => Ok([rows, columns]),
        _ => Err(no_rows(path, shape)),
    }
}

fn no_rows(path: &Path, shape: &[usize]) -> Error {
    unreadable(
        path,
        format!("its shape is {shape:?}, but rows have the shape [rows, columns]"),
    )
}

#[cfg(test)]
mod tests;
