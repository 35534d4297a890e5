//! The header of a `.npy` file.

use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use ndarray_npy::npy::header::{Header, Layout};

use super::{Element, RowFile, open_file, rows_and_columns, unreadable};
use crate::error::{Error, Result};

/// No header of two sizes is longer; a foreign file must not decide how much is allocated.
const MOST_HEADER_BYTES: u64 = 1 << 16;

/// Bytes of the header that we write, whatever the number of rows.
pub(super) const HEADER_BYTES: u64 = 128;

/// What the header says.
#[derive(Debug, PartialEq)]
pub(super) struct NpyRows {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    pub(super) count: usize,
    pub(super) columns: usize,
    /// Offset of the first row.
    pub(super) start: u64,
}

impl NpyRows {
    /// Reads the header at the start of `file`.
    pub(super) fn read(path: &Path, file: &mut File) -> Result<Self> {
        let io = |e| Error::io("read", path, e);
        file.rewind().map_err(io)?;
        let header = Header::from_reader(&mut file.take(MOST_HEADER_BYTES))
            .map_err(|e| unreadable(path, format!("no .npy header: {e}")))?;
        let element = element_of(path, &header)?;
        let [count, columns] = rows_and_columns(path, &header.shape)?;
        let lines = header.shape.iter().filter(|&&size| size > 1).count();
        if header.layout == Layout::Fortran && lines > 1 {
            let reason = "it is stored column by column (fortran_order); save \
                          numpy.ascontiguousarray(rows) instead";
            return Err(unreadable(path, reason));
        }
        let start = file.stream_position().map_err(io)?;
        Ok(Self {
            element,
            shape: header.shape,
            count,
            columns,
            start,
        })
    }

    /// Bytes of the header and its rows.
    pub(super) fn length(&self) -> u128 {
        let values = self.count as u128 * self.columns as u128;
        u128::from(self.start) + values * self.element.bytes() as u128
    }
}

pub(super) fn open(path: &Path) -> Result<RowFile> {
    let (mut file, length) = open_file(path)?;
    let rows = NpyRows::read(path, &mut file)?;
    if rows.length() != u128::from(length) {
        let reason = format!(
            "{} rows of {} columns end at byte {}, but it has {length}; it was cut short or is \
             still being written",
            rows.count,
            rows.columns,
            rows.length()
        );
        return Err(unreadable(path, reason));
    }
    Ok(RowFile::of_one(
        path,
        file,
        rows.start,
        rows.element,
        rows.shape,
    ))
}

fn element_of(path: &Path, header: &Header) -> Result<Element> {
    match header.type_descriptor.as_string().map(String::as_str) {
        Some("<f4") => Ok(Element::Float32),
        Some("<f2") => Ok(Element::Float16),
        _ => Err(unreadable(
            path,
            format!(
                "its numbers are {}, but rows are '<f4' (float32) or '<f2' (float16); convert with \
                 numpy's astype",
                header.type_descriptor
            ),
        )),
    }
}

/// The header of an array of this shape.
///
/// # Panics
///
/// If `element` is none that a `.npy` file can hold.
pub(super) fn header_bytes(shape: Vec<usize>, element: Element) -> Vec<u8> {
    let descriptor = match element {
        Element::Float32 => "'<f4'",
        Element::Float16 => "'<f2'",
        Element::Bfloat16 => panic!("no .npy file holds bfloat16"),
    };
    let header = Header {
        type_descriptor: descriptor.parse().expect("a string of Python"),
        layout: Layout::Standard,
        shape,
    };
    let bytes = header.to_bytes().expect("some sizes are short");
    assert_eq!(bytes.len() as u64, HEADER_BYTES, "padded");
    bytes
}
