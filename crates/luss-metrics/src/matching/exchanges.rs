//! Which other pairings are as good as an optimal one, and how many.

use std::ops::ControlFlow;

use crate::matching::assignment::{Assignment, Costs};

/// Steps that counting the pairings of one component may take.
const COUNT_BUDGET: usize = 1 << 24;

/// No component yet.
const OPEN: usize = usize::MAX;

/// The pairs that some optimal pairing uses.
///
/// The columns that stay alone count as taken by one more row, the last node.
pub(crate) struct Exchanges {
    rows: usize,
    columns: usize,
    tight: Vec<bool>,
    must_be_taken: Vec<bool>,
    /// The node that has each column.
    owner: Vec<usize>,
    /// The component of each node.
    component: Vec<usize>,
}

impl Exchanges {
    /// From a table and its optimal pairing.
    pub(crate) fn new(costs: &Costs, best: &Assignment) -> Self {
        let Costs { rows, columns, .. } = *costs;
        let mut owner = vec![rows; columns];
        for (row, &column) in best.column_of.iter().enumerate() {
            owner[column] = row;
        }
        let price =
            |index: usize| best.row_price[index / columns] + best.column_price[index % columns];
        let tight = costs
            .iter()
            .enumerate()
            .map(|(index, cost)| cost == price(index));
        let mut exchanges = Self {
            rows,
            columns,
            tight: tight.collect(),
            must_be_taken: best.column_price.iter().map(|price| *price < 0).collect(),
            owner,
            component: Vec::new(),
        };
        exchanges.component = components(rows + 1, columns, |node, column| {
            exchanges
                .is_tight(node, column)
                .then(|| exchanges.owner[column])
        });
        exchanges
    }

    fn is_tight(&self, node: usize, column: usize) -> bool {
        if node == self.rows {
            return self.rows < self.columns && !self.must_be_taken[column];
        }
        self.tight[node * self.columns + column]
    }

    /// Whether some optimal pairing has this pair; the row behind the last stands for none.
    pub(crate) fn is_possible(&self, row: usize, column: usize) -> bool {
        let taken_together = || self.component[row] == self.component[self.owner[column]];
        self.owner[column] == row || (self.is_tight(row, column) && taken_together())
    }

    /// Whether every optimal pairing uses the column.
    pub(crate) fn must_be_taken(&self, column: usize) -> bool {
        self.must_be_taken[column]
    }

    /// Whether there is no other optimal pairing.
    pub(crate) fn is_unique(&self) -> bool {
        self.choices_of_rows().iter().all(|choices| *choices == 1)
    }

    /// Whether the columns without a row are the same in all optimal pairings.
    pub(crate) fn leave_the_same_columns_alone(&self) -> bool {
        !self.component[..self.rows].contains(&self.component[self.rows])
    }

    /// Number of columns that each row has in optimal pairings.
    pub(crate) fn choices_of_rows(&self) -> Vec<usize> {
        let possible = |row| (0..self.columns).filter(move |&column| self.is_possible(row, column));
        (0..self.rows).map(|row| possible(row).count()).collect()
    }

    /// Number of rows that each column has in optimal pairings, where none counts as one.
    pub(crate) fn choices_of_columns(&self) -> Vec<usize> {
        let possible = |column| (0..=self.rows).filter(move |&row| self.is_possible(row, column));
        (0..self.columns)
            .map(|column| possible(column).count())
            .collect()
    }

    /// Number of optimal pairings, or at least so many, and whether it is their number. The
    /// components do not touch each other, so their numbers multiply.
    pub(crate) fn count(&self) -> (u64, bool) {
        let mut rows_of = vec![Vec::new(); self.rows + 1];
        let mut columns_of = vec![Vec::new(); self.rows + 1];
        (0..self.rows).for_each(|row| rows_of[self.component[row]].push(row));
        for column in 0..self.columns {
            columns_of[self.component[self.owner[column]]].push(column);
        }
        let components = rows_of
            .iter()
            .zip(&columns_of)
            .filter(|(rows, _)| !rows.is_empty());
        components.fold((1, true), |(product, exact), (rows, columns)| {
            let (count, counted) = self.count_component(rows, columns);
            let (more, overflow) = match product {
                u64::MAX => (u64::MAX, true),
                _ => (
                    u64::saturating_mul(product, count),
                    product.checked_mul(count).is_none(),
                ),
            };
            (more, exact && counted && !overflow)
        })
    }

    fn count_component(&self, rows: &[usize], columns: &[usize]) -> (u64, bool) {
        let steps = 1usize
            .checked_shl(rows.len() as u32)
            .filter(|_| rows.len() < 24);
        let steps = steps.and_then(|masks| masks.checked_mul(rows.len() * columns.len()));
        match steps {
            Some(0..=COUNT_BUDGET) => {
                let count = self.count_by_columns(rows, columns);
                (count, count < u64::MAX)
            }
            _ => (self.at_least(rows, columns), false),
        }
    }

