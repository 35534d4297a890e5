//! Lists a tree without stopping at the first thing that is wrong.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{Fault, FaultKind};
use crate::{
    dataset::{
        samples::is_mask,
        tour::{LeftOut, Tour},
    },
    error::Error,
    layout::Split,
    pictures::format::named_format,
};

/// A picture or a mask.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// Below the root, with `/` between the parts.
    pub(super) key: String,
}

/// A picture, its mask, or both.
#[derive(Debug, Clone, Default)]
pub(super) struct Pair {
    pub(super) picture: Option<Entry>,
    pub(super) mask: Option<Entry>,
}

/// One split.
#[derive(Debug, Default)]
pub(super) struct SplitFiles {
    /// Class folders of the pictures, empty ones too.
    pub(super) classes: Vec<String>,
    /// By class and stem.
    pub(super) pairs: BTreeMap<(String, String), Pair>,
    /// Whether there is a folder of masks.
    pub(super) has_masks: bool,
}

impl SplitFiles {
    /// Pictures of the split, with the class and stem of each.
    pub(super) fn pictures(&self) -> impl Iterator<Item = (&(String, String), &Entry)> {
        self.pairs
            .iter()
            .filter_map(|(name, pair)| Some((name, pair.picture.as_ref()?)))
    }
}

/// The pictures and masks of a split of the tree at `root`.
pub(super) fn walk_split(root: &Path, split: Split, faults: &mut Vec<Fault>) -> SplitFiles {
    let mut files = SplitFiles::default();
    let is_picture = |path: &Path| named_format(path).is_some();
    let folder = split.pictures(root);
    let tour = Tour::of_pictures(&folder, None);
    let (classes, pictures) = walk_folder(root, &folder, tour, is_picture, faults);
    files.classes = classes;
    for (name, entry) in pictures {
        files.pairs.entry(name).or_default().picture = Some(entry);
    }
    if let Some(folder) = split.masks(root).filter(|folder| folder.is_dir()) {
        files.has_masks = true;
        let tour = Tour::of_files(&folder);
        for (name, entry) in walk_folder(root, &folder, tour, is_mask, faults).1 {
            files.pairs.entry(name).or_default().mask = Some(entry);
        }
    }
    files
}

/// Files by class and stem.
type Entries = Vec<((String, String), Entry)>;

/// The classes below a folder of the tree at `root`, and the wanted files in them.
fn walk_folder(
    root: &Path,
    folder: &Path,
    tour: Result<Tour, Error>,
    wanted: fn(&Path) -> bool,
    faults: &mut Vec<Fault>,
) -> (Vec<String>, Entries) {
    let tour = match tour {
        Ok(tour) => tour,
        Err(error) => {
            faults.push(Fault::of(&error, folder));
            return Default::default();
        }
    };
    let mut walk = Walk {
        root,
        wanted,
        tour,
        entries: Vec::new(),
        classes: Vec::new(),
        faults,
    };
    walk.split_folder(folder);
    let (classes, entries, tour) = (walk.classes, walk.entries, walk.tour);
    faults.extend(tour.left_out.iter().map(left_out));
    (classes, entries)
}

fn left_out(folder: &LeftOut) -> Fault {
    let (kind, remedy) = match folder {
        LeftOut::Results { .. } => (FaultKind::Results, "runs lie best beside the pictures"),
        LeftOut::Again { .. } => (FaultKind::LinkAgain, "nothing needs this link"),
    };
    let text = format!("{}; {remedy}", folder.reason());
    Fault::new(kind, folder.path(), text)
}

struct Walk<'a> {
    root: &'a Path,
    wanted: fn(&Path) -> bool,
    tour: Tour,
    entries: Entries,
    classes: Vec<String>,
    faults: &'a mut Vec<Fault>,
}

impl Walk<'_> {
    fn split_folder(&mut self, folder: &Path) {
        for (name, path, is_folder) in self.list(folder) {
            if is_folder {
                self.top_folder(&path, name);
            } else if (self.wanted)(&path) {
                let text = "lies outside the class folders; move it into its class, or remove it";
                self.faults
                    .push(Fault::new(FaultKind::LooseFile, path, text));
            } else {
                self.stray(path);
            }
        }
    }

    fn top_folder(&mut self, folder: &Path, class: String) {
        let (entries, left_out) = (self.entries.len(), self.tour.left_out.len());
        self.class_folder(folder, &class, "");
        let is_empty = self.entries.len() == entries;
        // A folder that holds nothing but a run is no class.
        if !is_empty || self.tour.left_out.len() == left_out {
            self.classes.push(class);
        }
    }

    fn enters(&mut self, folder: &Path) -> bool {
        let entered = self.tour.enters(folder);
        entered.unwrap_or_else(|error| {
            self.faults.push(Fault::of(&error, folder));
            false
        })
    }

    fn class_folder(&mut self, folder: &Path, class: &str, prefix: &str) {
        if !self.enters(folder) {
            return;
        }
        let mut last: Option<(String, PathBuf)> = None;
        for (name, path, is_folder) in self.list(folder) {
            if is_folder {
                self.class_folder(&path, class, &format!("{prefix}{name}/"));
                continue;
            }
            if !(self.wanted)(&path) {
                self.stray(path);
                continue;
            }
            let stem = name
                .rsplit_once('.')
                .map_or(name.as_str(), |(stem, _)| stem);
            let stem = format!("{prefix}{stem}");
            match last.replace((stem.clone(), path.clone())) {
                Some((before, first)) if before == stem => self.duplicate(&first, path),
                _ => self
                    .entries
                    .push(((class.to_owned(), stem), self.entry(path))),
            }
        }
    }

    /// Names, paths and kinds of what lies in a folder, sorted by stem; hidden names left out.
    fn list(&mut self, folder: &Path) -> Vec<(String, PathBuf, bool)> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let error = Error::io(folder)(error);
                self.faults.push(Fault::of(&error, folder));
                return found;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            match classify(&path) {
                Ok((name, _)) if name.starts_with('.') => {}
                Ok((name, is_folder)) => found.push((name, path, is_folder)),
                Err(error) => self.faults.push(Fault::of(&error, path)),
            }
        }
        found.sort_unstable();
        found
    }

    fn duplicate(&mut self, first: &Path, second: PathBuf) {
        let text = format!(
            "has the same stem as {}; masks go by stem, so rename one, or move it to another folder",
            first.display()
        );
        self.faults
            .push(Fault::new(FaultKind::DuplicateStem, second, text));
    }

    fn stray(&mut self, path: PathBuf) {
        let text = "nothing reads a file of this name (pictures are JPEG, PNG, WebP, TIFF and BMP); \
                    convert it if it is a picture, or remove it if it is left over";
        self.faults
            .push(Fault::new(FaultKind::StrayFile, path, text));
    }

    fn entry(&self, path: PathBuf) -> Entry {
        let below = path.strip_prefix(self.root).unwrap_or(&path);
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        let key = parts.join("/");
        Entry { path, key }
    }
}

/// Name and whether it is a folder, links followed.
fn classify(path: &Path) -> Result<(String, bool), Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.map(str::to_owned) else {
        let path = path.to_owned();
        return Err(Error::NameNotUtf8 { path });
    };
    match fs::metadata(path) {
        Ok(found) => Ok((name, found.is_dir())),
        Err(_) if path.is_symlink() => Err(Error::DanglingLink {
            path: path.to_owned(),
            target: fs::read_link(path).unwrap_or_default(),
        }),
        Err(error) => Err(Error::io(path)(error)),
    }
}
