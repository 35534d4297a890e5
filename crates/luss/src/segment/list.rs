//! `segments.json`: what is in which picture.

use std::path::Path;

use anyhow::Context as _;
use html_report::palette::color_of;
use pass_train::apply::{About, Kind};
use serde::Serialize;

use super::{
    MaskForm,
    journal::{Done, Journal},
    plan::{Plan, Planned, Recipe, Skipped},
};

/// All of `segments.json`.
#[derive(Serialize)]
struct List<'a> {
    version: u32,
    masks: MaskForm,
    model: OfModel<'a>,
    categories: Vec<Category<'a>>,
    pictures: Vec<Picture<'a>>,
    /// Pictures that cannot be read.
    skipped: Vec<LeftOut<'a>>,
}

#[derive(Serialize)]
struct LeftOut<'a> {
    path: &'a Path,
    cause: &'a str,
}

#[derive(Serialize)]
struct OfModel<'a> {
    kind: Kind,
    #[serde(flatten)]
    recipe: &'a Recipe,
}

#[derive(Serialize)]
struct Category<'a> {
    id: u16,
    name: &'a str,
    /// As in the masks: red, green, blue.
    color: [u8; 3],
}

#[derive(Serialize)]
struct Picture<'a> {
    key: &'a str,
    path: &'a Path,
    mask: String,
    width: usize,
    height: usize,
    confidence: f64,
    segments: Vec<OfPicture<'a>>,
}

#[derive(Serialize)]
struct OfPicture<'a> {
    id: u16,
    name: &'a str,
    pixels: u64,
    /// Of the pixels of the picture, 0..=1.
    share: f64,
    confidence: Option<f64>,
}

/// What OTHER is called.
const OTHER: &str = "other";

/// Writes `OUT/segments.json`, whole.
///
/// # Errors
///
/// A failed write.
///
/// # Panics
///
/// If a mask is missing.
pub(super) fn write_list(
    out: &Path,
    about: &About,
    plan: &Plan,
    journal: &Journal,
) -> anyhow::Result<()> {
    let names = &plan.recipe.names;
    let pictures = plan.pictures.iter().zip(journal.done().values());
    let list = List {
        version: 1,
        masks: MaskForm::of(about.categories()),
        model: OfModel {
            kind: about.kind,
            recipe: &plan.recipe,
        },
        categories: (0..=about.categories())
            .map(|id| category(id, names))
            .collect(),
        pictures: pictures
            .map(|(picture, done)| of_picture(picture, done, names))
            .collect(),
        skipped: plan.skipped.iter().map(left_out).collect(),
    };
    assert_eq!(
        plan.pictures.len(),
        journal.done().len(),
        "a mask is missing"
    );
    let path = out.join("segments.json");
    let text = serde_json::to_string_pretty(&list)? + "\n";
    whole_file::write_bytes(&path, text.as_bytes()).with_context(|| format!("{}", path.display()))
}

fn name(id: u16, names: &[String]) -> &str {
    match id {
        0 => OTHER,
        id => &names[usize::from(id) - 1],
    }
}

fn category(id: u16, names: &[String]) -> Category<'_> {
    Category {
        id,
        name: name(id, names),
        color: color_of(id).unwrap_or([0; 3]),
    }
}

fn of_picture<'a>(picture: &'a Planned, done: &Done, names: &'a [String]) -> Picture<'a> {
    let [width, height] = picture.size;
    let segment = |segment: &super::journal::Segment| OfPicture {
        id: segment.id,
        name: name(segment.id, names),
        pixels: segment.pixels,
        share: rounded(segment.pixels as f64 / (width * height) as f64, 1e6),
        confidence: segment.confidence,
    };
    Picture {
        key: &picture.key,
        path: &picture.path,
        mask: format!("{}.png", picture.key),
        width,
        height,
        confidence: done.confidence,
        segments: done.segments.iter().map(segment).collect(),
    }
}

fn left_out(picture: &Skipped) -> LeftOut<'_> {
    LeftOut {
        path: &picture.path,
        cause: &picture.cause,
    }
}

/// To a part of one, so that the text is short and read back as it was.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
