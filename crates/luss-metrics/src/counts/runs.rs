//! A mask as stretches of equal labels: what is counted per stretch costs nothing per pixel.
//!
//! Masks hold regions, so a row has a handful of runs, and most rows repeat the one above. Both
//! are found by comparing memory, which a processor does many pixels at a time.

use std::ops::Range;

use crate::MaskView;

/// Pixels compared at once.
const BLOCK: usize = 32;

/// A stretch of pixels with one label, from the end of the run before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// The column behind its last pixel.
    pub(crate) end: usize,
    pub(crate) label: u16,
}

/// The runs of a mask, row by row; equal neighbouring rows share theirs.
pub(crate) struct Runs {
    size: (usize, usize),
    rows: Vec<Range<usize>>,
    runs: Vec<Run>,
}

impl Runs {
    pub(crate) fn new(mask: &MaskView) -> Self {
        let (mut rows, mut runs) = (Vec::with_capacity(mask.height()), Vec::new());
        let mut above: &[u16] = &[];
        for row in mask.rows() {
            if row != above {
                let first = runs.len();
                push_runs(row, &mut runs);
                rows.push(first..runs.len());
                above = row;
            } else {
                rows.extend_from_within(rows.len() - 1..);
            }
        }
        Self {
            size: mask.size(),
            rows,
            runs,
        }
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The runs of row `y`, from the left.
    pub(crate) fn row(&self, y: usize) -> &[Run] {
        &self.runs[self.rows[y].clone()]
    }

    /// Whether row `y` equals the row above it.
    pub(crate) fn repeats(&self, y: usize) -> bool {
        y > 0 && self.rows[y] == self.rows[y - 1]
    }

    /// The labels, each at least once.
    pub(crate) fn labels(&self) -> impl Iterator<Item = u16> {
        self.runs.iter().map(|run| run.label)
    }

    /// Label, column and row of the first pixel in reading order that `wanted` accepts.
    pub(crate) fn find(&self, wanted: impl Fn(u16) -> bool) -> Option<(u16, usize, usize)> {
        let index = self.runs.iter().position(|run| wanted(run.label))?;
        let y = self.rows.iter().position(|row| row.contains(&index))?;
        let before = self.row(y)[..index - self.rows[y].start].last();
        Some((self.runs[index].label, before.map_or(0, |run| run.end), y))
    }
}

fn push_runs(row: &[u16], runs: &mut Vec<Run>) {
    let mut end = 0;
    while let Some(&label) = row.get(end) {
        end += equal_prefix(&row[end..], label);
        runs.push(Run { end, label });
    }
}

/// How many of the first labels are `label`.
fn equal_prefix(labels: &[u16], label: u16) -> usize {
    let is_equal = |block: &&[u16]| block.iter().fold(0, |bits, l| bits | (l ^ label)) == 0;
    let equal = BLOCK * labels.chunks_exact(BLOCK).take_while(is_equal).count();
    let rest = &labels[equal..];
    equal + rest.iter().position(|l| *l != label).unwrap_or(rest.len())
}

/// Calls `visit` with the columns and both labels of each stretch in which two rows of the same
/// length have one label each.
pub(crate) fn for_each_overlap(
    ours: &[Run],
    theirs: &[Run],
    mut visit: impl FnMut(Range<usize>, u16, u16),
) {
    let (mut i, mut j, mut start) = (0, 0, 0);
    while let (Some(a), Some(b)) = (ours.get(i), theirs.get(j)) {
        let end = a.end.min(b.end);
        visit(start..end, a.label, b.label);
        i += usize::from(a.end == end);
        j += usize::from(b.end == end);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Noise, blobs};

    #[test]
    fn runs_spell_the_mask() {
        let mut noise = Noise::new(5);
        for cell in [1, 2, 7, 40] {
            let mask = blobs(&mut noise, 131, 9, cell, 3);
            let runs = Runs::new(&MaskView::from(&mask));
            for (y, row) in MaskView::from(&mask).rows().enumerate() {
                let mut spelled = Vec::new();
                for run in runs.row(y) {
                    spelled.resize(run.end, run.label);
                }
                assert_eq!(spelled, row);
                let above = (y > 0).then(|| &mask.labels()[(y - 1) * 131..y * 131]);
                assert_eq!(runs.repeats(y), above == Some(row));
            }
        }
    }

    #[test]
    fn the_first_pixel_of_a_kind_is_found_in_reading_order() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 4, 4, 5, 0, 4];
        let runs = Runs::new(&MaskView::new(3, 4, &labels).unwrap());
        assert_eq!(runs.find(|label| label > 3), Some((4, 1, 2)));
        assert_eq!(runs.find(|label| label > 5), None);
    }

    #[test]
    fn overlaps_cover_the_row_with_the_labels_of_both() {
        let run = |end, label| Run { end, label };
        let mut seen = Vec::new();
        for_each_overlap(
            &[run(3, 7), run(5, 0)],
            &[run(1, 2), run(5, 9)],
            |columns, a, b| seen.push((columns, a, b)),
        );
        assert_eq!(seen, [(0..1, 7, 2), (1..3, 7, 9), (3..5, 0, 9)]);
    }
}
