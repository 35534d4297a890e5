//! Clusters that lost all their points.

use ndarray::{Array2, Axis};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use super::init::unit;

/// Relative step by which the two halves of a split cluster are moved apart.
const STEP: f32 = 1.0 / 1024.0;

/// Every split of every run draws from this stream afresh, so that equal assignments always lead
/// to equal centroids: repeated assignments mean that the run has ended.
const SPLIT_SEED: u64 = 1234;

/// Gives each cluster without points half of a donor's, and counts them there: the donor's centroid is
/// doubled, and the two copies are moved apart by 1/1024 of their length, as the faiss library does,
/// which PASS uses.
///
/// The donor of each is found by going round the clusters and accepting one of `n` points with
/// probability `(n - 1) / (N - K)`. Ends because among at least K points on fewer than K clusters
/// one has two.
pub(super) fn split_empty(centroids: &mut Array2<f32>, counts: &mut [usize]) {
    let surplus = counts.iter().sum::<usize>().saturating_sub(counts.len());
    let mut stream = ChaCha8Rng::seed_from_u64(SPLIT_SEED);
    for empty in 0..counts.len() {
        if counts[empty] == 0 {
            let donor = choose_donor(counts, surplus, &mut stream);
            halve(centroids, donor, empty);
            counts[empty] = counts[donor] / 2;
            counts[donor] -= counts[empty];
        }
    }
}

fn choose_donor(counts: &[usize], surplus: usize, stream: &mut impl RngCore) -> usize {
    let accepts = |&donor: &usize| {
        let spare = counts[donor].saturating_sub(1);
        spare > 0 && unit(stream) * surplus as f64 <= spare as f64
    };
    (0..counts.len())
        .cycle()
        .find(accepts)
        .expect("an endless round")
}

fn halve(centroids: &mut Array2<f32>, donor: usize, empty: usize) {
    let row = centroids.index_axis(Axis(0), donor).to_owned();
    for (column, &value) in row.iter().enumerate() {
        let step = if column % 2 == 0 { STEP } else { -STEP };
        centroids[[empty, column]] = value * (1.0 + step);
        centroids[[donor, column]] = value * (1.0 - step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_halves_surround_the_donor_and_share_its_points() {
        let mut centroids = array![[1.0f32, 1.0, 1.0], [0.0, 0.0, 0.0]];
        let mut counts = [7, 0];
        split_empty(&mut centroids, &mut counts);
        assert_eq!(counts, [4, 3]);
        let middle = (&centroids.row(0) + &centroids.row(1)) / 2.0;
        assert_eq!(middle, array![1.0, 1.0, 1.0]);
        assert!(centroids[[1, 0]] > 1.0 && centroids[[1, 1]] < 1.0);
    }

    #[test]
    fn a_cluster_of_one_point_never_gives_it_away() {
        for size in [2, 3, 50] {
            let mut centroids = Array2::from_shape_fn((5, 2), |(row, _)| row as f32);
            let mut counts = [1, 0, 1, size, 1];
            split_empty(&mut centroids, &mut counts);
            assert_eq!((counts[0], counts[2], counts[4]), (1, 1, 1));
            assert_eq!(counts[1] + counts[3], size);
        }
    }

    #[test]
    fn exactly_as_many_points_as_clusters_still_ends() {
        let mut centroids = array![[1.0f32], [2.0], [3.0]];
        let mut counts = [0, 3, 0];
        split_empty(&mut centroids, &mut counts);
        assert_eq!(counts, [1, 1, 1]);
    }
}
