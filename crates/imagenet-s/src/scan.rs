//! Walks a folder of files in a defined order.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::error::Error;

/// What lies in a folder.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Names of the folders directly in it, sorted; empty ones too.
    pub(crate) folders: Vec<String>,
    /// The wanted files in and below it, sorted by name at each level.
    pub(crate) files: Vec<Found>,
    /// Files that were not wanted. Hidden ones are not counted.
    pub(crate) ignored: u64,
}

/// A wanted file.
#[derive(Debug)]
pub(crate) struct Found {
    /// Path below the scanned folder with `/` between its parts, without the extension; unique.
    pub(crate) key: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Rank of its top-level folder; `None` for a file directly in the scanned folder.
    pub(crate) folder: Option<usize>,
}

/// Everything in and below `root`: follows symbolic links, skips hidden names.
pub(crate) fn scan(root: &Path, wanted: fn(&Path) -> bool) -> Result<Scan, Error> {
    let mut scan = Scan::default();
    for entry in sorted_entries(root, wanted, &mut scan.ignored)? {
        if entry.is_folder {
            let rank = scan.folders.len();
            visit(&entry, &entry.name, rank, wanted, &mut scan)?;
            scan.folders.push(entry.name);
        } else {
            scan.files.push(entry.found("", None));
        }
    }
    Ok(scan)
}

fn visit(
    folder: &Entry,
    key: &str,
    rank: usize,
    wanted: fn(&Path) -> bool,
    scan: &mut Scan,
) -> Result<(), Error> {
    for entry in sorted_entries(&folder.path, wanted, &mut scan.ignored)? {
        if entry.is_folder {
            visit(&entry, &format!("{key}/{}", entry.name), rank, wanted, scan)?;
        } else {
            scan.files.push(entry.found(&format!("{key}/"), Some(rank)));
        }
    }
    Ok(())
}

/// A folder, or a wanted file.
struct Entry {
    name: String,
    path: PathBuf,
    is_folder: bool,
}

impl Entry {
    fn stem(&self) -> &str {
        self.name
            .rsplit_once('.')
            .map_or(self.name.as_str(), |(stem, _)| stem)
    }

    fn found(self, prefix: &str, folder: Option<usize>) -> Found {
        Found {
            key: format!("{prefix}{}", self.stem()),
            path: self.path,
            folder,
        }
    }
}

fn sorted_entries(
    folder: &Path,
    wanted: fn(&Path) -> bool,
    ignored: &mut u64,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let entry = Entry::of(&entry)?;
        if entry.is_folder || wanted(&entry.path) {
            entries.push(entry);
        } else {
            *ignored += 1;
        }
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    check_stems(&entries)?;
    Ok(entries)
}

impl Entry {
    fn of(entry: &fs::DirEntry) -> Result<Self, Error> {
        let path = entry.path();
        let mut kind = entry.file_type().map_err(Error::io(&path))?;
        if kind.is_symlink() {
            kind = followed(&path)?.file_type();
        }
        match entry.file_name().into_string() {
            Ok(name) => Ok(Self {
                name,
                path,
                is_folder: kind.is_dir(),
            }),
            Err(_) => Err(Error::NameNotUtf8 { path }),
        }
    }
}

/// A cycle of links ends here too, as the operating system gives up on a path with many of them.
fn followed(link: &Path) -> Result<fs::Metadata, Error> {
    fs::metadata(link).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => dangling(link),
        _ => Error::Io {
            path: link.to_owned(),
            source,
        },
    })
}

fn dangling(link: &Path) -> Error {
    let target = fs::read_link(link).unwrap_or_default();
    Error::DanglingLink {
        path: link.to_owned(),
        target,
    }
}

fn check_stems(entries: &[Entry]) -> Result<(), Error> {
    let mut seen = HashMap::new();
    for entry in entries.iter().filter(|entry| !entry.is_folder) {
        if let Some(first) = seen.insert(entry.stem(), &entry.path) {
            let (first, second) = (first.clone(), entry.path.clone());
            return Err(Error::DuplicateStem { first, second });
        }
    }
    Ok(())
}
