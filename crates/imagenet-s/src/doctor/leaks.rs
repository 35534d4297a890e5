//! The same picture in two splits, or in two subsets.
//!
//! Contents decide. Many data sets number the pictures of each folder anew, so names tell nothing;
//! where no file is opened they only tell which ones to compare.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use super::{Examined, Fault, FaultKind, walk::Entry};
use crate::layout::Split;

/// Pairs of splits that must not share a picture. Train-semi pictures are training pictures.
const APART: [(Split, Split); 5] = [
    (Split::Train, Split::Validation),
    (Split::Train, Split::Test),
    (Split::TrainSemi, Split::Validation),
    (Split::TrainSemi, Split::Test),
    (Split::Validation, Split::Test),
];

/// Pictures of the same bytes in two splits of a tree.
pub(super) fn within(tree: &Examined, faults: &mut Vec<Fault>) {
    for (one, other) in APART {
        for (first, second) in shared((tree, one), (tree, other)) {
            let text = format!(
                "has the same bytes as {}, so what is learned there is scored here; keep it in one \
                 of the two splits",
                first.key
            );
            faults.push(Fault::new(FaultKind::Leak, &second.path, text));
        }
    }
}

/// Test pictures of one tree that are validation pictures of another: settings chosen on the one
/// are not blind to the other.
pub(super) fn between(tested: &Examined, chosen_on: &Examined) -> Option<Fault> {
    let shared = shared((chosen_on, Split::Validation), (tested, Split::Test)).len();
    let folder = Split::Test.pictures(&tested.root);
    let text = format!(
        "{shared} of its pictures are validation pictures of {}; do not choose settings there and \
         report the test score here",
        chosen_on.root.display()
    );
    (shared > 0).then(|| Fault::new(FaultKind::SharedBetweenSubsets, folder, text))
}

/// A split of a tree.
type Pictures<'a> = (&'a Examined, Split);

/// The pictures of the second split that the first has too, after their equals.
fn shared<'a>(one: Pictures<'a>, other: Pictures<'a>) -> Vec<(&'a Entry, &'a Entry)> {
    match one.0.is_opened && other.0.is_opened {
        true => same_sums(one, other),
        false => same_names_and_bytes(one, other),
    }
}

fn same_sums<'a>(one: Pictures<'a>, other: Pictures<'a>) -> Vec<(&'a Entry, &'a Entry)> {
    let sums = |(tree, split): Pictures<'a>| {
        let pictures = tree.split(split).pictures();
        pictures.filter_map(move |(_, entry)| Some((tree.sums.get(&entry.key)?, entry)))
    };
    let first: HashMap<&str, &Entry> = sums(one).collect();
    let pair = |(sum, entry): (&str, &'a Entry)| Some((*first.get(sum)?, entry));
    sums(other).filter_map(pair).collect()
}

/// Those of one name, read to be compared: other names would take opening all files.
fn same_names_and_bytes<'a>(one: Pictures<'a>, other: Pictures<'a>) -> Vec<(&'a Entry, &'a Entry)> {
    let named = |(tree, split): Pictures<'a>| {
        let pictures = tree.split(split).pictures();
        pictures.map(|((_, stem), entry)| (stem.as_str(), entry))
    };
    let wanted: HashSet<&str> = named(other).map(|(stem, _)| stem).collect();
    let mut first = HashMap::<&str, Vec<&Entry>>::new();
    for (stem, entry) in named(one).filter(|(stem, _)| wanted.contains(stem)) {
        first.entry(stem).or_default().push(entry);
    }
    let pair = |(stem, entry): (&str, &'a Entry)| {
        let mut equals = first.get(stem)?.iter();
        let equal = equals.find(|first| have_same_bytes(first, entry))?;
        Some((*equal, entry))
    };
    named(other).filter_map(pair).collect()
}

/// A file that cannot be read is no copy; what is wrong with it is told where files are opened.
fn have_same_bytes(one: &Entry, other: &Entry) -> bool {
    let length = |entry: &Entry| fs::metadata(&entry.path).map(|found| found.len()).ok();
    let bytes = |entry: &Entry| fs::read(&entry.path).ok();
    length(one) == length(other) && bytes(one).is_some_and(|found| Some(found) == bytes(other))
}
