//! Boundaries of label masks, for boundary mIoU.
//!
//! Boundary IoU (Cheng et al. 2021, <https://arxiv.org/abs/2103.16562>) compares only the pixels
//! near a region's contour. A pixel belongs to the boundary of its label when the square window
//! of `2·thickness + 1` pixels around it reaches beyond the image or holds a second label; that
//! is the region minus its erosion, for all labels at once.
//!
//! # Algorithm
//!
//! A window holds one label exactly when no two neighbours in it differ. Rows become runs; a bit
//! marks each step from one run to the next and each difference to the row above. Spreading the
//! steps over the window is an `or` of shifted words, in log2(thickness) rounds, first along the
//! rows and then down the columns, 64 pixels at a time. One pass, whatever the number of labels;
//! the reference erodes the image once for each label.
//!
//! Looking through ignored pixels makes labels meet that are no neighbours, so that policy follows
//! each row and column pixel by pixel; it is taken only for pictures with ignored pixels.

use crate::{
    BoundaryIgnore, IGNORE, MaskView,
    counts::{
        bits::{Bits, move_right, or_from_right, set_range},
        runs::{Run, Runs, for_each_overlap},
    },
};

/// Thickness of a boundary in pixels: `ratio` times the image diagonal, rounded half to even, at
/// least 1.
///
/// ```
/// use luss_metrics::boundary_thickness;
///
/// assert_eq!(boundary_thickness(500, 375, 0.03), 19); // of 18.75
/// assert_eq!(boundary_thickness(120, 90, 0.03), 4); // of 4.5
/// ```
pub fn boundary_thickness(width: usize, height: usize, ratio: f64) -> usize {
    let (width, height) = (width as f64, height as f64);
    let diagonal_px = (width * width + height * height).sqrt();
    ((ratio * diagonal_px).round_ties_even() as usize).max(1)
}

/// Which pixels lie within `thickness_px` (chessboard distance) of another label or of the
/// outside of the image; row-major, one flag for each pixel.
///
/// Ignored pixels are a region like any other ([`BoundaryIgnore::Edge`]).
///
/// ```
/// use luss_metrics::{MaskView, boundary_map};
///
/// let ids = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];
/// let row = MaskView::new(11, 1, &ids)?;
/// assert!(boundary_map(row, 1).iter().all(|near| *near)); // every window leaves a single row
/// assert!(boundary_map(row, 0).iter().all(|near| !near));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
pub fn boundary_map<'a>(mask: impl Into<MaskView<'a>>, thickness_px: usize) -> Vec<bool> {
    let mask = mask.into();
    boundary_of_runs(&Runs::new(&mask), thickness_px).to_flags(mask.width())
}

/// As [`boundary_map`], but looks through the pixels that `truth` ignores (id 1000,
/// [`BoundaryIgnore::Transparent`]). The flags of these pixels themselves mean nothing.
///
/// # Panics
///
/// If the two masks differ in size.
///
/// ```
/// use luss_metrics::{LabelMask, boundary_map, boundary_map_transparent};
///
/// let mut truth = LabelMask::new(9, 9, vec![1; 81])?;
/// truth.labels_mut()[4 * 9 + 4] = 1000;
/// let beside = 4 * 9 + 3;
/// assert!(boundary_map(&truth, 1)[beside]);
/// assert!(!boundary_map_transparent(&truth, &truth, 1)[beside]);
/// # Ok::<(), luss_metrics::Error>(())
/// ```
pub fn boundary_map_transparent<'a, 'b>(
    mask: impl Into<MaskView<'a>>,
    truth: impl Into<MaskView<'b>>,
    thickness_px: usize,
) -> Vec<bool> {
    let (mask, truth) = (mask.into(), truth.into());
    boundary_through(IGNORE, &mask, &truth, thickness_px).to_flags(mask.width())
}

/// A mask and its runs.
#[derive(Clone, Copy)]
pub(crate) struct Traced<'a> {
    pub(crate) mask: &'a MaskView<'a>,
    pub(crate) runs: &'a Runs,
}

/// The boundary of `mask` under a policy; `truth` says which pixels are ignored.
pub(crate) fn boundary_under(
    policy: BoundaryIgnore,
    ignore: u16,
    mask: Traced,
    truth: Traced,
    thickness_px: usize,
) -> Bits {
    let transparent = policy == BoundaryIgnore::Transparent;
    if transparent && truth.runs.labels().any(|label| label == ignore) {
        boundary_through(ignore, mask.mask, truth.mask, thickness_px)
    } else {
        boundary_of_runs(mask.runs, thickness_px)
    }
}

/// Marks the pixels whose window leaves the image or holds two labels.
fn boundary_of_runs(runs: &Runs, thickness_px: usize) -> Bits {
    let (width, height) = runs.size();
    let mut boundary = Bits::zeros(width, height);
    let side = thickness_px.saturating_mul(2).saturating_add(1);
    if thickness_px == 0 {
        return boundary; // a window of one pixel
    }
    if side > width || side > height {
        (0..height).for_each(|y| set_range(boundary.row_mut(y), 0..width));
        return boundary;
    }
    let (mixed, steps) = mixed_rows(runs, thickness_px);
    for y in 0..height {
        let row = boundary.row_mut(y);
        let Some(top) = y
            .checked_sub(thickness_px)
            .filter(|top| top + side <= height)
        else {
            set_range(row, 0..width);
            continue;
        };
        // The first row of the window has its own steps, the other rows also one from above.
        let words = mixed.row(top).iter().zip(steps.row(top + 1));
        row.iter_mut()
            .zip(words)
            .for_each(|(to, (a, b))| *to = a | b);
        set_range(row, 0..thickness_px);
        set_range(row, width - thickness_px..width);
    }
    boundary
}

