//! What a tree will hold, before anything is written.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use super::{
    Config, PrepareError,
    archive::{MaskArchive, MaskName},
    imagenet::ImageNet,
    place::{Placing, Planned},
};
use crate::{
    Manifest, Split, Subset,
    categories::{categories, class_of},
    error::Error,
    layout::{TRAIN_FULL, subset_folder, test_mapping_file},
};

/// Everything that a tree will hold.
#[derive(Debug)]
pub struct Plan {
    /// Root of the tree.
    pub root: PathBuf,
    /// The subset.
    pub subset: Subset,
    /// How its pictures will be placed.
    pub placing: Placing,
    /// Pictures of each split, in the order of [`Split::ALL`]; of test 0 without a mapping file.
    pub pictures: [u64; Split::ALL.len()],
    /// Masks of train-semi and validation.
    pub masks: u64,
    /// Bytes that are still to be written, rounded up to blocks.
    pub missing_bytes: u64,
    pub(super) files: Vec<Planned>,
    /// Files that are linked to those above.
    pub(super) second_files: Vec<Planned>,
    pub(super) archive: MaskArchive,
}

impl Plan {
    /// Reads ImageNet's folders, the archive of masks and the mapping file, and writes nothing.
    ///
    /// # Errors
    ///
    /// Whatever would leave the tree incomplete: see [`PrepareError`].
    pub fn new(config: &Config, manifest: &Manifest, subset: Subset) -> Result<Self, PrepareError> {
        let root = std::path::absolute(config.output.join(subset_folder(subset)))
            .map_err(Error::io(&config.output))?;
        check_output(&root, &config.imagenet)?;
        let missing = |what: String| PrepareError::NotInManifest { what };
        let entry = manifest.subsets.get(&subset);
        let entry = entry.ok_or_else(|| missing(format!("[subset.{subset}]")))?;
        let archive = manifest.archive(&entry.masks);
        let archive = archive.ok_or_else(|| missing(format!("archive {}", entry.masks)))?;
        let archive = MaskArchive::open(&config.annotations, archive)?;
        let names = archive.names()?;

        let mut planner = Planner::new(config, subset);
        planner.train()?;
        planner.train_semi(&names)?;
        planner.validation(&names)?;
        planner.test()?;
        planner.check_counts(&entry.pictures)?;
        if subset == Subset::S919 && config.train_full {
            planner.train_full()?;
        }
        let mut plan = Self {
            root,
            subset,
            placing: config.placing,
            pictures: planner.counts,
            masks: names.len() as u64,
            missing_bytes: 0,
            files: planner.files,
            second_files: planner.second_files,
            archive,
        };
        plan.missing_bytes = plan.bytes_to_write(&names)?;
        Ok(plan)
    }

    fn bytes_to_write(&self, masks: &[MaskName]) -> Result<u64, PrepareError> {
        let mut bytes = 0;
        for file in self.files.iter().chain(&self.second_files) {
            bytes += file.missing_bytes(&self.root)?;
        }
        let missing = |mask: &&MaskName| !self.root.join(mask.target()).exists();
        let masks = masks.iter().filter(missing).count() as u64;
        // A mask is a few kilobytes; what it really takes is known once it is unpacked.
        Ok(bytes + masks * 4 * super::BLOCK_BYTES)
    }
}

/// Collects the files of a tree.
struct Planner<'a> {
    config: &'a Config,
    imagenet: &'a ImageNet,
    subset: Subset,
    files: Vec<Planned>,
    second_files: Vec<Planned>,
    counts: [u64; Split::ALL.len()],
}

impl<'a> Planner<'a> {
    fn new(config: &'a Config, subset: Subset) -> Self {
        Self {
            config,
            imagenet: &config.imagenet,
            subset,
            files: Vec::new(),
            second_files: Vec::new(),
            counts: [0; Split::ALL.len()],
        }
    }

    /// The folders of ImageNet that each class is made of: its own, and those merged into it.
    fn sources(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        let mut sources: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for category in categories() {
            if let Some(class) = class_of(self.subset, category.wnid) {
                sources.entry(class.wnid).or_default().push(category.wnid);
            }
        }
        sources
    }

