//! Which file belongs to which true mask.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::{Problem, ProblemKind, Tree, tree::composed};

/// How files were paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingRule {
    /// By the path below the folder, without the extension.
    Path,
    /// By the file name alone, because no path is in both folders: one is nested otherwise.
    Name,
}

impl PairingRule {
    /// The name that reports use.
    pub fn name(self) -> &'static str {
        match self {
            PairingRule::Path => "path",
            PairingRule::Name => "name",
        }
    }
}

/// Pairs of a true mask and the file that belongs to it, and what is left over.
///
/// Files belong together when their paths below the two folders are equal up to the extension (and
/// the trees' suffixes). Where not a single path is in both folders, the file name alone decides,
/// so that `class/name.png` finds `name.png`; a name that occurs twice in one of them is then a
/// problem. Names that only spell their letters otherwise, in Unicode's composed or decomposed form
/// (as copies from some file systems do), are equal where no other name is.
#[derive(Debug, Clone)]
pub struct Pairing {
    rule: PairingRule,
    files: BTreeMap<PathBuf, (PathBuf, PathBuf)>,
    respelled: u64,
    problems: Vec<Problem>,
}

impl Pairing {
    /// Pairs each true mask with the file of `others` that belongs to it.
    pub fn new(truth: &Tree, others: &Tree) -> Self {
        let by_path = Names::new(truth, others, |key| key.as_os_str());
        let (rule, names) = match by_path.0.values().any(Spellings::are_in_both) {
            true => (PairingRule::Path, by_path),
            false => {
                let name = |key| Path::file_name(key).unwrap_or_default();
                (PairingRule::Name, Names::new(truth, others, name))
            }
        };
        let mut pairing = Self {
            rule,
            files: BTreeMap::new(),
            respelled: 0,
            problems: [truth.problems(), others.problems()].concat(),
        };
        for spellings in names.0.into_values() {
            pairing.add(spellings, truth, others);
        }
        if pairing.files.is_empty() {
            pairing.rule = PairingRule::Path; // nothing in common either way
        }
        pairing.problems.sort();
        pairing
    }

    /// Pairs the keys of one spelling, and then what only the composed form of the name can pair.
    fn add(&mut self, spellings: Spellings, truth: &Tree, others: &Tree) {
        let mut rest = Keys::default();
        for keys in spellings.0.into_values() {
            match (keys.ours.as_slice(), keys.theirs.as_slice()) {
                ([key], [other]) => self.pair(key, truth, other, others),
                _ => rest.extend(keys),
            }
        }
        match (rest.ours.as_slice(), rest.theirs.as_slice()) {
            ([key], [other]) => {
                self.respelled += 1;
                self.pair(key, truth, other, others);
            }
            (keys, []) => keys
                .iter()
                .for_each(|key| self.missing(path_of(truth, key), others)),
            ([], keys) => keys
                .iter()
                .for_each(|key| self.extra(path_of(others, key), truth, key)),
            (ours, keys) => keys.iter().for_each(|key| {
                self.ambiguous(path_of(others, key), ours.len(), keys.len());
            }),
        }
    }

    fn pair(&mut self, key: &Path, truth: &Tree, other: &Path, others: &Tree) {
        let files = (path_of(truth, key), path_of(others, other));
        let files = (files.0.to_owned(), files.1.to_owned());
        self.files.insert(key.to_owned(), files);
    }

    fn missing(&mut self, truth: &Path, others: &Tree) {
        let root = others.root().display();
        let message = format!("nothing under {root} belongs to this true mask; make it");
        self.push(truth, ProblemKind::Missing, message);
    }

    fn extra(&mut self, path: &Path, truth: &Tree, key: &Path) {
        let (root, key) = (truth.root().display(), key.display());
        let message =
            format!("{root} has no true mask {key}; is this the prediction of another split?");
        self.push(path, ProblemKind::Extra, message);
    }

    fn ambiguous(&mut self, path: &Path, truths: usize, others: usize) {
        let message = format!(
            "{truths} true masks and {others} files have this name; give both folders the same structure"
        );
        self.push(path, ProblemKind::Ambiguous, message);
    }

    fn push(&mut self, path: &Path, kind: ProblemKind, message: String) {
        self.problems.push(Problem::new(path, kind, message));
    }

    /// How the files were paired.
    pub fn rule(&self) -> PairingRule {
        self.rule
    }

    /// Number of pairs whose names spell their letters in different forms of Unicode.
    pub fn respelled(&self) -> u64 {
        self.respelled
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The true mask and the other file of each pair, in the order of the truths' keys.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.files
            .values()
            .map(|(truth, other)| (truth.as_path(), other.as_path()))
    }

    /// The key of each true mask, with its file and the other one, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Path, &Path)> {
        self.files
            .iter()
            .map(|(key, (truth, other))| (key.as_path(), truth.as_path(), other.as_path()))
    }

    /// The other file of the true mask with this key.
    pub fn get(&self, key: &Path) -> Option<&Path> {
        self.files.get(key).map(|(_, other)| other.as_path())
    }

    /// Missing, extra and ambiguous files, ordered by path.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

fn path_of<'a>(tree: &'a Tree, key: &'a Path) -> &'a Path {
    tree.get(key).unwrap_or(key)
}

/// The keys of both trees by what is compared of them, in its composed form.
struct Names<'a>(BTreeMap<OsString, Spellings<'a>>);

/// The keys of one composed name by the name as it is.
#[derive(Default)]
struct Spellings<'a>(BTreeMap<&'a OsStr, Keys<'a>>);

#[derive(Default)]
struct Keys<'a> {
    ours: Vec<&'a Path>,
    theirs: Vec<&'a Path>,
}

impl<'a> Names<'a> {
    fn new(truth: &'a Tree, others: &'a Tree, name: impl Fn(&'a Path) -> &'a OsStr) -> Self {
        let mut names = Self(BTreeMap::new());
        for (key, _) in truth.iter() {
            names.keys(name(key)).ours.push(key);
        }
        for (key, _) in others.iter() {
            names.keys(name(key)).theirs.push(key);
        }
        names
    }

    fn keys(&mut self, name: &'a OsStr) -> &mut Keys<'a> {
        let composed = name.to_str().map(|name| OsString::from(composed(name)));
        let composed = composed.unwrap_or_else(|| name.to_owned());
        let spellings = self.0.entry(composed).or_default();
        spellings.0.entry(name).or_default()
    }
}

impl Spellings<'_> {
    fn are_in_both(&self) -> bool {
        let mut keys = self.0.values();
        let mut others = keys.clone();
        keys.any(|keys| !keys.ours.is_empty()) && others.any(|keys| !keys.theirs.is_empty())
    }
}

impl Keys<'_> {
    fn extend(&mut self, other: Self) {
        self.ours.extend(other.ours);
        self.theirs.extend(other.theirs);
    }
}
