//! YOLO segmentation: a text file of polygons a picture, and the description of the dataset.
//!
//! Source: <https://docs.ultralytics.com/datasets/segment/>. A line is a class, counted from 0, and the
//! corners of a polygon as shares of width and height. A format without holes: they are joined to the border
//! around them by a cut of no width.

use std::fmt::Write as _;

use crate::{Regions, outline::polygons};

/// The lines of a picture: one for each connected part of a region. Empty for a picture without any, which
/// is background.
pub fn yolo_lines(regions: &Regions) -> String {
    let mut text = String::new();
    for (category, polygons) in regions.categories().iter().zip(polygons(regions)) {
        for polygon in polygons {
            let _ = write!(text, "{}", category - 1); // a String takes everything
            for corner in polygon {
                let share = |axis: usize, side: usize| f64::from(corner[axis]) / side as f64;
                let (x, y) = (share(0, regions.width()), share(1, regions.height()));
                let _ = write!(text, " {} {}", rounded(x), rounded(y));
            }
            text.push('\n');
        }
    }
    text
}

/// To 8 decimals, a hundredth of a pixel in a million: a reader that multiplies and rounds gets the
/// corner.
fn rounded(share: f64) -> f64 {
    (share * 1e8).round() / 1e8
}

/// `data.yaml` of a dataset with one split, which stands for training and validation, as readers ask for
/// both; `names[0]` is that of category 1.
pub fn data_yaml(split: &str, names: &[String]) -> String {
    let quoted = |name: &String| serde_json::to_string(name).expect("a text");
    let line = |(class, name): (usize, &String)| format!("  {class}: {}\n", quoted(name));
    let names: String = names.iter().enumerate().map(line).collect();
    format!("path: .\ntrain: images/{split}\nval: images/{split}\nnames:\n{names}")
}
