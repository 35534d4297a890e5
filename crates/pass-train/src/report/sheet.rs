//! The contact sheet: pictures beside their masks, as overlays in the colours of the classes.

use std::{cmp::Reverse, collections::BTreeMap};

use html_report::{Paint, escape, jpeg_uri, overlay, percent, thumbnail};
use image::RgbImage;
use luss_metrics::{IGNORE, LabelMask, OTHER};

/// The box into which every picture is fitted, in pixels.
const BOX: [u32; 2] = [240, 180];
const JPEG_QUALITY: u8 = 85;
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
        group("Best by mIoU of the image", best, class_names),
        group("Worst by mIoU of the image", worst, class_names),
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
    let thumbnail = thumbnail(&row.picture, BOX);
    let masks = row.masks().map(|(name, mask)| {
        tile(
            name,
            &overlay(&thumbnail, mask),
            &named_classes(mask, class_names),
        )
    });
    let tiles: String = [tile("image", &thumbnail, "")]
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
        jpeg_uri(picture, JPEG_QUALITY)
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

pub(super) fn chip(label: u16, class_names: &[String]) -> String {
    let name = escape(&name_of(label, class_names));
    format!(
        "<span class=\"chip\">{}{name}</span>",
        Paint::of(label).swatch()
    )
}

fn name_of(label: u16, class_names: &[String]) -> String {
    match label {
        OTHER => "background".to_owned(),
        IGNORE => "ignore".to_owned(),
        id => class_names
            .get(usize::from(id) - 1)
            .cloned()
            .unwrap_or_else(|| {
                if class_names.is_empty() {
                    format!("category {id}")
                } else {
                    format!("class {id}")
                }
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

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
            html.contains("category 2") && !html.contains("Best"),
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
    fn a_tile_names_its_largest_classes_only() {
        let mask = mask(10, 20, |i| [0, 1, 1, 2, 3, 3, 3, 4, 4, 4, 4][i % 11]);
        let chips = named_classes(&mask, &[]);
        assert_eq!(chips.matches("class=\"chip\"").count(), MOST_NAMED);
        assert!(chips.find("category 4").unwrap() < chips.find("category 3").unwrap());
        let speck = LabelMask::new(
            40,
            10,
            (0..400).map(|i| if i < 2 { 9 } else { 0 }).collect(),
        );
        assert!(
            named_classes(&speck.unwrap(), &[]).contains("category 9"),
            "it is the largest"
        );
    }

    #[test]
    fn a_tile_does_not_name_specks_beside_a_region() {
        let mask = mask(40, 10, |i| if i < 2 { 9 } else { 4 });
        assert!(!named_classes(&mask, &[]).contains("category 9"));
    }
}
