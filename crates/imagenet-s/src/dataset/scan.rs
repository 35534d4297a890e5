//! Walks a folder of files in a defined order.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    dataset::tour::{LeftOut, Tour},
    error::Error,
};

/// What lies in a folder.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Names of the folders directly in it, sorted; empty ones too, but none that holds nothing
    /// but what is left out.
    pub(crate) folders: Vec<String>,
    /// The wanted files in and below it, sorted by name at each level.
    pub(crate) files: Vec<Found>,
    /// Files that were not wanted. Hidden ones are not counted.
    pub(crate) ignored: u64,
    /// Folders that were not walked.
    pub(crate) left_out: Vec<LeftOut>,
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

/// Everything in and below `root`: follows symbolic links, but walks each real folder once; skips
/// hidden names.
pub(crate) fn scan(root: &Path, wanted: fn(&Path) -> bool) -> Result<Scan, Error> {
    scan_on(Tour::of_files(root)?, root, wanted)
}

/// The same on a tour that has not begun, of pictures for instance.
pub(crate) fn scan_on(tour: Tour, root: &Path, wanted: fn(&Path) -> bool) -> Result<Scan, Error> {
    let mut walk = Walk {
        wanted,
        tour,
        scan: Scan::default(),
        same_stems: Vec::new(),
    };
    for entry in walk.sorted_entries(root)? {
        if entry.is_folder {
            walk.top_folder(entry)?;
        } else {
            walk.scan.files.push(entry.found("", None));
        }
    }
    check_stems(walk.same_stems)?;
    walk.scan.left_out = walk.tour.left_out;
    Ok(walk.scan)
}

struct Walk {
    wanted: fn(&Path) -> bool,
    tour: Tour,
    scan: Scan,
    same_stems: Vec<[PathBuf; 2]>,
}

impl Walk {
    fn top_folder(&mut self, folder: Entry) -> Result<(), Error> {
        let files = self.scan.files.len();
        let left_out = self.tour.left_out.len();
        self.visit(&folder, &folder.name, self.scan.folders.len())?;
        let is_empty = self.scan.files.len() == files;
        // A folder that holds nothing but a run is no class.
        if !is_empty || self.tour.left_out.len() == left_out {
            self.scan.folders.push(folder.name);
        }
        Ok(())
    }

    fn visit(&mut self, folder: &Entry, key: &str, rank: usize) -> Result<(), Error> {
        if !self.tour.enters(&folder.path)? {
            return Ok(());
        }
        for entry in self.sorted_entries(&folder.path)? {
            if entry.is_folder {
                self.visit(&entry, &format!("{key}/{}", entry.name), rank)?;
            } else {
                let found = entry.found(&format!("{key}/"), Some(rank));
                self.scan.files.push(found);
            }
        }
        Ok(())
    }

    fn sorted_entries(&mut self, folder: &Path) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
            let entry = entry.map_err(Error::io(folder))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let entry = Entry::of(&entry)?;
            if entry.is_folder || (self.wanted)(&entry.path) {
                entries.push(entry);
            } else {
                self.scan.ignored += 1;
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.note_same_stems(&entries);
        Ok(entries)
    }

    fn note_same_stems(&mut self, entries: &[Entry]) {
        let mut seen = HashMap::new();
        for entry in entries.iter().filter(|entry| !entry.is_folder) {
            if let Some(first) = seen.insert(entry.stem(), &entry.path) {
                self.same_stems.push([first.clone(), entry.path.clone()]);
            }
        }
    }
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

/// A link to itself ends here too: the operating system gives up on it.
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

fn check_stems(same: Vec<[PathBuf; 2]>) -> Result<(), Error> {
    let mut pairs = same.into_iter();
    match pairs.next() {
        Some([first, second]) => Err(Error::DuplicateStem {
            first,
            second,
            more: pairs.collect(),
        }),
        None => Ok(()),
    }
}
