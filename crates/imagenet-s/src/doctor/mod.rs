//! Examines trees: everything that is wrong, each with its remedy, before a training starts.
//!
//! Unlike [`Dataset::open`](crate::Dataset::open), which stops at the first thing that would make
//! a number wrong, an examination goes on to the end.

mod contents;
mod fault;
mod leaks;
mod report;
mod walk;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use crate::{
    Manifest, OddPictures, Split, Subset,
    categories::{class_of, classes},
    checksums::Checksums,
    dataset::samples::read_class_list,
    error::Error,
    layout,
    prepare::Prepared,
    progress::{Counter, Watcher},
};
use contents::{Expectations, Findings};
use walk::{Pair, SplitFiles};

pub use fault::{Fault, FaultKind};
pub use report::Report;

/// How trees are examined.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the trees are held against; `None` for a data set of your own. Found out from the
    /// tree's own notes and class list where they tell.
    pub subset: Option<Subset>,
    /// Counts of the subsets.
    pub manifest: Manifest,
    /// Whether odd pictures are faults.
    pub odd: OddPictures,
    /// Whether files are opened; otherwise names, links and counts are looked at only, and the
    /// pictures that two splits or trees have under one name compared.
    pub open_files: bool,
    /// Whether the sums of all files are written down for the next examination.
    pub record: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            subset: None,
            manifest: Manifest::embedded(),
            odd: OddPictures::Refuse,
            open_files: true,
            record: false,
        }
    }
}

/// A tree and what was found in it.
struct Examined {
    root: PathBuf,
    subset: Option<Subset>,
    class_names: Vec<String>,
    splits: [SplitFiles; Split::ALL.len()],
    /// Sums of all files that were read.
    sums: Checksums,
    /// Whether all files were to be read.
    is_opened: bool,
}

impl Examined {
    fn split(&self, split: Split) -> &SplitFiles {
        &self.splits[split as usize]
    }
}

/// Examines one or more trees, and what they have in common.
///
/// # Errors
///
/// [`Error::MissingFolder`] for a root that is not there, and [`Error::Io`] when `record` cannot
/// write. Everything else becomes a [`Fault`].
pub fn examine(
    roots: &[PathBuf],
    options: &Options,
    watcher: Watcher<'_>,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut trees = Vec::new();
    for root in roots {
        let tree = examine_tree(root, options, watcher, &mut report.faults)?;
        report.pictures += tree
            .splits
            .iter()
            .map(|s| s.pictures().count() as u64)
            .sum::<u64>();
        trees.push(tree);
    }
    for tested in &trees {
        let others = trees.iter().filter(|tree| tree.root != tested.root);
        report
            .faults
            .extend(others.filter_map(|other| leaks::between(tested, other)));
    }
    report.faults.sort_unstable();
    Ok(report)
}

fn examine_tree(
    root: &Path,
    options: &Options,
    watcher: Watcher<'_>,
    faults: &mut Vec<Fault>,
) -> Result<Examined, Error> {
    if !root.is_dir() {
        return Err(Error::MissingFolder {
            path: root.to_owned(),
            remedy: "check the path of the tree",
        });
    }
    check_finished(root, faults);
    check_train_full(root, faults);
    let mut tree = Examined {
        root: root.to_owned(),
        subset: options.subset.or_else(|| noted_subset(root)),
        class_names: Vec::new(),
        splits: Split::ALL.map(|split| match split.pictures(root).is_dir() {
            true => walk::walk_split(root, split, faults),
            false => SplitFiles::default(),
        }),
        sums: Checksums::default(),
        is_opened: options.open_files,
    };
    tree.class_names = class_names(&mut tree, faults);
    check_folders(&tree, faults);
    check_pairs(&tree, faults);
    if let Some(subset) = tree.subset {
        check_counts(&tree, subset, &options.manifest, faults);
        check_names(&tree, subset, faults);
    }
    if options.open_files {
        open_files(&mut tree, options, watcher, faults)?;
    }
    leaks::within(&tree, faults);
    Ok(tree)
}

fn check_finished(root: &Path, faults: &mut Vec<Fault>) {
    let staging = root.join(layout::STAGING);
    if staging.exists() {
        let text =
            "a preparation was interrupted; run `luss data prepare` again with the same settings";
        faults.push(Fault::new(FaultKind::Unfinished, staging, text));
    }
}

