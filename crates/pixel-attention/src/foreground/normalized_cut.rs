//! Objects by a normalised cut of the graph of similar cells.
//!
//! The cut is that of Shi and Malik 2000 (<https://doi.org/10.1109/34.868688>); on features of a
//! backbone it is TokenCut (Wang et al. 2022, <https://arxiv.org/abs/2202.11539>, §3.2) and, for
//! several objects, MaskCut (Wang et al. 2023, <https://arxiv.org/abs/2301.11320>, §3.2).

use ndarray::{Array1, Array2, ArrayView3};
use serde::{Deserialize, Serialize};

use super::{
    Object,
    components::{Cell, component_of, only},
    share, unit_cells,
};
use crate::{
    eigen::{self, dot},
    error::{Result, at_least_one, setting},
    products::add_product,
};

/// Weight of an edge between cells that are not similar.
const UNLIKE: f64 = 1e-5;

/// Settings of the way `normalized_cut`, for the keys of a ViT's last block.
///
/// 1. Two cells are joined by an edge of weight 1 where their cosine exceeds `threshold`, else of
///    weight 1e-5. `D` are the sums of the weights `A` of each cell.
/// 2. `v` is the eigenvector of the second smallest eigenvalue of `(D − A) v = λ D v`. Foreground is
///    where it exceeds its mean.
/// 3. The sign of `v` is such that the cell of the largest `|v|` is foreground; it is turned where
///    foreground holds three or more of the map's corners then.
/// 4. The object is the connected part of the foreground that holds the cell of the largest `v`.
/// 5. For the next object the features of the found cells become zero. It is the last one if its
///    intersection over union with an earlier one exceeds one half, or its share of the cells is
///    below `least_share`; then it is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NormalizedCut {
    /// Cosine above which two cells are similar, `-1..1`.
    pub threshold: f64,
    /// Most objects of a picture, at least 1.
    pub objects: usize,
    /// Objects behind the first have at least this share of the cells, `0..=1`.
    pub least_share: f64,
}

impl Default for NormalizedCut {
    fn default() -> Self {
        Self {
            threshold: 0.2,
            objects: 1,
            least_share: 0.01,
        }
    }
}

impl NormalizedCut {
    pub(super) fn check(&self) -> Result<()> {
        let fits = (-1.0..1.0).contains(&self.threshold);
        let allowed = "at least -1 and below 1";
        setting("foreground.threshold", self.threshold, fits, allowed)?;
        at_least_one("foreground.objects", self.objects)?;
        share("foreground.least_share", self.least_share)
    }

    pub(super) fn find(&self, features: ArrayView3<f32>) -> Vec<Object> {
        let (height, width, _) = features.dim();
        let mut cells = unit_cells(features);
        let mut found: Vec<Vec<Cell>> = Vec::new();
        let mut objects = Vec::new();
        while objects.len() < self.objects {
            let Some(cut) = second_eigenvector(&affinity(&cells, self.threshold)) else {
                break;
            };
            let score = oriented(cut, (height, width));
            let part = component_of(&score.mapv(|score| score > 0.0), greatest(&score));
            if !found.is_empty() && !self.is_new(&part, &found, height * width) {
                break;
            }
            for &(y, x) in &part {
                cells.row_mut(y * width + x).fill(0.0);
            }
            objects.push(only(&score, &part));
            found.push(part);
        }
        objects
    }

    fn is_new(&self, part: &[Cell], found: &[Vec<Cell>], cells: usize) -> bool {
        let large = part.len() as f64 >= self.least_share * cells as f64;
        large
            && found
                .iter()
                .all(|earlier| intersection_over_union(part, earlier) <= 0.5)
    }
}

/// Weights of the edges between unit cells, `[cells, cells]`.
pub(super) fn affinity(cells: &Array2<f64>, threshold: f64) -> Array2<f64> {
    let mut cosines = Array2::zeros((cells.nrows(), cells.nrows()));
    add_product(cells.view(), cells.t(), cosines.view_mut());
    cosines.mapv_inplace(|cosine| if cosine > threshold { 1.0 } else { UNLIKE });
    cosines
}

/// The eigenvector `v` of the second smallest eigenvalue of `(D − A) v = λ D v`, where `D` are the
/// row sums of `A`; its largest entry in absolute value is 1. `None` where all edges are
/// equal, since any vector would do.
///
/// `D^½ v` is the second eigenvector of `D^-½ A D^-½`, whose first is `D^½ 1` with eigenvalue 1. That
/// one is moved below all others, which lie in `-1..=1`.
pub(super) fn second_eigenvector(affinity: &Array2<f64>) -> Option<Array1<f64>> {
    let size = affinity.nrows();
    let edges = affinity.indexed_iter().filter(|((a, b), _)| a != b);
    let mut weights = edges.map(|(_, &weight)| weight);
    let first = weights.next()?;
    if weights.all(|weight| weight == first) {
        return None;
    }
    let roots: Vec<f64> = affinity
        .rows()
        .into_iter()
        .map(|row| row.sum().sqrt())
        .collect();
    let length = dot(&roots, &roots).sqrt();
    let trivial: Vec<f64> = roots.iter().map(|root| root / length).collect();
    let second = eigen::largest(size, 1, |vector| {
        let scaled: Vec<f64> = vector
            .iter()
            .zip(&roots)
            .map(|(v, root)| v / root)
            .collect();
        let along = 3.0 * dot(&trivial, vector);
        let rows = affinity.rows().into_iter().zip(&roots).zip(&trivial);
        rows.map(|((row, root), first)| {
            dot(row.as_slice().expect("standard layout"), &scaled) / root - along * first
        })
        .collect()
    });
    let entries = second[0].vector.iter().zip(&roots);
    let vector: Array1<f64> = entries.map(|(entry, root)| entry / root).collect();
    let strongest = greatest_by(vector.iter().map(|entry| entry.abs()));
    let most = vector[strongest];
    Some(vector / most)
}

/// The eigenvector minus its mean, `[height, width]`, with the sign that makes the foreground
/// positive.
fn oriented(vector: Array1<f64>, (height, width): Cell) -> Array2<f64> {
    let mean = vector.mean().expect("a map has cells");
    let score = vector.into_shape_with_order((height, width));
    let score = score.expect("an entry for each cell") - mean;
    let corners = [
        (0, 0),
        (0, width - 1),
        (height - 1, 0),
        (height - 1, width - 1),
    ];
    let inside = corners.iter().filter(|&&corner| score[corner] > 0.0);
    if inside.count() >= 3 { -score } else { score }
}

fn greatest(score: &Array2<f64>) -> Cell {
    let at = greatest_by(score.iter().copied());
    (at / score.ncols(), at % score.ncols())
}

/// The place of the greatest number, the first of those that are equal but for rounding: cells that no
/// edge tells apart have equal entries.
fn greatest_by(numbers: impl Iterator<Item = f64> + Clone) -> usize {
    let most = numbers.clone().fold(f64::NEG_INFINITY, f64::max);
    let least = most - 1e-9 * most.abs();
    let place = numbers.clone().position(|number| number >= least);
    place.expect("a map has cells")
}

fn intersection_over_union(a: &[Cell], b: &[Cell]) -> f64 {
    let both = a.iter().filter(|cell| b.contains(cell)).count();
    both as f64 / (a.len() + b.len() - both) as f64
}