    /// Goes from column to column and keeps, for each set of rows, in how many ways they can have
    /// the columns so far.
    fn count_by_columns(&self, rows: &[usize], columns: &[usize]) -> u64 {
        let mut ways = vec![0u64; 1 << rows.len()];
        ways[0] = 1;
        for &column in columns {
            let alone = self.is_possible(self.rows, column);
            let mut next = if alone {
                ways.clone()
            } else {
                vec![0; ways.len()]
            };
            for (bit, _) in rows
                .iter()
                .enumerate()
                .filter(|(_, row)| self.is_possible(**row, column))
            {
                for taken in (0..ways.len()).filter(|taken| taken >> bit & 1 == 0) {
                    let with = &mut next[taken | 1 << bit];
                    *with = with.saturating_add(ways[taken]);
                }
            }
            ways = next;
        }
        ways[ways.len() - 1]
    }

    /// A number of pairings that there are for sure: each possible pair of a row is in another one;
    /// and where all columns are taken, at least pairs - 2 rows + 2 (Lovász and Plummer, *Matching
    /// Theory*, 1986, theorem 7.6.2, for bipartite graphs in which every edge is in a matching).
    fn at_least(&self, rows: &[usize], columns: &[usize]) -> u64 {
        let possible = |row: usize| {
            columns
                .iter()
                .filter(|column| self.is_possible(row, **column))
                .count()
        };
        let choices: Vec<usize> = rows.iter().map(|&row| possible(row)).collect();
        let most = choices.iter().copied().max().unwrap_or(1);
        let all_taken = rows.len() == columns.len();
        let pairs: usize = choices.iter().sum();
        let bound = if all_taken {
            pairs + 2 - 2 * rows.len()
        } else {
            0
        };
        most.max(bound) as u64
    }
}

/// The strongly connected component of each of `nodes` (Tarjan 1972); `step` leads from a node over
/// one of its `edges` to another, if there is one.
fn components(
    nodes: usize,
    edges: usize,
    step: impl Fn(usize, usize) -> Option<usize>,
) -> Vec<usize> {
    let mut search = Search {
        component: vec![OPEN; nodes],
        order: vec![OPEN; nodes],
        lowest: vec![0; nodes],
        path: Vec::new(),
        found: 0,
        visited: 0,
    };
    for start in 0..nodes {
        if search.order[start] == OPEN {
            search.from(start, edges, &step);
        }
    }
    search.component
}

struct Search {
    component: Vec<usize>,
    /// When each node was first met.
    order: Vec<usize>,
    /// The earliest node of the same component that is known to be reached.
    lowest: Vec<usize>,
    /// Nodes without a component so far.
    path: Vec<usize>,
    found: usize,
    visited: usize,
}

impl Search {
    /// Depth first, with a stack of its own: there may be thousands of rows.
    fn from(&mut self, start: usize, edges: usize, step: &impl Fn(usize, usize) -> Option<usize>) {
        let mut stack = vec![(start, 0)];
        self.enter(start);
        while let Some((node, edge)) = stack.pop() {
            let next = (edge..edges).try_for_each(|edge| match step(node, edge) {
                Some(to) if self.order[to] == OPEN => ControlFlow::Break((to, edge)),
                to => {
                    to.into_iter().for_each(|to| self.reach(node, to));
                    ControlFlow::Continue(())
                }
            });
            match next {
                ControlFlow::Break((to, edge)) => {
                    stack.extend([(node, edge + 1), (to, 0)]);
                    self.enter(to);
                }
                ControlFlow::Continue(()) => {
                    self.leave(node);
                    if let Some((parent, _)) = stack.last() {
                        self.lowest[*parent] = self.lowest[*parent].min(self.lowest[node]);
                    }
                }
            }
        }
    }

    fn enter(&mut self, node: usize) {
        (self.order[node], self.lowest[node]) = (self.visited, self.visited);
        self.visited += 1;
        self.path.push(node);
    }

    /// Meets a node that was visited before; it matters only while it has no component.
    fn reach(&mut self, node: usize, to: usize) {
        if self.component[to] == OPEN {
            self.lowest[node] = self.lowest[node].min(self.order[to]);
        }
    }

    /// Closes the component of a node that reaches no earlier one.
    fn leave(&mut self, node: usize) {
        if self.lowest[node] < self.order[node] {
            return;
        }
        while let Some(member) = self.path.pop() {
            self.component[member] = self.found;
            if member == node {
                break;
            }
        }
        self.found += 1;
    }
}
