//! Datasets of one's own: any folder of pictures, pictures with masks.

use std::{path::Path, sync::Arc};

use crate::{
    Dataset, Decoding, Error, Sample, Selection, Split,
    dataset::{
        samples::{SplitSamples, class_count, pair_masks, scan_pictures},
        scan::Found,
    },
};

impl Dataset {
    /// Opens any folder of pictures, flat or nested, as a training split without labels, to be
    /// divided into `classes` clusters. They are read [as viewers show them](Decoding::as_shown).
    ///
    /// # Errors
    ///
    /// [`Error::NoPictures`], [`Error::ClassCount`] unless `classes` is `1..=999`,
    /// [`Error::RunNotPictures`] for the folder of a run,
    /// [`Error::TreeNotFolder`] for the root of an ImageNet-S tree, whose masks would be taken for
    /// pictures, and those of [`open`](Self::open) that concern single files.
    pub fn open_pictures(root: &Path, classes: u16) -> Result<Self, Error> {
        Self::open_selected_pictures(&Selection::default(), root, classes)
    }

    /// [`open_pictures`](Self::open_pictures) of those that are selected.
    ///
    /// # Errors
    ///
    /// Those of [`open_pictures`](Self::open_pictures).
    pub fn open_selected_pictures(
        selection: &Selection,
        root: &Path,
        classes: u16,
    ) -> Result<Self, Error> {
        check_is_no_tree(root)?;
        let classes = class_count(root, classes.into())?;
        let scan = scan_pictures(selection, root)?;
        let sample = |found: Found| {
            let folder = found.folder.map(|folder| folder as u32);
            Sample::new(found, folder)
        };
        let train = SplitSamples {
            samples: scan.files.into_iter().map(sample).collect(),
            has_masks: false,
        };
        let data = Self {
            root: root.to_owned(),
            classes,
            class_names: Vec::new(),
            splits: [
                train,
                Default::default(),
                Default::default(),
                Default::default(),
            ],
            other_files: scan.others,
            same_stems: scan.same_stems,
            left_out: scan.left_out,
            selection: selection.clone(),
            decoding: Arc::default(),
        };
        Ok(data.with_decoding(Decoding::as_shown()))
    }

    /// This dataset with the pictures and masks of two folders as one of its splits: flat or
    /// nested, paired by their keys: the mask of `a/b.jpg` is `a/b.png`. The masks tell the classes, not the folders.
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
        let scan = scan_pictures(&self.selection, pictures)?;
        self.other_files += &scan.others;
        self.left_out.extend(scan.left_out);
        self.same_stems.extend(scan.same_stems);
        let sample = |found| Sample::new(found, None).with_decoding(self.decoding.clone());
        let mut samples: Vec<Sample> = scan.files.into_iter().map(sample).collect();
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
