//! What is noticed about pictures while they are read, and how it is told.

use std::{
    ops::AddAssign,
    path::{Path, PathBuf},
};

use image::metadata::Orientation;

use crate::pictures::{
    decoding::{Background, Decoding},
    layers::is_narrow,
    orientation::Orienting,
};

/// What was noticed about a picture that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits {
    /// How viewers turn it.
    pub(crate) orientation: Orientation,
    /// The ends of its 16-bit values where these are a small part of the range.
    pub(crate) narrow: Option<[u16; 2]>,
    /// Whether a pixel is not opaque.
    pub(crate) is_transparent: bool,
    /// Whether a TIFF file has further pages.
    pub(crate) has_pages: bool,
    /// Whether a JPEG file has no end marker, though all its pixels.
    pub(crate) lacks_end: bool,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            orientation: Orientation::NoTransforms,
            narrow: None,
            is_transparent: false,
            has_pages: false,
            lacks_end: false,
        }
    }
}

impl Traits {
    pub(crate) fn is_to_be_turned(&self) -> bool {
        self.orientation != Orientation::NoTransforms
    }
}

/// How many of some pictures are turned, pale, transparent and the like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraitCounts {
    turned: Counted,
    narrow: Counted,
    /// The smallest and the largest value of the narrow pictures.
    ends: [u16; 2],
    transparent: Counted,
    pages: Counted,
    endless: Counted,
}

/// Pictures with something in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counted {
    pictures: u64,
    first: PathBuf,
}

impl Counted {
    fn of(holds: bool, path: &Path) -> Self {
        match holds {
            true => Self {
                pictures: 1,
                first: path.to_owned(),
            },
            false => Self::default(),
        }
    }

    fn add(&mut self, other: &Self) {
        if self.pictures == 0 {
            self.first.clone_from(&other.first);
        }
        self.pictures += other.pictures;
    }

    /// `3 pictures` with this said of them, and the first of them; nothing of none.
    fn told(&self, what: &str, consequence: &str) -> Option<String> {
        let pictures = match self.pictures {
            0 => return None,
            1 => "1 picture".to_owned(),
            several => format!("{several} pictures"),
        };
        let first = self.first.display();
        Some(format!("{pictures} {what} (first {first}): {consequence}"))
    }
}

/// Of the pictures that come later: the first of both is that of the earlier ones.
impl AddAssign<&TraitCounts> for TraitCounts {
    fn add_assign(&mut self, later: &TraitCounts) {
        self.ends = match (self.narrow.pictures, later.narrow.pictures) {
            (_, 0) => self.ends,
            (0, _) => later.ends,
            _ => [
                self.ends[0].min(later.ends[0]),
                self.ends[1].max(later.ends[1]),
            ],
        };
        self.turned.add(&later.turned);
        self.narrow.add(&later.narrow);
        self.transparent.add(&later.transparent);
        self.pages.add(&later.pages);
        self.endless.add(&later.endless);
    }
}

impl TraitCounts {
    pub(crate) fn of(path: &Path, traits: &Traits) -> Self {
        let counted = |holds| Counted::of(holds, path);
        Self {
            turned: counted(traits.is_to_be_turned()),
            narrow: counted(traits.narrow.is_some()),
            ends: traits.narrow.unwrap_or_default(),
            transparent: counted(traits.is_transparent),
            pages: counted(traits.has_pages),
            endless: counted(traits.lacks_end),
        }
    }

    /// A line for each thing that is worth knowing of pictures that were read so, with the setting
    /// that changes it.
    pub fn lines(&self, decoding: &Decoding) -> Vec<String> {
        let lines = [
            self.turned_line(decoding.orientation),
            self.narrow_line(),
            self.transparent_line(decoding.background),
            self.pages
                .told("in TIFF files of several pages", "the first page is read"),
            self.endless.told(
                "without end-of-image marker",
                "all their pixels are there, and they are read",
            ),
        ];
        lines.into_iter().flatten().collect()
    }

    fn turned_line(&self, orienting: Orienting) -> Option<String> {
        let consequence = match orienting {
            Orienting::Apply => {
                "they are turned, and so are their masks (data.orientation = \"ignore\" reads them \
                 as they are stored)"
            }
            Orienting::Ignore => {
                "they are read as they are stored (data.orientation = \"apply\" turns them)"
            }
        };
        self.turned.told("with an orientation", consequence)
    }

    /// Pictures that are narrow each may use the whole range together.
    fn narrow_line(&self) -> Option<String> {
        let [least, most] = self.ends;
        if !is_narrow(self.ends) {
            return self.narrow.told(
                "of 16 bits, each with less than a quarter of the range in use,",
                "they are dark or flat so; data.stretch.percentile = [2, 98] shows the part of each",
            );
        }
        let share = 100.0 * f64::from(most - least) / f64::from(u16::MAX);
        let what = format!(
            "of 16 bits, of which the values use a small part, {least} to {most} or {share:.0} %,"
        );
        let consequence = format!(
            "they are dark or flat so; data.stretch.range = [{least}, {most}] shows that part, \
             data.stretch.percentile = [2, 98] that of each picture"
        );
        self.narrow.told(&what, &consequence)
    }

    fn transparent_line(&self, background: Background) -> Option<String> {
        let consequence = match background {
            Background::Drop => {
                "their colours are taken as if they were opaque (data.background.colour lays them on \
                 one)"
                    .to_owned()
            }
            Background::Colour(colour) => {
                format!("they are laid on the colour {colour:?} (data.background)")
            }
        };
        self.transparent
            .told("with transparent pixels", &consequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrow_line_of(pictures: &[(&str, [u16; 2])]) -> String {
        let mut counts = TraitCounts::default();
        for &(path, ends) in pictures {
            let traits = Traits {
                narrow: Some(ends),
                ..Traits::default()
            };
            counts += &TraitCounts::of(Path::new(path), &traits);
        }
        counts.narrow_line().unwrap()
    }

    #[test]
    fn pictures_in_one_part_of_the_range_are_told_its_ends() {
        let line = narrow_line_of(&[("a.png", [0, 4000]), ("b.png", [20, 4095])]);
        assert!(line.contains("0 to 4095 or 6 %"), "{line}");
        assert!(line.contains("data.stretch.range = [0, 4095]"), "{line}");
    }

    #[test]
    fn pictures_in_different_parts_of_the_range_are_told_no_ends() {
        let line = narrow_line_of(&[("a.png", [0, 4000]), ("b.png", [50_000, 60_000])]);
        assert!(
            line.starts_with("2 pictures of 16 bits, each with less than a quarter of the range"),
            "{line}"
        );
        assert!(line.contains("data.stretch.percentile = [2, 98]"), "{line}");
        assert!(
            !line.contains("60000") && !line.contains("data.stretch.range"),
            "{line}"
        );
    }
}
