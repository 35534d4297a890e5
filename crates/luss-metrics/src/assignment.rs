//! Linear assignment: the one-to-one pairing of rows and columns with the largest total.
//!
//! Shortest augmenting paths (Crouse 2016, *On implementing 2D rectangular assignment algorithms*,
//! <https://doi.org/10.1109/TAES.2016.140952>), as SciPy solves it, on integers. Besides the
//! pairing it gives the prices that prove it optimal, which say what other pairings are.

use crate::Error;

/// Count times side must stay below this, so that sums of costs along a path fit.
const EXACT_INTEGERS: u64 = 1 << 60;

/// The cost of a pair that must not be chosen; above every sum of others.
pub(crate) const FORBIDDEN: i64 = 1 << 61;

/// Largest table, in entries: 2 GiB of costs.
const LARGEST_TABLE: usize = 1 << 28;

/// No row, or no column.
const NONE: usize = usize::MAX;

/// An optimal pairing. All prices are at most the costs they stand for:
/// `row_price[i] + column_price[j] <= cost[i][j]`, with equality for the pairs chosen; a column
/// that stays alone has price 0, and no column a positive one.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) column_of: Vec<usize>,
    pub(crate) row_price: Vec<i64>,
    pub(crate) column_price: Vec<i64>,
}

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
/// (not on the machine, threads or a seed): the one that shortest augmenting paths reach when
/// rows, or the columns of a tall table, are added in ascending order, and of equally short paths
/// one to a free column is taken. A table of equal weights gives the identity.
///
/// # Errors
///
/// [`Error::CountTooLarge`] when sums of weights could leave the exact integers of the solver,
/// [`Error::TableTooLarge`] beyond 2²⁸ entries.
pub(crate) fn assign_largest_total(
    weights: &[u64],
    rows: usize,
    columns: usize,
) -> Result<(Vec<Option<usize>>, u64), Error> {
    let wide = wide_costs(weights, rows, columns)?;
    let pairs = assign_least_cost(&wide, rows.min(columns), rows.max(columns)).column_of;
    let mut column_of = vec![None; rows];
    for (short, long) in pairs.into_iter().enumerate() {
        let (row, column) = if rows > columns {
            (long, short)
        } else {
            (short, long)
        };
        column_of[row] = Some(column);
    }
    let total = total_of(weights, columns, &column_of);
    Ok((column_of, total))
}

/// Refuses tables that are too large to be laid out.
pub(crate) fn check_table(rows: usize, columns: usize) -> Result<(), Error> {
    match rows.checked_mul(columns) {
        Some(0..=LARGEST_TABLE) => Ok(()),
        _ => Err(Error::TableTooLarge { rows, columns }),
    }
}

/// The negated weights, turned such that there are no more rows than columns.
pub(crate) fn wide_costs(weights: &[u64], rows: usize, columns: usize) -> Result<Vec<i64>, Error> {
    assert_eq!(
        weights.len(),
        rows * columns,
        "a table of {rows} rows and {columns} columns"
    );
    check_exact(weights, rows, columns)?;
    let cost = |weight: u64| -(weight as i64);
    if rows <= columns {
        return Ok(weights.iter().map(|&weight| cost(weight)).collect());
    }
    let turned = (0..columns).flat_map(|j| (0..rows).map(move |i| weights[i * columns + j]));
    Ok(turned.map(cost).collect())
}

fn check_exact(weights: &[u64], rows: usize, columns: usize) -> Result<(), Error> {
    check_table(rows, columns)?;
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

/// The pairing of every row with a column of its own that costs least.
///
/// # Panics
///
/// If there are more rows than columns, or no pairing without [`FORBIDDEN`] costs.
pub(crate) fn assign_least_cost(costs: &[i64], rows: usize, columns: usize) -> Assignment {
    assert!(rows <= columns, "{rows} rows and {columns} columns");
    let mut solver = Solver::new(costs, rows, columns);
    (0..rows).for_each(|row| solver.add_row(row));
    Assignment {
        column_of: solver.column_of,
        row_price: solver.row_price,
        column_price: solver.column_price,
    }
}

struct Solver<'a> {
    costs: &'a [i64],
    columns: usize,
    row_price: Vec<i64>,
    column_price: Vec<i64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
    /// Length of the shortest path to each column.
    distance: Vec<i64>,
    /// The row before each column on its path.
    from: Vec<usize>,
    /// Columns whose path is not final yet.
    open: Vec<usize>,
    /// Columns whose path is final.
    closed: Vec<usize>,
}

