//! Where masks, pictures and names come from: a run, or two folders.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use imagenet_s::{LabelMask, OddPictures, Sample, Split};
use luss::{features::pictures_of, names::filled, pick_device};
use luss_metrics::{
    IGNORE,
    folder::{Tree, read_mask},
};
use pass_train::{
    Context, RunDir, Verbosity, quoted,
    step::export::{PseudoLabels, category_names},
};
use rayon::prelude::*;

use super::{MasksOf, Where};

/// Faults that are told by name.
const TOLD: usize = 5;

/// What is exported.
pub(super) struct Source {
    /// Pictures and their masks, in the order of their keys.
    pub(super) items: Vec<Item>,
    /// Width and height of each, in pixels.
    pub(super) sizes: Vec<(usize, usize)>,
    /// Names of the categories, that of id 1 first.
    pub(super) names: Vec<String>,
    /// Whether a pixel of a mask is [`IGNORE`].
    pub(super) has_ignored: bool,
    /// The name of the split in datasets for training.
    pub(super) split: &'static str,
    /// What to do with unusual pictures.
    pub(super) odd: OddPictures,
}

/// A picture and its mask.
pub(super) struct Item {
    pub(super) sample: Sample,
    mask: Mask,
}

enum Mask {
    File(PathBuf),
    Labels(Arc<PseudoLabels>),
}

impl Item {
    /// The path below the folder of pictures, without extension and with `/`.
    pub(super) fn key(&self) -> &str {
        &self.sample.key
    }

    /// The same with the extension.
    pub(super) fn file_name(&self) -> String {
        let depth = 1 + self.key().matches('/').count();
        let parts: Vec<_> = self.sample.picture.iter().rev().take(depth).collect();
        let parts = parts.iter().rev().map(|part| part.to_string_lossy());
        parts.collect::<Vec<_>>().join("/")
    }

    /// The mask, of the picture's size.
    pub(super) fn read_mask(&self) -> anyhow::Result<LabelMask> {
        let size = self.sample.picture_size()?;
        let path = match &self.mask {
            Mask::Labels(labels) => return Ok(labels.mask(self.key(), size)?),
            Mask::File(path) => path,
        };
        let (mask, _) = read_mask(path).with_context(|| format!("{}", path.display()))?;
        let (mask_px, picture) = (mask.size(), self.sample.picture.display());
        ensure!(
            mask_px == size,
            "{}: the mask has {} x {} pixels, its picture {picture} {} x {}; make the mask of this picture again",
            path.display(),
            mask_px.0,
            mask_px.1,
            size.0,
            size.1
        );
        Ok(mask)
    }
}

impl Source {
    /// Finds all, and reads every mask once.
    ///
    /// # Errors
    ///
    /// A run without these masks, masks without pictures, masks that cannot be read or do not fit.
    pub(super) fn open(
        place: &Where,
        given: Option<&BTreeMap<u16, String>>,
    ) -> anyhow::Result<Self> {
        match (&place.run, &place.masks, &place.images) {
            (Some(run), ..) => Self::of_run(run, place, given),
            (None, Some(masks), Some(images)) => Self::of_folders(masks, images, given),
            _ => bail!("nothing to export: give --run DIR, or --masks DIR and --images DIR"),
        }
    }

    fn of_run(
        root: &Path,
        place: &Where,
        given: Option<&BTreeMap<u16, String>>,
    ) -> anyhow::Result<Self> {
        let context = open_run(root)?;
        let split = split_of(&context, place)?;
        let items = items_of_run(&context, split, place.from)?;
        let classes = context.data.classes();
        let read = survey(&items)?;
        let largest = read
            .iter()
            .filter_map(|found| found.largest)
            .max()
            .unwrap_or(0);
        ensure!(
            largest <= classes,
            "{}: category {largest} of {classes}; these masks are not of this run, predict them again",
            root.display()
        );
        let names = match given {
            Some(given) => filled(given, classes)?,
            None => category_names(&context, place.from.name())?,
        };
        let odd = context.file.data.odd_pictures;
        Ok(Self::new(items, read, names, usual_name(split), odd))
    }

    fn of_folders(
        masks: &Path,
        images: &Path,
        given: Option<&BTreeMap<u16, String>>,
    ) -> anyhow::Result<Self> {
        let items = items_of_folders(masks, images)?;
        let read = survey(&items)?;
        let none = BTreeMap::new();
        let given = given.unwrap_or(&none);
        let largest = read.iter().filter_map(|found| found.largest).max();
        let count = largest.max(given.keys().last().copied()).unwrap_or(0);
        let names = filled(given, count)?;
        Ok(Self::new(items, read, names, "train", OddPictures::Decode))
    }

