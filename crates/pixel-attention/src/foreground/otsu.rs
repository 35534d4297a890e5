//! Otsu's threshold of any numbers (IEEE Trans. SMC 9, 1979).

use luss_metrics::otsu_split;

/// Bins between the least and the greatest number.
const BINS: usize = 64;

/// The threshold of numbers: the centre of the last of 64 bins that lies below. `None` where all
/// are equal.
pub(super) fn otsu(numbers: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let least = numbers.clone().fold(f64::INFINITY, f64::min);
    let greatest = numbers.clone().fold(f64::NEG_INFINITY, f64::max);
    let width = (greatest - least) / BINS as f64;
    if width.is_nan() || width <= f64::EPSILON * greatest.abs().max(least.abs()) {
        return None;
    }
    let mut counts = [0u64; BINS];
    for number in numbers {
        let bin = ((number - least) / (greatest - least) * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    let first_above = otsu_split(&counts);
    Some(least + (first_above as f64 - 0.5) * width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_parts_two_groups() {
        let numbers = [-3.0, -2.99, -2.98, 5.0, 5.1];
        let threshold = otsu(numbers.into_iter()).unwrap();
        assert!((-2.98..5.0).contains(&threshold), "{threshold}");
    }

    #[test]
    fn equal_numbers_have_none() {
        assert_eq!(otsu([0.1 + 0.2, 0.3].into_iter()), None);
        assert_eq!(otsu(std::iter::empty()), None);
    }
}
