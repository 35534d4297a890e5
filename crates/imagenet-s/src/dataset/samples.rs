//! A dataset as a list of samples: which pictures there are, and where their masks lie.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use luss_metrics::{IGNORE, LabelMask};

use crate::{
    dataset::{
        other_files::OtherFiles,
        sample::Sample,
        scan::{Scan, scan, scan_on},
        selection::Selection,
        tour::{LeftOut, Tour},
    },
    error::Error,
    layout::{self, Split},
    pictures::{
        decoding::Decoding,
        picture::OddPictures,
        read_mask,
        sound::{guarded, mask_errors, size_px},
        traits::TraitCounts,
    },
};

/// The samples of a dataset on disk, in a defined order: sorted by file name at each level.
///
/// Opening lists the files and opens none of them.
#[derive(Debug, Clone)]
pub struct Dataset {
    pub(crate) root: PathBuf,
    pub(crate) classes: u16,
    pub(crate) class_names: Vec<String>,
    pub(crate) splits: [SplitSamples; Split::ALL.len()],
    pub(crate) other_files: OtherFiles,
    pub(crate) same_stems: Vec<[PathBuf; 2]>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) selection: Selection,
    pub(crate) decoding: Arc<Decoding>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SplitSamples {
    pub(crate) samples: Vec<Sample>,
    pub(crate) has_masks: bool,
}

impl Dataset {
    /// Opens a tree in the ImageNet-S layout (see [`layout`]).
    ///
    /// `train` must be there; the other splits, and their masks, may be absent. The class names
    /// are those of the class list, or of the class folders of all splits where there is none.
    /// Symbolic links are followed, but each real folder is walked once. Hidden files are skipped,
    /// and files that are no pictures counted in [`other_files`](Self::other_files). Nothing
    /// below a folder of results is a picture, see [`left_out`](Self::left_out). Pictures are read as
    /// they are stored.
    ///
    /// # Errors
    ///
    /// Whatever would make a later number wrong: a missing or empty split, a picture outside the
    /// class folders, two files with one stem, a folder that is no class, a link to nothing, and
    /// a split in which only some pictures have masks or only some masks pictures.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Self::open_selected(&Selection::default(), root)
    }

    /// [`open`](Self::open) of the pictures that are selected.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_selected(selection: &Selection, root: &Path) -> Result<Self, Error> {
        check_root(root)?;
        let scans = [
            scan_split(selection, root, Split::Train)?,
            scan_split(selection, root, Split::TrainSemi)?,
            scan_split(selection, root, Split::Validation)?,
            scan_split(selection, root, Split::Test)?,
        ];
        let mut dataset = Self {
            root: root.to_owned(),
            classes: 0,
            class_names: class_names(root, &scans)?,
            splits: Default::default(),
            other_files: OtherFiles::default(),
            same_stems: Vec::new(),
            left_out: scans
                .iter()
                .flat_map(|scan| scan.left_out.clone())
                .collect(),
            selection: selection.clone(),
            decoding: Arc::default(),
        };
        for scan in &scans {
            dataset.other_files += &scan.others;
        }
        dataset.classes = class_count(root, dataset.class_names.len())?;
        for (scan, split) in scans.into_iter().zip(Split::ALL) {
            dataset.splits[split as usize] =
                class_samples(root, split, scan, &dataset.class_names)?;
        }
        Ok(dataset)
    }

    /// The folder that was opened.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Number of classes or clusters C, in `1..=999`; "other" is not counted.
    pub fn classes(&self) -> u16 {
        self.classes
    }

    /// Folder names of the classes in the order of their ids, the class with id 1 first. Empty
    /// after [`open_pictures`](Self::open_pictures), where nobody named the clusters.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The samples of a split; none when the split is absent.
    pub fn samples(&self, split: Split) -> &[Sample] {
        &self.splits[split as usize].samples
    }

    /// This dataset without some pictures of a split.
    pub fn without(mut self, split: Split, pictures: &BTreeSet<PathBuf>) -> Self {
        let samples = &mut self.splits[split as usize].samples;
        samples.retain(|sample| !pictures.contains(&sample.picture));
        self
    }

    /// Whether every sample of the split has a mask; otherwise none has.
    pub fn has_masks(&self, split: Split) -> bool {
        self.splits[split as usize].has_masks
    }

    /// This dataset with all its pictures read in another way.
    pub fn with_decoding(mut self, decoding: Decoding) -> Self {
        self.decoding = Arc::new(decoding);
        let samples = self.splits.iter_mut().flat_map(|split| &mut split.samples);
        for sample in samples {
            sample.decoding = self.decoding.clone();
        }
        self
    }

    /// How its pictures are read.
    pub fn decoding(&self) -> &Arc<Decoding> {
        &self.decoding
    }

    /// Files in the picture folders that are no pictures, or that the pattern leaves out.
    pub fn other_files(&self) -> &OtherFiles {
        &self.other_files
    }

    /// Pictures of one's own that differ in nothing but the extension, by pairs.
    pub fn same_stems(&self) -> &[[PathBuf; 2]] {
        &self.same_stems
    }

    /// Folders among the pictures in which none was looked for: runs, and doubles by links.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Checks a mask against its picture and this dataset's classes. `path` is for the message,
    /// `picture_px` the width and height of the picture.
    ///
    /// # Errors
    ///
    /// [`Error::MaskSize`] and [`Error::IdOutOfRange`].
    pub fn check_mask(
        &self,
        mask: &LabelMask,
        path: &Path,
        picture_px: (usize, usize),
    ) -> Result<(), Error> {
        let mut errors = mask_errors(mask, path, Some(picture_px), self.classes);
        errors.next().map_or(Ok(()), Err)
    }

    /// What is wrong with a picture, and with its mask; nothing where both are sound. Of a picture that
    /// is read also what is worth knowing.
    pub fn examine(&self, sample: &Sample, odd: OddPictures) -> (Vec<Error>, TraitCounts) {
        let picture = guarded(&sample.picture, || sample.examine(odd));
        let counts = picture.as_ref().ok();
        let counts = counts.map(|(_, traits)| TraitCounts::of(&sample.picture, traits));
        let size_px = picture.as_ref().ok().map(|(picture, _)| size_px(picture));
        let mask = sample
            .mask
            .as_ref()
            .and_then(|path| match guarded(path, || read_mask(path)) {
                Ok(mask) => mask_errors(&mask, path, size_px, self.classes).next(),
                Err(error) => Some(error),
            });
        let errors = picture.err().into_iter().chain(mask).collect();
        (errors, counts.unwrap_or_default())
    }
}