    fn new(
        items: Vec<Item>,
        read: Vec<Found>,
        names: Vec<String>,
        split: &'static str,
        odd: OddPictures,
    ) -> Self {
        Self {
            items,
            sizes: read.iter().map(|found| found.size).collect(),
            has_ignored: read.iter().any(|found| found.has_ignored),
            names,
            split,
            odd,
        }
    }

    /// The largest id of all masks, or that of the last category.
    pub(super) fn largest_id(&self) -> u16 {
        let categories = self.names.len() as u16;
        if self.has_ignored {
            categories.max(IGNORE)
        } else {
            categories
        }
    }
}

fn open_run(root: &Path) -> anyhow::Result<Context> {
    let file = RunDir::stored(root)?;
    let file = file.with_context(|| format!("no run at {}: check --run", root.display()))?;
    Ok(Context::open(
        root,
        file,
        pick_device("cpu")?,
        Verbosity::Quiet,
    )?)
}

/// The split that was asked for, else the first that the run has masks of.
fn split_of(context: &Context, place: &Where) -> anyhow::Result<Split> {
    let of_labels = [Split::Train];
    let shown = context.shown_splits();
    let split = place.split.unwrap_or(match place.from {
        MasksOf::FineTuned => shown[0],
        MasksOf::PseudoLabels => of_labels[0],
    });
    ensure!(
        !context.data.samples(split).is_empty(),
        "--split {}: {} has no such pictures",
        split.name(),
        context.data.root().display()
    );
    Ok(split)
}

/// The names that datasets for training use.
fn usual_name(split: Split) -> &'static str {
    match split {
        Split::Validation => "val",
        other => other.name(),
    }
}

fn items_of_run(context: &Context, split: Split, from: MasksOf) -> anyhow::Result<Vec<Item>> {
    let samples = context.data.samples(split).iter().cloned();
    if from == MasksOf::PseudoLabels {
        let labels = Arc::new(PseudoLabels::open(context, split)?);
        let item = |sample| Item {
            sample,
            mask: Mask::Labels(labels.clone()),
        };
        return Ok(samples.map(item).collect());
    }
    let item = |sample: Sample| {
        let mask = context.run.mask(from.name(), split.name(), &sample.key);
        ensure!(
            mask.is_file(),
            "{}: there is no such mask; predict first: luss step predict --run {}",
            mask.display(),
            quoted(context.run.root())
        );
        let mask = Mask::File(mask);
        Ok(Item { sample, mask })
    };
    samples.map(item).collect()
}

/// Each mask below a folder with the picture of its path; pictures may lack masks.
fn items_of_folders(masks: &Path, images: &Path) -> anyhow::Result<Vec<Item>> {
    let tree = Tree::of_masks(masks).context("--masks")?;
    if let Some(problem) = tree.problems().first() {
        bail!("--masks: {problem}");
    }
    ensure!(
        !tree.is_empty(),
        "--masks {}: there is no PNG in it; give the folder that `luss segment` wrote, or one of id masks",
        masks.display()
    );
    let pictures = pictures_of(images).context("--images")?;
    let mut pictures: HashMap<PathBuf, Sample> = pictures
        .into_iter()
        .map(|sample| (PathBuf::from(&sample.key), sample))
        .collect();
    let item = |(key, mask): (&Path, &Path)| {
        let sample = pictures.remove(key).with_context(|| {
            format!(
                "{}: its picture {}.* is not in --images {}; give the folder that the masks were made of",
                mask.display(),
                key.display(),
                images.display()
            )
        })?;
        let mask = Mask::File(mask.to_owned());
        Ok(Item { sample, mask })
    };
    tree.iter().map(item).collect()
}

/// What a mask holds.
struct Found {
    size: (usize, usize),
    /// Of its categories.
    largest: Option<u16>,
    has_ignored: bool,
}

/// Reads all masks; nothing is written before all are sound.
fn survey(items: &[Item]) -> anyhow::Result<Vec<Found>> {
    let read: Vec<anyhow::Result<Found>> = items.par_iter().map(look).collect();
    let (found, faults): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
    let faults: Vec<String> = faults
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    if faults.is_empty() {
        return found.into_iter().collect();
    }
    let told = faults[..faults.len().min(TOLD)].join("\n");
    bail!(
        "{} of {} masks cannot be exported:\n{told}",
        faults.len(),
        items.len()
    )
}

fn look(item: &Item) -> anyhow::Result<Found> {
    let mask = item.read_mask()?;
    let labels = || mask.labels().iter().copied();
    Ok(Found {
        size: mask.size(),
        largest: labels().filter(|&label| label != IGNORE).max(),
        has_ignored: labels().any(|label| label == IGNORE),
    })
}
