//! The entries of a directory as they lie in the file, which the library does not tell.

/// The entries of the first directory of a file, as far as they lie in it.
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    is_big: bool,
    /// The place of the next one.
    at: usize,
    left: u64,
}

/// An entry of a directory.
pub(super) struct Entry {
    pub(super) at: usize,
    pub(super) tag: u16,
    /// Bytes of all its values.
    pub(super) bytes: u64,
    /// The place of its value, or of where that is.
    pub(super) value: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let is_big = number(bytes, 2, 2)? == 43;
        let (place, count_bytes) = if is_big { (8, 8) } else { (4, 2) };
        let directory = number(bytes, place, if is_big { 8 } else { 4 })?;
        let directory = usize::try_from(directory).ok()?;
        Some(Self {
            bytes,
            is_big,
            at: directory.checked_add(count_bytes)?,
            left: number(bytes, directory, count_bytes)?,
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        let (count_bytes, length) = if self.is_big { (8, 20) } else { (4, 12) };
        self.at = at.checked_add(length)?;
        self.bytes.get(at..self.at)?;
        let count = number(self.bytes, at + 4, count_bytes)?;
        let value_bytes = match number(self.bytes, at + 2, 2)? {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            _ => 8,
        };
        Some(Entry {
            at,
            tag: number(self.bytes, at, 2)? as u16,
            bytes: count.saturating_mul(value_bytes),
            value: at + 4 + count_bytes,
        })
    }
}

/// A number of so many bytes, in the order of the file.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(length)?)?;
    let sum = |sum: u64, &digit: &u8| sum << 8 | u64::from(digit);
    Some(match bytes.first() {
        Some(b'I') => digits.iter().rev().fold(0, sum),
        _ => digits.iter().fold(0, sum),
    })
}
