//! Files that are either the old or the new version, never half of one.
//!
//! A run can be killed at any moment. Everything a later step or a resumed run reads is written
//! under a temporary name in the same folder and renamed at the end.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Writes a file through `write` and puts it in place only when all of it is on disk.
///
/// Missing parent folders are created. After an error or a panic in `write` the temporary file is
/// gone and an earlier file at `path` is untouched. A temporary file left behind by a kill is
/// overwritten by the next attempt, because its name depends on `path` only; two writers of the
/// same path at the same time are therefore not supported.
///
/// # Errors
///
/// The error of `write` or of the file system; the caller adds the path, as in
/// [`Error::Io`](crate::Error::Io).
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = Temporary::beside(path)?;
    let mut file = BufWriter::new(File::create(&temporary.path)?);
    write(&mut file)?;
    // Without the sync a power cut could leave the new name on an empty file.
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    temporary.rename_to(path)
}

/// [`write_atomically`] for contents that are in memory already.
///
/// # Errors
///
/// The error of the file system.
pub fn write_bytes_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically(path, |file| file.write_all(bytes))
}

/// A temporary file that removes itself unless it was renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn beside(path: &Path) -> io::Result<Self> {
        let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
        let mut name = OsString::from(".");
        name.push(path.file_name().ok_or_else(no_name)?);
        name.push(".partial");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(Self {
            path: path.with_file_name(name),
            renamed: false,
        })
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // Best effort: the first error is the one worth telling.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn missing_folders_are_created_and_no_temporary_file_stays() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/labels.bin");
        write_bytes_atomically(&path, b"seven").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"seven");
        assert_eq!(names_in(path.parent().unwrap()), ["labels.bin"]);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_removes_the_temporary_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run.toml");
        write_bytes_atomically(&path, b"old").unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(io::Error::new(io::ErrorKind::StorageFull, "no room"))
        })
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names_in(root.path()), ["run.toml"]);
    }

    #[test]
    fn what_a_kill_left_behind_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        fs::write(
            root.path().join(".run.toml.partial"),
            b"torn, and longer than new",
        )
        .unwrap();
        write_bytes_atomically(&root.path().join("run.toml"), b"new").unwrap();
        assert_eq!(names_in(root.path()), ["run.toml"]);
        assert_eq!(fs::read(root.path().join("run.toml")).unwrap(), b"new");
    }

    #[test]
    fn a_path_without_a_file_name_is_refused() {
        let error = write_bytes_atomically(Path::new("/"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
