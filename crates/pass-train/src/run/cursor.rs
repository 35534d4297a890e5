//! How far something has come that writes one file for each picture.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Context, Error, Step};

/// Pictures between two updates of a cursor: as many are done again after a kill, at most.
const PICTURES_BETWEEN: usize = 64;

/// Counts the pictures of a split that have been finished, in their order.
///
/// That of a step lies in `progress/STEP/SPLIT.json` until the step has finished; a step that
/// begins anew, or whose predecessor does, finds none ([`crate::RunDir::begin`]).
pub(crate) struct Cursor<'a> {
    context: &'a Context,
    path: PathBuf,
    /// What is counted; a cursor of something else counts nothing.
    of: String,
    done: usize,
    stored: usize,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    of: String,
    pictures: usize,
}

impl<'a> Cursor<'a> {
    /// The cursor that an earlier process left of a step, or one at the first picture.
    pub(crate) fn of_step(context: &'a Context, step: Step, split: &str) -> Result<Self, Error> {
        let path = context.run.progress(step).join(format!("{split}.json"));
        Self::open(context, path, split.to_owned())
    }

    /// The cursor in `path`, or one at the first picture if that counts something else than `of`.
    pub(crate) fn open(context: &'a Context, path: PathBuf, of: String) -> Result<Self, Error> {
        let mut stored = 0;
        if path.exists() {
            let found: Stored = context.run.read_json(&path)?;
            stored = if found.of == of { found.pictures } else { 0 };
        }
        Ok(Self {
            context,
            path,
            of,
            done: stored,
            stored,
        })
    }

    /// Finished pictures.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Counts `pictures` more, whose files are there.
    pub(crate) fn advance(&mut self, pictures: usize) -> Result<(), Error> {
        self.done += pictures;
        if self.done - self.stored >= PICTURES_BETWEEN {
            self.store()?;
        }
        Ok(())
    }

    /// Counts what has been advanced by.
    pub(crate) fn store(&mut self) -> Result<(), Error> {
        let (of, pictures) = (self.of.clone(), self.done);
        let stored = Stored { of, pictures };
        self.context.run.write_json(&self.path, &stored)?;
        self.stored = pictures;
        Ok(())
    }

    /// Removes the cursor: whoever starts again starts with the first picture.
    pub(crate) fn remove(self) -> Result<(), Error> {
        match fs::remove_file(&self.path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(&self.path, "remove")(cause))
            }
            _ => Ok(()),
        }
    }
}
