//! Whole scenes as masks along principal directions (PriMaPs).
//!
//! Hahn et al. 2024, <https://arxiv.org/abs/2404.16818>, §3.2.

use ndarray::{Array2, ArrayView3};
use serde::{Deserialize, Serialize};

use super::{Object, share, unit_cells};
use crate::{
    eigen::{self, add_scaled, dot},
    error::{Result, at_least_one, setting},
};

/// Settings of the way `principal_masks`, which divides whole scenes.
///
/// Until the share `coverage` of the cells is covered:
///
/// 1. The first principal direction of the features of the cells that are not covered yet.
/// 2. Of these cells the one most similar to it, in either sign.
/// 3. Cells not covered yet whose cosine with that cell is at least `threshold` times the largest
///    are covered by a mask.
///
/// A 3 x 3 median smooths each mask. Masks that it leaves empty are dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrincipalMasks {
    /// Share of the largest cosine that a cell of a mask reaches, above 0 and at most 1.
    pub threshold: f64,
    /// Share of the cells that are covered at the end, `0..=1`.
    pub coverage: f64,
    /// Most masks of a picture, at least 1.
    pub objects: usize,
}

impl Default for PrincipalMasks {
    fn default() -> Self {
        Self {
            threshold: 0.4,
            coverage: 0.95,
            objects: 64,
        }
    }
}

impl PrincipalMasks {
    pub(super) fn check(&self) -> Result<()> {
        let fits = self.threshold > 0.0 && self.threshold <= 1.0;
        let allowed = "above 0 and at most 1";
        setting("foreground.threshold", self.threshold, fits, allowed)?;
        share("foreground.coverage", self.coverage)?;
        at_least_one("foreground.objects", self.objects)
    }

    pub(super) fn find(&self, features: ArrayView3<f32>) -> Vec<Object> {
        let (height, width, channels) = features.dim();
        let units = unit_cells(features);
        let raw = features.as_standard_layout().mapv(f64::from);
        let raw = raw.into_shape_with_order((height * width, channels));
        let raw = raw.expect("a row for each cell");
        let mut open: Vec<usize> = (0..units.nrows()).collect();
        let mut objects = Vec::new();
        let mut masks = 0;
        while masks < self.objects && self.is_unfinished(open.len(), units.nrows()) {
            let Some(similarity) = self.next_mask(&raw, &units, &open) else {
                break;
            };
            open.retain(|&cell| similarity[cell] == 0.0);
            objects.extend(self.object(similarity, (height, width)));
            masks += 1;
        }
        objects
    }

    fn is_unfinished(&self, open: usize, cells: usize) -> bool {
        ((cells - open) as f64) < self.coverage * cells as f64
    }

    /// Cosines with the chosen cell over the largest of them, and 0 outside of the mask. `None` where
    /// only features of zero are left.
    fn next_mask(
        &self,
        raw: &Array2<f64>,
        units: &Array2<f64>,
        open: &[usize],
    ) -> Option<Vec<f64>> {
        let direction = principal_direction(raw, open);
        let seed = open.iter().copied().reduce(|best, cell| {
            let along = |cell| cosine(units, cell, &direction).abs();
            if along(cell) > along(best) {
                cell
            } else {
                best
            }
        })?;
        let seed = units.row(seed).to_vec();
        let mut similarity = vec![0.0; units.nrows()];
        for &cell in open {
            similarity[cell] = cosine(units, cell, &seed);
        }
        let largest = open
            .iter()
            .fold(0.0f64, |most, &cell| most.max(similarity[cell]));
        let least = self.threshold * largest;
        let kept = |&value: &f64| if value < least { 0.0 } else { value / largest };
        (largest > 0.0).then(|| similarity.iter().map(kept).collect())
    }

    fn object(&self, similarity: Vec<f64>, size: (usize, usize)) -> Option<Object> {
        let mask = Array2::from_shape_vec(size, similarity).expect("a value for each cell");
        let smooth = median(&mask);
        let outside = -self.threshold as f32;
        let score = smooth.mapv(|value| if value > 0.0 { value as f32 } else { outside });
        smooth
            .iter()
            .any(|&value| value > 0.0)
            .then_some(Object { score })
    }
}

fn cosine(units: &Array2<f64>, cell: usize, direction: &[f64]) -> f64 {
    dot(
        units.row(cell).as_slice().expect("standard layout"),
        direction,
    )
}

/// The direction in which some cells vary most; their mean where they are equal.
fn principal_direction(raw: &Array2<f64>, cells: &[usize]) -> Vec<f64> {
    let rows = raw.select(ndarray::Axis(0), cells);
    let mean = rows.mean_axis(ndarray::Axis(0)).expect("a cell is left");
    let centred = rows - &mean;
    let spread = centred.iter().map(|value| value * value).sum::<f64>();
    if spread <= 1e-20 * mean.dot(&mean) * cells.len() as f64 {
        return super::unit(mean.as_slice().expect("standard layout"));
    }
    // The covariance times a vector, without the covariance.
    let mut found = eigen::largest(raw.ncols(), 1, |vector| {
        let mut sum = vec![0.0; vector.len()];
        for row in centred.rows() {
            let row = row.as_slice().expect("standard layout");
            add_scaled(&mut sum, row, dot(row, vector));
        }
        sum
    });
    found.swap_remove(0).vector
}

/// The median of each cell and its eight neighbours; the map is mirrored at its border.
fn median(map: &Array2<f64>) -> Array2<f64> {
    let (height, width) = map.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let mut around = Vec::with_capacity(9);
        for row in [mirrored(y, -1, height), y, mirrored(y, 1, height)] {
            for column in [mirrored(x, -1, width), x, mirrored(x, 1, width)] {
                around.push(map[[row, column]]);
            }
        }
        around.sort_by(f64::total_cmp);
        around[4]
    })
}

/// The neighbour of a place; of the first the second, of the last the one before.
fn mirrored(at: usize, step: isize, length: usize) -> usize {
    let neighbour = at as isize + step;
    if (0..length as isize).contains(&neighbour) {
        neighbour as usize
    } else {
        at.saturating_add_signed(-step).min(length - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_median_mirrors_the_border() {
        let map = array![[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]];
        // Of (0, 0): once 0, twice each neighbour at a side, four times (1, 1).
        assert_eq!(median(&map)[[0, 0]], 0.0);
        // Of (0, 2): itself, twice (0, 1), twice (1, 2), four times (1, 1).
        assert_eq!(median(&map)[[0, 2]], 1.0);
        assert_eq!(median(&array![[0.5]]), array![[0.5]]);
    }
}
