//! The gradient with respect to the weights.
//!
//! Weight `(o, c, y, x)` meets value `c` of every place that it reaches, so its gradient is the inner
//! product of two rows over all places of all pictures: the gradient of output channel `o`, and
//! channel `c` of the input shifted by `(y, x)`. All weights together are one matrix product,
//! `[channels_out, places] · [places, channels_in · kernel²]`. The shifted input is never whole in
//! memory: blocks of some channels and some places are laid out, multiplied and added up.
//!
//! Blocks do not depend on the number of threads, and their sums are added in order, so neither do
//! the bits.

use std::ops::Range;

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

/// Shifted channels of a block, about: a product this wide is fast.
const BLOCK_WIDTH: usize = 256;
/// Places of a block, about: with the width above it fills half a megabyte.
const BLOCK_PLACES: usize = 512;
/// Blocks that can run side by side, at least, as far as there are pictures.
const TASKS: usize = 8;

/// Shapes and settings of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    /// `[batch, channels_in, height, width]`.
    pub(crate) input: [usize; 4],
    /// `[batch, channels_out, height_out, width_out]`.
    pub(crate) output: [usize; 4],
    /// Height and width.
    pub(crate) kernel: [usize; 2],
    /// Along both axes, as the rest.
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

/// A block's share of the work: some input channels in some pictures.
#[derive(Clone, Debug)]
struct Task {
    channels: Range<usize>,
    pictures: Range<usize>,
}

/// Some rows of the output of some pictures, all of one size.
#[derive(Clone, Debug)]
struct Places {
    pictures: Range<usize>,
    rows: Range<usize>,
}

/// The gradient with respect to the weights, `[channels_out, channels_in, kernel, kernel]`.
pub(crate) fn weight_gradient(of: &Convolution, input: &[f32], output: &[f32]) -> Vec<f32> {
    let tasks = tasks(of);
    let sums: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|task| task_sum(of, task, input, output))
        .collect();
    let width = of.input[1] * of.taps();
    let mut gradient = vec![0.0; of.output[1] * width];
    for (task, sum) in tasks.iter().zip(&sums) {
        let first = task.channels.start * of.taps();
        let own = task.channels.len() * of.taps();
        for (row, sum) in gradient.chunks_mut(width).zip(sum.chunks(own)) {
            let row = &mut row[first..first + own];
            row.iter_mut()
                .zip(sum)
                .for_each(|(total, sum)| *total += sum);
        }
    }
    gradient
}

/// Blocks of channels of nearly one size; where these are few, each in several groups of pictures.
fn tasks(of: &Convolution) -> Vec<Task> {
    let [batch, channels, ..] = of.input;
    let blocks = (channels * of.taps()).div_ceil(BLOCK_WIDTH).min(channels);
    let groups = TASKS.div_ceil(blocks).min(batch);
    let part = |whole: usize, parts: usize, i: usize| whole * i / parts..whole * (i + 1) / parts;
    (0..groups)
        .flat_map(|group| {
            (0..blocks).map(move |block| Task {
                channels: part(channels, blocks, block),
                pictures: part(batch, groups, group),
            })
        })
        .collect()
}

/// `[channels_out, channels · taps]`, summed over the task's pictures.
fn task_sum(of: &Convolution, task: &Task, input: &[f32], output: &[f32]) -> Vec<f32> {
    let (height, width) = (of.output[1], task.channels.len() * of.taps());
    let mut sum = vec![0.0; height * width];
    let (mut rows, mut shifted) = (Vec::new(), Vec::new());
    for places in places(of, task) {
        gather(of, &places, output, &mut rows);
        shift(of, &task.channels, &places, input, &mut shifted);
        let count = rows.len() / height;
        add_products(&rows, &shifted, count, &mut sum);
    }
    sum
}