fn check_train_full(root: &Path, faults: &mut Vec<Fault>) {
    let folder = root.join(layout::TRAIN_FULL);
    if folder.is_symlink() && !folder.exists() {
        let text = "symbolic link leads nowhere; restore its target, or prepare the tree again";
        faults.push(Fault::new(FaultKind::DanglingLink, folder, text));
    }
}

/// The subset that the tree's own record names.
fn noted_subset(root: &Path) -> Option<Subset> {
    let text = fs::read_to_string(root.join(layout::PREPARED)).ok()?;
    toml::from_str::<Prepared>(&text)
        .ok()
        .map(|noted| noted.subset)
}

/// The class list, or the folders. A list that is a subset's makes the tree one of that subset.
fn class_names(tree: &mut Examined, faults: &mut Vec<Fault>) -> Vec<String> {
    let path = tree.root.join(layout::CLASS_LIST);
    let wnids = |subset| classes(subset).iter().map(|c| c.wnid.to_owned()).collect();
    if !path.is_file() {
        let folders = tree.splits.iter().flat_map(|split| &split.classes);
        let folders: BTreeSet<&String> = folders.collect();
        let of_folders = || folders.into_iter().cloned().collect();
        return tree.subset.map_or_else(of_folders, wnids);
    }
    let names = match read_class_list(&path) {
        Ok(names) => names,
        Err(error) => {
            faults.push(Fault::of(&error, &path));
            return tree.subset.map(wnids).unwrap_or_default();
        }
    };
    let same = |subset: &Subset| names == wnids(*subset);
    tree.subset = tree.subset.or_else(|| Subset::ALL.into_iter().find(same));
    match tree.subset {
        Some(subset) if !same(&subset) => {
            let text = format!(
                "is not the list of ImageNet-S{subset} ({} names); remove it and prepare again",
                names.len()
            );
            faults.push(Fault::new(FaultKind::ClassList, path, text));
            wnids(subset)
        }
        _ => names,
    }
}

/// Folders that are absent, unknown or empty.
fn check_folders(tree: &Examined, faults: &mut Vec<Fault>) {
    for split in Split::ALL {
        let files = tree.split(split);
        let folder = split.pictures(&tree.root);
        let labelled = [Split::TrainSemi, Split::Validation].contains(&split);
        let needed = split == Split::Train || (tree.subset.is_some() && labelled);
        if !folder.is_dir() {
            if needed {
                let text = "folder is missing; prepare the tree again";
                faults.push(Fault::new(FaultKind::MissingFolder, folder, text));
            }
            continue;
        }
        let without_masks = tree.subset.is_some() && labelled && !files.has_masks;
        if let Some(masks) = split.masks(&tree.root).filter(|_| without_masks) {
            let text = "folder of masks is missing; prepare the tree again";
            faults.push(Fault::new(FaultKind::MissingFolder, masks, text));
        }
        check_classes(tree, split, faults);
    }
}

fn check_classes(tree: &Examined, split: Split, faults: &mut Vec<Fault>) {
    let (files, folder) = (tree.split(split), split.pictures(&tree.root));
    for class in &files.classes {
        if tree.class_names.binary_search(class).is_err() {
            let text = format!(
                "is not one of the {} classes; remove it, or add it to {}",
                tree.class_names.len(),
                layout::CLASS_LIST
            );
            let path = folder.join(class);
            faults.push(Fault::new(FaultKind::UnknownClass, path, text));
        }
    }
    let full: BTreeSet<&str> = files
        .pictures()
        .map(|((class, _), _)| class.as_str())
        .collect();
    // Every class of ImageNet-S has pictures in every split; in other data only training needs them.
    let expected: &[String] = match tree.subset {
        Some(_) => &tree.class_names,
        None if split == Split::Train => &files.classes,
        None => &[],
    };
    let lacks = |class: &&String| !full.contains(class.as_str());
    for class in expected.iter().filter(lacks) {
        let text = "class has no picture in this split; restore its pictures";
        faults.push(Fault::new(FaultKind::EmptyClass, folder.join(class), text));
    }
}

/// Pictures without masks and masks without pictures.
fn check_pairs(tree: &Examined, faults: &mut Vec<Fault>) {
    for files in tree.splits.iter().filter(|files| files.has_masks) {
        for pair in files.pairs.values() {
            match (&pair.picture, &pair.mask) {
                (Some(picture), None) => {
                    let text = "has no mask; unpack the masks again, or remove the picture";
                    let path = &picture.path;
                    faults.push(Fault::new(FaultKind::MissingMask, path, text));
                }
                (None, Some(mask)) => {
                    let text = "has no picture; restore the picture, or remove the mask";
                    let path = &mask.path;
                    faults.push(Fault::new(FaultKind::MaskWithoutPicture, path, text));
                }
                _ => {}
            }
        }
    }
}

