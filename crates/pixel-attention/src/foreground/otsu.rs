//! Otsu's threshold of any numbers (IEEE Trans. SMC 9, 1979).

use luss_metrics::otsu_split;

/// Bins between the least and the greatest number.
const BINS: usize = 64;

/// Where numbers part, to a bin.
pub(super) struct Otsu {
    /// The lower edge of the first bin above.
    pub(super) threshold: f64,
    /// Width of a bin, a 64th of the range.
    pub(super) bin: f64,
}

/// Otsu's threshold of numbers; `None` where all are equal.
pub(super) fn otsu(numbers: impl Iterator<Item = f64> + Clone) -> Option<Otsu> {
    let least = numbers.clone().fold(f64::INFINITY, f64::min);
    let greatest = numbers.clone().fold(f64::NEG_INFINITY, f64::max);
    let bin = (greatest - least) / BINS as f64;
    if bin.is_nan() || bin <= f64::EPSILON * greatest.abs().max(least.abs()) {
        return None;
    }
    let mut counts = [0u64; BINS];
    for number in numbers {
        let at = ((number - least) / (greatest - least) * BINS as f64) as usize;
        counts[at.min(BINS - 1)] += 1;
    }
    let threshold = least + otsu_split(&counts) as f64 * bin;
    Some(Otsu { threshold, bin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_parts_two_groups() {
        let numbers = [-3.0, -2.9, -2.8, 5.0, 5.1];
        let threshold = otsu(numbers.into_iter()).unwrap().threshold;
        assert!((-2.8..5.0).contains(&threshold), "{threshold}");
    }

    #[test]
    fn equal_numbers_have_none() {
        assert!(otsu([0.1 + 0.2, 0.3].into_iter()).is_none());
        assert!(otsu(std::iter::empty()).is_none());
    }
}
