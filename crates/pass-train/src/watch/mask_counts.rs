//! How masks use the categories: counts by id, which say later what is never predicted and what
//! surrounds the objects.

use luss_metrics::LabelMask;
use serde::{Deserialize, Serialize};

/// Counts of masks, by id from 0, background, on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskCounts {
    /// Pixels.
    pub pixels: Vec<u64>,
    /// Images in which the id occurs; empty for runs of former versions.
    #[serde(default)]
    pub images: Vec<u64>,
    /// Images in which it touches all four sides.
    #[serde(default)]
    pub on_all_sides: Vec<u64>,
}

impl MaskCounts {
    /// Nothing yet, of ids up to `classes`.
    pub(crate) fn new(classes: u16) -> Self {
        let zeros = vec![0; usize::from(classes) + 1];
        Self {
            pixels: zeros.clone(),
            images: zeros.clone(),
            on_all_sides: zeros,
        }
    }

    /// Counts a mask.
    ///
    /// # Panics
    ///
    /// If it has an id above the number of classes.
    pub(crate) fn add(&mut self, mask: &LabelMask) {
        let mut pixels = vec![0; self.pixels.len()];
        for &id in mask.labels() {
            pixels[usize::from(id)] += 1;
        }
        let sides = sides(mask);
        for (id, pixels) in pixels
            .into_iter()
            .enumerate()
            .filter(|(_, pixels)| *pixels > 0)
        {
            self.pixels[id] += pixels;
            self.images[id] += 1;
            let on_all = sides.iter().all(|side| side.contains(&(id as u16)));
            self.on_all_sides[id] += u64::from(on_all);
        }
    }

    /// The share of all pixels, `0..=1`.
    pub(crate) fn share(&self, id: usize) -> f64 {
        let all: u64 = self.pixels.iter().sum();
        self.pixels[id] as f64 / all.max(1) as f64
    }
}

/// The ids along the top, the bottom, the left and the right.
fn sides(mask: &LabelMask) -> [Vec<u16>; 4] {
    let (width, height) = mask.size();
    if width * height == 0 {
        return Default::default();
    }
    let row = |y| (0..width).map(|x| mask.at(x, y)).collect();
    let column = |x| (0..height).map(|y| mask.at(x, y)).collect();
    [row(0), row(height - 1), column(0), column(width - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_images_and_those_where_an_id_is_on_all_sides_are_counted() {
        let mut counts = MaskCounts::new(3);
        let framed = LabelMask::new(3, 3, vec![1, 1, 1, 1, 2, 1, 1, 1, 1]).unwrap();
        let halves = LabelMask::new(3, 2, vec![0, 0, 0, 1, 1, 1]).unwrap();
        counts.add(&framed);
        counts.add(&halves);
        assert_eq!(counts.pixels, [3, 11, 1, 0]);
        assert_eq!(counts.images, [1, 2, 1, 0]);
        assert_eq!(counts.on_all_sides, [0, 1, 0, 0]);
        assert_eq!(counts.share(1), 11.0 / 15.0);
    }
}
