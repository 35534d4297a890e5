//! Arrays that several machines wrote a part of each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::unreadable;
use crate::error::{Error, Result};

/// Where part `shard` of `of` parts of a file lies: `NAME.2-of-3.npy` for the second of three.
pub fn shard_path(path: &Path, shard: usize, of: usize) -> PathBuf {
    let extension = path.extension().unwrap_or_default().display();
    path.with_extension(format!("{shard}-of-{of}.{extension}"))
}

/// The parts of a file that is not there itself, in order; nothing if there are no parts either.
///
/// # Errors
///
/// A part that is missing; parts of several divisions.
pub fn shards_of(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    if path.exists() {
        return Ok(None);
    }
    let mut counts = counts_beside(path)?;
    counts.sort_unstable();
    counts.dedup();
    let count = match counts[..] {
        [] => return Ok(None),
        [count] => count,
        _ => {
            let reason = format!(
                "beside it lie parts of several divisions, into {counts:?}; remove those that are not meant"
            );
            return Err(unreadable(path, reason));
        }
    };
    let parts: Vec<_> = (1..=count)
        .map(|shard| shard_path(path, shard, count))
        .collect();
    match parts.iter().find(|part| !part.exists()) {
        Some(missing) => {
            let reason = format!(
                "it is one of the {count} parts of {} and missing",
                path.display()
            );
            Err(unreadable(missing, reason))
        }
        None => Ok(Some(parts)),
    }
}

/// The number of parts in the name of each part.
fn counts_beside(path: &Path) -> Result<Vec<usize>> {
    let (Some(stem), Some(extension)) = (path.file_stem(), path.extension()) else {
        return Ok(Vec::new());
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return Ok(Vec::new()); // whoever opens the file says so
    };
    let (start, end) = (
        format!("{}.", stem.display()),
        format!(".{}", extension.display()),
    );
    let mut counts = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| Error::io("read", path, e))?.file_name();
        let name = name.to_string_lossy();
        let middle = name
            .strip_prefix(&start)
            .and_then(|rest| rest.strip_suffix(&end));
        let numbers = middle.and_then(|middle| middle.split_once("-of-"));
        if let Some((Ok(_), Ok(count))) = numbers.map(|(i, n)| (i.parse::<usize>(), n.parse())) {
            counts.push(count);
        }
    }
    Ok(counts)
}
