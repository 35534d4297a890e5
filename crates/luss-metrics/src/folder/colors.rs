//! Which id a colour stands for.

use std::collections::HashMap;

use super::FileError;

/// An sRGB colour.
pub type Rgb = [u8; 3];

/// The index of PASCAL VOC whose pixels are neither a category nor background.
pub const VOC_VOID: u8 = 255;

/// The colours of Cityscapes' classes by `trainId`
/// (<https://github.com/mcordts/cityscapesScripts>, `helpers/labels.py`).
const CITYSCAPES: [Rgb; 19] = [
    [128, 64, 128],  // road
    [244, 35, 232],  // sidewalk
    [70, 70, 70],    // building
    [102, 102, 156], // wall
    [190, 153, 153], // fence
    [153, 153, 153], // pole
    [250, 170, 30],  // traffic light
    [220, 220, 0],   // traffic sign
    [107, 142, 35],  // vegetation
    [152, 251, 152], // terrain
    [70, 130, 180],  // sky
    [220, 20, 60],   // person
    [255, 0, 0],     // rider
    [0, 0, 142],     // car
    [0, 0, 70],      // truck
    [0, 60, 100],    // bus
    [0, 80, 100],    // train
    [0, 0, 230],     // motorcycle
    [119, 11, 32],   // bicycle
];

/// The colours of Cityscapes' labels without a `trainId`, which count nowhere.
const CITYSCAPES_VOID: [Rgb; 10] = [
    [0, 0, 0],       // unlabeled, ego vehicle, rectification border, out of roi, static
    [111, 74, 0],    // dynamic
    [81, 0, 81],     // ground
    [250, 170, 160], // parking
    [230, 150, 140], // rail track
    [180, 165, 180], // guard rail
    [150, 100, 100], // bridge
    [150, 120, 90],  // tunnel
    [0, 0, 90],      // caravan
    [0, 0, 110],     // trailer
];

/// Which id each colour of a mask stands for.
///
/// ```
/// use luss_metrics::folder::ColorMap;
///
/// let map = ColorMap::voc(1000);
/// assert_eq!((map.id_of([128, 0, 0]), map.id_of([224, 224, 192])), (Some(1), Some(1000)));
/// let map = ColorMap::from_label_map("background:0,0,0::\nroad:128,64,128::\n", 1000)?;
/// assert_eq!((map.id_of([128, 64, 128]), map.id_of([1, 2, 3])), (Some(1), None));
/// # Ok::<(), luss_metrics::folder::FileError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColorMap(HashMap<Rgb, u16>);

impl ColorMap {
    /// PASCAL VOC: [`voc_color`] of 0 to 254, and `ignore` for that of [`VOC_VOID`].
    pub fn voc(ignore: u16) -> Self {
        let color = |id: u8| {
            let label = if id == VOC_VOID { ignore } else { id.into() };
            (voc_color(id.into()), label)
        };
        Self((0..=VOC_VOID).map(color).collect())
    }

    /// Cityscapes: the `trainId` of a class, 0 to 18, and `ignore` for the labels that have none.
    pub fn cityscapes(ignore: u16) -> Self {
        let classes = CITYSCAPES.into_iter().zip(0..);
        let void = CITYSCAPES_VOID.map(|color| (color, ignore));
        Self(classes.chain(void).collect())
    }