fn check_counts(tree: &Examined, subset: Subset, manifest: &Manifest, faults: &mut Vec<Fault>) {
    let Some(entry) = manifest.subsets.get(&subset) else {
        return;
    };
    for split in Split::ALL {
        let folder = split.pictures(&tree.root);
        let (found, expected) = (
            tree.split(split).pictures().count() as u64,
            entry.pictures.of(split),
        );
        if folder.is_dir() && found != expected {
            let text = format!(
                "{found} pictures, the manifest has {expected}; prepare again, and remove what is \
                 not ImageNet-S{subset}'s"
            );
            faults.push(Fault::new(FaultKind::WrongCount, folder, text));
        }
    }
}

/// Training pictures are called CATEGORY_n, all others ILSVRC2012_val_ and eight digits.
fn check_names(tree: &Examined, subset: Subset, faults: &mut Vec<Fault>) {
    for split in Split::ALL {
        for ((class, stem), entry) in tree.split(split).pictures() {
            let right = match split {
                Split::Train | Split::TrainSemi => is_training_name(subset, class, stem),
                Split::Validation | Split::Test => is_validation_name(stem),
            };
            if !right {
                let text = format!(
                    "no picture of {class} in {} has this name; move it where it belongs, or \
                     remove it",
                    split.name()
                );
                faults.push(Fault::new(FaultKind::WrongName, &entry.path, text));
            }
        }
    }
}

fn is_training_name(subset: Subset, class: &str, stem: &str) -> bool {
    let Some((wnid, number)) = stem.split_once('_') else {
        return false;
    };
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    // The class of most pictures is their own folder; only merged ones need the table.
    is_number && (wnid == class || class_of(subset, wnid).is_some_and(|c| c.wnid == class))
}

fn is_validation_name(stem: &str) -> bool {
    let number = stem.strip_prefix("ILSVRC2012_val_").unwrap_or_default();
    number.len() == 8 && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// Decodes all files on all threads, and compares and records their sums.
fn open_files(
    tree: &mut Examined,
    options: &Options,
    watcher: Watcher<'_>,
    faults: &mut Vec<Fault>,
) -> Result<(), Error> {
    let list = tree.root.join(layout::CHECKSUMS);
    let sums = match Checksums::read(&list) {
        Ok(sums) => sums,
        Err(error) => {
            faults.push(Fault::of(&error, &list));
            Checksums::default()
        }
    };
    let expected = Expectations {
        odd: options.odd,
        classes: tree.class_names.len() as u16,
        sums: &sums,
    };
    let pairs: Vec<(&String, &Pair)> = tree.splits.iter().flat_map(class_and_pair).collect();
    let counter = Counter::new("opening files", pairs.len(), watcher);
    let names = &tree.class_names;
    let examine = |(class, pair): &(&String, &Pair)| {
        let own = names.binary_search(class).ok().map(|rank| 1 + rank as u16);
        let findings = Findings::of(pair, own, &expected);
        counter.step();
        findings
    };
    let findings: Vec<Findings> = pairs.par_iter().map(examine).collect();
    for finding in findings {
        faults.extend(finding.faults);
        for (key, sum) in finding.sums {
            tree.sums.insert(key, sum);
        }
    }
    check_all_present(tree, &sums, faults);
    if options.record {
        let text = tree.sums.to_text();
        whole_file::write_bytes(&list, text.as_bytes()).map_err(Error::io(&list))?;
    }
    Ok(())
}

fn class_and_pair(files: &SplitFiles) -> impl Iterator<Item = (&String, &Pair)> {
    files.pairs.iter().map(|((class, _), pair)| (class, pair))
}

/// Files that the list of sums has and the tree has not.
fn check_all_present(tree: &Examined, sums: &Checksums, faults: &mut Vec<Fault>) {
    for (key, _) in sums.iter() {
        let path = tree.root.join(key);
        if !path.exists() {
            let text = "is in the list of sums and not in the tree; prepare the tree again";
            faults.push(Fault::new(FaultKind::MissingFile, path, text));
        }
    }
}
