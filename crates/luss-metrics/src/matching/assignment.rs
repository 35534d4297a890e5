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
const NONE: u32 = u32::MAX;

/// What each pair costs: its negated weight, in a table turned such that it has no more rows than
/// columns.
pub(crate) struct Costs {
    /// The fewer ones, and the more numerous ones.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Whether the rows that were asked for are the columns here.
    pub(crate) turned: bool,
    table: Table,
}

/// Half the memory where it will do: to lay out a table takes as long as to solve it.
enum Table {
    Small(Vec<i32>),
    Large(Vec<i64>),
}

/// An optimal pairing. All prices are at most the costs they stand for:
/// `row_price[i] + column_price[j] <= cost[i][j]`, with equality for the pairs chosen; a column
/// that stays alone has price 0, and no column a positive one.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) column_of: Vec<usize>,
    pub(crate) row_price: Vec<i64>,
    pub(crate) column_price: Vec<i64>,
}

impl Costs {
    /// A table in which every pair has weight 0 and none will have more than `largest`.
    ///
    /// # Errors
    ///
    /// [`Error::CountTooLarge`] when sums of weights could leave the exact integers of the solver,
    /// [`Error::TableTooLarge`] beyond 2²⁸ entries.
    pub(crate) fn new(rows: usize, columns: usize, largest: u64) -> Result<Self, Error> {
        check_exact(largest, rows, columns)?;
        let table = match i32::try_from(largest) {
            Ok(_) => Table::Small(vec![0; rows * columns]),
            Err(_) => Table::Large(vec![0; rows * columns]),
        };
        Ok(Self {
            rows: rows.min(columns),
            columns: rows.max(columns),
            turned: rows > columns,
            table,
        })
    }

    /// The table of clusters (rows) and classes (columns), both from 1 on, whose pairs `for_each` visits
    /// with their weights; those left out have weight 0.
    ///
    /// # Errors
    ///
    /// As [`Costs::new`].
    pub(crate) fn of_pairs(
        clusters: u16,
        classes: u16,
        for_each: impl Fn(&mut dyn FnMut(u16, u16, u64)),
    ) -> Result<Self, Error> {
        let mut largest = 0;
        for_each(&mut |_, _, weight| largest = weight.max(largest));
        let mut costs = Self::new(clusters.into(), classes.into(), largest)?;
        for_each(&mut |cluster, class, weight| {
            costs.set_weight(usize::from(cluster - 1), usize::from(class - 1), weight);
        });
        Ok(costs)
    }

    /// Gives a pair of the rows and columns that were asked for its weight.
    pub(crate) fn set_weight(&mut self, row: usize, column: usize, weight: u64) {
        let index = self.index(row, column);
        match &mut self.table {
            Table::Small(costs) => costs[index] = -(weight as i32),
            Table::Large(costs) => costs[index] = -(weight as i64),
        }
    }

    /// Where a pair of the rows and columns that were asked for lies.
    pub(crate) fn index(&self, row: usize, column: usize) -> usize {
        let (row, column) = if self.turned {
            (column, row)
        } else {
            (row, column)
        };
        row * self.columns + column
    }

    /// The costs, row by row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = i64> {
        let (small, large): (&[i32], &[i64]) = match &self.table {
            Table::Small(costs) => (costs, &[]),
            Table::Large(costs) => (&[], costs),
        };
        small
            .iter()
            .map(|&cost| cost.into())
            .chain(large.iter().copied())
    }

    /// The pairing of largest weight.
    pub(crate) fn solve(&self) -> Assignment {
        match &self.table {
            Table::Small(costs) => assign_least_cost(costs, self.rows, self.columns),
            Table::Large(costs) => assign_least_cost(costs, self.rows, self.columns),
        }
    }

    /// The partner that the pairing of largest weight gives each of the `rows` that were asked for, and
    /// the sum of the weights.
    ///
    /// # Ties
    ///
    /// Several pairings can have the largest total. Which one is returned depends on the table
    /// alone (not on the machine, threads or a seed): the one that shortest augmenting paths reach
    /// when rows, or the columns of a tall table, are added in ascending order, and of equally
    /// short paths one to a free column is taken. A table of equal weights gives the identity.
    pub(crate) fn partners(&self, best: &Assignment) -> (Vec<Option<usize>>, u64) {
        let Assignment {
            column_of,
            row_price,
            column_price,
        } = best;
        // Pairs cost what their prices say, and what stays alone has price 0.
        let total = row_price
            .iter()
            .chain(column_price)
            .sum::<i64>()
            .unsigned_abs();
        if !self.turned {
            return (column_of.iter().copied().map(Some).collect(), total);
        }
        let mut partner = vec![None; self.columns];
        for (row, &column) in column_of.iter().enumerate() {
            partner[column] = Some(row);
        }
        (partner, total)
    }
}

/// The column of each row (`None` for rows that stay alone when there are more rows than columns)
/// such that the sum of the chosen `weights` is largest; with it that sum.
///
/// # Shapes
///
/// - `weights`: `rows * columns`, row-major
///
/// # Errors
///
/// As [`Costs::new`].
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
    let largest = weights.iter().copied().max().unwrap_or(0);
    let mut costs = Costs::new(rows, columns, largest)?;
    for (index, &weight) in weights.iter().enumerate() {
        costs.set_weight(index / columns, index % columns, weight);
    }
    Ok(costs.partners(&costs.solve()))
}

