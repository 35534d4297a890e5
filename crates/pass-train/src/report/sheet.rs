//! The contact sheet: pictures beside their masks, as overlays in the colours of the classes.

use std::{cmp::Reverse, collections::BTreeMap};

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{
    ExtendedColorType, ImageEncoder, Rgb, RgbImage,
    codecs::jpeg::JpegEncoder,
    imageops::{self, FilterType},
};
use luss_metrics::{IGNORE, LabelMask, OTHER};

use super::{
    html::{escape, percent},
    palette::{color_of, css},
};

/// The box into which every picture is fitted, in pixels.
const BOX_WIDTH: u32 = 240;
const BOX_HEIGHT: u32 = 180;
const JPEG_QUALITY: u8 = 85;
/// Share of the class colour within a region; along its edge the colour is nearly pure.
const INSIDE: f32 = 0.55;
const EDGE: f32 = 0.95;
/// Classes named below a tile: the largest, and further ones that cover this share of the picture.
const MOST_NAMED: usize = 3;
const LEAST_NAMED_PERCENT: u32 = 1;

/// One picture of the contact sheet with the masks there are. A mask may have another size than
/// the picture; it is stretched over all of it.
#[derive(Debug, Clone)]
pub struct SheetRow {
    /// Key of the picture, such as `"n01443537/ILSVRC2012_val_00000236"`.
    pub key: String,
    /// The picture, of any size; the report keeps a thumbnail.
    pub picture: RgbImage,
    /// The true mask.
    pub truth: Option<LabelMask>,
    /// The pseudo label of the clustering step.
    pub pseudo: Option<LabelMask>,
    /// The prediction of the fine-tuned network.
    pub prediction: Option<LabelMask>,
    /// mIoU of this picture, `0..=1`.
    pub score: Option<f64>,
}

impl SheetRow {
    fn masks(&self) -> impl Iterator<Item = (&'static str, &LabelMask)> {
        let named = [
            ("truth", &self.truth),
            ("pseudo label", &self.pseudo),
            ("prediction", &self.prediction),
        ];
        named
            .into_iter()
            .filter_map(|(name, mask)| mask.as_ref().map(|mask| (name, mask)))
    }
}

/// The sheet: a legend, then the scored rows from best to worst in two halves, then the others in
/// their given order.
pub(super) fn contact_sheet(rows: &[SheetRow], class_names: &[String]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut ranked: Vec<(f64, &SheetRow)> = rows
        .iter()
        .filter_map(|row| Some((row.score?, row)))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let ranked: Vec<&SheetRow> = ranked.into_iter().map(|(_, row)| row).collect();
    let (best, worst) = ranked.split_at(ranked.len().div_ceil(2));
    let others: Vec<&SheetRow> = rows.iter().filter(|row| row.score.is_none()).collect();
    let heading = if ranked.is_empty() { "" } else { "Not scored" };
    [
        legend(rows, class_names),
        group("Best by mIoU of the picture", best, class_names),
        group("Worst by mIoU of the picture", worst, class_names),
        group(heading, &others, class_names),
    ]
    .concat()
}

fn group(heading: &str, rows: &[&SheetRow], class_names: &[String]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heading = if heading.is_empty() {
        String::new()
    } else {
        format!("<h3>{heading}</h3>\n")
    };
    let cards: String = rows.iter().map(|row| card(row, class_names)).collect();
    format!("{heading}<div class=\"sheet\">\n{cards}</div>\n")
}

fn card(row: &SheetRow, class_names: &[String]) -> String {
    let thumbnail = thumbnail(&row.picture);
    let masks = row.masks().map(|(name, mask)| {
        tile(
            name,
            &overlay(&thumbnail, mask),
            &named_classes(mask, class_names),
        )
    });
    let tiles: String = [tile("picture", &thumbnail, "")]
        .into_iter()
        .chain(masks)
        .collect();
    let score = row
        .score
        .map(|score| format!("<b>{} %</b>", percent(score, 1)));
    format!(
        "<article class=\"card\"><header><span class=\"key\">{}</span>{}</header>\n\
         <div class=\"tiles\">{tiles}</div></article>\n",
        escape(&row.key),
        score.unwrap_or_default()
    )
}

fn tile(name: &str, picture: &RgbImage, classes: &str) -> String {
    let (width, height) = picture.dimensions();
    format!(
        "<figure><div class=\"frame\"><img alt=\"{name}\" width=\"{width}\" height=\"{height}\" src=\"{}\"></div>\
         <figcaption>{name}{classes}</figcaption></figure>\n",
        data_uri(picture)
    )
}