/// Whole pictures where these are small, else rows of one picture.
fn places(of: &Convolution, task: &Task) -> Vec<Places> {
    let [_, _, height, width] = of.output;
    let pictures = (BLOCK_PLACES / (height * width)).max(1);
    let rows = (BLOCK_PLACES / width).clamp(1, height);
    let chunks = |range: Range<usize>, size: usize| {
        let end = range.end;
        range
            .step_by(size)
            .map(move |first| first..(first + size).min(end))
    };
    chunks(task.pictures.clone(), pictures)
        .flat_map(|pictures| {
            chunks(0..height, rows).map(move |rows| Places {
                pictures: pictures.clone(),
                rows,
            })
        })
        .collect()
}

/// Lays out the output's gradient at these places: `[channels_out, places]`.
fn gather(of: &Convolution, places: &Places, output: &[f32], rows: &mut Vec<f32>) {
    let [_, channels, height, width] = of.output;
    let inside = places.rows.start * width..places.rows.end * width;
    rows.clear();
    for channel in 0..channels {
        for picture in places.pictures.clone() {
            let map = &output[(picture * channels + channel) * height * width..];
            rows.extend_from_slice(&map[inside.clone()]);
        }
    }
}

/// Lays out what the kernel sees at these places: `[channels · taps, places]`, zero in the padding.
fn shift(
    of: &Convolution,
    channels: &Range<usize>,
    places: &Places,
    input: &[f32],
    shifted: &mut Vec<f32>,
) {
    let [_, all, height, width] = of.input;
    shifted.clear();
    for channel in channels.clone() {
        for tap in 0..of.taps() {
            let tap = [tap / of.kernel[1], tap % of.kernel[1]];
            for picture in places.pictures.clone() {
                let map = &input[(picture * all + channel) * height * width..][..height * width];
                for row in places.rows.clone() {
                    of.extend_by_row(shifted, map, row, tap);
                }
            }
        }
    }
}

impl Convolution {
    /// Weights of a pair of channels.
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Appends what weight `tap` meets along a row of the output.
    fn extend_by_row(&self, shifted: &mut Vec<f32>, map: &[f32], row: usize, tap: [usize; 2]) {
        let [_, _, height, width] = self.input;
        let end = shifted.len() + self.output[3];
        let y = row * self.stride[0] + tap[0] * self.dilation[0];
        let Some(y) = y.checked_sub(self.padding[0]).filter(|&y| y < height) else {
            return shifted.resize(end, 0.0);
        };
        let row = &map[y * width..(y + 1) * width];
        let (stride, offset) = (self.stride[1], tap[1] * self.dilation[1]);
        let before = self.padding[1].saturating_sub(offset).div_ceil(stride);
        shifted.resize(shifted.len() + before.min(self.output[3]), 0.0);
        let first = (before * stride + offset) - self.padding[1];
        let left = end - shifted.len();
        let inside = row.get(first..).unwrap_or(&[]);
        match stride {
            1 => shifted.extend_from_slice(&inside[..left.min(inside.len())]),
            _ => shifted.extend(inside.iter().step_by(stride).take(left)),
        }
        shifted.resize(end, 0.0);
    }
}

/// Adds the inner products of all rows of `a` with all rows of `b`.
///
/// # Shapes
///
/// - `a`: `[m, length]`, `b`: `[n, length]`, both row-major
/// - `sum`: `[m, n]`, row-major
fn add_products(a: &[f32], b: &[f32], length: usize, sum: &mut [f32]) {
    let (m, n) = (a.len() / length, b.len() / length);
    assert_eq!(
        (a.len(), b.len(), sum.len()),
        (m * length, n * length, m * n),
        "lengths fit the rows"
    );
    let pitch = length as isize;
    // SAFETY: the strides below address sum[i * n + j], b[j * length + k] and a[i * length + k] for
    // i < m, j < n, k < length, all within the lengths asserted above; `sum` is borrowed exclusively.
    // The product is written transposed, with the rows of `b` along the fast axis.
    #[allow(unsafe_code)]
    unsafe {
        gemm(
            n,
            m,
            length,
            sum.as_mut_ptr(),
            n as isize,
            1,
            true,
            b.as_ptr(),
            1,
            pitch,
            a.as_ptr(),
            pitch,
            1,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
