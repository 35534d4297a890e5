//! Prepares a tree in the ImageNet-S layout from ImageNet-1k and the archive of masks.
//!
//! The names inside the archive say which pictures belong to train-semi and validation, and to
//! which class each was assigned anew; training pictures keep their class, apart from five merged
//! ones; the test split needs the official mapping file.
//!
//! A preparation may be killed and started again, run twice, or run by two processes at once: a
//! lock lets one at a time work on an output folder, each file appears whole or not at all, and
//! what is there already is left alone. The settings are written last, as the mark of a complete
//! tree.

mod archive;
mod error;
mod imagenet;
mod place;
mod plan;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Split, Subset,
    categories::classes,
    checksums::{Checksums, md5_of},
    error::Error,
    layout,
    progress::{Counter, Watcher},
};

pub use error::PrepareError;
pub use imagenet::ImageNet;
pub use place::Placing;
pub use plan::Plan;

/// Bytes that the smallest file takes on usual file systems.
const BLOCK_BYTES: u64 = 4096;

/// Where the parts lie and how they are put together.
#[derive(Debug, Clone)]
pub struct Config {
    /// ImageNet-1k.
    pub imagenet: ImageNet,
    /// Folder of the mask archives, under the names that the manifest gives them.
    pub annotations: PathBuf,
    /// Folder of the official mapping files (see [`layout::test_mapping_file`]); without it a tree
    /// gets no test split.
    pub test_mappings: Option<PathBuf>,
    /// Where the tree is made, in a folder named after its subset.
    pub output: PathBuf,
    /// How pictures are placed.
    pub placing: Placing,
    /// Whether a 919 tree gets all of ImageNet-1k for pre-training.
    pub train_full: bool,
}

/// What a tree says about itself, in [`layout::PREPARED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {
    /// The subset.
    pub subset: Subset,
    /// How pictures were placed.
    pub placing: Placing,
    /// Pictures of train, train-semi, validation and test.
    pub pictures: [u64; Split::ALL.len()],
    /// Masks of train-semi and validation.
    pub masks: u64,
}

/// What a preparation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Files and links that were placed now.
    pub placed: u64,
    /// Files and links that were there already.
    pub kept: u64,
}

/// Bytes in whole blocks.
fn in_blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// Bytes free for this user where `folder` is, or will be.
///
/// # Errors
///
/// [`Error::Io`].
pub fn free_bytes(folder: &Path) -> Result<u64, Error> {
    let folder = std::path::absolute(folder).map_err(Error::io(folder))?;
    let existing = folder.ancestors().find(|folder| folder.is_dir());
    let existing = existing.unwrap_or(Path::new("/"));
    let space = rustix::fs::statvfs(existing).map_err(|error| Error::io(existing)(error.into()))?;
    Ok(space.f_bavail * space.f_frsize)
}

/// Carries out a plan. `watcher` hears of every file.
///
/// # Errors
///
/// See [`PrepareError`]. What was placed stays, and is not placed again next time.
pub fn prepare(plan: &Plan, watcher: Watcher<'_>) -> Result<Summary, PrepareError> {
    check_space(plan)?;
    let output = plan.root.parent().unwrap_or(&plan.root);
    fs::create_dir_all(output).map_err(Error::io(output))?;
    let _lock = lock(output)?;
    let staging = plan.root.join(layout::STAGING);
    remove_folder(&staging)?;
    fs::create_dir_all(&staging).map_err(Error::io(&staging))?;
    place::check_folders(&plan.root, &plan.files)?;
    place::check_folders(&plan.root, &plan.second_files)?;

    let total = plan.files.len() + plan.second_files.len() + plan.masks as usize;
    let counter = Counter::new("placing files", total, watcher);
    let mut placed = place_files(plan, &plan.files, &staging, &counter)?;
    placed += place_files(plan, &plan.second_files, &staging, &counter)?;
    let (masks, sums) = place_masks(plan, &staging, &counter)?;
    placed += masks;
    write_notes(plan, &sums, &staging)?;
    remove_folder(&staging)?;
    let kept = total as u64 - placed;
    Ok(Summary { placed, kept })
}

fn check_space(plan: &Plan) -> Result<(), PrepareError> {
    let free_bytes = free_bytes(&plan.root)?;
    if plan.missing_bytes <= free_bytes {
        return Ok(());
    }
    Err(PrepareError::NoSpace {
        path: plan.root.clone(),
        needed_bytes: plan.missing_bytes,
        free_bytes,
    })
}

/// Waits until nobody else prepares in this folder. The operating system opens the lock when the
/// process ends, however it ends. Where there are no locks (some network file systems) the files
/// are still placed one by one, whole.
fn lock(output: &Path) -> Result<File, Error> {
    let path = output.join(layout::LOCK_FILE);
    let open = File::options().create(true).append(true).open(&path);
    let file = open.map_err(Error::io(&path))?;
    match file.lock() {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(Error::io(&path)(error)),
        _ => Ok(file),
    }
}

fn place_files(
    plan: &Plan,
    files: &[place::Planned],
    staging: &Path,
    counter: &Counter<'_>,
) -> Result<u64, PrepareError> {
    let place = |file: &place::Planned| {
        let placed = file.place(&plan.root, staging)?;
        counter.step();
        Ok(u64::from(placed))
    };
    files
        .par_iter()
        .map(place)
        .try_reduce(|| 0, |a, b| Ok(a + b))
}

/// Unpacks the masks: how many were missing, and the sums of all.
fn place_masks(
    plan: &Plan,
    staging: &Path,
    counter: &Counter<'_>,
) -> Result<(u64, Checksums), PrepareError> {
    let (mut placed, mut sums) = (0, Checksums::default());
    plan.archive.read(&mut |name, bytes| {
        let target = name.target();
        placed += u64::from(place::place_bytes(&target, bytes, &plan.root, staging)?);
        sums.insert(target, md5_of(bytes));
        counter.step();
        Ok(())
    })?;
    Ok((placed, sums))
}

/// Class list, sums and, last, the mark of a complete tree.
fn write_notes(plan: &Plan, sums: &Checksums, staging: &Path) -> Result<(), PrepareError> {
    let classes = classes(plan.subset);
    let list: Vec<&str> = classes.iter().map(|class| class.wnid).collect();
    let prepared = Prepared {
        subset: plan.subset,
        placing: plan.placing,
        pictures: plan.pictures,
        masks: plan.masks,
    };
    let prepared = toml::to_string(&prepared).expect("a record of numbers is TOML");
    for (name, text) in [
        (layout::CLASS_LIST, list.join("\n")),
        (layout::CHECKSUMS, sums.to_text()),
        (layout::PREPARED, prepared),
    ] {
        place::place_bytes(name, text.as_bytes(), &plan.root, staging)?;
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(folder)(error)),
        _ => Ok(()),
    }
}
