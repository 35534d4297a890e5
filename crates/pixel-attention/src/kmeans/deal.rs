//! Rows that are dealt out over ranks: each has some that follow each other and reads no others.
//!
//! A row has two numbers, one among all rows and one among those of its rank. The streams of random
//! numbers, the centroids and the sums of all ranks are the same everywhere, so all decide alike.

use ndarray::Array2;
use pass_model::group::Group;

use crate::{error::Result, rows::Rows};

/// The rows of this rank among those of all.
pub(super) struct Deal<'a> {
    pub(super) own: &'a dyn Rows,
    pub(super) ranks: Group,
    /// Where the rows of each rank start among all, and last their number.
    starts: Vec<usize>,
}

impl<'a> Deal<'a> {
    /// The rows of rank 0 come first. Collective.
    pub(super) fn new(own: &'a dyn Rows, ranks: &Group) -> Self {
        let mut starts = vec![0];
        for count in ranks.one_of_each(own.count() as f64) {
            starts.push(starts[starts.len() - 1] + count as usize);
        }
        Self {
            own,
            ranks: ranks.clone(),
            starts,
        }
    }

    /// Rows of all ranks.
    pub(super) fn count(&self) -> usize {
        self.starts[self.ranks.size()]
    }

    /// The number among all of this rank's first row.
    pub(super) fn first(&self) -> usize {
        self.starts[self.ranks.rank()]
    }

    /// The number among this rank's rows of one of all, if it is here.
    pub(super) fn here(&self, row: usize) -> Option<usize> {
        let place = row.checked_sub(self.first())?;
        (place < self.own.count()).then_some(place)
    }

    /// The rows of these numbers, in this order, from whoever has them. Collective.
    pub(super) fn fetch(&self, chosen: &[usize]) -> Result<Array2<f32>> {
        let mut rows = Array2::zeros((chosen.len(), self.own.columns()));
        for (&row, mut into) in chosen.iter().zip(rows.rows_mut()) {
            if let Some(place) = self.here(row) {
                self.own
                    .read(place, into.as_slice_mut().expect("standard layout"))?;
            }
        }
        // Zeros but on one rank.
        self.ranks
            .sum(rows.as_slice_mut().expect("standard layout"));
        Ok(rows)
    }

    /// The row that each rank has found among its own, by its number among all. Collective.
    pub(super) fn found_by_each(
        &self,
        own: Option<usize>,
    ) -> impl DoubleEndedIterator<Item = usize> {
        let row = own.map_or(-1.0, |place| (self.first() + place) as f64);
        let rows = self.ranks.one_of_each(row).into_iter();
        rows.filter(|&row| row >= 0.0).map(|row| row as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Axis, array, concatenate, s};
    use pass_model::group::Group;
    use pass_ranks::ThreadRanks;

    #[test]
    fn every_rank_sees_the_rows_of_all() {
        let all = array![[0.0f32, 0.5], [1.0, 1.5], [2.0, 2.5], [3.0, 3.5]];
        let starts = [0, 3, 3, 4]; // the second rank has nothing
        let chosen = [3, 0, 2, 3];
        let fetched = ThreadRanks::run(3, |ranks| {
            let own = starts[ranks.rank()]..starts[ranks.rank() + 1];
            let own = all.slice(s![own, ..]);
            let deal = Deal::new(&own, &ranks);
            assert_eq!(deal.count(), 4);
            let last = own.nrows().checked_sub(1);
            assert_eq!(deal.found_by_each(last).collect::<Vec<_>>(), [2, 3]);
            deal.fetch(&chosen).unwrap()
        });
        let view = all.view();
        let alone = Deal::new(&view, &Group::default());
        let rows = chosen.map(|row| view.slice(s![row..row + 1, ..]));
        let expected = concatenate(Axis(0), &rows).unwrap();
        assert_eq!(alone.fetch(&chosen).unwrap(), expected);
        assert_eq!(fetched, vec![expected; 3]);
    }
}
