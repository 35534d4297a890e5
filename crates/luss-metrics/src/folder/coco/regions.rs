//! Annotations with run lengths or polygons, one for each region.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{Annotation, Document, Id, Image, Keys, Segmentation, label_of, name_of, polygon, rle};
use crate::{
    LabelMask, OTHER,
    folder::{FileError, MAX_PIXELS, MaskReader, MaskSource, Side, Tree},
};

/// The regions of all pictures. A path is that of the JSON and the name of a picture below it.
#[derive(Debug)]
pub(super) struct Regions {
    tree: Tree,
    pictures: HashMap<PathBuf, Picture>,
    keys: Keys,
    /// The label of pixels that two categories claim; without one the higher score has them.
    contested: Option<u16>,
}

#[derive(Debug, Default)]
struct Picture {
    /// Width and height in pixels, as far as known.
    size: Option<(usize, usize)>,
    regions: Vec<Region>,
}

#[derive(Debug)]
struct Region {
    label: u16,
    score: f64,
    segmentation: Segmentation,
}

impl Regions {
    pub(super) fn new(path: &Path, document: Document, side: Side) -> Result<Self, String> {
        let (contested, names) = match side {
            Side::Truth { ignore } => (Some(ignore), Keys::new()),
            Side::Prediction { truth } => (None, truth.keys_of_ids()),
        };
        let mut regions = Self {
            tree: Tree::empty(path),
            pictures: HashMap::new(),
            keys: Keys::new(),
            contested,
        };
        let mut files = HashMap::new();
        for image in document.images {
            let file = regions.add_picture(name_of(&image.file_name), size_of(&image)?);
            let key = regions.tree.key_of(&file);
            regions.keys.insert(image.id.text(), key);
            files.insert(image.id.text(), file);
        }
        for (at, annotation) in document.annotations.into_iter().enumerate() {
            let of = |reason| format!("annotation {at} (counted from 0): {reason}");
            let file = regions.file_of(&annotation, &files, &names).map_err(of)?;
            let picture = regions.pictures.entry(file).or_default();
            picture.add(annotation).map_err(of)?;
        }
        Ok(regions)
    }

    /// The picture of an annotation: by its id among `files`, if there is such a list; by its name; or by
    /// its id among the `names` of the truth.
    fn file_of(
        &mut self,
        annotation: &Annotation,
        files: &HashMap<String, PathBuf>,
        names: &Keys,
    ) -> Result<PathBuf, String> {
        let id = annotation.image_id.as_ref().map(Id::text);
        match (id, &annotation.file_name) {
            (Some(id), _) if !files.is_empty() => {
                let file = files.get(&id).cloned();
                file.ok_or_else(|| format!("its image_id {id} is not among the images"))
            }
            (_, Some(name)) => Ok(self.add_picture(name_of(name), None)),
            (Some(id), None) => match names.get(&id) {
                Some(key) => Ok(self.add_under(key.clone(), key, None)),
                None => Ok(self.add_picture(Path::new(&id), None)),
            },
            (None, None) => Err("it has neither image_id nor file_name".into()),
        }
    }

    /// The path of a picture file; each is added once.
    fn add_picture(&mut self, name: &Path, size: Option<(usize, usize)>) -> PathBuf {
        self.add_under(name.with_extension(""), name, size)
    }

    fn add_under(&mut self, key: PathBuf, name: &Path, size: Option<(usize, usize)>) -> PathBuf {
        let file = self.tree.root().join(name);
        if !self.pictures.contains_key(&file) {
            self.tree.insert(key, file.clone());
            let picture = Picture {
                size,
                ..Picture::default()
            };
            self.pictures.insert(file.clone(), picture);
        }
        file
    }
}

fn size_of(image: &Image) -> Result<Option<(usize, usize)>, String> {
    let size = image.width.zip(image.height);
    size.map(|size| checked(size).map_err(|reason| format!("{}: {reason}", image.file_name)))
        .transpose()
}

