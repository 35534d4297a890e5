//! What one mask says.

use std::collections::BTreeMap;

use luss_metrics::{IGNORE, LabelMask, OTHER, SizeGroup};
use serde::Serialize;

/// Places along each side of a map.
const SIDE: usize = 64;

/// Numbers by place in a picture: 64 by 64 places, whatever the picture's size; row by row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceMap {
    /// Pictures that have it there.
    pub pictures: Vec<u64>,
}

impl PlaceMap {
    /// Places along each side.
    pub const SIDE: usize = SIDE;

    pub(super) fn empty() -> Self {
        Self {
            pictures: vec![0; SIDE * SIDE],
        }
    }

    /// One picture more.
    pub(super) fn add(&mut self, places: &[bool]) {
        for (pictures, &there) in self.pictures.iter_mut().zip(places) {
            *pictures += u64::from(there);
        }
    }
}

/// What one mask says.
#[derive(Debug, PartialEq)]
pub(super) struct PictureStatistics {
    /// Pixels of each class.
    pub(super) areas: BTreeMap<u16, u64>,
    /// Pixels that are not ignored.
    pub(super) counted: u64,
    /// Whether the centre of a place lies on an object.
    pub(super) objects: Vec<bool>,
    /// Whether a contour of an object runs through a place.
    pub(super) contours: Vec<bool>,
}

impl PictureStatistics {
    pub(super) fn of(mask: &LabelMask) -> Self {
        let mut areas = BTreeMap::new();
        for run in mask.labels().chunk_by(|a, b| a == b) {
            *areas.entry(run[0]).or_insert(0) += run.len() as u64;
        }
        let ignored = areas.remove(&IGNORE).unwrap_or(0);
        areas.remove(&OTHER);
        Self {
            areas,
            counted: mask.labels().len() as u64 - ignored,
            objects: objects(mask),
            contours: contours(mask),
        }
    }

    /// The size group of an object.
    pub(super) fn group(&self, area: u64) -> SizeGroup {
        SizeGroup::of(area, self.counted)
    }
}

fn is_object(label: u16) -> bool {
    label != OTHER && label != IGNORE
}

fn objects(mask: &LabelMask) -> Vec<bool> {
    let centre = |place: usize, length: usize| (2 * place + 1) * length / (2 * SIDE);
    let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    places
        .map(|(x, y)| is_object(mask.at(centre(x, mask.width()), centre(y, mask.height()))))
        .collect()
}

/// A pixel is on a contour when its right or lower neighbour has another label, one of the two is
/// an object, and none is ignored.
fn contours(mask: &LabelMask) -> Vec<bool> {
    let (width, height) = mask.size();
    let mut places = vec![false; SIDE * SIDE];
    let parts = |a: u16, b: u16| a != b && a != IGNORE && b != IGNORE;
    let rows: Vec<&[u16]> = mask.labels().chunks_exact(width).collect();
    for (y, row) in rows.iter().enumerate() {
        let below = rows.get(y + 1).unwrap_or(row);
        for x in 0..width {
            let right = row[(x + 1).min(width - 1)];
            if parts(row[x], right) || parts(row[x], below[x]) {
                places[y * SIDE / height * SIDE + x * SIDE / width] = true;
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 8 x 6: an object of class 2 in the middle, an ignored corner.
    fn mask() -> LabelMask {
        let mut labels = vec![0; 48];
        for (x, y) in [(3, 2), (4, 2), (3, 3), (4, 3)] {
            labels[y * 8 + x] = 2;
        }
        labels[0] = IGNORE;
        LabelMask::new(8, 6, labels).unwrap()
    }

    #[test]
    fn areas_are_those_of_classes() {
        let picture = PictureStatistics::of(&mask());
        assert_eq!(picture.areas, BTreeMap::from([(2, 4)]));
        assert_eq!(picture.counted, 47);
        assert_eq!(picture.group(4), SizeGroup::MediumSmall); // 8.5 %
    }

    #[test]
    fn the_object_covers_its_places() {
        let objects = PictureStatistics::of(&mask()).objects;
        // 8 x 10.67 places for each pixel: the centres of columns 24 to 39 and rows 21 to 42.
        assert_eq!(objects.iter().filter(|&&there| there).count(), 16 * 22);
        assert!(objects[30 * SIDE + 24] && !objects[30 * SIDE + 23] && !objects[0]);
    }

    #[test]
    fn contours_run_around_objects_and_not_around_ignored_pixels() {
        let contours = PictureStatistics::of(&mask()).contours;
        let places: Vec<usize> = (0..contours.len()).filter(|&at| contours[at]).collect();
        let place = |x: usize, y: usize| y * SIDE / 6 * SIDE + x * SIDE / 8;
        // The pixels left of the object, above it, and its right and lower ones.
        let expected = [(2, 2), (2, 3), (3, 1), (4, 1), (4, 2), (3, 3), (4, 3)];
        let mut expected = expected.map(|(x, y)| place(x, y));
        expected.sort_unstable();
        assert_eq!(places, expected);
    }
}
