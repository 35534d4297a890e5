//! All files of one kind below a folder.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::{FileError, Problem, ProblemKind};

/// The files of one extension below a folder, at any depth, in the order of their keys.
///
/// The key of a file is its path below the folder, without the extension. Symbolic links are
/// followed, but never back into a folder that is being read. Names that begin with a dot are left
/// out (editors and copying programs leave such files), and so are other extensions; the
/// extension's case does not matter.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    files: BTreeMap<PathBuf, PathBuf>,
    problems: Vec<Problem>,
}

impl Tree {
    /// The `.png` files below `root`.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] when `root` is no folder or a folder below it cannot be read.
    pub fn of_masks(root: &Path) -> Result<Self, FileError> {
        Self::new(root, "png")
    }

    /// The `.npy` files below `root`.
    ///
    /// # Errors
    ///
    /// As [`Tree::of_masks`].
    pub fn of_scores(root: &Path) -> Result<Self, FileError> {
        Self::new(root, "npy")
    }

    fn new(root: &Path, extension: &str) -> Result<Self, FileError> {
        let mut tree = Self {
            root: root.to_owned(),
            files: BTreeMap::new(),
            problems: Vec::new(),
        };
        tree.read_folder(root, extension, &mut Vec::new())?;
        tree.problems.sort();
        Ok(tree)
    }

    /// Adds what is in `folder`; `open` are the real paths of the folders around it.
    fn read_folder(
        &mut self,
        folder: &Path,
        extension: &str,
        open: &mut Vec<PathBuf>,
    ) -> Result<(), FileError> {
        let io = |source| FileError::Io {
            path: folder.to_owned(),
            source,
        };
        let real = fs::canonicalize(folder).map_err(io)?;
        if open.contains(&real) {
            return Ok(()); // a link to a folder around it
        }
        open.push(real);
        for entry in fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if !is_hidden(&path) {
                self.read_entry(path, extension, open)?;
            }
        }
        open.pop();
        Ok(())
    }

    fn read_entry(
        &mut self,
        path: PathBuf,
        extension: &str,
        open: &mut Vec<PathBuf>,
    ) -> Result<(), FileError> {
        let wanted = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case(extension));
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return self.read_folder(&path, extension, open),
            Ok(_) if wanted => self.add(path),
            Err(error) if wanted => {
                let message = format!("{error}; is it a link whose target is gone?");
                self.problems
                    .push(problem(path, ProblemKind::Undecodable, message));
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf) {
        let key = path
            .strip_prefix(&self.root)
            .unwrap_or(&path)
            .with_extension("");
        match self.files.get(&key) {
            None => drop(self.files.insert(key, path)),
            Some(other) => {
                let (first, second) = if *other < path {
                    (other.clone(), path)
                } else {
                    (path, other.clone())
                };
                let message = format!("{} has the same name; remove one of them", first.display());
                self.problems
                    .push(problem(second, ProblemKind::Ambiguous, message));
                self.files.insert(key, first);
            }
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The path of the file with this key.
    pub fn get(&self, key: &Path) -> Option<&Path> {
        self.files.get(key).map(PathBuf::as_path)
    }

    /// Keys and paths, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.files
            .iter()
            .map(|(key, path)| (key.as_path(), path.as_path()))
    }

    /// Links without a target, and files of one name.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The keys by file name; several files may have one name.
    pub(crate) fn by_name(&self) -> BTreeMap<&OsStr, Vec<&Path>> {
        let mut names: BTreeMap<&OsStr, Vec<&Path>> = BTreeMap::new();
        for key in self.files.keys() {
            names
                .entry(key.file_name().unwrap_or_default())
                .or_default()
                .push(key);
        }
        names
    }
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn problem(path: PathBuf, kind: ProblemKind, message: String) -> Problem {
    Problem {
        path,
        kind,
        message,
    }
}
