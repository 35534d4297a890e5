//! Rows of numbers that are read in parts: an array in memory, or a file that need not fit there.

use std::{
    ops::Range,
    sync::mpsc::{channel, sync_channel},
    thread,
};

use ndarray::{Array2, ArrayView2};

use crate::{error::Result, products::squared_norm_f64};

/// Rows that can be clustered.
///
/// The result of whatever reads them does not depend on where they lie.
pub trait Rows: Sync {
    /// Number of rows.
    fn count(&self) -> usize;

    /// Values of each row.
    fn columns(&self) -> usize;

    /// All rows, one after the other, when they are in memory.
    fn in_memory(&self) -> Option<&[f32]> {
        None
    }

    /// Fills `into` with whole rows from row `first` on.
    ///
    /// # Errors
    ///
    /// Those of the file behind.
    fn read(&self, first: usize, into: &mut [f32]) -> Result<()>;
}

/// Rows in memory.
///
/// # Panics
///
/// Reading panics if the array is not in standard layout.
impl Rows for ArrayView2<'_, f32> {
    fn count(&self) -> usize {
        self.nrows()
    }

    fn columns(&self) -> usize {
        self.ncols()
    }

    fn in_memory(&self) -> Option<&[f32]> {
        Some(self.to_slice().expect("standard layout"))
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<()> {
        let all = self.in_memory().expect("an array");
        into.copy_from_slice(&all[first * self.ncols()..][..into.len()]);
        Ok(())
    }
}

/// Other rows, each divided by its Euclidean length plus 1e-8 as it is read
/// ([`normalize_rows`](crate::kmeans::normalize_rows) without the memory).
pub struct Normalized<'a>(pub &'a dyn Rows);

impl Rows for Normalized<'_> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn columns(&self) -> usize {
        self.0.columns()
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<()> {
        self.0.read(first, into)?;
        into.chunks_exact_mut(self.columns()).for_each(normalize);
        Ok(())
    }
}

/// Some of other rows, which follow each other: what one of several ranks has to do with.
pub struct Part<'a> {
    rows: &'a dyn Rows,
    range: Range<usize>,
}

impl<'a> Part<'a> {
    /// The rows of `range`.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn new(rows: &'a dyn Rows, range: Range<usize>) -> Self {
        let count = rows.count();
        assert!(
            range.start <= range.end && range.end <= count,
            "rows {range:?} of {count}"
        );
        Self { rows, range }
    }
}

impl Rows for Part<'_> {
    fn count(&self) -> usize {
        self.range.len()
    }

    fn columns(&self) -> usize {
        self.rows.columns()
    }

    fn in_memory(&self) -> Option<&[f32]> {
        let all = self.rows.in_memory()?;
        let columns = self.columns();
        Some(&all[self.range.start * columns..self.range.end * columns])
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<()> {
        self.rows.read(self.range.start + first, into)
    }
}

/// All rows, if k-means of them takes no more than `mib` MiB in memory: it keeps a second copy. Its
/// result is the same to the bit whether it is given these or what they were read from.
///
/// # Errors
///
/// A failed read.
pub fn read_within(rows: &dyn Rows, mib: usize) -> Result<Option<Array2<f32>>> {
    let (count, columns) = (rows.count(), rows.columns());
    let bytes = 2 * count as u128 * columns as u128 * size_of::<f32>() as u128;
    if bytes > (mib as u128) << 20 {
        return Ok(None);
    }
    let mut all = Array2::zeros((count, columns));
    rows.read(0, all.as_slice_mut().expect("standard layout"))?;
    Ok(Some(all))
}

/// Divides a row by its Euclidean length plus 1e-8.
pub(crate) fn normalize(row: &mut [f32]) {
    let scale = (squared_norm_f64(row).sqrt() + 1e-8).recip();
    for value in row {
        *value = (f64::from(*value) * scale) as f32;
    }
}

/// Memory of one part. Two are held while a file is read: one is worked on, the next one filled.
const PART_BYTES: usize = 64 << 20;

/// Parts hold a multiple of this many rows.
pub(crate) const PART_UNIT: usize = 1024;

/// Rows of one part.
pub(crate) fn part_rows(columns: usize) -> usize {
    let rows = PART_BYTES / size_of::<f32>() / columns.max(1);
    (rows / PART_UNIT).max(1) * PART_UNIT
}

/// Hands all rows to `work`, part by part, with the index of the first row of each.
pub(crate) fn for_each_part(
    rows: &dyn Rows,
    work: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    for_each_part_of(rows, part_rows(rows.columns()), work)
}

/// As [`for_each_part`], with `per_part` rows in each but the last.
pub(crate) fn for_each_part_of(
    rows: &dyn Rows,
    per_part: usize,
    mut work: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let Some(all) = rows.in_memory() else {
        return stream(rows, per_part, work);
    };
    let parts = all.chunks(per_part * rows.columns());
    (0..)
        .step_by(per_part)
        .zip(parts)
        .try_for_each(|(first, part)| work(first, part))
}