fn check_root(root: &Path) -> Result<(), Error> {
    let train = Split::Train.pictures(root);
    if !root.is_dir() {
        let remedy = "check the path of the dataset";
        return Err(Error::MissingFolder {
            path: root.to_owned(),
            remedy,
        });
    }
    if !train.is_dir() {
        let remedy = "give the root of an ImageNet-S tree, or open a plain folder of pictures \
                      with Dataset::open_pictures";
        return Err(Error::MissingFolder {
            path: train,
            remedy,
        });
    }
    Ok(())
}

/// `classes` as an id, if ids stay below the ignore label.
pub(crate) fn class_count(root: &Path, classes: usize) -> Result<u16, Error> {
    match u16::try_from(classes) {
        Ok(count) if (1..IGNORE).contains(&count) => Ok(count),
        _ => Err(Error::ClassCount {
            path: root.to_owned(),
            classes,
        }),
    }
}

/// The pictures of a split; an absent split has none.
fn scan_split(selection: &Selection, root: &Path, split: Split) -> Result<Scan, Error> {
    let folder = split.pictures(root);
    if !folder.is_dir() {
        return Ok(Scan::default());
    }
    let scan = scan_pictures(selection, &folder)?;
    scan.check_stems()?;
    match scan.files.iter().find(|found| found.folder.is_none()) {
        Some(loose) => Err(Error::LoosePicture {
            path: loose.path.clone(),
        }),
        None => Ok(scan),
    }
}