    fn train(&mut self) -> Result<(), PrepareError> {
        let sources = self.sources();
        self.check_classes(sources.values().flatten().copied())?;
        for (class, folders) in sources {
            let whole_folder = self.config.placing == Placing::Symlink && folders.len() == 1;
            for folder in folders {
                let pictures = self.imagenet.class_pictures(folder)?;
                if pictures.is_empty() {
                    return Err(self.missing_classes(1, folder));
                }
                self.counts[Split::Train as usize] += pictures.len() as u64;
                let target = format!("{}/{class}", Split::Train.name());
                let source = self.imagenet.train.join(folder);
                if whole_folder {
                    self.push(target, source);
                    continue;
                }
                for name in pictures {
                    self.push(format!("{target}/{name}"), source.join(name));
                }
            }
        }
        Ok(())
    }

    /// A mask `CLASS/FOLDER_n` belongs to the training picture `FOLDER/FOLDER_n`, where the two
    /// differ for merged classes.
    fn train_semi(&mut self, masks: &[MaskName]) -> Result<(), PrepareError> {
        let split = Split::TrainSemi;
        let mut folders: HashMap<&str, HashMap<String, String>> = HashMap::new();
        let mut missing = Vec::new();
        for mask in masks.iter().filter(|mask| mask.split == split) {
            let folder = mask.stem.rsplit_once('_').map_or("", |(folder, _)| folder);
            if !folders.contains_key(folder) {
                folders.insert(folder, self.pictures_by_stem(folder)?);
            }
            match folders[folder].get(&mask.stem) {
                Some(name) => {
                    let source = self.imagenet.train.join(folder).join(name);
                    self.push_picture(split, &mask.class, name, source);
                }
                None => missing.push(format!("{folder}/{}", mask.stem)),
            }
        }
        self.check_missing(split, &self.imagenet.train, missing)
    }

    fn validation(&mut self, masks: &[MaskName]) -> Result<(), PrepareError> {
        let masks = masks.iter().filter(|mask| mask.split == Split::Validation);
        let wanted = masks.map(|mask| (mask.class.clone(), mask.stem.clone()));
        self.validation_pictures(Split::Validation, wanted.collect())
    }

    fn test(&mut self) -> Result<(), PrepareError> {
        let Some(folder) = &self.config.test_mappings else {
            return Ok(());
        };
        let wanted = read_mapping(&folder.join(test_mapping_file(self.subset)))?;
        self.validation_pictures(Split::Test, wanted)
    }

    /// Pictures of ImageNet's validation, by (class, stem).
    fn validation_pictures(
        &mut self,
        split: Split,
        wanted: Vec<(String, String)>,
    ) -> Result<(), PrepareError> {
        let pictures = self.imagenet.validation_pictures()?;
        let mut missing = Vec::new();
        for (class, stem) in wanted {
            match pictures.get(&stem) {
                Some(source) => {
                    let name = source.file_name().unwrap_or_default().to_string_lossy();
                    self.push_picture(split, &class, &name, source.clone());
                }
                None => missing.push(stem),
            }
        }
        self.check_missing(split, &self.imagenet.validation, missing)
    }

    /// All of ImageNet-1k. Copies of the kept classes are there already, so they are linked.
    fn train_full(&mut self) -> Result<(), PrepareError> {
        let folders = self.imagenet.class_folders()?;
        self.check_classes(categories().iter().map(|category| category.wnid))?;
        if self.config.placing == Placing::Symlink {
            self.push(TRAIN_FULL.to_owned(), self.imagenet.train.clone());
            return Ok(());
        }
        let output = self.config.output.join(subset_folder(self.subset));
        let output = std::path::absolute(&output).map_err(Error::io(&output))?;
        for folder in folders {
            let class = class_of(self.subset, &folder);
            for name in self.imagenet.class_pictures(&folder)? {
                let target = format!("{TRAIN_FULL}/{folder}/{name}");
                match class {
                    Some(class) if self.config.placing == Placing::Copy => {
                        let own = Split::Train.pictures(&output).join(class.wnid).join(name);
                        self.second_files.push(Planned {
                            target,
                            source: own,
                            placing: Placing::Hardlink,
                        });
                    }
                    _ => self.push(target, self.imagenet.train.join(&folder).join(name)),
                }
            }
        }
        Ok(())
    }

    fn push_picture(&mut self, split: Split, class: &str, name: &str, source: PathBuf) {
        self.counts[split as usize] += 1;
        self.push(format!("{}/{class}/{name}", split.name()), source);
    }

