//! Agreement of two labellings of the same items, such as k-means clusters and class folders:
//! normalized mutual information (NMI), adjusted Rand index and one-to-one matched accuracy.

use std::{collections::BTreeMap, hash::Hash};

use crate::matching::assignment::assign_largest_total;

/// Normalized mutual information: the mutual information of the two labellings over the mean of
/// their entropies; in `0..=1`.
///
/// 1 when the labellings are equal up to the names of the labels (also when both put all items
/// into one group), 0 when they are independent.
///
/// # Panics
///
/// If the slices differ in length or are empty.
///
/// ```
/// use luss_metrics::normalized_mutual_information;
///
/// assert_eq!(normalized_mutual_information(&[0, 0, 1, 1], &[7, 7, 3, 3]), 1.0);
/// assert_eq!(normalized_mutual_information(&[0, 0, 1, 1], &[5, 6, 5, 6]), 0.0);
/// ```
pub fn normalized_mutual_information(a: &[u32], b: &[u32]) -> f64 {
    check_items(a, b);
    let n = a.len() as f64;
    let joint = histogram(a.iter().copied().zip(b.iter().copied()));
    let (of_a, of_b) = (histogram(a.iter().copied()), histogram(b.iter().copied()));
    if joint.len() == of_a.len() && joint.len() == of_b.len() {
        return 1.0; // the same groups, exactly
    }
    let information: f64 = joint
        .iter()
        .map(|((a, b), &count)| {
            let expected = of_a[a] as f64 * of_b[b] as f64 / n;
            count as f64 / n * (count as f64 / expected).ln()
        })
        .sum();
    let mean_entropy = (entropy(&of_a, n) + entropy(&of_b, n)) / 2.0;
    (information / mean_entropy).clamp(0.0, 1.0)
}

/// Adjusted Rand index: the share of pairs of items on which the two labellings agree, scaled.
///
/// It is 1 for equal groups and 0 on average for random groups of these sizes (Hubert and Arabie 1985,
/// <https://doi.org/10.1007/BF01908075>). It is at least −½ (Chacón and Rastrojo 2023,
/// <https://doi.org/10.1007/s11634-022-00491-w>).
///
/// # Panics
///
/// If the slices differ in length or are empty.
///
/// ```
/// use luss_metrics::adjusted_rand_index;
///
/// assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[7, 7, 3, 3]), 1.0);
/// // One pair of six is together in both, two and one in each: (1 - 1/3) / (3/2 - 1/3).
/// let index = adjusted_rand_index(&[0, 0, 1, 1], &[0, 0, 1, 2]);
/// assert!((index - 4.0 / 7.0).abs() < 1e-12);
/// ```
pub fn adjusted_rand_index(a: &[u32], b: &[u32]) -> f64 {
    check_items(a, b);
    let together = pairs(histogram(a.iter().copied().zip(b.iter().copied())));
    let (of_a, of_b) = (histogram(a.iter().copied()), histogram(b.iter().copied()));
    let (of_a, of_b) = (pairs(of_a), pairs(of_b));
    let all = pairs_of(a.len() as u64);
    if together == of_a && together == of_b {
        return 1.0; // the same groups, exactly
    }
    let (together, most) = (together as f64, (of_a + of_b) as f64 / 2.0);
    let expected = of_a as f64 * of_b as f64 / all as f64;
    (together - expected) / (most - expected)
}

/// Pairs of items in the same group.
fn pairs<T>(groups: BTreeMap<T, u64>) -> u128 {
    groups.into_values().map(pairs_of).sum()
}

fn pairs_of(items: u64) -> u128 {
    let items = u128::from(items);
    items * (items - 1) / 2
}

/// Share of items whose cluster stands for their class, under the one-to-one pairing of clusters
/// and classes that makes it largest; in `0..=1`.
///
/// # Panics
///
/// If the slices differ in length or are empty, or hold more than 2²⁸ pairs of a cluster and a class.
///
/// ```
/// use luss_metrics::cluster_accuracy;
///
/// assert_eq!(cluster_accuracy(&[4, 4, 4, 9], &[0, 0, 1, 1]), 0.75);
/// ```
pub fn cluster_accuracy(clusters: &[u32], classes: &[u32]) -> f64 {
    check_items(clusters, classes);
    let (rows, columns) = (ranks(clusters), ranks(classes));
    let mut table = vec![0u64; rows.len() * columns.len()];
    for (cluster, class) in clusters.iter().zip(classes) {
        table[rows[cluster] * columns.len() + columns[class]] += 1;
    }
    let (_, matched) = assign_largest_total(&table, rows.len(), columns.len())
        .unwrap_or_else(|error| panic!("{error}"));
    matched as f64 / clusters.len() as f64
}

