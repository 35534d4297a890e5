//! Checkpoints of a training step: whole folders, complete or not there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Error;

/// The checkpoints of one step: `checkpoint-EPOCH/` folders, of which the newest is kept.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    /// The checkpoints below the folder of a step.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn place(&self, epoch: usize) -> PathBuf {
        self.dir.join(format!("checkpoint-{epoch:05}"))
    }

    /// The newest complete checkpoint: finished epochs and folder.
    pub(crate) fn newest(&self) -> Option<(usize, PathBuf)> {
        let entries = fs::read_dir(&self.dir).ok()?;
        entries
            .filter_map(|entry| epoch_of(&entry.ok()?.path()))
            .max_by_key(|(epoch, _)| *epoch)
    }

    /// Writes the checkpoint after `epoch` finished epochs; `write` fills a temporary folder, which
    /// gets its name when it is complete. Older checkpoints go after that.
    pub(crate) fn save(
        &self,
        epoch: usize,
        write: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let temporary = self.dir.join("checkpoint.part");
        remove(&temporary)?;
        fs::create_dir_all(&temporary).map_err(Error::io(&temporary, "create the folder"))?;
        write(&temporary)?;
        let place = self.place(epoch);
        fs::rename(&temporary, &place).map_err(Error::io(&place, "rename the checkpoint to"))?;
        self.forget_before(epoch)
    }

    fn forget_before(&self, epoch: usize) -> Result<(), Error> {
        let entries = fs::read_dir(&self.dir).map_err(Error::io(&self.dir, "list the folder"))?;
        for entry in entries.flatten() {
            if let Some((older, path)) = epoch_of(&entry.path())
                && older < epoch
            {
                self.forget(&path)?;
            }
        }
        Ok(())
    }

    /// Takes the name away first: half a deleted checkpoint must not pass for a whole one.
    fn forget(&self, path: &Path) -> Result<(), Error> {
        let nameless = self.dir.join("checkpoint.part");
        remove(&nameless)?;
        fs::rename(path, &nameless).map_err(Error::io(path, "rename the old checkpoint"))?;
        remove(&nameless)
    }

    /// Removes every checkpoint, once the step has finished.
    pub(crate) fn forget_all(&self) -> Result<(), Error> {
        if self.dir.exists() {
            self.forget_before(usize::MAX)
        } else {
            Ok(())
        }
    }
}

fn epoch_of(path: &Path) -> Option<(usize, PathBuf)> {
    let epoch = path
        .file_name()?
        .to_str()?
        .strip_prefix("checkpoint-")?
        .parse()
        .ok()?;
    Some((epoch, path.to_path_buf()))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(path, "remove the old checkpoint")(cause))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_cut_short_is_never_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path().into());
        checkpoints
            .save(3, |place| {
                fs::write(place.join("a"), "3").unwrap();
                Ok(())
            })
            .unwrap();
        let cut = checkpoints.save(4, |place| {
            fs::write(place.join("a"), "half").unwrap();
            Err(Error::io(place, "write")(std::io::Error::other(
                "disk full",
            )))
        });
        assert!(cut.is_err());
        assert_eq!(checkpoints.newest().unwrap().0, 3);
    }

    #[test]
    fn only_the_newest_checkpoint_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path().into());
        for epoch in [1, 2, 10] {
            checkpoints.save(epoch, |_| Ok(())).unwrap();
        }
        assert_eq!(checkpoints.newest().unwrap().0, 10);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
