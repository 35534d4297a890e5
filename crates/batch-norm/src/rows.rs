//! The arithmetic on the CPU, channel by channel.
//!
//! A channel of a picture is a row of memory. All rows of a channel are passed over again while they
//! still lie in the cache, so that memory is read once and written once. One task takes one channel,
//! whatever the number of threads, and so do the bits not depend on it.

use rayon::prelude::*;

/// Numbers that are added up in float32, before float64 takes their sum.
const PIECE: usize = 1024;
/// Sums side by side, as wide as the registers of a processor.
const LANES: usize = 16;

/// Maps `[batch, channels, ..]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maps<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) channels: usize,
    /// Values of a channel of one picture.
    pub(crate) pixels: usize,
}

/// What one channel is normalised with.
#[derive(Clone, Copy, Debug)]
struct Channel {
    mean: f32,
    /// 1/σ.
    inverse: f64,
    gamma: f32,
}

/// Normalises each channel by its own statistics, scales by `gamma` and shifts by `beta`: the output,
/// mean and biased variance of each channel.
pub(crate) fn normalize(maps: Maps, gamma: &[f32], beta: &[f32], epsilon: f64) -> [Vec<f32>; 3] {
    let mut output = vec![0.0; maps.values.len()];
    let (mean, variance) = maps
        .rows_of_each_channel(&mut output)
        .into_par_iter()
        .enumerate()
        .map(|(index, rows)| {
            let (mean, variance) = maps.statistics(index);
            let channel = Channel::new(mean, variance, epsilon, gamma[index]);
            for (to, row) in rows.into_iter().zip(maps.rows(index)) {
                channel.normalize(row, beta[index], to);
            }
            (mean, variance)
        })
        .unzip();
    [output, mean, variance]
}

/// The gradients of [`normalize`], of maps, scale and shift, from that of its output, `of_output`.
pub(crate) fn gradients(
    maps: Maps,
    of_output: Maps,
    gamma: &[f32],
    [mean, variance]: [&[f32]; 2],
    epsilon: f64,
) -> [Vec<f32>; 3] {
    let mut of_maps = vec![0.0; maps.values.len()];
    let (gamma, beta) = maps
        .rows_of_each_channel(&mut of_maps)
        .into_par_iter()
        .enumerate()
        .map(|(index, rows)| {
            let channel = Channel::new(mean[index], variance[index], epsilon, gamma[index]);
            channel.gradients(maps.rows(index), of_output.rows(index), rows)
        })
        .unzip();
    [of_maps, gamma, beta]
}

impl<'a> Maps<'a> {
    /// The rows of `values`, which have the shape of these maps.
    fn rows_of_each_channel(self, values: &mut [f32]) -> Vec<Vec<&mut [f32]>> {
        let batch = values.len() / (self.channels * self.pixels);
        let some = || Vec::with_capacity(batch);
        let mut rows: Vec<Vec<_>> = (0..self.channels).map(|_| some()).collect();
        for (index, row) in values.chunks_exact_mut(self.pixels).enumerate() {
            rows[index % self.channels].push(row);
        }
        rows
    }

    fn rows(self, channel: usize) -> impl Iterator<Item = &'a [f32]> + Clone {
        let all = self.values.chunks_exact(self.pixels);
        all.skip(channel).step_by(self.channels)
    }

    /// Values of a channel.
    fn samples(self) -> f64 {
        (self.values.len() / self.channels) as f64
    }

    /// Mean and biased variance. The variance is taken around the mean: from sums of squares it would
    /// lose the digits that a large mean takes up.
    fn statistics(self, channel: usize) -> (f32, f32) {
        let average = |f: &dyn Fn(&[f32]) -> f64| {
            let sum: f64 = self.rows(channel).map(f).sum();
            (sum / self.samples()) as f32
        };
        let mean = average(&|row| sum(row, row, |x, _| x));
        let variance = average(&|row| sum(row, row, |x, _| (x - mean) * (x - mean)));
        (mean, variance)
    }
}

impl Channel {
    fn new(mean: f32, variance: f32, epsilon: f64, gamma: f32) -> Self {
        Self {
            mean,
            inverse: (f64::from(variance) + epsilon).sqrt().recip(),
            gamma,
        }
    }

    /// γ/σ.
    fn scale(&self) -> f32 {
        (f64::from(self.gamma) * self.inverse) as f32
    }

    fn normalize(&self, row: &[f32], beta: f32, to: &mut [f32]) {
        let scale = self.scale();
        for (y, x) in to.iter_mut().zip(row) {
            *y = (x - self.mean) * scale + beta;
        }
    }

    /// Writes `dx` and returns `dγ` and `dβ`, from the rows of x and g.
    fn gradients<'a>(
        &self,
        maps: impl Iterator<Item = &'a [f32]> + Clone,
        of_output: impl Iterator<Item = &'a [f32]> + Clone,
        to: Vec<&mut [f32]>,
    ) -> (f32, f32) {
        let rows = maps.zip(of_output);
        let (mut level, mut slope, mut samples) = (0.0, 0.0, 0);
        for (x, g) in rows.clone() {
            level += sum(x, g, |_, g| g);
            slope += sum(x, g, |x, g| g * (x - self.mean));
            samples += x.len();
        }
        let gamma = slope * self.inverse;
        let (scale, samples) = (self.scale(), samples as f64);
        let per_sample = [level, gamma * self.inverse].map(|sum| (sum / samples) as f32);
        for (to, (x, g)) in to.into_iter().zip(rows) {
            for ((dx, x), g) in to.iter_mut().zip(x).zip(g) {
                *dx = (g - per_sample[0] - (x - self.mean) * per_sample[1]) * scale;
            }
        }
        (gamma as f32, level as f32)
    }
}

/// Of `f` of all pairs.
fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let pieces = a.chunks(PIECE).zip(b.chunks(PIECE));
    pieces.map(|(a, b)| f64::from(piece_sum(a, b, &f))).sum()
}

fn piece_sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a, b)).sum();
    lanes.iter().sum::<f32>() + rest
}