    /// The map of a `labelmap.txt`, as CVAT and Datumaro write it: lines `name:red,green,blue:…:…`.
    /// `background` is id 0, `ignored` and `void` are `ignore`, and the others count from 1 in the
    /// order of their lines. Black is 0 unless a line has it.
    ///
    /// # Errors
    ///
    /// [`FileError::LabelMap`] with the line, for one of another form and for a colour that two
    /// lines have.
    pub fn from_label_map(text: &str, ignore: u16) -> Result<Self, FileError> {
        let (mut ids, mut next) = (HashMap::new(), 1u16);
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refused = |reason: String| label_map(at + 1, reason);
            let (name, color) = named_color(line).map_err(refused)?;
            let id = match name {
                "background" => 0,
                "ignored" | "void" => ignore,
                _ => {
                    next = next
                        .checked_add(1)
                        .ok_or_else(|| refused("too many".into()))?;
                    next - 1
                }
            };
            if ids.insert(color, id).is_some_and(|other| other != id) {
                return Err(refused(format!("{color:?} is the colour of another line")));
            }
        }
        if ids.is_empty() {
            return Err(label_map(0, "it is empty".into()));
        }
        ids.entry([0; 3]).or_insert(0);
        Ok(Self(ids))
    }

    /// The id that a colour stands for.
    pub fn id_of(&self, color: Rgb) -> Option<u16> {
        self.0.get(&color).copied()
    }
}

fn label_map(line: usize, reason: String) -> FileError {
    FileError::LabelMap { line, reason }
}

fn named_color(line: &str) -> Result<(&str, Rgb), String> {
    let mut parts = line.split(':');
    let (Some(name), Some(color)) = (parts.next(), parts.next()) else {
        return Err("it has no colon".into());
    };
    let channels: Option<Vec<u8>> = color.split(',').map(|c| c.trim().parse().ok()).collect();
    match channels.as_deref() {
        Some(&[red, green, blue]) => Ok((name.trim(), [red, green, blue])),
        _ => Err(format!(
            "`{color}` is no colour of three numbers from 0 to 255"
        )),
    }
}

/// The colour of an index in PASCAL VOC: its bits, dealt out to red, green and blue in turns, the lowest to
/// the highest bits of the channels. No two indices below 2²⁴ have the same.
///
/// Source: `VOClabelcolormap.m` of the development kit (<http://host.robots.ox.ac.uk/pascal/VOC/voc2012/>).
pub fn voc_color(index: u32) -> Rgb {
    let channel = |first: u32| {
        let bits = (0..8).map(|place| (index >> (3 * place + first) & 1) << (7 - place));
        bits.sum::<u32>() as u8
    };
    [channel(0), channel(1), channel(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours that the development kit prints.
    #[test]
    fn the_first_colours_are_those_of_voc() {
        let found = [0, 1, 2, 3, 15, 20, 255].map(voc_color);
        let expected = [
            [0, 0, 0],
            [128, 0, 0],
            [0, 128, 0],
            [128, 128, 0],
            [192, 128, 128],
            [0, 64, 128],
            [224, 224, 192],
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn cityscapes_has_19_classes_and_void() {
        let map = ColorMap::cityscapes(255);
        assert_eq!(map.0.len(), 29);
        assert_eq!(map.id_of([119, 11, 32]), Some(18));
        assert_eq!(map.id_of([111, 74, 0]), Some(255));
    }

    #[test]
    fn a_label_map_counts_its_classes_from_1() {
        let text = "# label:color_rgb:parts:actions\ncat:10,20,30::\nbackground:5,5,5::\n\
                    dog: 1, 2, 3 ::\r\nignored:224,224,192::\n";
        let map = ColorMap::from_label_map(text, 1000).unwrap();
        let ids = [
            [10, 20, 30],
            [5, 5, 5],
            [1, 2, 3],
            [224, 224, 192],
            [0, 0, 0],
        ];
        let ids = ids.map(|color| map.id_of(color).unwrap());
        assert_eq!(ids, [1, 0, 2, 1000, 0]);
    }

    #[test]
    fn what_is_no_label_map_is_refused_with_its_line() {
        for (text, part) in [
            ("", "it is empty"),
            ("cat 1 2 3", "line 1 "),
            ("# a comment\ncat:1,2", "line 2 "),
            ("cat:1,2,256", "`1,2,256` is no colour"),
            ("cat:1,2,3\ndog:1,2,3", "the colour of another line"),
        ] {
            let message = ColorMap::from_label_map(text, 9).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