/// The pictures of a folder that the user named; it may lie in a run, but not be one.
pub(crate) fn scan_pictures(selection: &Selection, folder: &Path) -> Result<Scan, Error> {
    let tour = Tour::of_pictures(folder, selection.run())?;
    if tour.starts_in_run() {
        let path = folder.to_owned();
        return Err(Error::RunNotPictures { path });
    }
    let scan = scan_on(tour, folder, &|path| selection.takes(folder, path))?;
    if scan.files.is_empty() {
        return Err(Error::NoPictures {
            path: folder.to_owned(),
            others: scan.others,
        });
    }
    Ok(scan)
}

fn class_names(root: &Path, scans: &[Scan]) -> Result<Vec<String>, Error> {
    let list = root.join(layout::CLASS_LIST);
    if list.is_file() {
        return read_class_list(&list);
    }
    let folders: BTreeSet<&String> = scans.iter().flat_map(|scan| &scan.folders).collect();
    Ok(folders.into_iter().cloned().collect())
}

pub(crate) fn read_class_list(path: &Path) -> Result<Vec<String>, Error> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let names: Vec<String> = text.lines().map(str::to_owned).collect();
    match names.windows(2).position(|pair| pair[0] >= pair[1]) {
        Some(at) => Err(Error::ClassListOrder {
            path: path.to_owned(),
            line: at + 2,
            name: names[at + 1].clone(),
        }),
        None => Ok(names),
    }
}

fn class_samples(
    root: &Path,
    split: Split,
    scan: Scan,
    class_names: &[String],
) -> Result<SplitSamples, Error> {
    let ranks = class_ranks(root, split, &scan.folders, class_names)?;
    let pictures = scan.files.into_iter();
    let mut samples: Vec<Sample> = pictures
        .map(|found| {
            let folder = found.folder.map(|folder| ranks[folder] as u32);
            Sample::new(found, folder)
        })
        .collect();
    let masks = split
        .masks(root)
        .filter(|masks| masks.is_dir() && !samples.is_empty());
    if let Some(folder) = &masks {
        pair_masks(&mut samples, folder)?;
    }
    Ok(SplitSamples {
        samples,
        has_masks: masks.is_some(),
    })
}

/// For each folder of a split its rank among all classes.
fn class_ranks(
    root: &Path,
    split: Split,
    folders: &[String],
    class_names: &[String],
) -> Result<Vec<usize>, Error> {
    let rank = |folder: &String| {
        class_names
            .binary_search(folder)
            .map_err(|_| Error::UnlistedClass {
                path: split.pictures(root).join(folder),
                list: root.join(layout::CLASS_LIST),
                classes: class_names.len(),
            })
    };
    folders.iter().map(rank).collect()
}

/// Gives each sample the mask with its key.
pub(crate) fn pair_masks(samples: &mut [Sample], folder: &Path) -> Result<(), Error> {
    let found = scan(folder, is_mask)?.files;
    let mut masks: HashMap<String, PathBuf> = found
        .into_iter()
        .map(|mask| (mask.key, mask.path))
        .collect();
    for sample in samples.iter_mut() {
        sample.mask = masks.remove(&sample.key);
    }
    check_every_picture_has_a_mask(samples, folder)?;
    check_every_mask_has_a_picture(masks.into_values(), folder)
}

pub(crate) fn is_mask(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(layout::MASK_EXTENSION))
}

fn check_every_picture_has_a_mask(samples: &[Sample], folder: &Path) -> Result<(), Error> {
    let mut bare = samples.iter().filter(|sample| sample.mask.is_none());
    match bare.next() {
        Some(first) => Err(Error::MissingMasks {
            folder: folder.to_owned(),
            first: first.picture.clone(),
            count: 1 + bare.count() as u64,
        }),
        None => Ok(()),
    }
}

fn check_every_mask_has_a_picture(
    left_over: impl ExactSizeIterator<Item = PathBuf>,
    folder: &Path,
) -> Result<(), Error> {
    let count = left_over.len() as u64;
    match left_over.min() {
        Some(first) => Err(Error::MasksWithoutPicture {
            folder: folder.to_owned(),
            count,
            first,
        }),
        None => Ok(()),
    }
}
