//! Files that are either the old or the new version, never half of one.
//!
//! A program can be killed at any moment. What is written here goes to a hidden file in the same
//! folder, which is renamed when all of it is on the disk.
//!
//! ```
//! use std::io::Write as _;
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("run/metrics.json");
//! whole_file::write_bytes(&path, b"{}")?;
//! whole_file::write(&path, |file| writeln!(file, "{{}}"))?;
//! # Ok(())
//! # }
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
};

/// Bytes of a file's name that its temporary name repeats: with the rest of it this stays below the
/// 255 that file systems allow, so that whatever can be named can be written.
const REPEATED: usize = 200;

/// Writes a file through `write` and puts it in place only when all of it is on the disk.
///
/// Missing folders are created. After an error or a panic in `write` the temporary file is gone and
/// an earlier file at `path` is as it was. What a kill leaves behind is overwritten by the next
/// attempt. Of several writers of one path each is whole, and the last one stays.
///
/// # Errors
///
/// The error of `write` or of the file system; the caller adds the path.
pub fn write(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = WholeFile::create(path)?;
    write(&mut file)?;
    file.commit()
}

/// [`write()`] of what is in memory already.
///
/// # Errors
///
/// The error of the file system.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, |file| file.write_all(bytes))
}

/// Whether the file has the name of one that is being written, or was when its writer was killed.
pub fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".tmp")
}

/// A file that is being written, under a temporary name until [`WholeFile::commit`]. Dropped before
/// that, it is removed.
#[derive(Debug)]
pub struct WholeFile {
    file: BufWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
    renamed: bool,
}

impl WholeFile {
    /// Begins a file, and waits for another writer of the same one.
    ///
    /// # Errors
    ///
    /// The error of the file system, or a path that names no file.
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let temporary = temporary_name(path)?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 16, open_alone(&temporary)?),
            temporary,
            path: path.to_owned(),
            renamed: false,
        })
    }

    /// Where the content is until it is committed.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Brings the content to the disk and gives the file its name.
    ///
    /// # Errors
    ///
    /// The error of the file system.
    pub fn commit(mut self) -> io::Result<()> {
        self.file.flush()?;
        // Without it a power cut could leave the new name on an empty file.
        self.file.get_ref().sync_all()?;
        self.rename()
    }

    /// The same without waiting for the disk: for files by the thousand, which a power cut may empty.
    ///
    /// # Errors
    ///
    /// The error of the file system.
    pub fn commit_unsynced(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.rename()
    }

    fn rename(&mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.path)?;
        self.renamed = true;
        Ok(())
    }
}

impl Deref for WholeFile {
    type Target = BufWriter<File>;

    fn deref(&self) -> &BufWriter<File> {
        &self.file
    }
}

impl DerefMut for WholeFile {
    fn deref_mut(&mut self) -> &mut BufWriter<File> {
        &mut self.file
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.renamed {
            // Best effort: the first error is the one worth telling.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// It depends on the path alone, so that no kill leaves more than one.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
    let name = path.file_name().ok_or_else(no_name)?.to_string_lossy();
    let name = &name[..name.floor_char_boundary(REPEATED)];
    Ok(path.with_file_name(format!(".{name}.tmp")))
}

/// An empty file that no other writer has.
fn open_alone(path: &Path) -> io::Result<File> {
    loop {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        // Where a file system has no locks, two writers at once are on their own.
        let _ = file.lock();
        if is_at(&file, path) {
            file.set_len(0)?;
            return Ok(file);
        }
    }
}

/// Whether this is still the file of that name: the writer before may have renamed it meanwhile.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    let found = fs::symlink_metadata(path).map(id);
    file.metadata().map(id).ok() == found.ok()
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
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
        write_bytes(&path, b"seven").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"seven");
        assert_eq!(names_in(path.parent().unwrap()), ["labels.bin"]);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_removes_the_temporary_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run.toml");
        write_bytes(&path, b"old").unwrap();
        let error = write(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(io::Error::new(io::ErrorKind::StorageFull, "no room"))
        })
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names_in(root.path()), ["run.toml"]);
    }

    #[test]
    fn a_folder_in_the_way_is_an_error_that_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("mask.png");
        fs::create_dir(&path).unwrap();
        assert!(write_bytes(&path, b"x").is_err());
        assert_eq!(names_in(root.path()), ["mask.png"]);
    }

    #[test]
    fn what_a_kill_left_behind_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run.toml");
        let torn = temporary_name(&path).unwrap();
        fs::write(torn, b"torn, and longer than new").unwrap();
        write_bytes(&path, b"new").unwrap();
        assert_eq!(names_in(root.path()), ["run.toml"]);
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn of_writers_at_once_each_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("scores.json");
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let path = &path;
                scope.spawn(move || {
                    let bytes = vec![writer; 100_000 + usize::from(writer)];
                    for _ in 0..20 {
                        write_bytes(path, &bytes).unwrap();
                        let found = fs::read(path).unwrap();
                        assert_eq!(found.len(), 100_000 + usize::from(found[0]));
                        assert!(found.iter().all(|byte| *byte == found[0]));
                    }
                });
            }
        });
        assert_eq!(names_in(root.path()), ["scores.json"]);
    }

    #[test]
    fn the_longest_name_has_a_temporary_one() {
        for name in ["é".repeat(127), "n".repeat(255)] {
            let temporary = temporary_name(Path::new(&name)).unwrap();
            assert!(temporary.as_os_str().len() <= 255 && is_temporary(&temporary));
        }
    }

    /// As `fs::write` does it: whom the umask allows may read.
    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let found = fs::metadata(root.path().join(name)).unwrap();
            found.permissions().mode()
        };
        fs::write(root.path().join("plain"), b"").unwrap();
        write_bytes(&root.path().join("whole"), b"").unwrap();
        assert_eq!(mode("whole"), mode("plain"));
    }

    #[test]
    fn a_path_without_a_file_name_is_refused() {
        let error = write_bytes(Path::new("/"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
