//! Checkpoints of a training step: whole folders, complete or not there, with their checksums.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    run::checksums::{Damage, seal, sync, verify},
    run_file::CheckpointsSection,
};

/// The checkpoints of one step: `checkpoint-ITERATION/` folders.
///
/// The newest ones are kept, and the best: the one at the end of the epoch with the lowest mean
/// loss.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    dir: PathBuf,
    keep: usize,
    keep_best: bool,
}

/// Where a training stood at a checkpoint: `checkpoint.json`, for people and for the choice of the
/// best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Finished iterations.
    pub(crate) iterations: usize,
    /// Whole epochs among them.
    pub(crate) epochs: usize,
    /// Mean of the minimised loss over the epoch that ended here; none in the middle of one.
    pub(crate) epoch_loss: Option<f64>,
}

const STANDING: &str = "checkpoint.json";
const PREFIX: &str = "checkpoint-";
/// Takes the place of [`PREFIX`] in the name of a checkpoint that cannot be trusted.
const DAMAGED: &str = "damaged-checkpoint-";

impl Checkpoints {
    /// The checkpoints below the folder of a step.
    pub(crate) fn new(dir: PathBuf, section: &CheckpointsSection) -> Self {
        Self {
            dir,
            keep: section.keep,
            keep_best: section.keep_best,
        }
    }

    fn place(&self, iterations: usize) -> PathBuf {
        self.dir.join(format!("{PREFIX}{iterations:09}"))
    }

    /// Whether there is any, sound or not.
    pub(crate) fn exist(&self) -> bool {
        !self.newest_first().is_empty()
    }

    /// All checkpoints, the newest first: finished iterations and folder.
    fn newest_first(&self) -> Vec<(usize, PathBuf)> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter_map(|entry| Some((number_of(&entry.path(), PREFIX)?, entry.path())))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// The newest checkpoint whose files are what was written; nothing where there is none at all.
    ///
    /// Damaged ones are passed over, told to `warn` and renamed, so that they are no candidates
    /// any more. When all are damaged that is an error: a fresh start should be a decision.
    pub(crate) fn newest_sound(
        &self,
        mut warn: impl FnMut(&str),
    ) -> Result<Option<PathBuf>, Error> {
        let found = self.newest_first();
        let mut damages = Vec::new();
        for (_, folder) in &found {
            match verify(folder) {
                Err(damage) => damages.push(damage),
                Ok(()) => {
                    for (damage, (iterations, damaged)) in damages.iter().zip(&found) {
                        warn(&self.told(damage));
                        self.set_aside(*iterations, damaged)?;
                    }
                    if !damages.is_empty() {
                        warn(&format!("going on from {}", folder.display()));
                    }
                    return Ok(Some(folder.clone()));
                }
            }
        }
        match damages.into_iter().next() {
            None => Ok(None),
            Some(Damage { path, cause }) => Err(Error::NoSoundCheckpoint {
                dir: self.dir.clone(),
                count: found.len(),
                path,
                cause,
            }),
        }
    }

    fn told(&self, Damage { path, cause }: &Damage) -> String {
        let path = path.display();
        format!("{path}: {cause}; this checkpoint is damaged and set aside as {DAMAGED}…")
    }

    fn set_aside(&self, iterations: usize, folder: &Path) -> Result<(), Error> {
        let place = self.dir.join(format!("{DAMAGED}{iterations:09}"));
        remove(&place)?;
        fs::rename(folder, place).map_err(Error::io(folder, "rename the damaged checkpoint"))
    }

    /// Writes the checkpoint of `standing`; `write` fills a temporary folder, which gets its name
    /// when all of it is on the disk. What need not be kept goes after that.
    ///
    /// After an error the temporary folder is gone, and the earlier checkpoints are as they were.
    pub(crate) fn save(
        &self,
        standing: &Standing,
        write: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        let temporary = self.temporary();
        let place = self.place(standing.iterations);
        let written = self.write(standing, &temporary, &place, write);
        if let Err(cause) = written {
            // Best effort: the room is needed, and the first error is the one worth telling.
            let _ = fs::remove_dir_all(&temporary);
            return Err(Error::CheckpointNotWritten {
                path: place,
                kept: self.newest_first().into_iter().next().map(|(_, path)| path),
                cause: Box::new(cause),
            });
        }
        self.forget_superfluous()?;
        Ok(place)
    }

    fn write(
        &self,
        standing: &Standing,
        temporary: &Path,
        place: &Path,
        write: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        remove(temporary)?;
        fs::create_dir_all(temporary).map_err(Error::io(temporary, "create the folder"))?;
        write(temporary)?;
        let text = serde_json::to_string(standing).expect("plain data");
        let path = temporary.join(STANDING);
        fs::write(&path, text + "\n").map_err(Error::io(&path, "write"))?;
        seal(temporary)?;
        remove(place)?;
        fs::rename(temporary, place).map_err(Error::io(place, "rename the checkpoint to"))?;
        sync(&self.dir).map_err(Error::io(&self.dir, "bring to the disk"))
    }

    fn temporary(&self) -> PathBuf {
        self.dir.join("checkpoint.part")
    }

    /// Removes all but the newest and the best.
    fn forget_superfluous(&self) -> Result<(), Error> {
        let found = self.newest_first();
        let best = self.best(&found);
        for (_, path) in found.iter().skip(self.keep) {
            if Some(path) != best.as_ref() {
                self.forget(path)?;
            }
        }
        Ok(())
    }

