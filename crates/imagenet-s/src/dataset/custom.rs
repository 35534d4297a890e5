//! Datasets of one's own: any folder of pictures, pictures with masks.

use std::path::Path;

use crate::{
    Dataset, Error, Sample, Split,
    dataset::{
        samples::{SplitSamples, class_count, pair_masks, scan_pictures},
        scan::Found,
    },
};

impl Dataset {
    /// Opens any folder of pictures, flat or nested, as a training split without labels, to be
    /// divided into `classes` clusters.
    ///
    /// # Errors
    ///
    /// [`Error::NoPictures`], [`Error::ClassCount`] unless `classes` is `1..=999`,
    /// [`Error::RunNotPictures`] for the folder of a run,
    /// [`Error::TreeNotFolder`] for the root of an ImageNet-S tree, whose masks would be taken for
    /// pictures, and those of [`open`](Self::open) that concern single files.
    pub fn open_pictures(root: &Path, classes: u16) -> Result<Self, Error> {
        Self::open_pictures_for(None, root, classes)
    }

    /// [`open_pictures`](Self::open_pictures) for a run in the folder `run`, whose files are never
    /// pictures, also before its `run.toml` tells.
    ///
    /// # Errors
    ///
    /// Those of [`open_pictures`](Self::open_pictures).
    pub fn open_pictures_for(run: Option<&Path>, root: &Path, classes: u16) -> Result<Self, Error> {
        check_is_no_tree(root)?;
        let classes = class_count(root, classes.into())?;
        let scan = scan_pictures(run, root)?;
        let sample = |found: Found| {
            let folder = found.folder.map(|folder| folder as u32);
            Sample::new(found, folder)
        };
        let train = SplitSamples {
            samples: scan.files.into_iter().map(sample).collect(),
            has_masks: false,
        };
        Ok(Self {
            root: root.to_owned(),
            classes,
            class_names: Vec::new(),
            splits: [
                train,
                Default::default(),
                Default::default(),
                Default::default(),
            ],
            ignored_files: scan.ignored,
            left_out: scan.left_out,
            run: run.map(Path::to_owned),
        })
    }

    /// This dataset with the pictures and masks of two folders as one of its splits: flat or
    /// nested, paired by their paths without extension. The masks tell the classes, not the folders.
    ///
    /// # Errors
    ///
    /// [`Error::NoPictures`], [`Error::MissingMasks`], [`Error::MasksWithoutPicture`], and those of
    /// [`open`](Self::open) that concern single files.
    pub fn with_pairs(
        mut self,
        split: Split,
        pictures: &Path,
        masks: &Path,
    ) -> Result<Self, Error> {
        let scan = scan_pictures(self.run.as_deref(), pictures)?;
        self.ignored_files += scan.ignored;
        self.left_out.extend(scan.left_out);
        let found = scan.files.into_iter();
        let mut samples: Vec<Sample> = found.map(|found| Sample::new(found, None)).collect();
        pair_masks(&mut samples, masks)?;
        self.splits[split as usize] = SplitSamples {
            samples,
            has_masks: true,
        };
        Ok(self)
    }
}

fn check_is_no_tree(root: &Path) -> Result<(), Error> {
    let has_masks = |split: Split| split.masks(root).is_some_and(|masks| masks.is_dir());
    if Split::Train.pictures(root).is_dir() && Split::ALL.into_iter().any(has_masks) {
        let train = Split::Train.pictures(root);
        return Err(Error::TreeNotFolder {
            path: root.to_owned(),
            train,
        });
    }
    Ok(())
}
