//! One category for each connected part of the foreground.

use ndarray::Array2;
use pixel_attention::{foreground::components, label_generation::FeatureLabels};

/// The share of the probability from which on a pixel is foreground.
pub(super) const FOREGROUND: f32 = 0.5;

/// Each connected part of the foreground under one category, and the probability of foreground in place of
/// the attention. Cells of the background have the id of the nearest part, into which pixels between
/// cells may fall.
///
/// # Shapes
///
/// - `logits`: `[height, width, channels]`; channel 0 is OTHER
pub(super) fn component_labels(
    logits: &[f32],
    [width, height]: [usize; 2],
    channels: usize,
) -> FeatureLabels {
    let cells: Vec<&[f32]> = logits.chunks(channels).collect();
    let probability = cells.iter().map(|cell| foreground_probability(cell));
    let attention: Vec<f32> = probability.collect();
    let inside = attention.iter().map(|&share| share >= FOREGROUND).collect();
    let inside = Array2::from_shape_vec((height, width), inside).expect("a value a cell");
    let place = |(row, column)| row * width + column;
    let (mut labelled, mut order) = (Array2::from_elem((height, width), None), 0..);
    for part in components(&inside) {
        let id = largest_mean(part.iter().map(|&cell| cells[place(cell)]), channels);
        for (cell, rank) in part.into_iter().zip(&mut order) {
            labelled[cell] = Some((rank, id));
        }
    }
    let along_columns = nearest_in_column(&labelled);
    let ids = labelled.indexed_iter().map(|(cell, own)| match own {
        Some((_, id)) => *id,
        None => nearest(cell, &along_columns),
    });
    FeatureLabels {
        width,
        height,
        ids: ids.collect(),
        attention,
    }
}

/// One minus the softmax of OTHER.
fn foreground_probability(cell: &[f32]) -> f32 {
    let largest = cell.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all: f32 = cell.iter().map(|logit| (logit - largest).exp()).sum();
    1.0 - (cell[0] - largest).exp() / all
}

/// The category of the largest mean logit of some cells, the first of equals.
fn largest_mean<'a>(cells: impl Iterator<Item = &'a [f32]> + Clone, channels: usize) -> u16 {
    let sum = |channel: usize| {
        cells
            .clone()
            .map(|cell| f64::from(cell[channel]))
            .sum::<f64>()
    };
    let best = (1..channels).map(|channel| (sum(channel), channel));
    let best = best.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let (_, channel) = best.expect("a category");
    u16::try_from(channel).expect("class ids fit u16")
}

/// A cell of the foreground: its place in the order of the parts, largest first, and its category.
type OfPart = (usize, u16);

/// How far a cell of the foreground is, and that cell: the least is the nearest, of equals the first.
type Near = (usize, OfPart);

/// For each cell the nearest one of the foreground in its column.
fn nearest_in_column(labelled: &Array2<Option<OfPart>>) -> Array2<Option<Near>> {
    let mut near = labelled.mapv(|own| own.map(|own| (0, own)));
    let (height, width) = near.dim();
    let down = (1..height).map(|row| (row, row - 1));
    let up = (1..height).rev().map(|row| (row - 1, row));
    for (row, neighbour) in down.chain(up) {
        for column in 0..width {
            let of_neighbour = near[(neighbour, column)].map(|(far, of)| (far + 1, of));
            let both = [near[(row, column)], of_neighbour];
            near[(row, column)] = both.into_iter().flatten().min();
        }
    }
    near
}

/// The id of the nearest cell of the foreground, of equals the first; 1 without any. The nearest of all is
/// the nearest in its column.
fn nearest((row, column): (usize, usize), along_columns: &Array2<Option<Near>>) -> u16 {
    let of_columns = along_columns.row(row).into_iter().zip(0usize..);
    let distances = of_columns.filter_map(|(near, x)| {
        let (far, of) = (*near)?;
        Some((far.pow(2) + x.abs_diff(column).pow(2), of))
    });
    distances.min().map_or(1, |(_, (_, id))| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_foreground_has_one_category() {
        // A row of five cells: two of the left part, OTHER, and two of the right one.
        let logits = [
            [0.0, 3.0, 2.0],
            [0.0, 1.0, 4.0],
            [9.0, 1.0, 1.0],
            [0.0, 5.0, 1.0],
            [0.0, 1.0, 2.0],
        ];
        let labels = component_labels(&logits.concat(), [5, 1], 3);
        assert_eq!(labels.ids, [2, 2, 2, 1, 1]);
        let mask = labels.to_mask(5, 1, FOREGROUND);
        assert_eq!(mask.labels(), [2, 2, 0, 1, 1]);
        // Two categories of which neither beats OTHER are foreground together.
        let split = component_labels(&[1.0, 0.9, 0.9], [1, 1], 3);
        assert_eq!(split.to_mask(2, 1, FOREGROUND).labels(), [1, 1]);
    }

    /// Against a look at all pairs of cells, on a map with many ties.
    #[test]
    fn the_background_has_the_id_of_the_nearest_cell() {
        let (width, height) = (17, 13);
        let kind = |at: usize| (at * at + 7 * at) % 23;
        let is_inside = |at: usize| [0, 6, 7].contains(&kind(at));
        let logit = |at: usize| match kind(at) {
            0 => [0.0, 5.0, 1.0, 0.0],
            6 => [0.0, 1.0, 5.0, 0.0],
            7 => [0.0, 0.0, 1.0, 5.0],
            _ => [9.0, 0.0, 0.0, 0.0],
        };
        let logits: Vec<f32> = (0..width * height).flat_map(logit).collect();
        let found = component_labels(&logits, [width, height], 4);
        let inside = Array2::from_shape_fn((height, width), |(y, x)| is_inside(y * width + x));
        let in_order: Vec<_> = components(&inside).concat();
        assert!(in_order.len() > 10);
        for (y, x) in inside.indexed_iter().map(|(cell, _)| cell) {
            let far =
                |cell: &&(usize, usize)| cell.0.abs_diff(y).pow(2) + cell.1.abs_diff(x).pow(2);
            let &(row, column) = in_order.iter().min_by_key(far).unwrap();
            let expected = found.ids[row * width + column];
            assert_eq!(found.ids[y * width + x], expected, "{y}, {x}");
        }
        let ids: std::collections::BTreeSet<_> = found.ids.iter().collect();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn a_map_without_foreground_is_other() {
        let labels = component_labels(&[9.0, 0.0, 9.0, 0.0], [2, 1], 2);
        assert_eq!(labels.to_mask(2, 1, FOREGROUND).labels(), [0, 0]);
    }
}
