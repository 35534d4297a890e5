//! Reading from the middle of a file.

use std::{fs::File, path::Path};

use crate::error::{Error, Result};

/// Reads without moving a shared position, so that threads do not disturb each other.
pub(crate) fn read_at(file: &File, path: &Path, offset: u64, bytes: &mut [u8]) -> Result<()> {
    read_exact_at(file, path, offset, bytes).map_err(|e| Error::io("read", path, e))
}

#[cfg(unix)]
fn read_exact_at(file: &File, _: &Path, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_exact_at(_: &File, path: &Path, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut own = File::open(path)?;
    own.seek(SeekFrom::Start(offset))?;
    own.read_exact(bytes)
}
