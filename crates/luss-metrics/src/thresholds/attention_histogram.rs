//! The histogram of the attention, for thresholds that no mask helps to choose.

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    counts::checked::{add_all, check_entries, check_limit, sum_each},
};

/// Bins over 0 to 1.
const BINS: usize = 1000;

/// How often each attention value occurs, to a thousandth; exact and mergeable.
///
/// Values below 0 count in the lowest bin, values from 1 on in the highest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct AttentionHistogram(Vec<u64>);

impl Default for AttentionHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl AttentionHistogram {
    /// No value yet.
    pub fn new() -> Self {
        Self(vec![0; BINS])
    }

    /// Adds the attention of some pixels.
    ///
    /// # Errors
    ///
    /// [`Error::AttentionValue`] for one that is not a number; the histogram is then unchanged.
    pub fn add(&mut self, attention: &[f32]) -> Result<(), Error> {
        if let Some(index) = attention.iter().position(|value| value.is_nan()) {
            return Err(Error::AttentionValue { index });
        }
        let bin = |value: &f32| ((value * BINS as f32) as usize).min(BINS - 1);
        attention.iter().for_each(|value| self.0[bin(value)] += 1);
        Ok(())
    }

    /// Adds the values of another histogram.
    ///
    /// # Errors
    ///
    /// [`Error::CountOverflow`] when a state was tampered with; the histogram is then unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let sums = sum_each(&self.0, &other.0)?;
        check_limit(add_all(&sums)?)?;
        self.0 = sums;
        Ok(())
    }

    /// Number of values added.
    pub fn values(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Otsu's threshold (IEEE Trans. SMC 9, 1979), to a thousandth: the one for which the variance
    /// between the values below and the others is largest, the lowest of equals. Values that all
    /// lie in one bin give the lower edge of the first bin, 0.
    ///
    /// # Errors
    ///
    /// [`Error::NoAttention`] when nothing was added.
    ///
    /// ```
    /// use luss_metrics::AttentionHistogram;
    ///
    /// let mut histogram = AttentionHistogram::new();
    /// histogram.add(&[0.1, 0.2, 0.2, 0.7, 0.8])?;
    /// let threshold = histogram.otsu()?;
    /// assert!(0.2 < threshold && threshold <= 0.7);
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn otsu(&self) -> Result<f32, Error> {
        self.check_values()?;
        Ok(edge(otsu_split(&self.0)))
    }

    /// The lowest threshold, to a thousandth, that leaves at most `share` of the values at or above
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::NoAttention`] when nothing was added, [`Error::ForegroundShare`] for a share outside
    /// of `0..=1`.
    ///
    /// ```
    /// use luss_metrics::AttentionHistogram;
    ///
    /// let mut histogram = AttentionHistogram::new();
    /// histogram.add(&[0.1, 0.2, 0.3, 0.9])?;
    /// let threshold = histogram.threshold_of_share(0.25)?;
    /// assert!(0.3 < threshold && threshold <= 0.9); // one of four values stays
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn threshold_of_share(&self, share: f64) -> Result<f32, Error> {
        let total = self.check_values()?;
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::ForegroundShare { share });
        }
        let allowed = (total as f64 * share).floor() as u64;
        let mut above = 0;
        for (bin, &n) in self.0.iter().enumerate().rev() {
            above += n;
            if above > allowed {
                return Ok(edge(bin + 1));
            }
        }
        Ok(0.0)
    }

    fn check_values(&self) -> Result<u64, Error> {
        match self.values() {
            0 => Err(Error::NoAttention),
            values => Ok(values),
        }
    }
}

