//! How many directions there are among rows: clusters of fewer would be clusters of nothing.

/// Rows of length 1 that are nearer than this are equal but for rounding.
const EQUAL: f64 = 1e-5;

/// Counts different rows up to the number that is wanted, and those that are zero.
pub(super) struct Distinct {
    wanted: usize,
    found: Vec<Vec<f32>>,
    /// Rows that were seen.
    pub(super) rows: usize,
    /// Rows without a length.
    pub(super) zero: usize,
}

impl Distinct {
    /// Looks for so many different rows.
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            wanted,
            found: Vec::new(),
            rows: 0,
            zero: 0,
        }
    }

    /// Takes a row of length 1, or of zeros.
    pub(super) fn see(&mut self, row: &[f32]) {
        self.rows += 1;
        self.zero += usize::from(row.iter().all(|&value| value == 0.0));
        let is_known = |known: &Vec<f32>| squared_distance(known, row) < EQUAL * EQUAL;
        if self.found.len() < self.wanted && !self.found.iter().any(is_known) {
            self.found.push(row.to_vec());
        }
    }

    /// Different rows, at most as many as are wanted.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(&a, &b)| f64::from(a - b).powi(2));
    squares.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_by_rounding_are_one() {
        let mut distinct = Distinct::new(3);
        for row in [[1.0, 0.0], [1.0, 1e-7], [0.0, 0.0], [1.0, 0.0]] {
            distinct.see(&row);
        }
        assert_eq!((distinct.count(), distinct.rows, distinct.zero), (2, 4, 1));
        for angle in 1..9 {
            let angle = angle as f32 / 10.0;
            distinct.see(&[angle.cos(), angle.sin()]);
        }
        assert_eq!(distinct.count(), 3);
    }
}
