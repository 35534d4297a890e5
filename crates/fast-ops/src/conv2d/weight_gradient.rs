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

use rayon::prelude::*;

use super::{
    convolution::{Convolution, PLACES, Places, ROWS, TASKS, blocks},
    patches::{gather, shift},
};
use crate::{
    flex::written,
    product::{Matrix, multiply},
};

/// Output channels whose sums a task adds up.
const ROWS_ADDED: usize = 16;

/// A block's share of the work: some input channels in some pictures.
#[derive(Clone, Debug)]
struct Task {
    channels: Range<usize>,
    pictures: Range<usize>,
}

/// The gradient with respect to the weights, `[channels_out, channels_in, kernel, kernel]`.
pub(crate) fn weight_gradient(of: &Convolution, input: &[f32], output: &[f32]) -> Vec<f32> {
    let tasks = tasks(of);
    let sums: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|task| task_sum(of, task, input, output))
        .collect();
    let width = of.input[1] * of.taps();
    written(of.output[1] * width, ROWS_ADDED * width, |index, rows| {
        let rows = rows.chunks_exact_mut(width).enumerate();
        rows.for_each(|(row, to)| add_sums(of, &tasks, &sums, index * ROWS_ADDED + row, to));
    })
}

/// Adds what all tasks have of the weights of an output channel.
fn add_sums(of: &Convolution, tasks: &[Task], sums: &[Vec<f32>], channel: usize, to: &mut [f32]) {
    for (task, sum) in tasks.iter().zip(sums) {
        let own = task.channels.len() * of.taps();
        let to = &mut to[task.channels.start * of.taps()..][..own];
        let sum = &sum[channel * own..][..own];
        to.iter_mut()
            .zip(sum)
            .for_each(|(total, sum)| *total += sum);
    }
}

/// Blocks of channels of nearly one size; where these are few, each in several groups of pictures.
fn tasks(of: &Convolution) -> Vec<Task> {
    let [batch, channels, ..] = of.input;
    let blocks = (channels * of.taps()).div_ceil(ROWS).min(channels);
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
    if of.is_pointwise() && of.pictures() == 1 {
        add_pointwise(of, task, [input, output], &mut sum);
        return sum;
    }
    let (mut rows, mut shifted) = (Vec::new(), Vec::new());
    for places in places(of, task) {
        gather(of, &places, output, &mut rows);
        shift(of, &task.channels, &places, input, &mut shifted);
        let count = places.count(of);
        let [rows, shifted] = [&rows, &shifted].map(|rows| Matrix::rows(rows, count));
        let sides = [height, count, width];
        multiply(sides, rows, shifted.transposed(), &mut sum, width, true);
    }
    sum
}

/// Nothing has to be laid out.
fn add_pointwise(of: &Convolution, task: &Task, [input, output]: [&[f32]; 2], sum: &mut [f32]) {
    let (height, width, places) = (of.output[1], task.channels.len(), of.places());
    for picture in task.pictures.clone() {
        let rows = Matrix::rows(&output[picture * height * places..], places);
        let first = picture * of.input[1] + task.channels.start;
        let maps = Matrix::rows(&input[first * places..], places);
        multiply(
            [height, places, width],
            rows,
            maps.transposed(),
            sum,
            width,
            true,
        );
    }
}

/// Whole pictures where these are small, else rows of one picture.
fn places(of: &Convolution, task: &Task) -> Vec<Places> {
    let pictures = (PLACES / of.places()).max(1);
    blocks(task.pictures.clone(), pictures)
        .flat_map(|pictures| {
            of.blocks_of_rows()
                .map(move |rows| Places::new(pictures.clone(), rows))
        })
        .collect()
}
