//! Walks a folder of files in a defined order.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    dataset::{
        other_files::OtherFiles,
        tour::{LeftOut, Tour},
    },
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
    /// Files that were not wanted.
    pub(crate) others: OtherFiles,
    /// Files of one folder that have one stem, each with the one of it before, in order of name.
    pub(crate) same_stems: Vec<[PathBuf; 2]>,
    /// Folders that were not walked.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A wanted file.
#[derive(Debug)]
pub(crate) struct Found {
    /// Path below the scanned folder with `/` between its parts, without the extension but where
    /// files of one folder differ in it alone; unique.
    pub(crate) key: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Rank of its top-level folder; `None` for a file directly in the scanned folder.
    pub(crate) folder: Option<usize>,
}

/// Everything in and below `root`: follows symbolic links, but walks each real folder once; skips
/// hidden names.
///
/// # Errors
///
/// [`Error::DuplicateStem`], and those of [`scan_on`].
pub(crate) fn scan(root: &Path, wanted: fn(&Path) -> bool) -> Result<Scan, Error> {
    let scan = scan_on(Tour::of_files(root)?, root, &wanted)?;
    scan.check_stems()?;
    Ok(scan)
}

/// The same on a tour that has not begun, of pictures for instance; files of one stem are kept apart
/// by their extensions.
pub(crate) fn scan_on(
    tour: Tour,
    root: &Path,
    wanted: &dyn Fn(&Path) -> bool,
) -> Result<Scan, Error> {
    let mut walk = Walk {
        wanted,
        tour,
        scan: Scan::default(),
    };
    for entry in walk.sorted_entries(root)? {
        if entry.is_folder {
            walk.top_folder(entry)?;
        } else {
            walk.scan.files.push(entry.found("", None));
        }
    }
    walk.scan.left_out = walk.tour.left_out;
    Ok(walk.scan)
}

impl Scan {
    /// Refuses files of one stem, which masks and results cannot tell apart by it.
    pub(crate) fn check_stems(&self) -> Result<(), Error> {
        match self.same_stems.split_first() {
            Some(([first, second], more)) => Err(Error::DuplicateStem {
                first: first.clone(),
                second: second.clone(),
                more: more.to_vec(),
            }),
            None => Ok(()),
        }
    }
}

struct Walk<'a> {
    wanted: &'a dyn Fn(&Path) -> bool,
    tour: Tour,
    scan: Scan,
}

impl Walk<'_> {
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
                self.scan.others.add(&entry.path);
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.note_same_stems(&entries);
        keep_apart(&mut entries);
        Ok(entries)
    }

    fn note_same_stems(&mut self, entries: &[Entry]) {
        let mut seen = HashMap::new();
        for entry in entries.iter().filter(|entry| !entry.is_folder) {
            if let Some(first) = seen.insert(entry.stem.as_str(), &entry.path) {
                self.scan
                    .same_stems
                    .push([first.clone(), entry.path.clone()]);
            }
        }
    }
}

/// Files whose stem is that of another one in the folder are known by their whole name, and so are
/// those whose stem is then such a name.
fn keep_apart(entries: &mut [Entry]) {
    loop {
        let (mut seen, mut doubled) = (HashSet::new(), HashSet::new());
        for entry in entries.iter().filter(|entry| !entry.is_folder) {
            if !seen.insert(&entry.stem) {
                doubled.insert(entry.stem.clone());
            }
        }
        if doubled.is_empty() {
            return; // whole names differ
        }
        let doubled = |entry: &&mut Entry| !entry.is_folder && doubled.contains(&entry.stem);
        for entry in entries.iter_mut().filter(doubled) {
            entry.stem.clone_from(&entry.name);
        }
    }
}

/// A folder, or a wanted file.
struct Entry {
    name: String,
    /// What a file is known by in its folder.
    stem: String,
    path: PathBuf,
    is_folder: bool,
}

impl Entry {
    fn found(self, prefix: &str, folder: Option<usize>) -> Found {
        Found {
            key: format!("{prefix}{}", self.stem),
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
                stem: stem_of(&name).to_owned(),
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

fn stem_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