/// Reads the next part on a thread of its own while `work` is busy with one.
fn stream(
    rows: &dyn Rows,
    per_part: usize,
    mut work: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let (give_back, empty) = channel::<Vec<f32>>();
    let (filled, parts) = sync_channel(0);
    for _ in 0..2 {
        give_back.send(Vec::new()).expect("the receiver is here");
    }
    thread::scope(|scope| {
        scope.spawn(move || {
            for first in (0..rows.count()).step_by(per_part) {
                // Nobody sends buffers or takes parts any more once the work has failed.
                let Ok(mut part) = empty.recv() else { return };
                let count = per_part.min(rows.count() - first);
                part.resize(count * rows.columns(), 0.0);
                let read = rows.read(first, &mut part).map(|()| (first, part));
                if filled.send(read).is_err() {
                    return;
                }
            }
        });
        for part in parts {
            let (first, part) = part?;
            work(first, &part)?;
            // The reader is gone after the last part.
            let _ = give_back.send(part);
        }
        Ok(())
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::Error;

    /// Rows of an array as if they lay in a file, with a row that cannot be read.
    pub(crate) struct Elsewhere<'a> {
        pub(crate) rows: ArrayView2<'a, f32>,
        pub(crate) broken: Option<usize>,
    }

    impl Rows for Elsewhere<'_> {
        fn count(&self) -> usize {
            self.rows.nrows()
        }

        fn columns(&self) -> usize {
            self.rows.ncols()
        }

        fn read(&self, first: usize, into: &mut [f32]) -> Result<()> {
            let rows = first..first + into.len() / self.columns();
            if self.broken.is_some_and(|broken| rows.contains(&broken)) {
                let error = std::io::Error::other("torn");
                return Err(Error::io("read", "rows.npy", error));
            }
            self.rows.read(first, into)
        }
    }

    /// Wide enough that a part is only [`PART_UNIT`] rows.
    const WIDE: usize = PART_BYTES / 4 / PART_UNIT;

    #[test]
    fn parts_follow_each_other_and_hold_every_row_once() {
        let all = Array2::from_shape_fn((2 * PART_UNIT + 77, WIDE), |(row, _)| row as f32);
        let elsewhere = Elsewhere {
            rows: all.view(),
            broken: None,
        };
        for rows in [&all.view() as &dyn Rows, &elsewhere] {
            let mut seen = 0;
            for_each_part(rows, |first, part| {
                assert_eq!(first, seen);
                assert_eq!(part[0], first as f32);
                assert_eq!(part[part.len() - 1], (first + part.len() / WIDE - 1) as f32);
                seen += part.len() / WIDE;
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, all.nrows());
        }
    }

    #[test]
    fn a_part_has_its_own_rows_in_memory_and_read() {
        let all = Array2::from_shape_fn((7, 3), |(row, column)| (10 * row + column) as f32);
        let expected = &all.as_slice().unwrap()[2 * 3..5 * 3];
        let broken = None;
        let (view, rows) = (all.view(), all.view());
        let part = Part::new(&view, 2..5);
        assert_eq!(part.in_memory(), Some(expected));
        let elsewhere = Elsewhere { rows, broken };
        let part = Part::new(&elsewhere, 2..5);
        assert_eq!((part.count(), part.in_memory()), (3, None));
        let mut read = [0.0; 6];
        part.read(1, &mut read).unwrap();
        assert_eq!(read, expected[3..]);
    }

    #[test]
    fn rows_that_are_normalised_as_they_are_read_equal_rows_that_are() {
        let mut all = Array2::from_shape_fn((5, 37), |(row, column)| (row * column) as f32 - 7.5);
        let mut read = vec![0.0; 3 * 37];
        Normalized(&all.view()).read(2, &mut read).unwrap();
        crate::kmeans::normalize_rows(&mut all);
        assert_eq!(read, all.as_slice().unwrap()[2 * 37..]);
        let length: f32 = read[..37].iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_first_error_ends_the_reading() {
        let all = Array2::zeros((3 * PART_UNIT, WIDE));
        let rows = Elsewhere {
            rows: all.view(),
            broken: Some(PART_UNIT + 5),
        };
        let mut parts = 0;
        let error = for_each_part(&rows, |_, _| {
            parts += 1;
            Ok(())
        });
        assert!(matches!(error, Err(Error::Io { .. })));
        assert_eq!(parts, 1);
        let rows = Elsewhere {
            broken: None,
            ..rows
        };
        let refused = for_each_part(&rows, |_, _| Err(Error::EmptySupport));
        assert!(matches!(refused, Err(Error::EmptySupport)));
    }
}
