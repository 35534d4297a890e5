//! Large pictures in windows that overlap, whose logits blend: memory follows the window, not the picture.
//!
//! A window begins on a cell of the map, so its cells are cells of the whole. Near an inner edge a network
//! sees the padding in place of the picture: there a window counts for nothing, then its weight rises
//! linearly, and the weights of all windows at a cell sum to 1.

use std::ops::Range;

/// Share of a window that the next one covers too, at least.
const OVERLAP: f64 = 0.25;

/// Share of that overlap at either end in which the window that ends there counts for nothing.
const MARGIN: f64 = 0.25;

/// Cells of a window along an axis, at least, unless the axis has fewer: fewer have no room for an overlap.
pub const LEAST_CELLS: usize = 4;

/// A stretch of the map along one axis.
#[derive(Debug, PartialEq)]
pub(crate) struct Window {
    /// The first cell.
    start: usize,
    /// How much each of its cells counts.
    weights: Vec<f32>,
}

impl Window {
    /// The cells.
    pub(crate) fn cells(&self) -> Range<usize> {
        self.start..self.start + self.weights.len()
    }
}

/// Windows of at most `most` cells over all `cells` of an axis, spread evenly.
fn windows(cells: usize, most: usize) -> Vec<Window> {
    let length = cells.min(most.max(LEAST_CELLS));
    let overlap = ((length as f64 * OVERLAP).ceil() as usize).max(1);
    let count = match cells > length {
        true => (cells - overlap).div_ceil(length - overlap),
        false => 1,
    };
    let start = |window: usize| match window {
        0 => 0,
        _ => ((cells - length) * window + (count - 1) / 2) / (count - 1),
    };
    let ramps = (0..count).map(|window| Window {
        start: start(window),
        weights: ramp(length, overlap, [window > 0, window + 1 < count]),
    });
    summing_to_one(ramps.collect(), cells)
}

/// Weights that rise from the edges where another window follows.
fn ramp(length: usize, overlap: usize, inner: [bool; 2]) -> Vec<f32> {
    let margin = overlap as f64 * MARGIN;
    let rise = overlap as f64 - 2.0 * margin;
    let risen = |from_edge: usize| ((from_edge as f64 + 0.5 - margin) / rise).clamp(0.0, 1.0);
    let weight = |cell: usize| {
        let left = if inner[0] { risen(cell) } else { 1.0 };
        let right = if inner[1] {
            risen(length - 1 - cell)
        } else {
            1.0
        };
        left.min(right) as f32
    };
    (0..length).map(weight).collect()
}

fn summing_to_one(mut windows: Vec<Window>, cells: usize) -> Vec<Window> {
    let mut sums = vec![0.0; cells];
    for window in &windows {
        let sums = &mut sums[window.cells()];
        sums.iter_mut()
            .zip(&window.weights)
            .for_each(|(sum, weight)| *sum += weight);
    }
    for window in &mut windows {
        let sums = &sums[window.cells()];
        window
            .weights
            .iter_mut()
            .zip(sums)
            .for_each(|(weight, sum)| *weight /= sum);
    }
    windows
}

/// Takes a map through windows of at most `most` cells along each axis, and hands its blended rows to
/// `take`, from the top, as soon as no window follows that has a part in them.
///
/// # Shapes
///
/// - `map`: width and height
/// - `logits_of`: of the columns and rows of a window `[rows, columns, channels]`
/// - `take` is given `[some rows, width, channels]`
pub(crate) fn blend<E>(
    map: [usize; 2],
    channels: usize,
    most: usize,
    mut logits_of: impl FnMut(Range<usize>, Range<usize>) -> Result<Vec<f32>, E>,
    mut take: impl FnMut(&[f32]) -> Result<(), E>,
) -> Result<(), E> {
    let [columns, rows] = map.map(|cells| windows(cells, most));
    let row = map[0] * channels;
    let mut band = Vec::new();
    for (at, y) in rows.iter().enumerate() {
        band.resize(y.weights.len() * row, 0.0);
        for x in &columns {
            add(&mut band, row, &logits_of(x.cells(), y.cells())?, x, y);
        }
        let next = rows.get(at + 1).map_or(y.cells().end, |next| next.start);
        let ready = (next - y.start) * row;
        take(&band[..ready])?;
        band.drain(..ready);
    }
    Ok(())
}

/// Adds the weighted logits of a window to a band of rows of the map.
fn add(band: &mut [f32], row: usize, logits: &[f32], x: &Window, y: &Window) {
    let columns = x.weights.len();
    let channels = logits.len() / (columns * y.weights.len());
    let rows = band
        .chunks_exact_mut(row)
        .zip(logits.chunks_exact(columns * channels));
    for ((sums, logits), y_weight) in rows.zip(&y.weights) {
        let cells = sums[x.start * channels..].chunks_exact_mut(channels);
        let cells = cells.zip(logits.chunks_exact(channels));
        for ((sums, logits), x_weight) in cells.zip(&x.weights) {
            let weight = x_weight * y_weight;
            sums.iter_mut()
                .zip(logits)
                .for_each(|(sum, logit)| *sum += weight * logit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_an_axis_overlap_by_a_quarter_and_weigh_one_together() {
        for (cells, most) in [
            (1, 32),
            (32, 32),
            (33, 32),
            (188, 32),
            (125, 17),
            (9, 1),
            (50, 5),
        ] {
            let windows = windows(cells, most);
            let mut sums = vec![0.0; cells];
            for window in &windows {
                assert!(window.weights.len() <= most.max(LEAST_CELLS));
                assert!(
                    window
                        .weights
                        .iter()
                        .all(|weight| (0.0..=1.0).contains(weight))
                );
                for (cell, weight) in window.cells().zip(&window.weights) {
                    sums[cell] += weight;
                }
            }
            assert!(
                sums.iter().all(|sum| (sum - 1.0_f32).abs() < 1e-6),
                "{cells}, {most}: {sums:?}"
            );
            for pair in windows.windows(2) {
                let overlap = pair[0].cells().end - pair[1].start;
                assert!(
                    4 * overlap >= pair[0].weights.len(),
                    "{cells}, {most}: {overlap}"
                );
            }
        }
    }

    #[test]
    fn what_lies_at_an_inner_edge_counts_for_nothing() {
        let windows = windows(80, 32);
        let [first, last] = [&windows[0], &windows[windows.len() - 1]];
        assert_eq!((first.weights[0], first.weights[31]), (1.0, 0.0));
        assert_eq!((last.weights[0], last.weights[31]), (0.0, 1.0));
    }

    /// Where all windows agree on a cell, the blend is what they agree on; rows come from the top.
    #[test]
    fn windows_that_agree_blend_into_the_map() {
        let (map, channels) = ([23, 17], 3);
        let value = |x: usize, y: usize, channel: usize| (100 * y + 7 * x + channel) as f32;
        let mut found = Vec::new();
        let cut = |columns: Range<usize>, rows: Range<usize>| {
            let cells = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
            let values = cells.flat_map(|(x, y)| (0..channels).map(move |c| value(x, y, c)));
            Ok::<_, ()>(values.collect())
        };
        blend(map, channels, 8, cut, |rows| {
            found.extend_from_slice(rows);
            Ok(())
        })
        .unwrap();
        assert_eq!(found.len(), 23 * 17 * channels);
        for (at, found) in found.iter().enumerate() {
            let (cell, channel) = (at / channels, at % channels);
            let expected = value(cell % 23, cell / 23, channel);
            assert!(
                (found - expected).abs() < 1e-3,
                "{found} instead of {expected}"
            );
        }
    }
}
