//! Masks from COCO annotations (<https://cocodataset.org/#format-data>): one JSON file for all pictures.
//!
//! The label of a pixel is the `category_id`, as it stands.

use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use super::{FileError, MaskSource, Side, reader::io};

mod panoptic;
mod polygon;
mod regions;
mod rle;

/// What the file holds.
#[derive(Default, Deserialize)]
struct Document {
    #[serde(default)]
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Image {
    id: Id,
    file_name: String,
    width: Option<usize>,
    height: Option<usize>,
}

/// Numbers as COCO has them, or texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

/// A region, a result of a prediction, or the segments of a panoptic PNG.
#[derive(Deserialize)]
struct Annotation {
    image_id: Option<Id>,
    file_name: Option<String>,
    category_id: Option<i64>,
    segmentation: Option<Segmentation>,
    score: Option<f64>,
    segments_info: Option<Vec<Segment>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Segmentation {
    Rle {
        /// Height and width in pixels.
        size: [usize; 2],
        counts: Counts,
    },
    /// Coordinates `x, y` in turns.
    Polygons(Vec<Vec<f64>>),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Counts {
    Compressed(String),
    Plain(Vec<u32>),
}

#[derive(Deserialize)]
struct Segment {
    id: u32,
    category_id: i64,
}

/// The masks of a JSON file: a panoptic one with its folder of PNGs beside it, regions, or a list of
/// results.
pub(super) fn open(path: &Path, side: Side) -> Result<Box<dyn MaskSource>, FileError> {
    let text = fs::read(path).map_err(|source| io(path, source))?;
    let refused = |reason: String| FileError::Coco {
        path: path.to_owned(),
        reason,
    };
    let document = Document::parse(&text).map_err(|error| refused(error.to_string()))?;
    match document
        .annotations
        .iter()
        .any(|of| of.segments_info.is_some())
    {
        true => Ok(Box::new(panoptic::Panoptic::new(path, document, side)?)),
        false => Ok(Box::new(
            regions::Regions::new(path, document, side).map_err(refused)?,
        )),
    }
}

impl Document {
    /// An object with `annotations`, or a bare list of them, as predictions are written.
    fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => Ok(Self {
                annotations: serde_json::from_slice(text)?,
                ..Self::default()
            }),
            _ => serde_json::from_slice(text),
        }
    }
}

impl Id {
    /// The same text for the same picture.
    fn text(&self) -> String {
        match self {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => normal(text),
        }
    }
}

/// An id as a number without leading zeros, if it is one.
fn normal(id: &str) -> String {
    let number = id.parse::<u64>();
    number.map_or_else(|_| id.to_owned(), |number| number.to_string())
}

fn label_of(category: i64) -> Result<u16, String> {
    u16::try_from(category).map_err(|_| format!("category_id {category}: ids run from 0 to 65535"))
}

/// How a picture is called in a file; of an absolute path its last part.
fn name_of(file_name: &str) -> &Path {
    let path = Path::new(file_name);
    let is_below = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    match path.file_name() {
        Some(name) if !is_below => Path::new(name),
        _ => path,
    }
}

/// The keys of pictures by their ids.
type Keys = HashMap<String, PathBuf>;