/// The first bin above Otsu's threshold (IEEE Trans. SMC 9, 1979) of a histogram whose bins are
/// equally wide. Between it and the bin before, the variance between both sides is largest, the
/// lowest place of equals. 0 when fewer than two bins hold something.
///
/// ```
/// use luss_metrics::otsu_split;
///
/// assert_eq!(otsu_split(&[5, 9, 1, 0, 0, 2, 8, 3]), 3); // bins 0 to 2 are below
/// assert_eq!(otsu_split(&[0, 7]), 0); // one bin holds everything
/// ```
pub fn otsu_split(counts: &[u64]) -> usize {
    let total = counts.iter().sum();
    let bins = (0u128..).zip(counts);
    let moment = bins.map(|(bin, &n)| bin * u128::from(n)).sum();
    let (mut below, mut moment_below) = (0u64, 0u128);
    let mut best = (0.0, 0);
    for (bin, &n) in counts.iter().enumerate() {
        let between = variance_between(below, moment_below, total, moment);
        if between > best.0 {
            best = (between, bin);
        }
        below += n;
        moment_below += bin as u128 * u128::from(n);
    }
    best.1
}

/// The variance between both sides, in bins² times counts²; 0 when one side is empty.
fn variance_between(below: u64, moment_below: u128, total: u64, moment: u128) -> f64 {
    let above = total - below;
    if below == 0 || above == 0 {
        return 0.0;
    }
    let mean_below = moment_below as f64 / below as f64;
    let mean_above = (moment - moment_below) as f64 / above as f64;
    below as f64 * above as f64 * (mean_above - mean_below).powi(2)
}

/// The lower edge of a bin.
fn edge(bin: usize) -> f32 {
    bin as f32 / BINS as f32
}

impl From<AttentionHistogram> for Vec<u64> {
    fn from(histogram: AttentionHistogram) -> Self {
        histogram.0
    }
}

impl TryFrom<Vec<u64>> for AttentionHistogram {
    type Error = Error;

    fn try_from(bins: Vec<u64>) -> Result<Self, Error> {
        check_entries("attention histogram", bins.len(), BINS)?;
        check_limit(add_all(&bins)?)?;
        Ok(Self(bins))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_humps() -> AttentionHistogram {
        let mut bins = vec![0; BINS];
        bins[200..210].fill(30);
        bins[600..610].fill(10);
        AttentionHistogram(bins)
    }

    #[test]
    fn otsu_parts_two_humps() {
        assert_eq!(two_humps().otsu(), Ok(0.21));
    }

    #[test]
    fn a_share_of_foreground_is_kept() {
        let threshold = |share| two_humps().threshold_of_share(share);
        assert_eq!(threshold(0.25), Ok(0.21));
        assert_eq!(threshold(1.0), Ok(0.0));
        assert_eq!(threshold(0.0), Ok(0.61));
        assert_eq!(threshold(1.5), Err(Error::ForegroundShare { share: 1.5 }));
    }

    #[test]
    fn values_beyond_the_ends_count_and_others_are_refused() {
        let mut histogram = AttentionHistogram::new();
        histogram
            .add(&[-1.0, 0.0, 2.0, f32::INFINITY, 0.9999])
            .unwrap();
        assert_eq!((histogram.0[0], histogram.0[BINS - 1]), (2, 3));
        let before = histogram.clone();
        let error = histogram.add(&[0.5, f32::NAN]).unwrap_err();
        assert_eq!(error, Error::AttentionValue { index: 1 });
        assert_eq!(histogram, before);
        assert_eq!(AttentionHistogram::new().otsu(), Err(Error::NoAttention));
    }

    #[test]
    fn merging_equals_one_pass_and_states_are_checked() {
        let values: Vec<f32> = (0..977).map(|i| (i * 37 % 977) as f32 / 977.0).collect();
        let of = |values: &[f32]| {
            let mut histogram = AttentionHistogram::new();
            histogram.add(values).unwrap();
            histogram
        };
        let mut merged = of(&values[400..]);
        merged.merge(&of(&values[..400])).unwrap();
        assert_eq!(merged, of(&values));
        let text = serde_json::to_string(&merged).unwrap();
        assert_eq!(
            serde_json::from_str::<AttentionHistogram>(&text).unwrap(),
            merged
        );
        assert!(serde_json::from_str::<AttentionHistogram>("[1, 2]").is_err());
        let mut full = AttentionHistogram(vec![1 << 62; 1]);
        full.0.resize(BINS, 0);
        assert_eq!(full.clone().merge(&full), Err(Error::CountOverflow));
    }
}
