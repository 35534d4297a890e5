//! Linear assignment: the one-to-one pairing of rows and columns with the largest total.

use crate::Error;

/// Above this, `f64` does not hold every integer.
const EXACT_INTEGERS: u64 = 1 << 53;

/// The column of each row (`None` for rows that stay alone when there are more rows than columns)
/// such that the sum of the chosen `weights` is largest; with it that sum.
///
/// # Shapes
///
/// - `weights`: `rows * columns`, row-major
///
/// # Ties
///
/// Several pairings can have the largest total. Which one is returned depends on the table alone
/// (not on the machine, threads or a seed): the one that shortest augmenting paths (Crouse 2016)
/// reach when rows, or the columns of a tall table, are added in ascending order. A table of
/// equal weights gives the identity.
///
/// # Errors
///
/// [`Error::CountTooLarge`] when sums of weights could leave the exact integers of the solver.
pub(crate) fn assign_largest_total(
    weights: &[u64],
    rows: usize,
    columns: usize,
) -> Result<(Vec<Option<usize>>, u64), Error> {
    assert_eq!(
        weights.len(),
        rows * columns,
        "a table of {rows} rows and {columns} columns"
    );
    check_exact(weights, rows, columns)?;
    let weights_f64 = weights.iter().map(|&weight| weight as f64).collect();
    let (chosen_rows, chosen_columns) = lsap::solve(rows, columns, &weights_f64, true)
        .expect("a full table of finite weights has an assignment");

    let mut column_of = vec![None; rows];
    let pairs = chosen_rows.into_iter().zip(chosen_columns);
    pairs.for_each(|(row, column)| column_of[row] = Some(column));
    let total = total_of(weights, columns, &column_of);
    Ok((column_of, total))
}

/// The solver adds and subtracts at most one weight for each row of a path.
fn check_exact(weights: &[u64], rows: usize, columns: usize) -> Result<(), Error> {
    let largest = weights.iter().copied().max().unwrap_or(0);
    match largest.checked_mul(rows.max(columns) as u64) {
        Some(bound) if bound < EXACT_INTEGERS => Ok(()),
        _ => Err(Error::CountTooLarge {
            largest,
            rows,
            columns,
        }),
    }
}

fn total_of(weights: &[u64], columns: usize, column_of: &[Option<usize>]) -> u64 {
    let chosen = column_of.iter().enumerate();
    chosen
        .filter_map(|(row, column)| Some(weights[row * columns + (*column)?]))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Noise;

    /// Tries every pairing.
    fn largest_total(weights: &[u64], rows: usize, columns: usize) -> u64 {
        fn best(weights: &[u64], columns: usize, row: usize, taken: u32, spare: usize) -> u64 {
            if row * columns == weights.len() {
                return 0;
            }
            let free = (0..columns).filter(|c| taken & (1 << c) == 0);
            let with = free.map(|c| {
                let rest = best(weights, columns, row + 1, taken | (1 << c), spare);
                weights[row * columns + c] + rest
            });
            let without = (spare > 0).then(|| best(weights, columns, row + 1, taken, spare - 1));
            with.chain(without).max().unwrap_or(0)
        }
        best(weights, columns, 0, 0, rows.saturating_sub(columns))
    }

    #[test]
    fn the_total_is_the_largest_of_all_pairings() {
        let mut noise = Noise::new(3);
        for _ in 0..200 {
            let (rows, columns) = (1 + noise.below(6), 1 + noise.below(6));
            let weights: Vec<u64> = (0..rows * columns).map(|_| noise.below(7) as u64).collect();
            let (column_of, total) = assign_largest_total(&weights, rows, columns).unwrap();
            assert_eq!(
                total,
                largest_total(&weights, rows, columns),
                "{rows}x{columns} {weights:?}"
            );
            let mut used: Vec<usize> = column_of.iter().flatten().copied().collect();
            used.sort_unstable();
            used.dedup();
            assert_eq!(used.len(), rows.min(columns), "one column each");
        }
    }

    #[test]
    fn a_table_of_ties_gives_the_identity() {
        let (column_of, total) = assign_largest_total(&[2; 15], 3, 5).unwrap();
        assert_eq!((column_of, total), (vec![Some(0), Some(1), Some(2)], 6));
    }

    #[test]
    fn more_rows_than_columns_leave_the_worst_rows_alone() {
        let (column_of, total) = assign_largest_total(&[1, 5, 9, 1, 2, 2], 3, 2).unwrap();
        assert_eq!((column_of, total), (vec![Some(1), Some(0), None], 14));
    }

    #[test]
    fn large_counts_are_exact_or_refused() {
        let big = (1u64 << 51) - 1;
        let (_, total) = assign_largest_total(&[big, big - 1, big - 1, 0], 2, 2).unwrap();
        assert_eq!(total, 2 * (big - 1));
        let error = assign_largest_total(&[1 << 52; 4], 2, 2).unwrap_err();
        assert_eq!(
            error,
            Error::CountTooLarge {
                largest: 1 << 52,
                rows: 2,
                columns: 2
            }
        );
    }
}
