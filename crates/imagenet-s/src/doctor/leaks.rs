//! The same picture in two splits, or in two subsets.

use std::collections::{HashMap, HashSet};

use super::{Examined, Fault, FaultKind};
use crate::layout::Split;

/// Pairs of splits that must not share a picture. Train-semi pictures are training pictures.
const APART: [(Split, Split); 5] = [
    (Split::Train, Split::Validation),
    (Split::Train, Split::Test),
    (Split::TrainSemi, Split::Validation),
    (Split::TrainSemi, Split::Test),
    (Split::Validation, Split::Test),
];

/// Pictures of one name in two splits of a tree.
pub(super) fn by_name(tree: &Examined, faults: &mut Vec<Fault>) {
    for (one, other) in APART {
        let stems: HashMap<&str, &str> = tree.split(one).pictures().map(stem_and_key).collect();
        for (stem, key) in tree.split(other).pictures().map(stem_and_key) {
            if let Some(first) = stems.get(stem) {
                let text = format!(
                    "is {first} too, so what is learned there is scored here; remove it from {}",
                    one.name()
                );
                faults.push(Fault::new(FaultKind::Leak, tree.root.join(key), text));
            }
        }
    }
}

fn stem_and_key<'a>(
    ((_, stem), entry): (&'a (String, String), &'a super::walk::Entry),
) -> (&'a str, &'a str) {
    (stem, &entry.key)
}

/// Pictures of the same bytes under two names in two splits of a tree.
pub(super) fn by_content(tree: &Examined, faults: &mut Vec<Fault>) {
    for (one, other) in APART {
        let sum_of = |key: &str| tree.sums.get(key);
        let pictures = tree.split(one).pictures().map(stem_and_key);
        let sums = pictures.filter_map(|(stem, key)| Some((sum_of(key)?, (stem, key))));
        let sums: HashMap<&str, (&str, &str)> = sums.collect();
        for (stem, key) in tree.split(other).pictures().map(stem_and_key) {
            let twin = sum_of(key).and_then(|sum| sums.get(sum));
            if let Some((_, first)) = twin.filter(|(first, _)| *first != stem) {
                let text = format!(
                    "has the same bytes as {first}; consider removing it from {}",
                    one.name()
                );
                faults.push(Fault::new(FaultKind::Twin, tree.root.join(key), text));
            }
        }
    }
}

/// Test pictures of one tree that are validation pictures of another: settings chosen on the one
/// are not blind to the other.
pub(super) fn between(tested: &Examined, chosen_on: &Examined) -> Option<Fault> {
    let stems = |tree: &'_ Examined, split: Split| -> HashSet<String> {
        let pictures = tree.split(split).pictures();
        pictures.map(|((_, stem), _)| stem.clone()).collect()
    };
    let validation = stems(chosen_on, Split::Validation);
    let test = stems(tested, Split::Test);
    let shared = test.intersection(&validation).count();
    let folder = Split::Test.pictures(&tested.root);
    let text = format!(
        "{shared} of its pictures are validation pictures of {}; do not choose settings there and \
         report the test score here",
        chosen_on.root.display()
    );
    (shared > 0).then(|| Fault::new(FaultKind::SharedBetweenSubsets, folder, text))
}
