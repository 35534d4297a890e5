//! Files that are there whole or not at all, readable by whom the umask of the process allows.

use std::{fs, io, path::Path};

/// Writes under a temporary name first, so that nobody finds half a file.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("safetensors.partial");
    let written = fs::write(&partial, bytes)
        .and_then(|()| fs::File::open(&partial)?.sync_all())
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}
