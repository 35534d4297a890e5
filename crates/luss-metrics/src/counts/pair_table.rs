//! Counts of pairs of ids, of which few occur.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, counts::checked};

/// A count for each pair that occurs. Stored as a list of `[first, second, count]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u16, u64)>", into = "Vec<(u16, u16, u64)>")]
pub(crate) struct PairTable(BTreeMap<(u16, u16), u64>);

impl PairTable {
    /// Adds `count`, which is not 0.
    pub(crate) fn add(&mut self, first: u16, second: u16, count: u64) {
        *self.0.entry((first, second)).or_default() += count;
    }

    /// Takes `count` off a pair that has as many.
    pub(crate) fn take(&mut self, first: u16, second: u16, count: u64) {
        let left = self.0.get_mut(&(first, second));
        *left.expect("a pair with a count") -= count;
    }

    pub(crate) fn get(&self, first: u16, second: u16) -> u64 {
        self.0.get(&(first, second)).copied().unwrap_or_default()
    }

    /// The pairs that occur with their counts, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, u16, u64)> {
        self.0
            .iter()
            .map(|(&(first, second), &count)| (first, second, count))
    }

    /// The counts of both tables.
    pub(crate) fn sum(&self, other: &Self) -> Result<Self, Error> {
        let mut sums = self.0.clone();
        for (pair, &count) in &other.0 {
            let sum = sums.entry(*pair).or_default();
            *sum = checked::sum(*sum, count)?;
        }
        Ok(Self(sums))
    }

    /// Refuses pairs that `possible` does not accept, and sums that no pictures lead to.
    pub(crate) fn check(
        &self,
        what: &'static str,
        possible: impl Fn(u16, u16) -> bool,
    ) -> Result<(), Error> {
        if let Some((first, second, _)) = self.iter().find(|pair| !possible(pair.0, pair.1)) {
            return Err(Error::ImpossiblePair {
                what,
                first,
                second,
            });
        }
        self.0
            .values()
            .try_fold(0, |total, &n| checked::sum(total, n))?;
        Ok(())
    }
}

impl FromIterator<((u16, u16), u64)> for PairTable {
    fn from_iter<I: IntoIterator<Item = ((u16, u16), u64)>>(counts: I) -> Self {
        Self(counts.into_iter().collect())
    }
}

impl From<PairTable> for Vec<(u16, u16, u64)> {
    fn from(table: PairTable) -> Self {
        table.iter().collect()
    }
}

impl TryFrom<Vec<(u16, u16, u64)>> for PairTable {
    type Error = Error;

    fn try_from(list: Vec<(u16, u16, u64)>) -> Result<Self, Error> {
        let mut table = BTreeMap::new();
        for &(first, second, count) in &list {
            if count == 0 || table.insert((first, second), count).is_some() {
                let what = "table (a count of 0, or a pair twice)";
                return Err(Error::ImpossiblePair {
                    what,
                    first,
                    second,
                });
            }
        }
        Ok(Self(table))
    }
}
