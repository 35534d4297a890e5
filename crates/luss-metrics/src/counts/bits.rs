//! Flags of a picture's pixels, 64 to a word: what is done to a word is done to 64 pixels.

use std::ops::Range;

/// One bit for each pixel; rows start at whole words, and the bits behind a row's end are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits {
    words_per_row: usize,
    words: Vec<u64>,
}

impl Bits {
    /// No flag set.
    pub(crate) fn zeros(width: usize, height: usize) -> Self {
        let words_per_row = width.div_ceil(64);
        Self {
            words_per_row,
            words: vec![0; words_per_row * height],
        }
    }

    /// The words of row `y`; bit x % 64 of word x / 64 is column x.
    pub(crate) fn row(&self, y: usize) -> &[u64] {
        &self.words[y * self.words_per_row..][..self.words_per_row]
    }

    pub(crate) fn row_mut(&mut self, y: usize) -> &mut [u64] {
        &mut self.words[y * self.words_per_row..][..self.words_per_row]
    }

    /// All rows, one behind the other.
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    pub(crate) fn words_per_row(&self) -> usize {
        self.words_per_row
    }

    /// The flags of a picture of this width, row-major.
    pub(crate) fn to_flags(&self, width: usize) -> Vec<bool> {
        let rows = self.words.chunks_exact(self.words_per_row.max(1));
        rows.flat_map(|row| (0..width).map(|x| row[x / 64] >> (x % 64) & 1 == 1))
            .collect()
    }
}

/// Sets the bits of `columns`.
pub(crate) fn set_range(row: &mut [u64], columns: Range<usize>) {
    for (word, mask) in words_of(columns) {
        row[word] |= mask;
    }
}

/// The words that `columns` touch, with the bits that they cover there.
pub(crate) fn words_of(columns: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let Range { start, end } = columns;
    (start / 64..end.div_ceil(64)).map(move |word| {
        let from = start.saturating_sub(64 * word);
        let to = (end - 64 * word).min(64);
        (word, (u64::MAX << from) & (u64::MAX >> (64 - to)))
    })
}

/// Sets bit x where bit x + `columns` is set.
pub(crate) fn or_from_right(row: &mut [u64], columns: usize) {
    let (words, bits) = (columns / 64, columns % 64);
    for i in 0..row.len().saturating_sub(words) {
        let low = row[i + words] >> bits;
        let high = match row.get(i + words + 1) {
            Some(next) if bits > 0 => next << (64 - bits),
            _ => 0,
        };
        row[i] |= low | high;
    }
}

/// Moves each bit x to x + `columns`; what leaves the last word is lost.
pub(crate) fn move_right(row: &mut [u64], columns: usize) {
    let (words, bits) = (columns / 64, columns % 64);
    for i in (0..row.len()).rev() {
        let low = i.checked_sub(words).map_or(0, |at| row[at] << bits);
        let high = match i.checked_sub(words + 1) {
            Some(at) if bits > 0 => row[at] >> (64 - bits),
            _ => 0,
        };
        row[i] = low | high;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(columns: &[usize]) -> Vec<u64> {
        let mut row = vec![0; 4];
        columns.iter().for_each(|&x| set_range(&mut row, x..x + 1));
        row
    }

    #[test]
    fn ranges_cross_words() {
        for range in [0..0, 0..64, 63..65, 3..200, 64..128, 255..256, 7..7] {
            let mut row = vec![0; 4];
            set_range(&mut row, range.clone());
            assert_eq!(row, bits(&range.collect::<Vec<_>>()));
        }
    }

    #[test]
    fn bits_move_across_words() {
        for by in [0, 1, 63, 64, 65, 130, 300] {
            let columns = [0, 5, 63, 64, 100, 200];
            let kept = |x: usize| Some(x + by).filter(|x| *x < 256);
            let mut row = bits(&columns);
            move_right(&mut row, by);
            let moved: Vec<_> = columns.iter().filter_map(|&x| kept(x)).collect();
            assert_eq!(row, bits(&moved), "by {by}");

            let mut row = bits(&columns);
            or_from_right(&mut row, by);
            let left = columns.iter().filter_map(|x| x.checked_sub(by));
            let both: Vec<_> = left.chain(columns).collect();
            assert_eq!(row, bits(&both), "by {by}");
        }
    }
}
