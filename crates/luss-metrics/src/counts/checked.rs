//! Sums that cannot wrap, whatever a stored state claims.

use crate::Error;

/// Largest count of a state, 2⁶². A picture has less than 2³² pixels, so the counts of 2³¹ more
/// pictures still fit into a `u64`: only reading and merging states needs a check.
pub(crate) const LIMIT: u64 = 1 << 62;

/// Refuses a count that no pictures can have led to.
pub(crate) fn check_limit(count: u64) -> Result<(), Error> {
    match count {
        0..=LIMIT => Ok(()),
        _ => Err(Error::CountOverflow),
    }
}

/// The sum of two counts.
pub(crate) fn sum(a: u64, b: u64) -> Result<u64, Error> {
    match a.checked_add(b) {
        Some(sum @ 0..=LIMIT) => Ok(sum),
        _ => Err(Error::CountOverflow),
    }
}

/// The sum of a table.
pub(crate) fn add_all(counts: &[u64]) -> Result<u64, Error> {
    counts.iter().try_fold(0, |total, &n| sum(total, n))
}

/// The sums of two tables of the same length, entry by entry.
pub(crate) fn sum_each(a: &[u64], b: &[u64]) -> Result<Vec<u64>, Error> {
    debug_assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| sum(a, b)).collect()
}

/// Refuses to merge states of different settings.
pub(crate) fn check_same(what: &'static str, ours: String, theirs: String) -> Result<(), Error> {
    match ours == theirs {
        true => Ok(()),
        false => Err(Error::Unmergeable { what, ours, theirs }),
    }
}

/// Refuses a stored table of the wrong length.
pub(crate) fn check_entries(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::DamagedState {
        what,
        found,
        expected,
    })
}

/// Refuses a stored count above what it is a part of.
pub(crate) fn check_at_most(what: &'static str, found: u64, allowed: u64) -> Result<(), Error> {
    if found <= allowed {
        return Ok(());
    }
    Err(Error::ImpossibleState {
        what,
        found,
        allowed,
    })
}
