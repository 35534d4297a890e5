//! Regions: the pixels of a category, or the connected parts of it.

use luss_metrics::{IGNORE, LabelMask, OTHER};

/// What becomes one annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// All pixels of a category in a picture.
    Category,
    /// Each connected part of a category. Pixels that touch at a corner are connected, as in OpenCV.
    Component,
}

/// The regions of a mask, in the order of their categories or, components, of their first pixels.
///
/// Pixels of [`OTHER`] and [`IGNORE`] belong to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    width: usize,
    height: usize,
    /// Row-major; 0 is none, `1 + index` a region.
    of_pixel: Vec<u32>,
    categories: Vec<u16>,
}

impl Regions {
    /// The regions of `mask`.
    pub fn of(mask: &LabelMask, per: Per) -> Self {
        let (of_pixel, categories) = match per {
            Per::Category => by_category(mask),
            Per::Component => components(mask),
        };
        Self {
            width: mask.width(),
            height: mask.height(),
            of_pixel,
            categories,
        }
    }

    /// Width of the mask in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height of the mask in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The category of each region.
    pub fn categories(&self) -> &[u16] {
        &self.categories
    }

    /// For each pixel, row-major, 0 or `1 + index` of its region.
    pub fn of_pixel(&self) -> &[u32] {
        &self.of_pixel
    }
}

fn is_category(label: u16) -> bool {
    label != OTHER && label != IGNORE
}

fn by_category(mask: &LabelMask) -> (Vec<u32>, Vec<u16>) {
    let mut occurs = vec![false; usize::from(u16::MAX) + 1];
    for &label in mask.labels() {
        occurs[usize::from(label)] = is_category(label);
    }
    let categories: Vec<u16> = (0..=u16::MAX)
        .filter(|&id| occurs[usize::from(id)])
        .collect();
    let mut region = vec![0; occurs.len()];
    for (number, &category) in (1..).zip(&categories) {
        region[usize::from(category)] = number;
    }
    let of_pixel = mask
        .labels()
        .iter()
        .map(|&label| region[usize::from(label)]);
    (of_pixel.collect(), categories)
}

fn components(mask: &LabelMask) -> (Vec<u32>, Vec<u16>) {
    let mut of_pixel = vec![0; mask.labels().len()];
    let mut categories = Vec::new();
    for (pixel, &label) in mask.labels().iter().enumerate() {
        if is_category(label) && of_pixel[pixel] == 0 {
            categories.push(label);
            fill(mask, pixel, categories.len() as u32, &mut of_pixel);
        }
    }
    (of_pixel, categories)
}

/// Gives a number to the pixels that are connected with `start`.
fn fill(mask: &LabelMask, start: usize, number: u32, of_pixel: &mut [u32]) {
    let (labels, width) = (mask.labels(), mask.width());
    let mut open = vec![start];
    of_pixel[start] = number;
    while let Some(pixel) = open.pop() {
        let (x, y) = (pixel % width, pixel / width);
        for row in y.saturating_sub(1)..=(y + 1).min(mask.height() - 1) {
            for column in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                let near = row * width + column;
                if of_pixel[near] == 0 && labels[near] == labels[start] {
                    of_pixel[near] = number;
                    open.push(near);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(width: usize, labels: &[u16], per: Per) -> Regions {
        let mask = LabelMask::new(width, labels.len() / width, labels.to_vec()).unwrap();
        Regions::of(&mask, per)
    }

    #[test]
    fn a_corner_connects_and_another_category_does_not() {
        #[rustfmt::skip]
        let labels = [
            7, 0, 2, 2,
            0, 7, 0, 0,
            2, 0, 0, 7,
        ];
        let found = regions(4, &labels, Per::Component);
        assert_eq!(found.categories(), [7, 2, 2, 7]);
        assert_eq!(found.of_pixel(), [1, 0, 2, 2, 0, 1, 0, 0, 3, 0, 0, 4]);
        let found = regions(4, &labels, Per::Category);
        assert_eq!(found.categories(), [2, 7]);
        assert_eq!(found.of_pixel(), [2, 0, 1, 1, 0, 2, 0, 0, 1, 0, 0, 2]);
    }

    #[test]
    fn other_and_ignore_belong_to_no_region() {
        for per in [Per::Category, Per::Component] {
            let found = regions(3, &[OTHER, IGNORE, 65_535], per);
            assert_eq!(
                (found.categories(), found.of_pixel()),
                ([65_535].as_slice(), [0, 0, 1].as_slice())
            );
        }
    }
}
