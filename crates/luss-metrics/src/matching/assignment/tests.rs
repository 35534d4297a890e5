//! The solver against all pairings, against SciPy, and at the ends of its range.

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

/// Oracle: SciPy's code in `f64`, translated by the crate lsap. It takes the same paths.
#[test]
fn the_pairing_is_that_of_scipy() {
    let mut noise = Noise::new(9);
    for round in 0..120 {
        let (rows, columns) = (1 + noise.below(30), 1 + noise.below(30));
        let most = [2, 5, 1000][round % 3];
        let weights: Vec<u64> = (0..rows * columns)
            .map(|_| noise.below(most) as u64)
            .collect();
        let (column_of, _) = assign_largest_total(&weights, rows, columns).unwrap();
        let floats = weights.iter().map(|&weight| weight as f64).collect();
        let (their_rows, their_columns) = lsap::solve(rows, columns, &floats, true).unwrap();
        let ours = column_of
            .iter()
            .enumerate()
            .filter_map(|(row, column)| Some((row, (*column)?)));
        let theirs = their_rows.into_iter().zip(their_columns);
        assert!(ours.eq(theirs), "{rows}x{columns} {weights:?}");
    }
}

/// One table of tests/fixtures/scipy_totals.py.
#[derive(serde::Deserialize)]
struct Case {
    rows: usize,
    columns: usize,
    most: u64,
    one_in: u64,
    state: u64,
    total: u64,
}

fn table_of(case: &Case) -> Vec<u64> {
    let mut state = case.state;
    let mut below = |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let weight = |_| {
        let weight = below(case.most);
        if below(case.one_in) == 0 { weight } else { 0 }
    };
    (0..case.rows * case.columns).map(weight).collect()
}

/// Oracle: the totals of SciPy's own solver.
#[test]
fn totals_of_300_by_300_tables_with_ties_are_those_of_scipy() {
    let text = include_str!("../../../tests/fixtures/scipy_totals.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 15);
    for case in &cases {
        let weights = table_of(case);
        let (_, total) = assign_largest_total(&weights, case.rows, case.columns).unwrap();
        assert_eq!(total, case.total, "state {}", case.state);
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