/// The largest classes of a mask as coloured chips.
fn named_classes(mask: &LabelMask, class_names: &[String]) -> String {
    let mut areas: Vec<(u16, u32)> = areas(mask).into_iter().collect();
    let least = mask.labels().len() as u32 * LEAST_NAMED_PERCENT / 100;
    areas.retain(|&(label, _)| label != OTHER && label != IGNORE);
    areas.sort_by_key(|&(label, area)| (Reverse(area), label));
    let named = areas.iter().enumerate().take(MOST_NAMED);
    let named = named.filter(|&(rank, &(_, area))| rank == 0 || area >= least);
    named
        .map(|(_, &(label, _))| chip(label, class_names))
        .collect()
}

fn areas(mask: &LabelMask) -> BTreeMap<u16, u32> {
    let mut areas = BTreeMap::new();
    for &label in mask.labels() {
        *areas.entry(label).or_default() += 1;
    }
    areas
}

/// Names and colours of the labels that occur in the sheet, and only of these: ImageNet-S has 919.
fn legend(rows: &[SheetRow], class_names: &[String]) -> String {
    let masks = || rows.iter().flat_map(SheetRow::masks).map(|(_, mask)| mask);
    if masks().next().is_none() {
        return String::new();
    }
    let labels: BTreeMap<u16, u32> = masks().flat_map(areas).collect();
    let chips: String = labels
        .keys()
        .map(|&label| chip(label, class_names))
        .collect();
    format!("<p class=\"classes\">{chips}</p>\n")
}

fn chip(label: u16, class_names: &[String]) -> String {
    let (style, class) = match (label, color_of(label)) {
        (IGNORE, _) => (String::new(), " hatched"),
        (_, Some(color)) => (format!(" style=\"background:{}\"", css(color)), ""),
        (_, None) => (String::new(), " clear"),
    };
    let name = escape(&name_of(label, class_names));
    format!("<span class=\"chip\"><i class=\"swatch{class}\"{style}></i>{name}</span>")
}

fn name_of(label: u16, class_names: &[String]) -> String {
    match label {
        OTHER => "other (the picture)".to_owned(),
        IGNORE => "ignore".to_owned(),
        id => class_names
            .get(usize::from(id) - 1)
            .cloned()
            .unwrap_or_else(|| {
                if class_names.is_empty() {
                    format!("cluster {id}")
                } else {
                    format!("class {id}")
                }
            }),
    }
}

/// The picture fitted into the box of the sheet, smaller or larger than it was.
fn thumbnail(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    assert!(
        width > 0 && height > 0,
        "a picture of the report has {width} times {height} pixels"
    );
    let scale =
        (f64::from(BOX_WIDTH) / f64::from(width)).min(f64::from(BOX_HEIGHT) / f64::from(height));
    let fitted = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    imageops::resize(picture, fitted(width), fitted(height), FilterType::Triangle)
}

/// The picture, greyed a little, under the colours of the mask.
fn overlay(picture: &RgbImage, mask: &LabelMask) -> RgbImage {
    let (width, height) = picture.dimensions();
    let label = |x: u32, y: u32| label_at(mask, (x, y), (width, height));
    RgbImage::from_fn(width, height, |x, y| {
        let here = label(x, y);
        let right = label((x + 1).min(width - 1), y);
        let below = label(x, (y + 1).min(height - 1));
        let left = label(x.saturating_sub(1), y);
        let above = label(x, y.saturating_sub(1));
        let edge = [right, below, left, above]
            .iter()
            .any(|&label| label != here);
        painted(*picture.get_pixel(x, y), here, edge, (x + y) % 8 < 4)
    })
}

/// The label under the centre of a pixel of a picture of `size`.
fn label_at(mask: &LabelMask, (x, y): (u32, u32), size: (u32, u32)) -> u16 {
    let column = (2 * x as usize + 1) * mask.width() / (2 * size.0 as usize);
    let row = (2 * y as usize + 1) * mask.height() / (2 * size.1 as usize);
    mask.labels()[row * mask.width() + column]
}

fn painted(pixel: Rgb<u8>, label: u16, edge: bool, stripe: bool) -> Rgb<u8> {
    let base = greyed(pixel);
    match color_of(label) {
        None => base,
        Some(color) if label == IGNORE => {
            let stripe = if stripe {
                [70; 3]
            } else {
                color.map(|channel| channel.saturating_add(70))
            };
            mixed(base, stripe, 0.7)
        }
        Some(color) => mixed(base, color, if edge { EDGE } else { INSIDE }),
    }
}

/// Half-way to grey, so that the colours of the classes are the strongest.
fn greyed(Rgb([red, green, blue]): Rgb<u8>) -> Rgb<u8> {
    let grey = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
    mixed(Rgb([red, green, blue]), [grey.round() as u8; 3], 0.5)
}

