//! Where masks, pictures and names come from: a run, or two folders.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use imagenet_s::{Decoding, LabelMask, OddPictures, Sample, Split};
use luss::{features::pictures_of, names::filled, pick_device};
use luss_metrics::{
    IGNORE, OTHER,
    folder::{Tree, read_mask},
};
use pass_train::{
    Context, RunDir, Verbosity, apply::names_of, quoted, run_file::Predictor,
    step::export::PseudoLabels,
};
use rayon::prelude::*;
use serde::Deserialize;

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

    /// The key with the extension of the picture, by which training programs find its mask. It differs from
    /// the picture's own name where that has a namesake of another extension, and the key its own.
    pub(super) fn key_and_extension(&self) -> String {
        let extension = self.sample.picture.extension().unwrap_or_default();
        format!("{}.{}", self.key(), extension.to_string_lossy())
    }

    /// The path of the picture below the folder of pictures.
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
    /// Finds all, and reads every mask once; `given` are names by ids.
    ///
    /// # Errors
    ///
    /// A run without these masks, masks without pictures, masks that cannot be read or do not fit.
    pub(super) fn open(
        place: &Where,
        given: Option<&BTreeMap<u16, String>>,
    ) -> anyhow::Result<Self> {
        match (&place.run, &place.masks) {
            (Some(run), _) => Self::of_run(run, place, given),
            (None, Some(masks)) => Self::of_folders(masks, place.images.as_deref(), given),
            (None, None) => bail!("nothing to export: give --run DIR or --masks DIR"),
        }
    }

    fn of_run(
        root: &Path,
        place: &Where,
        given: Option<&BTreeMap<u16, String>>,
    ) -> anyhow::Result<Self> {
        let context = open_run(root)?;
        let split = split_of(&context, place)?;
        let result = MasksOf::result(context.file.predict.predictor);
        let items = items_of_run(&context, split, place.from.unwrap_or(result))?;
        let classes = context.data.classes();
        let found = survey(&items)?;
        let largest = largest_of(&found);
        ensure!(
            largest <= classes,
            "{}: category {largest} of {classes}; these masks are not of this run, predict them again",
            root.display()
        );
        let names = match given {
            Some(given) => filled(given, classes)?,
            None => names_of(&context.run, classes.into())?,
        };
        let odd = context.file.data.odd_pictures;
        Ok(Self::new(items, found, names, usual_name(split), odd))
    }

    fn of_folders(
        masks: &Path,
        images: Option<&Path>,
        given: Option<&BTreeMap<u16, String>>,
    ) -> anyhow::Result<Self> {
        let segments = Segments::read(masks)?;
        let pictures = match (images, &segments) {
            (Some(images), _) => pictures_of(images, None).context("--images")?,
            (None, Some(segments)) => segments.samples(),
            (None, None) => bail!(
                "--masks {}: there is no segments.json in it that names the pictures; give their folder with --images",
                masks.display()
            ),
        };
        let items = items_of_folder(masks, pictures)?;
        let found = survey(&items)?;
        let stated = segments.map_or_else(BTreeMap::new, Segments::names);
        let names = given.unwrap_or(&stated);
        let named = [names, &stated].map(|names| names.keys().last().copied());
        let count = named
            .into_iter()
            .flatten()
            .fold(largest_of(&found), u16::max);
        let names = filled(names, count)?;
        Ok(Self::new(items, found, names, "train", OddPictures::Decode))
    }

    fn new(
        items: Vec<Item>,
        found: Vec<Found>,
        names: Vec<String>,
        split: &'static str,
        odd: OddPictures,
    ) -> Self {
        Self {
            items,
            sizes: found.iter().map(|found| found.size).collect(),
            has_ignored: found.iter().any(|found| found.has_ignored),
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
    let usual = match place.from {
        Some(MasksOf::PseudoLabels) => Split::Train,
        _ => context.shown_splits()[0],
    };
    let split = place.split.unwrap_or(usual);
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
        let mask = context
            .run
            .mask(Predictor::FineTuned.result(), split.name(), &sample.key);
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

/// Each mask below a folder with the picture of its key; pictures may lack masks.
fn items_of_folder(masks: &Path, pictures: Vec<Sample>) -> anyhow::Result<Vec<Item>> {
    let tree = Tree::of_masks(masks).context("--masks")?;
    if let Some(problem) = tree.problems().first() {
        bail!("--masks: {problem}");
    }
    ensure!(
        !tree.is_empty(),
        "--masks {}: there is no PNG in it; give the folder that `luss segment` wrote, or one of id masks",
        masks.display()
    );
    let keyed = pictures
        .into_iter()
        .map(|sample| (PathBuf::from(&sample.key), sample));
    let mut pictures: HashMap<PathBuf, Sample> = keyed.collect();
    let item = |(key, mask): (&Path, &Path)| {
        let sample = pictures.remove(key).with_context(|| {
            format!(
                "{}: its picture {}.* is not there; give the folder that the masks were made of with --images",
                mask.display(),
                key.display()
            )
        })?;
        let mask = Mask::File(mask.to_owned());
        Ok(Item { sample, mask })
    };
    tree.iter().map(item).collect()
}

/// `segments.json` of `luss segment`, as far as it is needed.
#[derive(Deserialize)]
struct Segments {
    model: OfModel,
    categories: Vec<Category>,
    pictures: Vec<Segmented>,
}

#[derive(Deserialize)]
struct OfModel {
    decoding: Decoding,
}

#[derive(Deserialize)]
struct Category {
    id: u16,
    name: String,
}

#[derive(Deserialize)]
struct Segmented {
    key: String,
    path: PathBuf,
}

impl Segments {
    /// That of a folder of masks, if there is one.
    fn read(masks: &Path) -> anyhow::Result<Option<Self>> {
        let path = masks.join("segments.json");
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display();
        let text = fs::read_to_string(&path).with_context(|| format!("{shown}"))?;
        let read = serde_json::from_str(&text);
        let read = read.with_context(|| {
            format!("{shown}: not as `luss segment` writes it; start that again")
        })?;
        Ok(Some(read))
    }

    /// The pictures as they were segmented.
    fn samples(&self) -> Vec<Sample> {
        let decoding = Arc::new(self.model.decoding.clone());
        let sample = |of: &Segmented| {
            let sample = Sample::of_file(of.key.as_str(), &of.path, None);
            sample.with_decoding(decoding.clone())
        };
        self.pictures.iter().map(sample).collect()
    }

    fn names(self) -> BTreeMap<u16, String> {
        let named = self
            .categories
            .into_iter()
            .filter(|category| category.id != OTHER);
        named.map(|category| (category.id, category.name)).collect()
    }
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
        "{} of {} masks cannot be exported{}:\n{told}",
        faults.len(),
        items.len(),
        if faults.len() > TOLD { ", such as" } else { "" }
    )
}

/// The largest id of a category.
fn largest_of(found: &[Found]) -> u16 {
    found
        .iter()
        .filter_map(|found| found.largest)
        .max()
        .unwrap_or(0)
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
