//! Which masks are there: `.segment/done.jsonl`, a line a picture. A process that was killed is followed by one
//! that goes on behind the last whole line.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};

use super::plan::{Plan, journal_path};

/// A category in a mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The category; 0 is other.
    pub id: u16,
    /// How many pixels it has.
    pub pixels: u64,
    /// 0..=1, four digits; none where it is too small for the network's map.
    pub confidence: Option<f64>,
}

/// A picture whose mask is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Its place in the plan.
    pub picture: usize,
    /// 0..=1, four digits.
    pub confidence: f64,
    /// What the mask holds, by id.
    pub segments: Vec<Segment>,
}

/// The pictures of a plan whose masks are there.
pub struct Journal {
    file: File,
    path: PathBuf,
    done: BTreeMap<usize, Done>,
}

impl Journal {
    /// What an earlier process left in `out`, which keeps the plan from now on; nothing else may work there
    /// until this is dropped.
    ///
    /// # Errors
    ///
    /// Another process that works there, or has begun something else there since the plan was made; a file
    /// that cannot be read or written.
    pub fn open(out: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let path = journal_path(out);
        let mut journal = Self {
            file: opened(&path).with_context(|| format!("{}", path.display()))?,
            path,
            done: BTreeMap::new(),
        };
        lock(&journal.file, out)?;
        plan.keep(out)?;
        journal.read(out, plan)?;
        Ok(journal)
    }

    /// Takes the whole lines, and cuts off a torn one.
    fn read(&mut self, out: &Path, plan: &Plan) -> anyhow::Result<()> {
        let shown = || format!("{}", self.path.display());
        let mut text = Vec::new();
        self.file.read_to_end(&mut text).with_context(shown)?;
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        self.file.set_len(whole as u64).with_context(shown)?;
        self.file.seek(SeekFrom::End(0)).with_context(shown)?;
        for line in text[..whole]
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let done: Done = serde_json::from_slice(line).with_context(shown)?;
            let mask = plan
                .pictures
                .get(done.picture)
                .map(|of| mask_path(out, &of.key));
            if mask.is_some_and(|mask| mask.exists()) {
                self.done.insert(done.picture, done);
            }
        }
        Ok(())
    }

    /// Adds a picture, whose mask is there.
    ///
    /// # Errors
    ///
    /// A failed write.
    pub fn add(&mut self, done: Done) -> anyhow::Result<()> {
        let line = serde_json::to_string(&done)? + "\n";
        let written = self.file.write_all(line.as_bytes());
        written.with_context(|| format!("{}", self.path.display()))?;
        self.done.insert(done.picture, done);
        Ok(())
    }

    /// The pictures whose masks are there, by their place in the plan.
    pub fn done(&self) -> &BTreeMap<usize, Done> {
        &self.done
    }
}

/// Nothing else may work in `out` as long as this file of it is open.
fn lock(file: &File, out: &Path) -> anyhow::Result<()> {
    let out = out.display();
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(anyhow!(
            "{out}: another process writes masks there; wait for it or stop it"
        )),
        // A file system without locks.
        Err(TryLockError::Error(cause)) if cause.kind() == ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(cause)) => {
            Err(cause).with_context(|| format!("{out}: it cannot be locked"))
        }
    }
}

fn opened(path: &Path) -> std::io::Result<File> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// The mask of a picture.
pub(super) fn mask_path(out: &Path, key: &str) -> PathBuf {
    out.join(format!("{key}.png"))
}
