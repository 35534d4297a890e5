//! COCO: one JSON file of pictures, categories and annotations.
//!
//! Source: <https://cocodataset.org/#format-data>. Coordinates are pixels from the left upper corner.
//! Ids count from 1: pictures and annotations in the order in which they are written, categories as in
//! the masks, every one of them listed, whether it occurs or not.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    Regions,
    json_array::JsonArray,
    outline::polygons,
    rle::{RegionRuns, column_runs, compressed},
};

/// How annotations hold their pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segmentation {
    /// Compressed run lengths.
    Rle,
    /// Polygons along the edges of pixels, holes joined to the border around them.
    Polygons,
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Its path below the folder of the pictures.
    pub file_name: String,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// A region of a picture; its ids are given when it is written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Annotation {
    category_id: u16,
    segmentation: Pixels,
    area: u64,
    bbox: [u32; 4],
    iscrowd: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Pixels {
    Rle { size: [usize; 2], counts: String },
    Polygons(Vec<Vec<u32>>),
}

/// An annotation for each region of a picture. None is a crowd, also as run lengths, since evaluation leaves
/// crowds out.
pub fn annotations(regions: &Regions, segmentation: Segmentation) -> Vec<Annotation> {
    let runs = column_runs(regions);
    let pixels: Vec<Pixels> = match segmentation {
        Segmentation::Rle => runs.iter().map(|runs| packed(regions, runs)).collect(),
        Segmentation::Polygons => polygons(regions).into_iter().map(flat).collect(),
    };
    let all = regions.categories().iter().zip(runs).zip(pixels);
    all.map(|((&category_id, runs), segmentation)| Annotation {
        category_id,
        segmentation,
        area: runs.area_px,
        bbox: runs.bbox_px,
        iscrowd: 0,
    })
    .collect()
}

fn packed(regions: &Regions, runs: &RegionRuns) -> Pixels {
    Pixels::Rle {
        size: [regions.height(), regions.width()],
        counts: compressed(&runs.counts),
    }
}

fn flat(polygons: Vec<Vec<[u32; 2]>>) -> Pixels {
    let flat = |polygon: Vec<[u32; 2]>| polygon.into_iter().flatten().collect();
    Pixels::Polygons(polygons.into_iter().map(flat).collect())
}

/// A COCO file under way: the pictures first, then the annotations of each, in the same order.
#[derive(Debug)]
pub struct CocoWriter<W> {
    annotations: JsonArray<W>,
    images: usize,
    annotated: usize,
}

#[derive(Serialize)]
struct WithId<'a, T> {
    id: usize,
    #[serde(flatten)]
    of: &'a T,
}

#[derive(Serialize)]
struct OfImage<'a> {
    id: u64,
    image_id: usize,
    #[serde(flatten)]
    annotation: &'a Annotation,
}

#[derive(Serialize)]
struct Category<'a> {
    id: usize,
    name: &'a str,
    supercategory: &'a str,
}

impl<W: Write> CocoWriter<W> {
    /// Writes what precedes the annotations. `names[0]` is that of category 1, `description` says where
    /// the file comes from.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn begin(
        mut out: W,
        description: &str,
        names: &[String],
        images: &[Image],
    ) -> io::Result<Self> {
        let info = serde_json::json!({ "description": description });
        write!(out, "{{\"info\": {info},\n\"categories\": ")?;
        let categories = (1..).zip(names).map(|(id, name)| Category {
            id,
            name,
            supercategory: "",
        });
        let mut out = array(out, categories)?;
        out.write_all(b",\n\"images\": ")?;
        let numbered = (1..).zip(images).map(|(id, of)| WithId { id, of });
        let mut out = array(out, numbered)?;
        out.write_all(b",\n\"annotations\": ")?;
        Ok(Self {
            annotations: JsonArray::begin(out)?,
            images: images.len(),
            annotated: 0,
        })
    }

    /// Writes the annotations of the next picture.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    ///
    /// # Panics
    ///
    /// After the last picture.
    pub fn push(&mut self, annotations: &[Annotation]) -> io::Result<()> {
        self.annotated += 1;
        assert!(
            self.annotated <= self.images,
            "more annotations than pictures"
        );
        for annotation in annotations {
            let id = 1 + self.annotations.len();
            let image_id = self.annotated;
            self.annotations.push(&OfImage {
                id,
                image_id,
                annotation,
            })?;
        }
        Ok(())
    }

    /// Writes the end of the file; how many annotations it has.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    ///
    /// # Panics
    ///
    /// Before the last picture.
    pub fn finish(self) -> io::Result<u64> {
        assert_eq!(self.annotated, self.images, "pictures with annotations");
        let annotations = self.annotations.len();
        let mut out = self.annotations.finish()?;
        out.write_all(b"}\n")?;
        Ok(annotations)
    }
}

fn array<W: Write>(out: W, items: impl Iterator<Item = impl Serialize>) -> io::Result<W> {
    let mut array = JsonArray::begin(out)?;
    for item in items {
        array.push(&item)?;
    }
    array.finish()
}
