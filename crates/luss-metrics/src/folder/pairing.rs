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
        let (rule, names) = match by_path.0.values().any(Name::is_in_both) {
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
        for mut name in names.0.into_values() {
            name.take_equal()
                .for_each(|[ours, other]| pairing.pair(ours, truth, other, others));
            pairing.add_rest(&name, truth, others);
        }
        if pairing.files.is_empty() {
            pairing.rule = PairingRule::Path; // nothing in common either way
        }
        pairing.problems.sort();
        pairing
    }

    /// What only the composed form of a name can pair, or nothing.
    fn add_rest(&mut self, name: &Name, truth: &Tree, others: &Tree) {
        match (name.ours.as_slice(), name.theirs.as_slice()) {
            ([(key, _)], [(other, _)]) => {
                self.respelled += 1;
                self.pair(key, truth, other, others);
            }
            (keys, []) => keys
                .iter()
                .for_each(|(key, _)| self.missing(path_of(truth, key), others)),
            ([], keys) => keys
                .iter()
                .for_each(|(key, _)| self.extra(path_of(others, key), truth, key)),
            (ours, keys) => keys.iter().for_each(|(key, _)| {
                self.ambiguous(path_of(others, key).to_owned(), ours.len(), keys.len());
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
struct Names<'a>(BTreeMap<OsString, Name<'a>>);

/// Keys of one composed name, each with the name as it is.
#[derive(Default)]
struct Name<'a> {
    ours: Vec<(&'a Path, &'a OsStr)>,
    theirs: Vec<(&'a Path, &'a OsStr)>,
}

impl<'a> Names<'a> {
    fn new(truth: &'a Tree, others: &'a Tree, name: impl Fn(&'a Path) -> &'a OsStr) -> Self {
        let mut names = Self(BTreeMap::new());
        for (key, _) in truth.iter() {
            names.of(name(key)).ours.push((key, name(key)));
        }
        for (key, _) in others.iter() {
            names.of(name(key)).theirs.push((key, name(key)));
        }
        names
    }

    fn of(&mut self, name: &OsStr) -> &mut Name<'a> {
        let composed = name.to_str().map(|name| OsString::from(composed(name)));
        let composed = composed.unwrap_or_else(|| name.to_owned());
        self.0.entry(composed).or_default()
    }
}

impl<'a> Name<'a> {
    fn is_in_both(&self) -> bool {
        !self.ours.is_empty() && !self.theirs.is_empty()
    }

    /// Takes out the pairs whose names are equal as they are, if no third key has the name.
    fn take_equal(&mut self) -> impl Iterator<Item = [&'a Path; 2]> + use<'a> {
        let (ours, theirs) = (self.ours.clone(), self.theirs.clone());
        let count = |keys: &[(&Path, &OsStr)], name| keys.iter().filter(|of| of.1 == name).count();
        let is_one = |name| count(&ours, name) == 1 && count(&theirs, name) == 1;
        self.ours.retain(|of| !is_one(of.1));
        self.theirs.retain(|of| !is_one(of.1));
        let pair = |&(key, name): &(&'a Path, &'a OsStr)| {
            let other = theirs.iter().find(|of| of.1 == name)?.0;
            is_one(name).then_some([key, other])
        };
        ours.iter().filter_map(pair).collect::<Vec<_>>().into_iter()
    }
}
