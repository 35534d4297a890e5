//! Files that appear under their name only when they are complete.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// A file that is written under a temporary name in the same folder and renamed by
/// [`PartialFile::commit`]; dropped before that, it is removed.
pub(crate) struct PartialFile {
    writer: Option<BufWriter<File>>,
    temporary: PathBuf,
    destination: PathBuf,
}

impl PartialFile {
    pub(crate) fn create(destination: &Path) -> Result<Self> {
        let name = destination
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let temporary =
            destination.with_file_name(format!(".{name}.partial-{}", std::process::id()));
        let file = File::create(&temporary).map_err(|e| Error::io("create", destination, e))?;
        Ok(Self {
            writer: Some(BufWriter::with_capacity(1 << 20, file)),
            temporary,
            destination: destination.to_owned(),
        })
    }

    /// Brings the content to the disk and gives the file its name.
    pub(crate) fn commit(mut self) -> Result<()> {
        let finish = |writer: BufWriter<File>| -> io::Result<()> {
            let file = writer
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            fs::rename(&self.temporary, &self.destination)
        };
        let writer = self.writer.take().expect("open until committed");
        let finished = finish(writer);
        if finished.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_file(&self.temporary);
        }
        finished.map_err(|e| Error::io("write", &self.destination, e))
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer
            .as_mut()
            .expect("open until committed")
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().expect("open until committed").flush()
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // Nobody waits for this file any more; a leftover is harmless.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
