//! Counts by attention: the 82 bins between the 81 thresholds of a curve.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    counts::checked::{check_at_most, check_entries, check_limit, sum, sum_each},
    thresholds::curve::{THRESHOLDS, threshold},
};

/// Number of thresholds that keep a value: 0 to 81.
pub(crate) const BINS: usize = THRESHOLDS + 1;

/// A count for each bin.
pub(crate) type Bins = [u64; BINS];

/// How many of the thresholds are at most `value`, compared in `f32`.
///
/// The product is off by less than one bin, so the two thresholds around it decide.
pub(crate) fn kept(value: f32) -> usize {
    let guess = (value * 100.0).clamp(0.0, 80.0) as usize; // 0 for what is below
    guess + usize::from(value >= LEVELS[guess]) + usize::from(value >= LEVELS[guess + 1])
}

/// The thresholds, and one that nothing reaches.
static LEVELS: [f32; THRESHOLDS + 1] = levels();

const fn levels() -> [f32; THRESHOLDS + 1] {
    let mut levels = [f32::NAN; THRESHOLDS + 1];
    let mut index = 0;
    while index < THRESHOLDS {
        levels[index] = threshold(index);
        index += 1;
    }
    levels
}

/// Adds one count to another, bin by bin.
pub(crate) fn add_bins(sums: &mut Bins, bins: &Bins) {
    sums.iter_mut().zip(bins).for_each(|(sum, n)| *sum += n);
}

/// Bins for each pair of ids that occurs. Stored as a list of `[first, second, [bins]]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(
    try_from = "Vec<(u16, u16, Vec<u64>)>",
    into = "Vec<(u16, u16, Vec<u64>)>"
)]
pub(crate) struct BinTable(BTreeMap<(u16, u16), Box<Bins>>);

impl BinTable {
    /// The bins of a pair, zeros at first.
    pub(crate) fn bins(&mut self, first: u16, second: u16) -> &mut Bins {
        self.0
            .entry((first, second))
            .or_insert_with(|| Box::new([0; BINS]))
    }

    /// The counts of one bin that are not 0.
    pub(crate) fn of_bin(&self, bin: usize) -> impl Iterator<Item = (u16, u16, u64)> {
        let counts = self
            .0
            .iter()
            .map(move |(pair, bins)| (pair.0, pair.1, bins[bin]));
        counts.filter(|(_, _, n)| *n > 0)
    }

    /// The counts of both tables.
    pub(crate) fn sum(&self, other: &Self) -> Result<Self, Error> {
        let mut sums = self.clone();
        for (&(first, second), bins) in &other.0 {
            let ours = sums.bins(first, second);
            let both = sum_each(&ours[..], &bins[..])?;
            ours.copy_from_slice(&both);
        }
        Ok(sums)
    }

    /// Refuses pairs that `possible` does not accept, and sums that no pictures lead to.
    pub(crate) fn check(&self, possible: impl Fn(u16, u16) -> bool) -> Result<(), Error> {
        if let Some(&(first, second)) = self.0.keys().find(|pair| !possible(pair.0, pair.1)) {
            let what = "threshold curve";
            return Err(Error::ImpossiblePair {
                what,
                first,
                second,
            });
        }
        let counts = self.0.values().flat_map(|bins| bins.iter());
        check_limit(counts.copied().try_fold(0, sum)?)
    }

    /// Refuses more pixels of a label, the second of a pair, than `totals` has.
    pub(crate) fn check_parts_of(&self, totals: &[u64]) -> Result<(), Error> {
        let mut parts = vec![0u64; totals.len()];
        for (&(_, label), bins) in &self.0 {
            parts[usize::from(label)] += bins.iter().sum::<u64>();
        }
        let mut both = parts.iter().zip(totals);
        both.try_for_each(|(part, total)| check_at_most("threshold curve", *part, *total))
    }
}

impl From<BinTable> for Vec<(u16, u16, Vec<u64>)> {
    fn from(table: BinTable) -> Self {
        let entries = table.0.into_iter();
        entries
            .map(|((first, second), bins)| (first, second, bins.to_vec()))
            .collect()
    }
}

impl TryFrom<Vec<(u16, u16, Vec<u64>)>> for BinTable {
    type Error = Error;

    fn try_from(list: Vec<(u16, u16, Vec<u64>)>) -> Result<Self, Error> {
        let mut table = Self::default();
        for (first, second, bins) in list {
            check_entries("threshold curve", bins.len(), BINS)?;
            let sums = sum_each(table.bins(first, second), &bins)?;
            table.bins(first, second).copy_from_slice(&sums);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_by_the_thresholds_it_reaches() {
        let slowly = |value: f32| (0..THRESHOLDS).filter(|&i| value >= threshold(i)).count();
        let around = |i: usize| {
            [
                threshold(i).next_down(),
                threshold(i),
                threshold(i).next_up(),
            ]
        };
        let edges = (0..THRESHOLDS).flat_map(around);
        let rest = (0..4000).map(|i| i as f32 / 3000.0 - 0.1);
        let odd = [
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            -0.0,
            f32::MIN_POSITIVE,
        ];
        for value in edges.chain(rest).chain(odd) {
            assert_eq!(kept(value), slowly(value), "{value}");
        }
    }
}
