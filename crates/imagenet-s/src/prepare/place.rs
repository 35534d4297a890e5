//! Puts one file where it belongs, so that it is whole or absent, whoever else tries the same.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use super::PrepareError;
use crate::error::Error;

/// How pictures get into a tree. Masks are unpacked in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placing {
    /// Absolute symbolic links; those of a class that is not merged are one link to its folder.
    #[default]
    Symlink,
    /// Hard links: no space, and the tree stays whole when ImageNet moves. One file system only.
    Hardlink,
    /// Copies.
    Copy,
}

/// A file or folder to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    /// Below the root, with `/` between the parts.
    pub(super) target: String,
    /// Absolute.
    pub(super) source: PathBuf,
    pub(super) placing: Placing,
}

impl Planned {
    /// Places it below `root`; `false` when it was there already. `staging` is a folder of the
    /// same file system for copies that are not whole yet.
    pub(super) fn place(&self, root: &Path, staging: &Path) -> Result<bool, PrepareError> {
        let target = root.join(&self.target);
        if self.is_there(&target)? {
            return Ok(false);
        }
        create_folder(&target)?;
        match self.placing {
            Placing::Symlink => self.link(&target, staging),
            Placing::Hardlink => self.hard_link(&target),
            Placing::Copy => self.copy(&target, staging),
        }?;
        Ok(true)
    }

    /// Bytes this adds to the disk, rounded up to blocks, if it is not there yet.
    pub(super) fn missing_bytes(&self, root: &Path) -> Result<u64, PrepareError> {
        if self.is_there(&root.join(&self.target))? {
            return Ok(0);
        }
        match self.placing {
            Placing::Hardlink => Ok(0),
            // A long link takes a block of its own.
            Placing::Symlink => Ok(super::BLOCK_BYTES),
            Placing::Copy => Ok(super::in_blocks(self.source_metadata()?.len())),
        }
    }

    fn source_metadata(&self) -> Result<Metadata, PrepareError> {
        let read = fs::metadata(&self.source);
        Ok(read.map_err(Error::io(&self.source))?)
    }

    /// Whether the right thing lies there. A link to elsewhere is replaced: it holds no data.
    fn is_there(&self, target: &Path) -> Result<bool, PrepareError> {
        let found = match fs::symlink_metadata(target) {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(Error::io(target)(error).into()),
        };
        let in_the_way = |found| PrepareError::InTheWay {
            path: target.to_owned(),
            found,
            placing: self.placing,
        };
        match self.placing {
            Placing::Symlink if found.is_symlink() => {
                Ok(fs::read_link(target).is_ok_and(|to| to == self.source))
            }
            _ if found.is_symlink() => Err(in_the_way("a symbolic link")),
            _ if found.is_dir() => Err(in_the_way("a folder")),
            Placing::Symlink => Err(in_the_way("a file")),
            Placing::Hardlink if is_same_file(&found, &self.source_metadata()?) => Ok(true),
            Placing::Hardlink => Err(in_the_way("another file")),
            Placing::Copy => {
                let source = self.source_metadata()?;
                let whole = found.len() == source.len() && !is_same_file(&found, &source);
                whole.then_some(true).ok_or(in_the_way("another file"))
            }
        }
    }

    fn link(&self, target: &Path, staging: &Path) -> Result<(), PrepareError> {
        match symlink(&self.source, target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let temporary = staging.join(temporary_name());
                let linked = symlink(&self.source, &temporary);
                let renamed = linked.and_then(|()| fs::rename(&temporary, target));
                Ok(renamed.map_err(Error::io(target))?)
            }
            made => Ok(made.map_err(Error::io(target))?),
        }
    }

    fn hard_link(&self, target: &Path) -> Result<(), PrepareError> {
        // A hard link to a symbolic link would be one too.
        let source = fs::canonicalize(&self.source).map_err(Error::io(&self.source))?;
        match fs::hard_link(source, target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.is_there(target).map(|_| ())
            }
            made => Ok(made.map_err(Error::io(target))?),
        }
    }

    fn copy(&self, target: &Path, staging: &Path) -> Result<(), PrepareError> {
        let temporary = staging.join(temporary_name());
        fs::copy(&self.source, &temporary).map_err(Error::io(&self.source))?;
        Ok(fs::rename(&temporary, target).map_err(Error::io(target))?)
    }
}

/// Puts a file of these bytes below `root`, unless it lies there already.
pub(super) fn place_bytes(
    target: &str,
    bytes: &[u8],
    root: &Path,
    staging: &Path,
) -> Result<bool, PrepareError> {
    let path = root.join(target);
    match fs::read(&path) {
        Ok(found) if found == bytes => return Ok(false),
        Err(error) if !is_absent(&error) => return Err(Error::io(&path)(error).into()),
        _ => create_folder(&path)?,
    }
    let temporary = staging.join(temporary_name());
    fs::write(&temporary, bytes).map_err(Error::io(&temporary))?;
    fs::rename(&temporary, &path).map_err(Error::io(&path))?;
    Ok(true)
}

/// Refuses linked folders on the way to these files: what is written below one would be written
/// into ImageNet itself.
pub(super) fn check_folders(root: &Path, files: &[Planned]) -> Result<(), PrepareError> {
    let parent = |file: &Planned| Some((file.target.rsplit_once('/')?.0.to_owned(), file.placing));
    let folders: BTreeMap<String, Placing> = files.iter().filter_map(parent).collect();
    for (folder, placing) in folders {
        let folders = Path::new(&folder).ancestors();
        for above in folders.filter(|above| !above.as_os_str().is_empty()) {
            let path = root.join(above);
            if path.is_symlink() {
                let found = "a linked folder";
                return Err(PrepareError::InTheWay {
                    path,
                    found,
                    placing,
                });
            }
        }
    }
    Ok(())
}

fn create_folder(target: &Path) -> Result<(), Error> {
    match target.parent() {
        Some(folder) => fs::create_dir_all(folder).map_err(Error::io(folder)),
        None => Ok(()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

fn temporary_name() -> String {
    static PLACED: AtomicU64 = AtomicU64::new(0);
    let count = PLACED.fetch_add(1, Ordering::Relaxed);
    format!("{}-{count}", std::process::id())
}
