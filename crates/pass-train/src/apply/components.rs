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
    let mut labelled = Vec::new();
    for part in components(&inside) {
        let id = largest_mean(part.iter().map(|&cell| cells[place(cell)]), channels);
        labelled.extend(part.into_iter().map(|cell| (cell, id)));
    }
    let ids = inside
        .indexed_iter()
        .map(|(cell, _)| nearest(cell, &labelled));
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

/// The id of the nearest of some cells, the first of equals; 1 without any.
fn nearest((row, column): (usize, usize), labelled: &[((usize, usize), u16)]) -> u16 {
    let distance =
        |&((y, x), _): &((usize, usize), u16)| y.abs_diff(row).pow(2) + x.abs_diff(column).pow(2);
    labelled
        .iter()
        .min_by_key(|cell| distance(cell))
        .map_or(1, |&(_, id)| id)
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
}
