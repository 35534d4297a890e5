//! Exact pixel counts: of one picture, and summed over pictures.

use serde::{Deserialize, Serialize};

use crate::{Error, IGNORE, LabelMask, OTHER};

/// Pixels per label, summed over pictures: everything an IoU needs.
///
/// Each slice has C + 1 entries, index = label, 0 = "other". Ignored pixels are in none of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassAreas {
    truth: Vec<u64>,
    prediction: Vec<u64>,
    intersection: Vec<u64>,
}

impl ClassAreas {
    /// No pixel yet, for labels 0 to `classes`.
    pub(crate) fn new(classes: u16) -> Self {
        let zeros = vec![0; usize::from(classes) + 1];
        Self {
            truth: zeros.clone(),
            prediction: zeros.clone(),
            intersection: zeros,
        }
    }

    /// Pixels whose true label is the index.
    pub fn truth(&self) -> &[u64] {
        &self.truth
    }

    /// Pixels whose predicted label is the index.
    pub fn prediction(&self) -> &[u64] {
        &self.prediction
    }

    /// Pixels whose true and predicted label is the index.
    pub fn intersection(&self) -> &[u64] {
        &self.intersection
    }

    pub(crate) fn add_truth(&mut self, label: u16, pixels: u64) {
        self.truth[usize::from(label)] += pixels;
    }

    pub(crate) fn add_prediction(&mut self, label: u16, pixels: u64) {
        self.prediction[usize::from(label)] += pixels;
    }

    pub(crate) fn add_intersection(&mut self, label: u16, pixels: u64) {
        self.intersection[usize::from(label)] += pixels;
    }

    /// Adds the counts of `other`, which has as many labels.
    pub(crate) fn merge(&mut self, other: &ClassAreas) {
        add_each(&mut self.truth, &other.truth);
        add_each(&mut self.prediction, &other.prediction);
        add_each(&mut self.intersection, &other.intersection);
    }

    /// Refuses a stored table that has not one entry for each label.
    fn check(&self, classes: u16) -> Result<(), Error> {
        let tables = [&self.truth, &self.prediction, &self.intersection];
        tables
            .into_iter()
            .try_for_each(|t| check_entries("areas", t.len(), usize::from(classes) + 1))
    }
}

/// Whole regions and their boundaries, counted alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Areas {
    /// All pixels.
    pub mask: ClassAreas,
    /// Boundary pixels; the intersection is boundary in both masks, with one label.
    pub boundary: ClassAreas,
}

impl Areas {
    /// No pixel yet, for labels 0 to `classes`.
    pub(crate) fn new(classes: u16) -> Self {
        Self {
            mask: ClassAreas::new(classes),
            boundary: ClassAreas::new(classes),
        }
    }

    /// Adds one cell of a picture's table.
    pub(crate) fn add(&mut self, cell: &Cell) {
        self.mask.add_truth(cell.truth, cell.pixels);
        self.mask.add_prediction(cell.prediction, cell.pixels);
        self.boundary.add_truth(cell.truth, cell.truth_boundary);
        self.boundary
            .add_prediction(cell.prediction, cell.prediction_boundary);
        if cell.truth == cell.prediction {
            self.mask.add_intersection(cell.truth, cell.pixels);
            self.boundary
                .add_intersection(cell.truth, cell.shared_boundary);
        }
    }

    /// Adds the counts of `other`, which has as many labels.
    pub(crate) fn merge(&mut self, other: &Areas) {
        self.mask.merge(&other.mask);
        self.boundary.merge(&other.boundary);
    }

    /// Refuses a stored table that has not one entry for each label.
    pub(crate) fn check(&self, classes: u16) -> Result<(), Error> {
        self.mask.check(classes)?;
        self.boundary.check(classes)
    }
}

/// The pixels of one picture that share a true and a predicted label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    pub(crate) truth: u16,
    pub(crate) prediction: u16,
    pub(crate) pixels: u64,
    /// Those on a boundary of the truth.
    pub(crate) truth_boundary: u64,
    /// Those on a boundary of the prediction.
    pub(crate) prediction_boundary: u64,
    /// Those on a boundary of both.
    pub(crate) shared_boundary: u64,
}

/// One picture's joint table of true and predicted labels: all that any metric here needs of it.
///
/// Only label pairs that occur have a cell, ordered by truth, then prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageCounts {
    cells: Vec<Cell>,
}

