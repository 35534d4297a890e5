//! How sure a network is of its labels.

/// Sums of softmax probabilities over the cells of a map of logits.
pub(crate) struct ConfidenceSums {
    /// Of the cells whose largest logit is that of the id.
    sums: Vec<f64>,
    cells: Vec<u64>,
}

impl ConfidenceSums {
    /// No cells yet, of so many ids.
    pub(crate) fn new(ids: usize) -> Self {
        Self {
            sums: vec![0.0; ids],
            cells: vec![0; ids],
        }
    }

    /// Takes cells, `[cells, ids]`.
    pub(crate) fn add(&mut self, logits: &[f32]) {
        for cell in logits.chunks_exact(self.sums.len()) {
            let (id, best) = largest(cell);
            let total: f32 = cell.iter().map(|logit| (logit - best).exp()).sum();
            self.sums[id] += 1.0 / f64::from(total);
            self.cells[id] += 1;
        }
    }

    /// The mean over all cells, and over those of each id where there are any.
    pub(crate) fn means(&self) -> (f64, Vec<Option<f64>>) {
        let mean = |sum: f64, cells: u64| (cells > 0).then(|| sum / cells as f64);
        let all = mean(self.sums.iter().sum(), self.cells.iter().sum());
        let of_ids = self.sums.iter().zip(&self.cells);
        let of_ids = of_ids.map(|(&sum, &cells)| mean(sum, cells)).collect();
        (all.unwrap_or(0.0), of_ids)
    }
}

/// The lowest of the ids with the largest logit.
fn largest(cell: &[f32]) -> (usize, f32) {
    let first = (0, f32::NEG_INFINITY);
    let larger = |best: (usize, f32), (id, &logit)| match logit > best.1 {
        true => (id, logit),
        false => best,
    };
    cell.iter().enumerate().fold(first, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: softmax of (0, ln 3) is (1/4, 3/4), of (0, 0) it is (1/2, 1/2).
    #[test]
    fn means_are_of_the_most_likely_id() {
        let mut sums = ConfidenceSums::new(3);
        let low = -1e9;
        sums.add(&[0.0, 3.0_f32.ln(), low, 0.0, 0.0, low]);
        let (all, of_ids) = sums.means();
        assert!((all - 0.625).abs() < 1e-7, "{all}");
        assert!((of_ids[0].unwrap() - 0.5).abs() < 1e-7);
        assert!((of_ids[1].unwrap() - 0.75).abs() < 1e-7);
        assert_eq!(of_ids[2], None);
    }
}
