//! The arithmetic on the CPU, channel by channel.
//!
//! A channel of a picture is a row of memory. All rows of a channel are passed over again while they
//! still lie in the cache, so that memory is read once and written once. One task takes one channel,
//! whatever the number of threads, and so do the bits not depend on it.

use rayon::{iter::repeat_n, prelude::*};

use crate::sums::sum;

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

/// Numbers of each channel.
type PerChannel<'a> = &'a [f32];

/// Normalises each channel by its own statistics, scales by `gamma` and shifts by `beta`: the output,
/// mean and biased variance of each channel.
pub(crate) fn normalize(
    maps: Maps,
    gamma: PerChannel,
    beta: PerChannel,
    epsilon: f64,
) -> [Vec<f32>; 3] {
    let (output, statistics) = maps.by_channel(|index, rows| {
        let (mean, variance) = maps.statistics(index);
        let channel = Channel::new(mean, variance, epsilon, gamma[index]);
        channel.normalize(maps.rows(index), beta[index], rows);
        (mean, variance)
    });
    let (mean, variance) = statistics.into_iter().unzip();
    [output, mean, variance]
}

/// The same by statistics that are given, `[mean, variance]`: the output.
pub(crate) fn normalize_by(
    maps: Maps,
    [gamma, beta]: [PerChannel; 2],
    [mean, variance]: [PerChannel; 2],
    epsilon: f64,
) -> Vec<f32> {
    let (output, _) = maps.by_channel(|index, rows| {
        let channel = Channel::new(mean[index], variance[index], epsilon, gamma[index]);
        channel.normalize(maps.rows(index), beta[index], rows);
    });
    output
}

/// Mean and biased variance of each channel.
pub(crate) fn moments(maps: Maps) -> [Vec<f32>; 2] {
    let channels = (0..maps.channels).into_par_iter();
    let (mean, variance) = channels.map(|index| maps.statistics(index)).unzip();
    [mean, variance]
}

/// The gradients of [`normalize`], of maps, scale and shift, from that of its output, `of_output`.
pub(crate) fn gradients(
    maps: Maps,
    of_output: Maps,
    gamma: PerChannel,
    [mean, variance]: [PerChannel; 2],
    epsilon: f64,
) -> [Vec<f32>; 3] {
    let (of_maps, found) = maps.by_channel(|index, rows| {
        let channel = Channel::new(mean[index], variance[index], epsilon, gamma[index]);
        let pairs = maps.rows(index).zip(of_output.rows(index));
        let [level, slope] = channel.sums(pairs.clone());
        channel.gradient(pairs, [level, slope].map(|sum| sum / maps.samples()), rows);
        ((slope * channel.inverse) as f32, level as f32)
    });
    let (gamma, beta) = found.into_iter().unzip();
    [of_maps, gamma, beta]
}

/// `Σg` and `Σg·(x − mean)` of each channel.
pub(crate) fn sums(maps: Maps, of_output: Maps, mean: PerChannel) -> [Vec<f32>; 2] {
    let channels = (0..maps.channels).into_par_iter();
    let (level, slope) = channels
        .map(|index| {
            let channel = Channel::new(mean[index], 1.0, 0.0, 1.0);
            let [level, slope] = channel.sums(maps.rows(index).zip(of_output.rows(index)));
            (level as f32, slope as f32)
        })
        .unzip();
    [level, slope]
}

/// The gradient of the maps alone, from [`sums`] that are given.
pub(crate) fn gradient_of_maps(
    maps: Maps,
    of_output: Maps,
    gamma: PerChannel,
    [mean, variance]: [PerChannel; 2],
    epsilon: f64,
    [level, slope]: [PerChannel; 2],
) -> Vec<f32> {
    let (of_maps, _) = maps.by_channel(|index, rows| {
        let channel = Channel::new(mean[index], variance[index], epsilon, gamma[index]);
        let pairs = maps.rows(index).zip(of_output.rows(index));
        let sums = [level[index], slope[index]].map(|sum| f64::from(sum) / maps.samples());
        channel.gradient(pairs, sums, rows);
    });
    of_maps
}

impl<'a> Maps<'a> {
    /// Values of the shape of these maps, whose rows `write` writes channel by channel, and what it
    /// returns for each.
    fn by_channel<T: Send>(
        self,
        write: impl Fn(usize, Vec<&mut [f32]>) -> T + Sync,
    ) -> (Vec<f32>, Vec<T>) {
        // Zeros by all threads: by one they would take as long as a pass over the maps.
        let mut values: Vec<f32> = repeat_n(0.0, self.values.len()).collect();
        let rows = self.rows_of_each_channel(&mut values).into_par_iter();
        let found = rows.enumerate().map(|(index, rows)| write(index, rows));
        let found = found.collect();
        (values, found)
    }

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

    fn normalize<'a>(&self, rows: impl Iterator<Item = &'a [f32]>, beta: f32, to: Vec<&mut [f32]>) {
        let scale = self.scale();
        for (to, row) in to.into_iter().zip(rows) {
            for (y, x) in to.iter_mut().zip(row) {
                *y = (x - self.mean) * scale + beta;
            }
        }
    }

    /// `Σg` and `Σg·(x − mean)`, from the rows of x and g.
    fn sums<'a>(&self, rows: impl Iterator<Item = (&'a [f32], &'a [f32])>) -> [f64; 2] {
        let (mut level, mut slope) = (0.0, 0.0);
        for (x, g) in rows {
            level += sum(x, g, |_, g| g);
            slope += sum(x, g, |x, g| g * (x - self.mean));
        }
        [level, slope]
    }

    /// Writes `dx`, from the rows of x and g and the sums of a sample.
    fn gradient<'a>(
        &self,
        rows: impl Iterator<Item = (&'a [f32], &'a [f32])>,
        [level, slope]: [f64; 2],
        to: Vec<&mut [f32]>,
    ) {
        let scale = self.scale();
        let [level, slope] = [level, slope * self.inverse * self.inverse].map(|sum| sum as f32);
        for (to, (x, g)) in to.into_iter().zip(rows) {
            for ((dx, x), g) in to.iter_mut().zip(x).zip(g) {
                *dx = (g - level - (x - self.mean) * slope) * scale;
            }
        }
    }
}