/// For each row the centres of windows of one row that hold two labels; and for each row, with the
/// rows below it to make `2 * thickness_px`, those or a difference to the row above.
fn mixed_rows(runs: &Runs, thickness_px: usize) -> (Bits, Bits) {
    let (width, height) = runs.size();
    let mut mixed = Bits::zeros(width, height);
    let mut steps = Bits::zeros(width, height);
    let words = mixed.words_per_row();
    for y in 0..height {
        if runs.repeats(y) {
            mixed
                .words_mut()
                .copy_within((y - 1) * words..y * words, y * words);
        } else {
            mark_mixed(runs.row(y), thickness_px, mixed.row_mut(y));
        }
        let row = steps.row_mut(y);
        row.copy_from_slice(mixed.row(y));
        if y > 0 && !runs.repeats(y) {
            mark_differences(runs.row(y - 1), runs.row(y), row);
        }
    }
    or_from_below(&mut steps, 2 * thickness_px);
    (mixed, steps)
}

/// Marks the columns around which `2 * thickness_px + 1` pixels hold two labels; columns nearer to
/// the picture's border than `thickness_px` are left open.
fn mark_mixed(runs: &[Run], thickness_px: usize, row: &mut [u64]) {
    for run in &runs[..runs.len() - 1] {
        set_range(row, run.end - 1..run.end); // the step lies behind this column
    }
    for round in doubling(2 * thickness_px) {
        or_from_right(row, round);
    }
    move_right(row, thickness_px);
    let width = runs.last().expect("a row is not empty").end;
    clear_behind(row, width);
}

fn mark_differences(above: &[Run], below: &[Run], row: &mut [u64]) {
    for_each_overlap(above, below, |columns, a, b| {
        if a != b {
            set_range(row, columns);
        }
    });
}

/// Shifts that spread a bit over `length` places, each at most as far as is covered already.
fn doubling(length: usize) -> impl Iterator<Item = usize> {
    let mut covered = 1;
    std::iter::from_fn(move || {
        let shift = covered.min(length - covered);
        covered += shift;
        (shift > 0).then_some(shift)
    })
}

/// Gives each row the bits of itself and of the rows below it, `rows` in all.
fn or_from_below(bits: &mut Bits, rows: usize) {
    let words = bits.words_per_row();
    for round in doubling(rows) {
        let all = bits.words_mut();
        for i in 0..all.len().saturating_sub(round * words) {
            all[i] |= all[i + round * words];
        }
    }
}

/// Clears the bits of column `width` and beyond.
fn clear_behind(row: &mut [u64], width: usize) {
    match width % 64 {
        0 => {}
        bits => row[width / 64] &= u64::MAX >> (64 - bits),
    }
}

/// The boundary of `mask` when the pixels are looked through at which `truth` is `ignore`.
fn boundary_through(ignore: u16, mask: &MaskView, truth: &MaskView, thickness_px: usize) -> Bits {
    assert_eq!(
        mask.size(),
        truth.size(),
        "a mask and the truth that goes with it"
    );
    let (labels, truth) = (mask.labels(), truth.labels());
    boundary_of(mask.size(), thickness_px, |pixel| {
        if truth[pixel] == ignore {
            Window::Empty
        } else {
            Window::Only(labels[pixel])
        }
    })
}

/// Marks the pixels whose window leaves the image or holds two labels.
fn boundary_of(
    (width, height): (usize, usize),
    thickness_px: usize,
    pixel: impl Fn(usize) -> Window,
) -> Bits {
    let side = thickness_px.saturating_mul(2).saturating_add(1);
    let mut boundary = Bits::zeros(width, height);
    (0..height).for_each(|y| set_range(boundary.row_mut(y), 0..width));
    let mut columns = vec![Stretch::default(); width];
    for y in 0..height {
        let mut row = Stretch::default();
        for x in 0..width {
            row.push(pixel(y * width + x));
            if x + 1 < side {
                continue; // the window around x - thickness reaches beyond the image
            }
            let column = &mut columns[x - thickness_px];
            column.push(row.last(side));
            if column.last(side) != Window::Mixed {
                let centre = x - thickness_px;
                boundary.row_mut(y - thickness_px)[centre / 64] &= !(1 << (centre % 64));
            }
        }
    }
    boundary
}

/// The labels in a window of pixels.
#[derive(Clone, Copy, PartialEq)]
enum Window {
    /// Two labels, or pixels outside of the image.
    Mixed,
    /// Nothing but pixels that are looked through.
    Empty,
    /// One label, and perhaps pixels that are looked through.
    Only(u16),
}

/// The longest stretch that ends at the current position and holds at most one label.
#[derive(Clone, Copy, Default)]
struct Stretch {
    length: usize,
    /// How many of its last entries were empty.
    empty_tail: usize,
    /// Its label, unless all of it is empty.
    label: u16,
}

impl Stretch {
    /// Moves on by one entry.
    fn push(&mut self, entry: Window) {
        match entry {
            Window::Mixed => *self = Stretch::default(),
            Window::Empty => {
                self.length += 1;
                self.empty_tail += 1;
            }
            Window::Only(label) => {
                let goes_on = label == self.label || self.empty_tail == self.length;
                let before = if goes_on {
                    self.length
                } else {
                    self.empty_tail
                };
                *self = Stretch {
                    length: before + 1,
                    empty_tail: 0,
                    label,
                };
            }
        }
    }

    /// What the last `side` entries hold.
    fn last(&self, side: usize) -> Window {
        if self.length < side {
            Window::Mixed
        } else if self.empty_tail >= side {
            Window::Empty
        } else {
            Window::Only(self.label)
        }
    }
}

#[cfg(test)]
mod tests;
