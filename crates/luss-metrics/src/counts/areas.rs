//! Exact pixel counts per label, summed over pictures.

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    counts::{
        checked::{add_all, check_entries, check_limit, sum_each},
        image_counts::Cell,
    },
};

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

    /// A predicted label above C has no entry: its pixels are dropped, as
    /// [`crate::OutOfRange::Drop`] says.
    pub(crate) fn add_prediction(&mut self, label: u16, pixels: u64) {
        if let Some(sum) = self.prediction.get_mut(usize::from(label)) {
            *sum += pixels;
        }
    }

    pub(crate) fn add_intersection(&mut self, label: u16, pixels: u64) {
        self.intersection[usize::from(label)] += pixels;
    }

    /// The counts of both, which have as many labels.
    pub(crate) fn sum(&self, other: &ClassAreas) -> Result<Self, Error> {
        Ok(Self {
            truth: sum_each(&self.truth, &other.truth)?,
            prediction: sum_each(&self.prediction, &other.prediction)?,
            intersection: sum_each(&self.intersection, &other.intersection)?,
        })
    }

    /// Refuses a stored table that no pictures can have led to.
    fn check(&self, classes: u16) -> Result<(), Error> {
        for table in [&self.truth, &self.prediction, &self.intersection] {
            check_entries("areas", table.len(), usize::from(classes) + 1)?;
            check_limit(add_all(table)?)?;
        }
        let smaller = self
            .truth
            .iter()
            .zip(&self.prediction)
            .map(|(t, p)| t.min(p));
        match self
            .intersection
            .iter()
            .zip(smaller)
            .find(|(i, smaller)| i > smaller)
        {
            Some((found, allowed)) => Err(Error::ImpossibleState {
                what: "intersection of areas",
                found: *found,
                allowed: *allowed,
            }),
            None => Ok(()),
        }
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

    /// Adds one cell of a picture's table, `times` times.
    pub(crate) fn add(&mut self, cell: &Cell, times: u64) {
        let Cell {
            truth, prediction, ..
        } = *cell;
        let pixels = |n: u32| u64::from(n) * times;
        self.mask.add_truth(truth, pixels(cell.pixels));
        self.mask.add_prediction(prediction, pixels(cell.pixels));
        self.boundary.add_truth(truth, pixels(cell.truth_boundary));
        self.boundary
            .add_prediction(prediction, pixels(cell.prediction_boundary));
        if truth == prediction {
            self.mask.add_intersection(truth, pixels(cell.pixels));
            self.boundary
                .add_intersection(truth, pixels(cell.shared_boundary));
        }
    }

    /// The counts of both, which have as many labels.
    pub(crate) fn sum(&self, other: &Areas) -> Result<Self, Error> {
        Ok(Self {
            mask: self.mask.sum(&other.mask)?,
            boundary: self.boundary.sum(&other.boundary)?,
        })
    }

    /// Refuses a stored table that no pictures can have led to.
    pub(crate) fn check(&self, classes: u16) -> Result<(), Error> {
        self.mask.check(classes)?;
        self.boundary.check(classes)
    }
}
