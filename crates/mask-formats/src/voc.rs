//! PASCAL VOC: indexed PNGs in the colours of VOC, lists of names, a map of labels.
//!
//! Source: the development kit of VOC2012 (<http://host.robots.ox.ac.uk/pascal/VOC/voc2012/>). Index 255 is
//! void: it takes the pixels of [`IGNORE`].

use luss_metrics::{
    IGNORE, LabelMask, OTHER,
    folder::{VOC_VOID, encode_indexed_mask},
};

pub use luss_metrics::folder::voc_color;

use crate::Regions;

/// The index of pixels that are neither a category nor background.
pub const VOID: u16 = VOC_VOID as u16;

/// The name of [`OTHER`] in maps of labels.
pub const BACKGROUND: &str = "background";

/// The name of [`VOID`] there.
pub const IGNORED: &str = "ignored";

/// The map of labels that CVAT and Datumaro read: a line `name:r,g,b:parts:actions` for background and
/// each category; `names[0]` is that of category 1.
pub fn label_map(names: &[String]) -> String {
    let names = std::iter::once(BACKGROUND).chain(names.iter().map(String::as_str));
    let line = |(index, name): (u32, &str)| {
        let [red, green, blue] = voc_color(index);
        format!("{name}:{red},{green},{blue}::\n")
    };
    let lines: String = (0..).zip(names).map(line).collect();
    format!("# label:color_rgb:parts:actions\n{lines}")
}

/// [`label_map`] of masks with pixels of [`VOID`], which readers ask to be declared.
pub fn label_map_with_void(names: &[String]) -> String {
    let [red, green, blue] = voc_color(VOID.into());
    format!("{}{IGNORED}:{red},{green},{blue}::\n", label_map(names))
}

/// What keeps names out of a map of labels.
pub fn label_map_problem(names: &[String]) -> Option<String> {
    let bad = |name: &&String| {
        let taken = [BACKGROUND, IGNORED].contains(&name.as_str());
        taken || name.contains(':') || name.starts_with('#')
    };
    let name = names.iter().find(bad)?;
    Some(format!(
        "the name \"{name}\" cannot stand in a map of labels, whose lines are name:colour and where \
         {BACKGROUND} and {IGNORED} have colours of their own"
    ))
}

/// The categories of a mask as an indexed PNG.
///
/// # Panics
///
/// For a category of 255 or more.
pub fn class_png(mask: &LabelMask) -> Vec<u8> {
    let index = |&label: &u16| match label {
        IGNORE => VOID,
        category => {
            assert!(category < VOID, "category {category}");
            category
        }
    };
    indexed(mask.size(), mask.labels().iter().map(index).collect())
}

/// The regions of a mask as an indexed PNG, 1 the first; `None` for more than 254. `mask` tells where void is.
pub fn object_png(mask: &LabelMask, regions: &Regions) -> Option<Vec<u8>> {
    if regions.categories().len() >= usize::from(VOID) {
        return None;
    }
    let pixels = mask.labels().iter().zip(regions.of_pixel());
    let index = |(&label, &region): (&u16, &u32)| match label {
        OTHER => OTHER,
        IGNORE => VOID,
        _ => region as u16,
    };
    Some(indexed(mask.size(), pixels.map(index).collect()))
}

fn indexed((width, height): (usize, usize), indices: Vec<u16>) -> Vec<u8> {
    let palette: Vec<[u8; 3]> = (0..256).map(voc_color).collect();
    let mask = LabelMask::new(width, height, indices).expect("as many indices as pixels");
    encode_indexed_mask(&mask, &palette)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_break_the_map_is_told() {
        let problem = |name: &str| label_map_problem(&["cat".into(), name.into()]);
        assert_eq!(problem("dog"), None);
        for name in ["a:b", "#1", "background", "ignored"] {
            assert!(problem(name).unwrap().contains(name));
        }
    }
}
