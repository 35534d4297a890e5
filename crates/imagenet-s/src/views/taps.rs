//! Pillow's filters: which inputs an output is made of, with which weights.

/// Fractional bits of a weight: 8-bit samples leave 22 of 30 bits.
pub(super) const FRACTION_BITS: u32 = 22;

/// A filter of Pillow.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    /// Half its width in inputs, where nothing shrinks.
    reach: f64,
    /// Its height at a distance of that many inputs.
    height: fn(f64) -> f64,
}

impl Filter {
    /// Pillow's `BILINEAR`.
    pub const BILINEAR: Self = Self {
        reach: 1.0,
        height: |distance| (1.0 - distance.abs()).max(0.0),
    };
    /// Pillow's `BICUBIC`.
    pub const BICUBIC: Self = Self {
        reach: 2.0,
        height: cubic,
    };
}

/// Keys 1981 with a = -0.5, <https://doi.org/10.1109/TASSP.1981.1163711>.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    match x {
        _ if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// The weighted inputs of every output position along one axis.
pub(super) struct Taps {
    /// First input and number of inputs of each output.
    ranges: Vec<(usize, usize)>,
    /// `per_output` places for each output, of which the first `count` are used.
    weights: Vec<i32>,
    per_output: usize,
}

impl Taps {
    pub(super) fn new(inputs: usize, outputs: usize, filter: Filter) -> Self {
        let scale = inputs as f64 / outputs as f64;
        let widened = scale.max(1.0);
        let reach = widened * filter.reach;
        let per_output = reach.ceil() as usize * 2 + 1;
        let mut taps = Self {
            ranges: vec![],
            weights: vec![0; outputs * per_output],
            per_output,
        };
        for (output, weights) in taps.weights.chunks_exact_mut(per_output).enumerate() {
            let centre = (output as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(inputs);
            sample(filter, &mut weights[..end - first], first, centre, widened);
            taps.ranges.push((first, end - first));
        }
        taps
    }

    /// Number of outputs.
    pub(super) fn outputs(&self) -> usize {
        self.ranges.len()
    }

    /// First input of each output, with the weights of that and the following inputs.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.per_output);
        self.ranges
            .iter()
            .zip(weights)
            .map(|(&(first, count), w)| (first, &w[..count]))
    }
}

/// The filter around `centre`, `widened` times as wide, sampled from input `first` on.
fn sample(filter: Filter, weights: &mut [i32], first: usize, centre: f64, widened: f64) {
    let inverse = 1.0 / widened;
    let height = |tap: usize| (filter.height)(((tap + first) as f64 - centre + 0.5) * inverse);
    let sum = (0..weights.len()).map(height).sum::<f64>();
    for (tap, weight) in weights.iter_mut().enumerate() {
        let exact = height(tap) / sum * f64::from(1 << FRACTION_BITS);
        *weight = (exact + 0.5f64.copysign(exact)) as i32;
    }
}