fn checked((width, height): (usize, usize)) -> Result<(usize, usize), String> {
    let pixels = (width as u64).checked_mul(height as u64);
    match pixels {
        Some(1..=MAX_PIXELS) => Ok((width, height)),
        _ => Err(format!(
            "{width}x{height} pixels; 1 to {MAX_PIXELS} are read"
        )),
    }
}

impl Picture {
    fn add(&mut self, annotation: Annotation) -> Result<(), String> {
        let Some(segmentation) = annotation.segmentation else {
            return Err("it has no segmentation; a box alone gives no mask".into());
        };
        match &segmentation {
            Segmentation::Polygons(polygons) if polygons.is_empty() => {
                return Err("its segmentation is empty; a box alone gives no mask".into());
            }
            Segmentation::Rle { size, .. } => self.check_size((size[1], size[0]))?,
            Segmentation::Polygons(_) => {}
        }
        let category = annotation.category_id.ok_or("it has no category_id")?;
        let score = annotation.score.unwrap_or(f64::INFINITY);
        self.regions.push(Region {
            label: label_of(category)?,
            score,
            segmentation,
        });
        Ok(())
    }

    fn check_size(&mut self, found: (usize, usize)) -> Result<(), String> {
        let expected = *self.size.get_or_insert(checked(found)?);
        if found == expected {
            return Ok(());
        }
        Err(format!(
            "its size is {}x{} where the picture has {}x{} (width x height)",
            found.0, found.1, expected.0, expected.1
        ))
    }

    /// The mask; where categories overlap, `contested`, or that of the higher score, the later one of
    /// two that are equal.
    fn mask(&self, contested: Option<u16>) -> Result<LabelMask, String> {
        let size = self
            .size
            .ok_or("its width and height are unknown; give them in `images`")?;
        let mut canvas = Canvas::new(size, contested);
        let mut regions: Vec<&Region> = self.regions.iter().collect();
        regions.sort_by(|a, b| a.score.total_cmp(&b.score));
        for region in regions {
            canvas.paint(region)?;
        }
        let mask = LabelMask::new(size.0, size.1, canvas.labels);
        Ok(mask.expect("a label for each pixel"))
    }
}

struct Canvas {
    size: (usize, usize),
    contested: Option<u16>,
    labels: Vec<u16>,
    /// Whether a pixel has been painted.
    is_painted: Vec<bool>,
}

impl Canvas {
    fn new(size: (usize, usize), contested: Option<u16>) -> Self {
        let pixels = size.0 * size.1;
        Self {
            size,
            contested,
            labels: vec![OTHER; pixels],
            is_painted: vec![false; pixels],
        }
    }

    fn paint(&mut self, region: &Region) -> Result<(), String> {
        let (label, size) = (region.label, self.size);
        let mut run = |start, end| self.paint_run(label, start, end);
        match &region.segmentation {
            Segmentation::Rle { counts, .. } => {
                rle::for_each_run(counts, size.0 * size.1, &mut run)
            }
            Segmentation::Polygons(polygons) => polygons
                .iter()
                .try_for_each(|corners| polygon::for_each_run(corners, size, &mut run)),
        }
    }

    /// Paints the pixels of a run down the columns.
    fn paint_run(&mut self, label: u16, start: usize, end: usize) {
        let (width, height) = self.size;
        for at in start..end {
            let pixel = at % height * width + at / height;
            let is_contested = self.is_painted[pixel] && self.labels[pixel] != label;
            self.labels[pixel] = match self.contested {
                Some(contested) if is_contested => contested,
                _ => label,
            };
            self.is_painted[pixel] = true;
        }
    }
}

impl MaskSource for Regions {
    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn format(&self) -> Option<&'static str> {
        Some("coco")
    }

    fn read(&self, path: &Path, _: &mut MaskReader) -> Result<LabelMask, FileError> {
        let mask = self.pictures[path].mask(self.contested);
        mask.map_err(|reason| FileError::Annotation { reason })
    }

    fn keys_of_ids(&self) -> Keys {
        self.keys.clone()
    }
}
