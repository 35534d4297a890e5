//! All files of one kind below a folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use unicode_normalization::UnicodeNormalization as _;

use super::{FileError, MaskFormat, Problem, ProblemKind};

const PNG: &[&str] = &["png"];
const TIFF: &[&str] = &["tif", "tiff"];
const NPY: &[&str] = &["npy"];

/// The extensions of masks.
const MASKS: [&[&str]; 3] = [PNG, TIFF, NPY];

/// The extensions of photographs.
const PHOTOGRAPHS: &[&str] = &["jpg", "jpeg", "png", "webp", "bmp"];

/// Which files of a folder are its masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskFiles {
    /// Its `.png` files; where there are none, its `.tif` and `.tiff` files; where there are none of
    /// these, its `.npy` files.
    #[default]
    FirstKind,
    /// Its `.png`, `.tif` and `.tiff` files together; where there are none, its `.npy` files.
    Mixed,
    /// The files with the extension of this format.
    Of(MaskFormat),
}

impl MaskFiles {
    /// Sets of extensions; the first of which a folder has files is taken.
    fn kinds(self) -> &'static [&'static [&'static str]] {
        match self {
            MaskFiles::FirstKind | MaskFiles::Of(MaskFormat::Binary) => &MASKS,
            MaskFiles::Mixed => &[&["png", "tif", "tiff"], NPY],
            MaskFiles::Of(MaskFormat::Tiff) => &[TIFF],
            MaskFiles::Of(MaskFormat::Npy) => &[NPY],
            MaskFiles::Of(_) => &[PNG],
        }
    }
}

/// The files of one kind below a folder, at any depth, in the order of their keys.
///
/// The key of a file is its path below the folder, without the extension. Symbolic links are
/// followed, but never back into a folder that is being read. Names that begin with a dot are left
/// out (editors and copying programs leave such files), and so are other extensions; the
/// extension's case does not matter.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    /// What names end with, before the extension, and keys do not.
    suffix: String,
    files: BTreeMap<PathBuf, PathBuf>,
    others: Vec<PathBuf>,
    problems: Vec<Problem>,
}

impl Tree {
    /// The masks below `root`: those of [`MaskFiles::FirstKind`].
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] when `root` is no folder or a folder below it cannot be read.
    pub fn of_masks(root: &Path) -> Result<Self, FileError> {
        Self::of_mask_files(root, MaskFiles::default(), "")
    }

    /// The masks below `root` whose names end with `suffix`, such as `_labelTrainIds.png`; their keys
    /// are without it. Its extension, if it has one, is that of the masks. Other files are not looked at.
    ///
    /// # Errors
    ///
    /// As [`Tree::of_masks`].
    pub fn of_mask_files(root: &Path, files: MaskFiles, suffix: &str) -> Result<Self, FileError> {
        let suffix = composed(suffix);
        let is_like = |kind: &&&[&str]| kind.iter().any(|e| has_extension(Path::new(&suffix), e));
        match (MASKS.iter().find(is_like), suffix.rsplit_once('.')) {
            (Some(kind), Some((suffix, _))) => Self::new(root, suffix, &[kind]),
            _ => Self::new(root, &suffix, files.kinds()),
        }
    }

    /// The `.npy` files below `root`.
    ///
    /// # Errors
    ///
    /// As [`Tree::of_masks`].
    pub fn of_scores(root: &Path) -> Result<Self, FileError> {
        Self::new(root, "", &[NPY])
    }

    /// The photographs below `root`: its JPEG, PNG, WebP and BMP files.
    ///
    /// # Errors
    ///
    /// As [`Tree::of_masks`].
    pub fn of_photographs(root: &Path) -> Result<Self, FileError> {
        Self::new(root, "", &[PHOTOGRAPHS])
    }

    /// No files yet.
    pub(crate) fn empty(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            suffix: String::new(),
            files: BTreeMap::new(),
            others: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn new(root: &Path, suffix: &str, kinds: &[&[&str]]) -> Result<Self, FileError> {
        let mut tree = Self {
            suffix: suffix.into(),
            ..Self::empty(root)
        };
        let mut found = BTreeSet::new();
        read_folder(root, &mut Vec::new(), &mut found)?;
        found.retain(|path| tree.stem(path).is_some());
        let is_of = |path: &PathBuf, kind: &[&str]| kind.iter().any(|e| has_extension(path, e));
        let kind = kinds
            .iter()
            .find(|kind| found.iter().any(|path| is_of(path, kind)));
        let kind = kind.copied().unwrap_or_default();
        let (files, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|path| is_of(path, kind));
        let could_be = |path: &PathBuf| MASKS.iter().any(|kind| is_of(path, kind));
        tree.others = others.into_iter().filter(could_be).collect();
        for path in files {
            match fs::metadata(&path) {
                Ok(_) => drop(tree.add(path)),
                Err(error) => {
                    let message = format!("{error}; is it a link whose target is gone?");
                    let problem = Problem::new(path, ProblemKind::Undecodable, message);
                    tree.problems.push(problem);
                }
            }
        }
        tree.problems.sort();
        Ok(tree)
    }

    /// The path below the folder, without extension and suffix; `None` without the suffix.
    fn stem(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let stem = below.with_extension("");
        if self.suffix.is_empty() {
            return Some(stem);
        }
        // Composed letters are compared, and those of the name are kept.
        let name = stem.file_name()?.to_str()?;
        let at = name.char_indices().map(|(at, _)| at);
        let mut at = at.filter(|&at| composed(&name[at..]) == self.suffix);
        let folder = below.parent().unwrap_or(Path::new(""));
        Some(match &name[..at.next()?] {
            "" => folder.to_owned(),
            name => folder.join(name),
        })
    }

    /// The key of a path.
    pub(crate) fn key_of(&self, path: &Path) -> PathBuf {
        self.stem(path).unwrap_or_else(|| path.to_owned())
    }

    /// Adds a file under its own key, which it returns.
    pub(crate) fn add(&mut self, path: PathBuf) -> PathBuf {
        let key = self.key_of(&path);
        self.insert(key.clone(), path);
        key
    }

    /// Adds a file; of two with one key the first by its path stays.
    pub(crate) fn insert(&mut self, key: PathBuf, path: PathBuf) {
        let Some(other) = self.files.get(&key) else {
            self.files.insert(key, path);
            return;
        };
        let (first, second) = if *other <= path {
            (other.clone(), path)
        } else {
            (path, other.clone())
        };
        let message = format!("{} has the same name; remove one of them", first.display());
        let problem = Problem::new(second, ProblemKind::Ambiguous, message);
        self.problems.push(problem);
        self.files.insert(key, first);
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

    /// Files that have an extension of masks and are of another kind than these, by their paths.
    pub fn others(&self) -> &[PathBuf] {
        &self.others
    }

    /// Links without a target, and files of one name.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// Adds all files in `folder`; `open` are the real paths of the folders around it.
fn read_folder(
    folder: &Path,
    open: &mut Vec<PathBuf>,
    found: &mut BTreeSet<PathBuf>,
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
        match fs::metadata(&path) {
            _ if is_hidden(&path) => {}
            Ok(metadata) if metadata.is_dir() => read_folder(&path, open, found)?,
            _ => drop(found.insert(path)),
        }
    }
    open.pop();
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

/// A text with its letters and marks put together (Unicode's form NFC).
pub(crate) fn composed(text: &str) -> String {
    text.nfc().collect()
}