fn check_items(a: &[u32], b: &[u32]) {
    assert_eq!(a.len(), b.len(), "two labellings of the same items");
    assert!(!a.is_empty(), "at least one item");
}

/// How often each value occurs.
fn histogram<T: Ord + Hash>(values: impl Iterator<Item = T>) -> BTreeMap<T, u64> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts
}

/// The rank of each value that occurs.
fn ranks(values: &[u32]) -> BTreeMap<u32, usize> {
    histogram(values.iter().copied())
        .into_keys()
        .zip(0..)
        .collect()
}

fn entropy(counts: &BTreeMap<u32, u64>, n: f64) -> f64 {
    counts
        .values()
        .map(|&count| -(count as f64 / n) * (count as f64 / n).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Noise;

    fn labelling(seed: u64, groups: usize) -> Vec<u32> {
        let mut noise = Noise::new(seed);
        (0..300).map(|_| noise.below(groups) as u32).collect()
    }

    #[track_caller]
    fn assert_close(actual: f64, expected: f64) {
        assert!(
            (actual - expected).abs() < 1e-12,
            "{actual} is not {expected}"
        );
    }

    #[test]
    fn names_of_labels_do_not_matter() {
        let (a, b) = (labelling(1, 7), labelling(2, 5));
        let renamed: Vec<u32> = a.iter().map(|label| 1000 - 3 * label).collect();
        assert_eq!(normalized_mutual_information(&a, &renamed), 1.0);
        assert_eq!(cluster_accuracy(&a, &renamed), 1.0);
        let nmi = normalized_mutual_information(&a, &b);
        assert_close(normalized_mutual_information(&renamed, &b), nmi);
        assert_eq!(cluster_accuracy(&renamed, &b), cluster_accuracy(&a, &b));
    }

    #[test]
    fn mutual_information_is_symmetric() {
        let (a, b) = (labelling(3, 7), labelling(4, 3));
        let nmi = normalized_mutual_information(&a, &b);
        assert_close(normalized_mutual_information(&b, &a), nmi);
        assert!((0.0..0.1).contains(&nmi), "{nmi}");
    }

    #[test]
    fn the_rand_index_of_unrelated_groups_is_near_0() {
        let (a, b) = (labelling(3, 7), labelling(4, 3));
        let index = adjusted_rand_index(&a, &b);
        assert_eq!(adjusted_rand_index(&b, &a), index);
        assert!(index.abs() < 0.02, "{index}");
        assert_eq!(adjusted_rand_index(&a, &a), 1.0);
        assert_eq!(adjusted_rand_index(&[4; 3], &[1, 2, 3]), 0.0);
        assert_eq!(adjusted_rand_index(&[4], &[1]), 1.0);
        assert_close(adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1]), -0.5);
    }

    #[test]
    fn one_group_on_both_sides_agrees_and_on_one_side_says_nothing() {
        assert_eq!(normalized_mutual_information(&[4; 5], &[2; 5]), 1.0);
        assert_eq!(normalized_mutual_information(&[4; 3], &[1, 2, 3]), 0.0);
    }

    /// Oracle: scikit-learn's formula in float64 (natural logarithm, arithmetic mean):
    /// `normalized_mutual_info_score([0,0,1,1,2,2,2], [0,0,0,1,1,2,2])`.
    #[test]
    fn agrees_with_the_arithmetic_mean_normalisation() {
        let nmi = normalized_mutual_information(&[0, 0, 1, 1, 2, 2, 2], &[0, 0, 0, 1, 1, 2, 2]);
        assert_close(nmi, 0.563_635_553_099_344_9);
    }

    #[test]
    fn spare_clusters_match_nothing() {
        assert_close(
            cluster_accuracy(&[1, 2, 3, 3, 3], &[0, 0, 0, 0, 8]),
            2.0 / 5.0,
        );
    }
}
