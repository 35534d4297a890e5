//! One process at a time works on a run: two would write over each other's checkpoints and log.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::Path,
    process,
};

use crate::Error;

/// The lock of a run, held until it is dropped or the process ends, however it ends. Its file names
/// the holder, and is empty once it was dropped.
#[derive(Debug)]
pub(crate) struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the run in `root`; `None` and a warning where the file system has no locks.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another process has it, [`Error::Io`].
    pub(crate) fn take(root: &Path, warn: impl FnOnce(&str)) -> Result<Option<Self>, Error> {
        let path = root.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false) // its holder has written there
            .open(&path)
            .map_err(Error::io(&path, "open the lock of the run"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(root, file)),
            Err(TryLockError::Error(cause)) => {
                warn(&unlocked(root, &cause));
                return Ok(None);
            }
        }
        name_holder(&mut file).map_err(Error::io(&path, "write the lock of the run"))?;
        Ok(Some(Self { file }))
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // A name that stays misleads nobody: it is read only where the file is locked.
        let _ = self.file.set_len(0);
    }
}

fn name_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "process {}", process::id())
}

fn in_use(root: &Path, mut file: File) -> Error {
    let mut holder = String::new();
    // Its name is for people; a lock that cannot be read holds all the same.
    let _ = file.read_to_string(&mut holder);
    Error::InUse {
        path: root.into(),
        holder,
    }
}

fn unlocked(root: &Path, cause: &io::Error) -> String {
    format!(
        "{} cannot be locked ({cause}): see to it that no other process works on this run, since two \
         would write over each other's files",
        root.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn take(root: &Path) -> Result<RunLock, Error> {
        let lock = RunLock::take(root, |line| panic!("{line}"))?;
        Ok(lock.expect("this file system has locks"))
    }

    #[test]
    fn a_run_is_taken_once_at_a_time_and_its_holder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let held = take(folder.path()).unwrap();
        let refused = take(folder.path()).unwrap_err().to_string();
        let holder = format!("process {}", process::id());
        for fragment in [folder.path().to_str().unwrap(), &holder, "--run"] {
            assert!(refused.contains(fragment), "no {fragment} in {refused}");
        }
        drop(held);
        assert_eq!(fs::read(folder.path().join("lock")).unwrap(), b"");
        take(folder.path()).unwrap();
    }

    #[test]
    fn what_a_killed_process_leaves_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lock"), "process 123456789").unwrap();
        let _held = take(folder.path()).unwrap();
        let holder = fs::read_to_string(folder.path().join("lock")).unwrap();
        assert_eq!(holder, format!("process {}", process::id()));
    }

    #[test]
    fn a_file_system_without_locks_is_told() {
        let cause = io::Error::from(io::ErrorKind::Unsupported);
        let line = unlocked(Path::new("runs/mine"), &cause);
        assert!(
            line.contains("runs/mine") && line.contains("unsupported"),
            "{line}"
        );
    }
}