fn mixed(Rgb(base): Rgb<u8>, color: [u8; 3], share: f32) -> Rgb<u8> {
    let mix = |b: u8, c: u8| f32::from(b) + share * (f32::from(c) - f32::from(b));
    Rgb(std::array::from_fn(|i| {
        mix(base[i], color[i]).round() as u8
    }))
}

fn data_uri(picture: &RgbImage) -> String {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .write_image(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        )
        .expect("a small RGB picture in memory is always JPEG");
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, label: impl Fn(usize) -> u16) -> LabelMask {
        LabelMask::new(width, height, (0..width * height).map(label).collect()).unwrap()
    }

    fn row(key: &str, score: Option<f64>) -> SheetRow {
        let picture = RgbImage::from_pixel(30, 20, Rgb([90, 120, 200]));
        let prediction = Some(mask(6, 4, |i| if i < 12 { 0 } else { 2 }));
        SheetRow {
            key: key.into(),
            picture,
            truth: None,
            pseudo: None,
            prediction,
            score,
        }
    }

    #[test]
    fn the_best_come_first_and_the_worst_last() {
        let rows = [
            row("worst", Some(0.1)),
            row("best", Some(0.9)),
            row("middle", Some(0.5)),
        ];
        let html = contact_sheet(&rows, &[]);
        let place = |text: &str| html.find(text).unwrap();
        assert!(place(">best<") < place(">middle<") && place(">middle<") < place(">worst<"));
        assert!(place("Worst by mIoU") < place(">worst<"));
        assert!(html.contains("<b>90.0 %</b>"));
    }

    #[test]
    fn a_folder_without_masks_shows_cluster_ids_and_no_ranking() {
        let html = contact_sheet(&[row("a", None)], &[]);
        assert!(
            html.contains("cluster 2") && !html.contains("Best"),
            "{html}"
        );
        assert!(!html.contains("truth"));
    }

    #[test]
    fn pictures_alone_need_no_legend() {
        let bare = SheetRow {
            prediction: None,
            ..row("a", None)
        };
        assert!(!contact_sheet(&[bare], &[]).contains("chip"));
    }

    #[test]
    fn keys_and_class_names_are_escaped() {
        let names = ["cat".to_owned(), "<dog>".to_owned()];
        let html = contact_sheet(&[row("a&b", None)], &names);
        assert!(
            html.contains("a&amp;b") && html.contains("&lt;dog&gt;"),
            "{html}"
        );
    }

    #[test]
    fn a_thumbnail_fits_the_box_and_keeps_the_proportions() {
        let fitted = |width, height| thumbnail(&RgbImage::new(width, height)).dimensions();
        assert_eq!(fitted(500, 375), (240, 180));
        assert_eq!(fitted(32, 64), (90, 180));
        assert_eq!(fitted(1000, 3), (240, 1));
    }

    #[test]
    fn a_mask_of_another_size_covers_the_whole_picture() {
        let mask = mask(3, 2, |i| i as u16);
        let label = |x, y| label_at(&mask, (x, y), (7, 5));
        assert_eq!([label(0, 0), label(6, 0), label(3, 0)], [0, 2, 1]);
        assert_eq!([label(0, 4), label(6, 4)], [3, 5]);
    }

    #[test]
    fn other_keeps_the_picture_and_a_class_colors_it() {
        let grey = Rgb([100, 100, 100]);
        assert_eq!(painted(grey, OTHER, true, false), grey);
        let [red, green, blue] = color_of(1).unwrap();
        let edge = painted(grey, 1, true, false).0;
        let close = |a: u8, b: u8| a.abs_diff(b) < 12;
        assert!(
            close(edge[0], red) && close(edge[1], green) && close(edge[2], blue),
            "{edge:?}"
        );
        assert_ne!(
            painted(grey, IGNORE, false, false),
            painted(grey, IGNORE, false, true)
        );
    }

    #[test]
    fn a_tile_names_its_largest_classes_only() {
        let mask = mask(10, 20, |i| [0, 1, 1, 2, 3, 3, 3, 4, 4, 4, 4][i % 11]);
        let chips = named_classes(&mask, &[]);
        assert_eq!(chips.matches("class=\"chip\"").count(), MOST_NAMED);
        assert!(chips.find("cluster 4").unwrap() < chips.find("cluster 3").unwrap());
        let speck = LabelMask::new(
            40,
            10,
            (0..400).map(|i| if i < 2 { 9 } else { 0 }).collect(),
        );
        assert!(
            named_classes(&speck.unwrap(), &[]).contains("cluster 9"),
            "it is the largest"
        );
    }

    #[test]
    fn a_tile_does_not_name_specks_beside_a_region() {
        let mask = mask(40, 10, |i| if i < 2 { 9 } else { 4 });
        assert!(!named_classes(&mask, &[]).contains("cluster 9"));
    }
}