fn check_exact(largest: u64, rows: usize, columns: usize) -> Result<(), Error> {
    match rows.checked_mul(columns) {
        Some(0..=LARGEST_TABLE) => {}
        _ => return Err(Error::TableTooLarge { rows, columns }),
    }
    match largest.checked_mul(rows.max(columns) as u64) {
        Some(bound) if bound < EXACT_INTEGERS => Ok(()),
        _ => Err(Error::CountTooLarge {
            largest,
            rows,
            columns,
        }),
    }
}

/// The pairing of every row with a column of its own that costs least.
///
/// # Panics
///
/// If there are more rows than columns, or no pairing without [`FORBIDDEN`] costs.
pub(crate) fn assign_least_cost<C: Copy + Into<i64>>(
    costs: &[C],
    rows: usize,
    columns: usize,
) -> Assignment {
    assert!(rows <= columns, "{rows} rows and {columns} columns");
    let mut solver = Solver::new(costs, rows, columns);
    (0..rows).for_each(|row| solver.add_row(row));
    Assignment {
        column_of: solver
            .column_of
            .iter()
            .map(|&column| column as usize)
            .collect(),
        row_price: solver.row_price,
        column_price: solver.price,
    }
}

/// A pairing of the rows so far. Plain arrays by column, because the inner loop lives in the cache.
struct Solver<'a, C> {
    costs: &'a [C],
    row_price: Vec<i64>,
    column_of: Vec<u32>,
    price: Vec<i64>,
    row_of: Vec<u32>,
    /// Length of the shortest path to each column.
    distance: Vec<i64>,
    /// The row before each column on this path.
    from: Vec<u32>,
    /// Columns whose path is not final yet.
    open: Vec<u32>,
    /// Columns whose path is final.
    closed: Vec<u32>,
}

impl<'a, C: Copy + Into<i64>> Solver<'a, C> {
    fn new(costs: &'a [C], rows: usize, columns: usize) -> Self {
        Self {
            costs,
            row_price: vec![0; rows],
            column_of: vec![NONE; rows],
            price: vec![0; columns],
            row_of: vec![NONE; columns],
            distance: vec![i64::MAX; columns],
            from: vec![NONE; columns],
            open: Vec::with_capacity(columns),
            closed: Vec::with_capacity(columns),
        }
    }

    fn costs_of(&self, row: usize) -> &'a [C] {
        &self.costs[row * self.price.len()..][..self.price.len()]
    }

    /// Gives one more row a column, moving other rows along the cheapest path to a free column.
    fn add_row(&mut self, row: usize) {
        let reduced = self.costs_of(row).iter().zip(&self.price);
        let reduced = reduced.map(|(&cost, price)| cost.into() - price);
        // From here on no step of a path has a negative length.
        let price = reduced.clone().min().unwrap_or(0);
        self.row_price[row] = price;
        let is_free = |(cost, row): (i64, &u32)| cost == price && *row == NONE;
        match reduced.zip(&self.row_of).position(is_free) {
            // A path of length 0, which changes no price.
            Some(free) => self.pair(row as u32, free as u32),
            None => {
                let (free, length) = self.shortest_path(row);
                self.update_prices(row, length);
                self.augment(row as u32, free);
            }
        }
    }

    fn pair(&mut self, row: u32, column: u32) {
        self.row_of[column as usize] = row;
        self.column_of[row as usize] = column;
    }

    /// Hands each column on the path to the row before it.
    fn augment(&mut self, start: u32, mut column: u32) {
        loop {
            let before = self.from[column as usize];
            let next = self.column_of[before as usize];
            self.pair(before, column);
            if before == start {
                break;
            }
            column = next;
        }
    }

    /// The free column at the end of the cheapest path from `start`, and what the path costs.
    fn shortest_path(&mut self, start: usize) -> (u32, i64) {
        // Downwards, because columns are looked at from the back.
        self.open.clear();
        self.open.extend((0..self.price.len() as u32).rev());
        self.closed.clear();
        self.distance.fill(i64::MAX);
        let (mut row, mut length) = (start, 0);
        loop {
            let index = self.nearest(row, length);
            let column = self.open.swap_remove(index);
            self.closed.push(column);
            length = self.distance[column as usize];
            assert!(length < FORBIDDEN / 2, "row {start} finds no column");
            match self.row_of[column as usize] {
                NONE => return (column, length),
                owner => row = owner as usize,
            }
        }
    }

    /// Follows `row` to all open columns; the index of the nearest open column. Of equally near
    /// ones a free column, and of these the last to be added to the open ones; else the first.
    fn nearest(&mut self, row: usize, length: i64) -> usize {
        let (costs, base) = (self.costs_of(row), length - self.row_price[row]);
        let (mut lowest, mut nearest, mut is_free) = (i64::MAX, 0, false);
        for (index, &column) in self.open.iter().enumerate().rev() {
            let column = column as usize;
            let through = base + costs[column].into() - self.price[column];
            let distance = self.distance[column];
            if through < distance {
                self.distance[column] = through;
                self.from[column] = row as u32;
            }
            let distance = distance.min(through);
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
            let column = column as usize;
            let spare = length - self.distance[column];
            self.price[column] -= spare;
            if self.row_of[column] != NONE {
                self.row_price[self.row_of[column] as usize] += spare;
            }
        }
    }
}

#[cfg(test)]
mod tests;