    /// The checkpoint at the end of the epoch with the lowest mean loss, the earliest of equals.
    fn best(&self, found: &[(usize, PathBuf)]) -> Option<PathBuf> {
        let losses = found.iter().rev().filter_map(|(_, path)| {
            let text = fs::read_to_string(path.join(STANDING)).ok()?;
            let standing: Standing = serde_json::from_str(&text).ok()?;
            Some((standing.epoch_loss.filter(|loss| loss.is_finite())?, path))
        });
        let best = losses.min_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|_| self.keep_best)
            .map(|(_, path)| path.clone())
    }

    /// Takes the name away first: half a deleted checkpoint must not pass for a whole one.
    fn forget(&self, path: &Path) -> Result<(), Error> {
        let nameless = self.temporary();
        remove(&nameless)?;
        fs::rename(path, &nameless).map_err(Error::io(path, "rename the old checkpoint"))?;
        remove(&nameless)
    }

    /// Removes every checkpoint, once the step has finished.
    pub(crate) fn forget_all(&self) -> Result<(), Error> {
        for (_, path) in self.newest_first() {
            self.forget(&path)?;
        }
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if number_of(&path, DAMAGED).is_some() {
                remove(&path)?;
            }
        }
        remove(&self.temporary())
    }
}

fn number_of(path: &Path, prefix: &str) -> Option<usize> {
    path.file_name()?
        .to_str()?
        .strip_prefix(prefix)?
        .parse()
        .ok()
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
    use std::io;

    fn checkpoints(dir: &Path, keep: usize, keep_best: bool) -> Checkpoints {
        let section = CheckpointsSection {
            keep,
            keep_best,
            ..CheckpointsSection::default()
        };
        Checkpoints::new(dir.into(), &section)
    }

    fn at(iterations: usize, epoch_loss: Option<f64>) -> Standing {
        Standing {
            iterations,
            epochs: iterations / 10,
            epoch_loss,
        }
    }

    fn save(checkpoints: &Checkpoints, iterations: usize, epoch_loss: Option<f64>) -> PathBuf {
        let write = |place: &Path| {
            fs::write(place.join("net"), iterations.to_string()).unwrap();
            Ok(())
        };
        checkpoints
            .save(&at(iterations, epoch_loss), write)
            .unwrap()
    }

    fn kept(checkpoints: &Checkpoints) -> Vec<usize> {
        let found = checkpoints.newest_first();
        found
            .into_iter()
            .map(|(iterations, _)| iterations)
            .collect()
    }

    #[test]
    fn a_full_disk_leaves_the_earlier_checkpoints_and_says_which() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(dir.path(), 2, true);
        let kept_place = save(&checkpoints, 3, None);
        let full = checkpoints.save(&at(4, None), |place| {
            fs::write(place.join("net"), "half").unwrap();
            let full = io::Error::from(io::ErrorKind::StorageFull);
            Err(Error::io(place.join("net"), "write")(full))
        });
        let said = full.unwrap_err().to_string();
        for fragment in [
            "checkpoint-000000004",
            "no storage space",
            kept_place.to_str().unwrap(),
            "start the same command again",
        ] {
            assert!(said.contains(fragment), "no {fragment:?} in {said:?}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let sound = checkpoints.newest_sound(|line| panic!("{line}")).unwrap();
        assert_eq!(sound, Some(kept_place));
    }

    #[test]
    fn the_newest_are_kept_and_the_best_of_the_epochs() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(dir.path(), 2, true);
        let losses = [
            (10, Some(3.0)),
            (15, None),
            (20, Some(2.0)),
            (30, Some(2.0)),
            (35, None),
            (40, Some(2.5)),
        ];
        for (iterations, loss) in losses {
            save(&checkpoints, iterations, loss);
        }
        assert_eq!(kept(&checkpoints), [40, 35, 20]);
        checkpoints.forget_all().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_the_best_only_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(dir.path(), 1, false);
        for iterations in [1, 2, 10] {
            save(&checkpoints, iterations, Some(iterations as f64));
        }
        assert_eq!(kept(&checkpoints), [10]);
    }

    #[test]
    fn a_damaged_newest_checkpoint_is_told_set_aside_and_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(dir.path(), 3, false);
        let places: Vec<_> = [1, 2, 3].map(|n| save(&checkpoints, n, None)).into();
        fs::write(places[2].join("net"), "?").unwrap(); // other contents
        fs::remove_file(places[1].join("net")).unwrap(); // not all of it
        let mut said = Vec::new();
        let sound = checkpoints.newest_sound(|line| said.push(line.to_owned()));
        assert_eq!(sound.unwrap().as_ref(), Some(&places[0]));
        assert_eq!(said.len(), 3, "{said:?}");
        let shown = |place: &Path| place.display().to_string();
        assert!(said[0].starts_with(&shown(&places[2].join("net"))) && said[0].contains("SHA-256"));
        assert!(said[1].contains(&shown(&places[1].join("net"))));
        assert!(said[2].ends_with(&shown(&places[0])));
        assert_eq!(kept(&checkpoints), [1]);
        save(&checkpoints, 3, None);
        assert_eq!(kept(&checkpoints), [3, 1]);
        checkpoints.forget_all().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn when_all_checkpoints_are_damaged_nothing_starts_afresh_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(dir.path(), 2, false);
        let place = save(&checkpoints, 7, None);
        fs::write(place.join("net"), "?").unwrap();
        for _start in 0..2 {
            let said = checkpoints.newest_sound(|_| ()).unwrap_err().to_string();
            for fragment in ["net", "SHA-256", "all 1", "move them elsewhere"] {
                assert!(said.contains(fragment), "no {fragment:?} in {said:?}");
            }
        }
    }
}
