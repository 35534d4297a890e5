//! What a dataset consists of: the tables and figures of section 3.1.2 of the paper, for any tree.
//!
//! | paper | here |
//! |---|---|
//! | Table I: pictures of each split | [`SplitStatistics::pictures`] |
//! | Table II: categories in a picture | [`SplitStatistics::categories_per_picture`] |
//! | Table III: agreement of annotators | [`agreement`] |
//! | Figure 4: pictures and pixels of each class | [`SplitStatistics::classes`] |
//! | Figure 5: sizes of objects | [`SplitStatistics::object_sizes`], [`SplitStatistics::size_groups`] |
//! | Figure 6: where objects and their contours lie | [`SplitStatistics::objects`], [`SplitStatistics::contours`] |
//!
//! An object is all that a picture shows of a class, connected or not, as in the metrics.

mod agreement;
mod picture;
mod plots;
mod show;

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    Dataset, Error, Split, categories, dataset::sample::Sample, pictures::mask_png::read_mask,
    progress::Counter, progress::Watcher,
};

pub use agreement::{Agreement, AgreementRow, agreement};
pub use picture::PlaceMap;
pub use plots::write_page;

/// Masks that are read before their numbers are added up.
const CHUNK: usize = 256;

/// What a dataset consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// The splits that have pictures.
    pub splits: Vec<SplitStatistics>,
}

/// What a split consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitStatistics {
    /// Which one.
    pub split: Split,
    /// Its pictures.
    pub pictures: u64,
    /// Its masks.
    pub masks: u64,
    /// The classes in the order of their ids. Without masks, a picture belongs to its folder.
    pub classes: Vec<ClassStatistics>,
    /// Pictures by the number of their categories: those with none, one, two, ... By the masks, so
    /// empty without them; as is everything below.
    pub categories_per_picture: Vec<u64>,
    /// Objects by their share of the counted pixels: above 0 and up to 1 %, ..., up to 100 %.
    pub object_sizes: Vec<u64>,
    /// Objects by the groups of the metrics: S (up to 5 %), MS (25 %), ML (50 %), L.
    pub size_groups: [u64; 4],
    /// How many pictures show an object at a place.
    pub objects: PlaceMap,
    /// How many pictures have a contour at a place.
    pub contours: PlaceMap,
}

/// A class in a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassStatistics {
    /// From 1.
    pub id: u16,
    /// The class folder; empty where nobody named the classes.
    pub folder: String,
    /// The English name, for categories of ImageNet.
    pub name: String,
    /// Pictures that show it.
    pub pictures: u64,
    /// Pixels that show it.
    pub pixels: u64,
}

/// Reads all masks of a dataset and counts.
///
/// # Errors
///
/// Those of [`read_mask`] and [`Error::IdOutOfRange`].
pub fn statistics(data: &Dataset, watcher: Watcher<'_>) -> Result<Statistics, Error> {
    let present = Split::ALL
        .into_iter()
        .filter(|&split| !data.samples(split).is_empty());
    let splits = present.map(|split| split_statistics(data, split, watcher));
    Ok(Statistics {
        splits: splits.collect::<Result<_, _>>()?,
    })
}

fn split_statistics(
    data: &Dataset,
    split: Split,
    watcher: Watcher<'_>,
) -> Result<SplitStatistics, Error> {
    let samples = data.samples(split);
    let mut found = SplitStatistics::empty(data, split);
    if !data.has_masks(split) {
        found.count_folders(samples);
        return Ok(found);
    }
    let counter = Counter::new(split.name(), samples.len(), watcher);
    for chunk in samples.chunks(CHUNK) {
        let pictures = chunk.par_iter().map(|sample| {
            let path = sample
                .mask
                .as_deref()
                .expect("a split has all masks or none");
            let mask = read_mask(path)?;
            data.check_mask(&mask, path, mask.size())?;
            counter.step();
            Ok(picture::PictureStatistics::of(&mask))
        });
        let pictures: Vec<_> = pictures.collect::<Result<_, Error>>()?;
        pictures.iter().for_each(|picture| found.add(picture));
    }
    Ok(found)
}

impl SplitStatistics {
    fn empty(data: &Dataset, split: Split) -> Self {
        let folders = data.class_names();
        let class = |id: u16| {
            let folder = folders
                .get(usize::from(id) - 1)
                .cloned()
                .unwrap_or_default();
            let name = categories::category(&folder).map_or("", |category| category.name);
            ClassStatistics {
                id,
                name: name.to_owned(),
                folder,
                pictures: 0,
                pixels: 0,
            }
        };
        Self {
            split,
            pictures: data.samples(split).len() as u64,
            masks: 0,
            classes: (1..=data.classes()).map(class).collect(),
            categories_per_picture: Vec::new(),
            object_sizes: vec![0; 100],
            size_groups: [0; 4],
            objects: PlaceMap::empty(),
            contours: PlaceMap::empty(),
        }
    }

    fn count_folders(&mut self, samples: &[Sample]) {
        for folder in samples.iter().filter_map(|sample| sample.folder) {
            // The folders of a flat dataset are no classes.
            if let Some(class) = self.classes.get_mut(folder as usize) {
                class.pictures += 1;
            }
        }
    }

    fn add(&mut self, picture: &picture::PictureStatistics) {
        self.masks += 1;
        let categories = picture.areas.len();
        if self.categories_per_picture.len() <= categories {
            self.categories_per_picture.resize(categories + 1, 0);
        }
        self.categories_per_picture[categories] += 1;
        for (&id, &area) in &picture.areas {
            let class = &mut self.classes[usize::from(id) - 1];
            class.pictures += 1;
            class.pixels += area;
            let percent = (100 * area).div_ceil(picture.counted) as usize;
            self.object_sizes[percent - 1] += 1;
            self.size_groups[picture.group(area) as usize] += 1;
        }
        self.objects.add(&picture.objects);
        self.contours.add(&picture.contours);
    }

    /// Pictures with more than one category, as a share of those with a mask; 0 without masks.
    pub fn share_with_several(&self) -> f64 {
        let several: u64 = self.categories_per_picture.iter().skip(2).sum();
        several as f64 / self.masks.max(1) as f64
    }
}
