//! Clusters that lost all their points.

use std::cmp::Ordering;

use ndarray::{Array2, ArrayView2, Axis};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{deal::Deal, init::unit};
use crate::{
    error::Result,
    products::squared_distance,
    rows::{Rows, for_each_part},
};

/// What happens to a cluster that lost all its points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyPolicy {
    /// A cluster with many points gives half of them: its centroid is doubled, and the two copies
    /// are moved apart by 1/1024 of their length (as the faiss library, which PASS uses, does).
    #[default]
    Split,
    /// It takes over the point that lies farthest from its centroid; several empty clusters take
    /// several such points (as scikit-learn does). Costs one more look at all points.
    Farthest,
    /// The run ends with [`crate::Error::EmptyCluster`].
    Error,
}

/// Relative step by which the two halves of a split cluster are moved apart.
const STEP: f32 = 1.0 / 1024.0;

/// Every split of every run draws from this stream afresh, so that equal assignments always lead
/// to equal centroids: repeated assignments mean that the run has ended.
const SPLIT_SEED: u64 = 1234;

/// Gives each cluster without points half of a donor's, and counts them there.
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

/// The `wanted` points of all ranks that lie farthest from their centroids, the first among equals;
/// none of them is the last point of its cluster. `labels` are of this rank's points, `counts` of all.
pub(super) fn farthest_points(
    deal: &Deal,
    centroids: ArrayView2<f32>,
    labels: &[u32],
    counts: &[usize],
    wanted: usize,
) -> Result<Vec<usize>> {
    let distances = own_distances(deal.own, centroids, labels)?;
    let mut own: Vec<Far> = (deal.first() as u32..)
        .zip(labels.iter().zip(distances))
        .map(|(point, (&cluster, distance))| Far {
            distance,
            point,
            cluster,
        })
        .collect();
    own.par_sort_by(Far::order);
    // A point that gives way to others of its cluster here does so among all, too.
    let own = that_can_go(own, counts, wanted);
    let numbers = own.iter().copied().flat_map(Far::to_numbers).collect();
    let mut all: Vec<Far> = deal
        .ranks
        .gather(numbers)
        .as_chunks()
        .0
        .iter()
        .map(Far::from_numbers)
        .collect();
    all.sort_by(Far::order);
    let chosen = that_can_go(all, counts, wanted);
    Ok(chosen.iter().map(|far| far.point as usize).collect())
}

/// A point by its number among all, its cluster and its squared distance from the centroid.
#[derive(Clone, Copy)]
struct Far {
    distance: f32,
    point: u32,
    cluster: u32,
}

impl Far {
    fn order(&self, other: &Self) -> Ordering {
        let farther = other.distance.total_cmp(&self.distance);
        farther.then(self.point.cmp(&other.point))
    }

    fn to_numbers(self) -> [u32; 3] {
        [self.distance.to_bits(), self.point, self.cluster]
    }

    fn from_numbers(&[distance, point, cluster]: &[u32; 3]) -> Self {
        Self {
            distance: f32::from_bits(distance),
            point,
            cluster,
        }
    }
}

/// The first `wanted` of the points that are not the last of their clusters.
fn that_can_go(points: Vec<Far>, counts: &[usize], wanted: usize) -> Vec<Far> {
    let mut left = counts.to_vec();
    let spare = |far: &Far| {
        let count = &mut left[far.cluster as usize];
        let gives = *count > 1;
        *count -= usize::from(gives);
        gives
    };
    points.into_iter().filter(spare).take(wanted).collect()
}

/// Squared distance of each point to the centroid that its label names.
fn own_distances(rows: &dyn Rows, centroids: ArrayView2<f32>, labels: &[u32]) -> Result<Vec<f32>> {
    let (dim, table) = (
        rows.columns(),
        centroids.as_slice().expect("standard layout"),
    );
    let mut distances = vec![0.0; labels.len()];
    for_each_part(rows, |first, part| {
        let here = distances[first..].par_iter_mut().zip(&labels[first..]);
        here.zip(part.par_chunks(dim))
            .for_each(|((distance, &label), row)| {
                *distance = squared_distance(row, &table[label as usize * dim..][..dim]);
            });
        Ok(())
    })?;
    Ok(distances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};
    use pass_model::group::Group;
    use pass_ranks::ThreadRanks;

    #[test]
    fn the_farthest_points_leave_no_cluster_empty() {
        let points = array![[0.0f32], [9.0], [1.0], [20.0], [5.0], [5.0]];
        let centroids = array![[0.0f32], [4.0], [30.0]];
        let labels = [0, 0, 0, 2, 1, 1];
        let farthest = |wanted| {
            let rows = points.view();
            let deal = Deal::new(&rows, &Group::default());
            farthest_points(&deal, centroids.view(), &labels, &[3, 2, 1], wanted).unwrap()
        };
        // Squared distances: 0, 81, 1, 100, 1, 1; point 3 is the only one of its cluster.
        assert_eq!(farthest(1), [1]);
        assert_eq!(farthest(3), [1, 2, 4]);

        let of_ranks = ThreadRanks::run(3, |ranks| {
            let own = 2 * ranks.rank()..2 * ranks.rank() + 2;
            let rows = points.slice(s![own.clone(), ..]);
            let deal = Deal::new(&rows, &ranks);
            farthest_points(&deal, centroids.view(), &labels[own], &[3, 2, 1], 3).unwrap()
        });
        assert_eq!(of_ranks, vec![[1, 2, 4]; 3]);
    }

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