    fn push(&mut self, target: String, source: PathBuf) {
        let placing = self.config.placing;
        self.files.push(Planned {
            target,
            source,
            placing,
        });
    }

    /// File names of a class folder by their stems; none when there is no such folder.
    fn pictures_by_stem(&self, folder: &str) -> Result<HashMap<String, String>, PrepareError> {
        if folder.is_empty() || !self.imagenet.train.join(folder).is_dir() {
            return Ok(HashMap::new());
        }
        let names = self.imagenet.class_pictures(folder)?.into_iter();
        let stem = |name: String| Some((name.rsplit_once('.')?.0.to_owned(), name));
        Ok(names.filter_map(stem).collect())
    }

    fn check_classes(
        &self,
        wanted: impl Iterator<Item = &'static str>,
    ) -> Result<(), PrepareError> {
        let found = self.imagenet.class_folders()?;
        let wanted: BTreeSet<&str> = wanted.collect();
        let mut missing = wanted.into_iter().filter(|wnid| !found.contains(*wnid));
        match missing.next() {
            Some(first) => Err(self.missing_classes(1 + missing.count(), first)),
            None => Ok(()),
        }
    }

    fn missing_classes(&self, count: usize, first: &str) -> PrepareError {
        PrepareError::MissingClasses {
            path: self.imagenet.train.clone(),
            count,
            first: first.to_owned(),
        }
    }

    fn check_missing(
        &self,
        split: Split,
        searched: &Path,
        missing: Vec<String>,
    ) -> Result<(), PrepareError> {
        let Some(first) = missing.first() else {
            return Ok(());
        };
        Err(PrepareError::MissingPictures {
            path: searched.to_owned(),
            subset: self.subset,
            split,
            count: missing.len(),
            first: first.clone(),
        })
    }

    fn check_counts(&self, expected: &crate::manifest::PictureCounts) -> Result<(), PrepareError> {
        for split in Split::ALL {
            let found = self.counts[split as usize];
            let left_out = split == Split::Test && self.config.test_mappings.is_none();
            if found != expected.of(split) && !left_out {
                return Err(PrepareError::Count {
                    subset: self.subset,
                    split,
                    expected: expected.of(split),
                    found,
                });
            }
        }
        Ok(())
    }
}

/// The output must not lie below a folder that is read, nor the other way round.
fn check_output(root: &Path, imagenet: &ImageNet) -> Result<(), PrepareError> {
    for folder in [&imagenet.train, &imagenet.validation] {
        if root.starts_with(folder) || folder.starts_with(root) {
            return Err(PrepareError::OutputInside {
                output: root.to_owned(),
                imagenet: folder.clone(),
            });
        }
    }
    Ok(())
}

/// Class folder and stem of each test picture, from lines of `SOURCE TARGET`.
fn read_mapping(path: &Path) -> Result<Vec<(String, String)>, PrepareError> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let parsed = |(line, text): (usize, &str)| {
        parse_mapping_line(text).ok_or_else(|| PrepareError::MappingLine {
            path: path.to_owned(),
            line: line + 1,
            text: text.to_owned(),
        })
    };
    text.lines().enumerate().map(parsed).collect()
}

/// The picture is found by its name, as its folder in ImageNet depends on the copy.
fn parse_mapping_line(line: &str) -> Option<(String, String)> {
    let (source, target) = line.split_once(' ')?;
    let (class, name) = target.split_once('/')?;
    let same_name = source.rsplit('/').next() == Some(name);
    let plain =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['/', ' ']);
    let stem = name.rsplit_once('.')?.0;
    (same_name && plain(class) && plain(name)).then(|| (class.to_owned(), stem.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_line_names_the_class_and_the_picture() {
        let line = "n02/ILSVRC2012_val_00000236.JPEG n01/ILSVRC2012_val_00000236.JPEG";
        let expected = ("n01".to_owned(), "ILSVRC2012_val_00000236".to_owned());
        assert_eq!(parse_mapping_line(line), Some(expected));
    }

    #[test]
    fn a_mapping_line_that_renames_or_leaves_the_tree_is_refused() {
        for line in [
            "",
            "a.JPEG",
            "n1/a.JPEG n2/b.JPEG",
            "n1/a.JPEG ../a.JPEG",
            "a.JPEG /a.JPEG",
        ] {
            assert_eq!(parse_mapping_line(line), None, "{line:?}");
        }
    }
}
