//! The gradient with respect to the input.
//!
//! What reaches a value of the input comes from all output channels of the places whose weights meet
//! it. One product, `[channels_in · kernel², channels_out] · [channels_out, places]`, is the gradient of
//! the input shifted by each weight; added up where they came from, the shifted ones are the gradient.
//! They are never whole in memory: blocks of some channels and some places are multiplied and added.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    convolution::{Convolution, Places, ROWS, blocks},
    patches::{add_shifted, gather},
};
use crate::{
    flex::written,
    product::{Matrix, multiply},
};

/// Channels that are computed together, at least, where one picture is shared out.
const LEAST_CHANNELS: usize = 32;

/// A share of the work: some channels of some pictures.
struct Share<'a> {
    of: &'a Convolution,
    pictures: Range<usize>,
    channels: Range<usize>,
    /// Gradient of the output and weights, all of them.
    output: &'a [f32],
    weight: &'a [f32],
}

/// `[batch, channels_in, height, width]`, from the gradient of the output.
pub(crate) fn input_gradient(of: &Convolution, output: &[f32], weight: &[f32]) -> Vec<f32> {
    let (channels, size) = (of.input[1], of.input[1] * of.pixels());
    written(of.input[0] * size, of.pictures() * size, |index, maps| {
        let pictures = of.group(index);
        let together = match pictures.len() {
            1 => of.together(channels, LEAST_CHANNELS),
            _ => channels, // of several pictures they do not lie side by side
        };
        let parts = maps.par_chunks_mut(together * of.pixels() * pictures.len());
        parts.enumerate().for_each(|(index, maps)| {
            let share = Share {
                of,
                pictures: pictures.clone(),
                channels: index * together..channels.min((index + 1) * together),
                output,
                weight,
            };
            share.fill(maps);
        });
    })
}

impl Share<'_> {
    /// Adds to `maps`, `[pictures, channels, height, width]`.
    fn fill(&self, maps: &mut [f32]) {
        if self.of.is_pointwise() && self.pictures.len() == 1 {
            return self.fill_pointwise(maps);
        }
        let (mut gathered, mut shifted) = (Vec::new(), Vec::new());
        for rows in self.of.blocks_of_rows() {
            let places = Places::new(self.pictures.clone(), rows);
            gather(self.of, &places, self.output, &mut gathered);
            self.add(&places, &gathered, &mut shifted, maps);
        }
    }

    /// Nothing has to be added up.
    fn fill_pointwise(&self, maps: &mut [f32]) {
        let (out, places) = (self.of.output[1], self.of.places());
        let output = &self.output[self.pictures.start * out * places..][..out * places];
        let sides = [self.channels.len(), out, places];
        let output = Matrix::rows(output, places);
        multiply(
            sides,
            self.weights(&self.channels),
            output,
            maps,
            places,
            false,
        );
    }

    /// Adds what comes from the gradient at these places, `[channels_out, places]`.
    fn add(&self, places: &Places, gradient: &[f32], shifted: &mut Vec<f32>, maps: &mut [f32]) {
        let (of, count) = (self.of, places.count(self.of));
        let together = (ROWS / of.taps()).max(1);
        for channels in blocks(self.channels.clone(), together) {
            let sides = [channels.len() * of.taps(), of.output[1], count];
            shifted.resize(sides[0] * count, 0.0);
            let gradient = Matrix::rows(gradient, count);
            multiply(
                sides,
                self.weights(&channels),
                gradient,
                shifted,
                count,
                false,
            );
            let own = channels.start - self.channels.start..channels.end - self.channels.start;
            add_shifted(of, own, places, shifted, maps);
        }
    }

    /// `[channels · taps, channels_out]`.
    fn weights(&self, channels: &Range<usize>) -> Matrix<'_> {
        let taps = self.of.taps();
        let own = &self.weight[channels.start * taps..];
        Matrix::rows(own, self.of.input[1] * taps).transposed()
    }
}
