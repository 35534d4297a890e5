//! Files that a later process goes on with, until they are complete.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

use crate::error::{Error, Result};

/// Opens a file that an earlier process may have begun, with its content, for this process alone.
pub(crate) fn open_locked(path: &Path) -> Result<File> {
    let refused = |e| Error::io("write", path, e);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(e)) => Err(refused(e)),
        Err(TryLockError::WouldBlock) => Err(refused(io::Error::other(
            "another process is writing it; wait for it or end it",
        ))),
    }
}