impl<'a> Solver<'a> {
    fn new(costs: &'a [i64], rows: usize, columns: usize) -> Self {
        Self {
            costs,
            columns,
            row_price: vec![0; rows],
            column_price: vec![0; columns],
            column_of: vec![NONE; rows],
            row_of: vec![NONE; columns],
            distance: vec![0; columns],
            from: vec![NONE; columns],
            open: Vec::with_capacity(columns),
            closed: Vec::with_capacity(columns),
        }
    }

    /// Gives one more row a column, moving other rows along the cheapest path to a free column.
    fn add_row(&mut self, row: usize) {
        let costs = self.costs[row * self.columns..]
            .iter()
            .zip(&self.column_price);
        // From here on no step of a path has a negative length.
        self.row_price[row] = costs.map(|(cost, price)| cost - price).min().unwrap_or(0);
        let (free, length) = self.shortest_path(row);
        self.update_prices(row, length);
        let mut column = free;
        loop {
            let before = self.from[column];
            self.row_of[column] = before;
            std::mem::swap(&mut self.column_of[before], &mut column);
            if before == row {
                break;
            }
        }
    }

    /// The free column at the end of the cheapest path from `start`, and what the path costs.
    fn shortest_path(&mut self, start: usize) -> (usize, i64) {
        // Downwards, because columns are looked at from the back.
        self.open.clear();
        self.open.extend((0..self.columns).rev());
        self.closed.clear();
        self.distance.fill(i64::MAX);
        let (mut row, mut length) = (start, 0);
        loop {
            let index = self.nearest(row, length);
            let column = self.open.swap_remove(index);
            length = self.distance[column];
            assert!(length < FORBIDDEN / 2, "row {start} finds no column");
            self.closed.push(column);
            if self.row_of[column] == NONE {
                return (column, length);
            }
            row = self.row_of[column];
        }
    }

    /// Follows `row` to all open columns; the index of the nearest open column. Of equally near
    /// ones a free column, and of these the last to be added to the open ones; else the first.
    fn nearest(&mut self, row: usize, length: i64) -> usize {
        let costs = &self.costs[row * self.columns..][..self.columns];
        let base = length - self.row_price[row];
        let (mut lowest, mut nearest, mut is_free) = (i64::MAX, 0, false);
        for (index, &column) in self.open.iter().enumerate().rev() {
            let distance = base + costs[column] - self.column_price[column];
            if distance < self.distance[column] {
                self.distance[column] = distance;
                self.from[column] = row;
            }
            let distance = self.distance[column];
            if distance < lowest || (distance == lowest && !is_free) {
                is_free = self.row_of[column] == NONE;
                (lowest, nearest) = (distance, index);
                if is_free && lowest == length {
                    break; // no path is shorter
                }
            }
        }
        nearest
    }

    fn update_prices(&mut self, start: usize, length: i64) {
        self.row_price[start] += length;
        for &column in &self.closed {
            let spare = length - self.distance[column];
            if self.row_of[column] != NONE {
                self.row_price[self.row_of[column]] += spare;
            }
            self.column_price[column] -= spare;
        }
    }
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
        let big = (1u64 << 58) - 1;
        let (_, total) = assign_largest_total(&[big, big - 1, big - 1, 0], 2, 2).unwrap();
        assert_eq!(total, 2 * (big - 1));
        let error = assign_largest_total(&[1 << 59; 4], 2, 2).unwrap_err();
        assert_eq!(
            error,
            Error::CountTooLarge {
                largest: 1 << 59,
                rows: 2,
                columns: 2
            }
        );
    }
}
