//! How far a step has come that writes one file for each picture.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Context, Error, Step};

/// Pictures between two updates of a cursor: as many are done again after a kill, at most.
const PICTURES_BETWEEN: usize = 64;

/// Counts the pictures of a split that an unfinished step has finished, in their order.
///
/// Lies in `progress/STEP/SPLIT.json` until the step has finished; a step that begins anew, or
/// whose predecessor does, finds none ([`crate::RunDir::begin`]).
pub(crate) struct Cursor<'a> {
    context: &'a Context,
    path: PathBuf,
    done: usize,
    stored: usize,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    pictures: usize,
}

impl<'a> Cursor<'a> {
    /// The cursor that an earlier process left, or one at the first picture.
    pub(crate) fn open(context: &'a Context, step: Step, split: &str) -> Result<Self, Error> {
        let path = context.run.progress(step).join(format!("{split}.json"));
        let stored = match path.exists() {
            true => context.run.read_json::<Stored>(&path)?.pictures,
            false => 0,
        };
        Ok(Self {
            context,
            path,
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

    /// Counts all pictures of the split.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.store()
    }

    fn store(&mut self) -> Result<(), Error> {
        let pictures = self.done;
        self.context
            .run
            .write_json(&self.path, &Stored { pictures })?;
        self.stored = pictures;
        Ok(())
    }
}