impl ImageCounts {
    /// Counts a checked pair; `boundary` tells of a pixel whether it is on a boundary of the truth
    /// and whether it is on one of the prediction.
    pub(crate) fn new(
        prediction: &LabelMask,
        truth: &LabelMask,
        boundary: impl Fn(usize) -> (bool, bool),
    ) -> Self {
        let (rows, columns) = (Palette::new(truth), Palette::new(prediction));
        let mut cells = empty_cells(&rows, &columns);
        let pairs = truth.labels().iter().zip(prediction.labels());
        for (pixel, (&t, &p)) in pairs.enumerate().filter(|(_, (t, _))| **t != IGNORE) {
            let cell = &mut cells[rows.slot(t) * columns.len() + columns.slot(p)];
            let (on_truth, on_prediction) = boundary(pixel);
            cell.pixels += 1;
            cell.truth_boundary += u64::from(on_truth);
            cell.prediction_boundary += u64::from(on_prediction);
            cell.shared_boundary += u64::from(on_truth && on_prediction);
        }
        cells.retain(|cell| cell.pixels > 0);
        Self { cells }
    }

    /// The label pairs that occur, ordered by truth, then prediction.
    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Pixels that are not ignored.
    pub(crate) fn pixels(&self) -> u64 {
        self.pixels_where(|_| true)
    }

    /// Pixels of the cells that `keep` accepts.
    pub(crate) fn pixels_where(&self, keep: impl Fn(&Cell) -> bool) -> u64 {
        self.cells
            .iter()
            .filter(|cell| keep(cell))
            .map(|cell| cell.pixels)
            .sum()
    }

    /// The true classes ("other" left out) with their areas in pixels, in ascending order.
    pub(crate) fn true_classes(&self) -> Vec<(u16, u64)> {
        let mut areas: Vec<(u16, u64)> = Vec::new();
        for cell in self.cells.iter().filter(|cell| cell.truth != OTHER) {
            match areas.last_mut() {
                Some((class, area)) if *class == cell.truth => *area += cell.pixels,
                _ => areas.push((cell.truth, cell.pixels)),
            }
        }
        areas
    }
}

/// A zero cell for each pair of a true and a predicted label, row by row.
fn empty_cells(rows: &Palette, columns: &Palette) -> Vec<Cell> {
    let row = |truth| {
        let cell = move |&prediction| Cell {
            truth,
            prediction,
            ..Cell::default()
        };
        columns.labels.iter().map(cell)
    };
    rows.labels.iter().flat_map(|&truth| row(truth)).collect()
}

/// The labels that occur in a mask, numbered in ascending order: keeps a picture's table small
/// where the data set has hundreds of classes.
struct Palette {
    labels: Vec<u16>,
    slots: Vec<u16>,
}

impl Palette {
    fn new(mask: &LabelMask) -> Self {
        let mut slots = vec![u16::MAX; usize::from(IGNORE) + 1];
        mask.labels()
            .iter()
            .for_each(|&label| slots[usize::from(label)] = 0);
        let labels: Vec<u16> = (0..=IGNORE)
            .filter(|&l| slots[usize::from(l)] == 0)
            .collect();
        for (slot, &label) in (0..).zip(&labels) {
            slots[usize::from(label)] = slot;
        }
        Self { labels, slots }
    }

    fn slot(&self, label: u16) -> usize {
        usize::from(self.slots[usize::from(label)])
    }

    fn len(&self) -> usize {
        self.labels.len()
    }
}

/// Adds `other` entry by entry.
pub(crate) fn add_each(sums: &mut [u64], other: &[u64]) {
    debug_assert_eq!(sums.len(), other.len());
    sums.iter_mut().zip(other).for_each(|(sum, n)| *sum += n);
}

/// Refuses a stored table of the wrong length.
pub(crate) fn check_entries(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::DamagedState {
        what,
        found,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, labels: &[u16]) -> LabelMask {
        LabelMask::new(width, labels.len() / width, labels.to_vec()).unwrap()
    }

    #[test]
    fn pairs_are_counted_in_order_and_ignored_pixels_are_not() {
        let truth = mask(3, &[7, 7, 0, IGNORE, 0, 7]);
        let prediction = mask(3, &[7, 2, 0, 2, 0, 2]);
        let counts = ImageCounts::new(&prediction, &truth, |pixel| (pixel < 2, pixel == 1));
        let seen: Vec<_> = counts
            .cells()
            .iter()
            .map(|c| (c.truth, c.prediction, c.pixels))
            .collect();
        assert_eq!(seen, [(0, 0, 2), (7, 2, 2), (7, 7, 1)]);
        assert_eq!(counts.cells()[1].shared_boundary, 1);
        assert_eq!(counts.pixels(), 5);
        assert_eq!(counts.true_classes(), [(7, 3)]);
    }
}
