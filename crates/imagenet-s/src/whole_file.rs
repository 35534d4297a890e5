//! Files that are whole or absent.

use std::{
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

#[cfg(feature = "tools")]
use {crate::error::Error, std::fs};

/// Bytes of a file's name that its temporary name repeats: with the rest of it this stays below the
/// 255 that file systems allow, so that whatever can be named can be written.
const REPEATED: usize = 200;

/// A name that no other writer of this machine uses at the same time, hidden from the readers.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = &name[..name.floor_char_boundary(REPEATED)];
    let (process, count) = (process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
    path.with_file_name(format!(".{name}.{process}-{count}.tmp"))
}

/// Whether the file has the name of one that was never finished.
pub(crate) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Writes `bytes` under a temporary name in the same folder and renames it over `path`.
#[cfg(feature = "tools")]
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let temporary = temporary_name(path);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: the error worth telling is the one of the write.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_has_a_temporary_one() {
        for name in ["é".repeat(127), "n".repeat(255)] {
            let temporary = temporary_name(Path::new(&name));
            assert!(temporary.as_os_str().len() <= 255 && is_temporary(&temporary));
        }
    }
}
