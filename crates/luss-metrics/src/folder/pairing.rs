//! Which file belongs to which true mask.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{Problem, ProblemKind, Tree};

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
/// Files belong together when their paths below the two folders are equal up to the extension.
/// Where not a single path is in both folders, the file name alone decides, so that
/// `class/name.png` finds `name.png`; a name that occurs twice in one of them is then a problem.
#[derive(Debug, Clone)]
pub struct Pairing {
    rule: PairingRule,
    files: BTreeMap<PathBuf, (PathBuf, PathBuf)>,
    problems: Vec<Problem>,
}

impl Pairing {
    /// Pairs each true mask with the file of `others` that belongs to it.
    pub fn new(truth: &Tree, others: &Tree) -> Self {
        let rule = match truth.iter().any(|(key, _)| others.get(key).is_some()) {
            true => PairingRule::Path,
            false => PairingRule::Name,
        };
        let mut pairing = Self {
            rule,
            files: BTreeMap::new(),
            problems: [truth.problems(), others.problems()].concat(),
        };
        match rule {
            PairingRule::Path => pairing.by_path(truth, others),
            PairingRule::Name => pairing.by_name(truth, others),
        }
        if pairing.files.is_empty() {
            pairing.rule = PairingRule::Path; // nothing in common either way
        }
        pairing.problems.sort();
        pairing
    }

    fn by_path(&mut self, truth: &Tree, others: &Tree) {
        for (key, path) in truth.iter() {
            match others.get(key) {
                Some(other) => self.pair(key, path, other),
                None => self.missing(path, others),
            }
        }
        for (key, path) in others.iter().filter(|(key, _)| truth.get(key).is_none()) {
            self.extra(path, truth, key);
        }
    }

    fn by_name(&mut self, truth: &Tree, others: &Tree) {
        let (true_names, other_names) = (truth.by_name(), others.by_name());
        let names: BTreeSet<&OsStr> = true_names
            .keys()
            .chain(other_names.keys())
            .copied()
            .collect();
        for name in names {
            let ours = true_names.get(name).cloned().unwrap_or_default();
            let theirs = other_names.get(name).cloned().unwrap_or_default();
            let path = |tree: &Tree, key: &Path| tree.get(key).unwrap_or(key).to_owned();
            match (ours.as_slice(), theirs.as_slice()) {
                ([key], [other]) => self.pair(key, &path(truth, key), &path(others, other)),
                (keys, []) => keys
                    .iter()
                    .for_each(|key| self.missing(&path(truth, key), others)),
                ([], keys) => keys
                    .iter()
                    .for_each(|key| self.extra(&path(others, key), truth, key)),
                (_, keys) => keys
                    .iter()
                    .for_each(|key| self.ambiguous(path(others, key), ours.len(), keys.len())),
            }
        }
    }

    fn pair(&mut self, key: &Path, truth: &Path, other: &Path) {
        self.files
            .insert(key.to_owned(), (truth.to_owned(), other.to_owned()));
    }

    fn missing(&mut self, truth: &Path, others: &Tree) {
        let root = others.root().display();
        let message = format!(
            "nothing under {root} belongs to this true mask; make it, or leave such pictures out with --allow-missing"
        );
        self.add(truth.to_owned(), ProblemKind::Missing, message);
    }

    fn extra(&mut self, path: &Path, truth: &Tree, key: &Path) {
        let (root, key) = (truth.root().display(), key.display());
        let message =
            format!("{root} has no true mask {key}; is this the prediction of another split?");
        self.add(path.to_owned(), ProblemKind::Extra, message);
    }

    fn ambiguous(&mut self, path: PathBuf, truths: usize, others: usize) {
        let message = format!(
            "{truths} true masks and {others} files have this name; give both folders the same structure"
        );
        self.add(path, ProblemKind::Ambiguous, message);
    }

    fn add(&mut self, path: PathBuf, kind: ProblemKind, message: String) {
        self.problems.push(Problem {
            path,
            kind,
            message,
        });
    }

    /// How the files were paired.
    pub fn rule(&self) -> PairingRule {
        self.rule
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
