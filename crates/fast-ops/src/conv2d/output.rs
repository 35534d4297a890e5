//! The convolution itself.
//!
//! An output is the inner product of the weights of its channel with what they meet:
//! `[channels_out, channels_in · kernel²] · [channels_in · kernel², places]`. What they meet is never
//! whole in memory: blocks of some channels and some places are laid out and multiplied.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    convolution::{Convolution, Places, ROWS, blocks},
    patches::shift,
};
use crate::{
    flex::written,
    product::{Matrix, multiply},
};

/// Output channels that are computed together, at least: each such group lays the input out again.
const LEAST_CHANNELS: usize = 128;

/// A share of the work: some pictures, and the weights of some output channels.
struct Share<'a> {
    of: &'a Convolution,
    pictures: Range<usize>,
    /// All of it.
    input: &'a [f32],
    /// `[some channels_out, channels_in, kernel, kernel]`.
    weight: &'a [f32],
}

/// `[batch, channels_out, height_out, width_out]`.
pub(crate) fn output(of: &Convolution, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let [batch, channels, ..] = of.output;
    let size = channels * of.places();
    written(batch * size, of.pictures() * size, |index, maps| {
        let pictures = of.group(index);
        if pictures.len() == 1 {
            return fill(of, pictures, input, weight, maps);
        }
        let mut rows = vec![0.0; maps.len()];
        let sides = [pictures.len(), channels, of.places()];
        fill(of, pictures, input, weight, &mut rows);
        by_picture(&rows, sides, maps);
    })
}

/// From `[channels, pictures, places]` to `[pictures, channels, places]`.
fn by_picture(rows: &[f32], [pictures, channels, places]: [usize; 3], maps: &mut [f32]) {
    for (index, row) in rows.chunks_exact(places).enumerate() {
        let (channel, picture) = (index / pictures, index % pictures);
        let first = (picture * channels + channel) * places;
        maps[first..first + places].copy_from_slice(row);
    }
}

/// Writes `[channels_out, pictures · places]`.
fn fill(of: &Convolution, pictures: Range<usize>, input: &[f32], weight: &[f32], rows: &mut [f32]) {
    let channels = of.output[1];
    let together = of.together(channels, LEAST_CHANNELS);
    let (pitch, width) = (rows.len() / channels, weight.len() / channels);
    rows.par_chunks_mut(together * pitch)
        .zip(weight.par_chunks(together * width))
        .for_each(|(rows, weight)| {
            let pictures = pictures.clone();
            let share = Share {
                of,
                pictures,
                input,
                weight,
            };
            share.fill(rows);
        });
}

impl Share<'_> {
    fn fill(&self, rows: &mut [f32]) {
        if self.of.is_pointwise() && self.pictures.len() == 1 {
            return self.fill_pointwise(rows);
        }
        let mut shifted = Vec::new();
        for block in self.of.blocks_of_rows() {
            let first = block.start * self.of.output[3];
            let places = Places::new(self.pictures.clone(), block);
            self.fill_places(&places, &mut shifted, &mut rows[first..]);
        }
    }

    /// Nothing has to be laid out.
    fn fill_pointwise(&self, rows: &mut [f32]) {
        let (channels, places) = (self.of.input[1], self.of.places());
        let maps = &self.input[self.pictures.start * channels * places..][..channels * places];
        let sides = [self.weight.len() / channels, channels, places];
        let [weight, maps] = [
            Matrix::rows(self.weight, channels),
            Matrix::rows(maps, places),
        ];
        multiply(sides, weight, maps, rows, places, false);
    }

    /// Writes the rows from these places on.
    fn fill_places(&self, places: &Places, shifted: &mut Vec<f32>, rows: &mut [f32]) {
        let of = self.of;
        let (channels, width) = (of.input[1], of.input[1] * of.taps());
        let (count, pitch) = (places.count(of), self.pictures.len() * of.places());
        for channels in blocks(0..channels, (ROWS / of.taps()).max(1)) {
            shift(of, &channels, places, self.input, shifted);
            let sides = [self.weight.len() / width, channels.len() * of.taps(), count];
            let weight = Matrix::rows(&self.weight[channels.start * of.taps()..], width);
            let shifted = Matrix::rows(shifted, count);
            multiply(sides, weight, shifted, rows, pitch, channels.start > 0);
        }
    }
}
