//! The first centroids of a k-means run.

use ndarray::Array2;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{KMeansConfig, deal::Deal};
use crate::{
    error::Result,
    products::squared_distance,
    rows::{Rows, for_each_part},
};

/// How the first centroids are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Distinct points, all equally likely; what PASS does.
    #[default]
    Random,
    /// k-means++ (Arthur and Vassilvitskii 2007): each next point with probability proportional
    /// to its squared distance from the ones chosen before. As costly as one more iteration for rows in memory, and
    /// worth it where few restarts must do; reads a file once for each cluster.
    PlusPlus,
}

/// Rows chosen by the stream of this restart, the same on every rank.
pub(super) fn initial_centroids(
    deal: &Deal,
    config: &KMeansConfig,
    restart: usize,
) -> Result<Array2<f32>> {
    let mut stream = stream(config.seed, restart);
    let chosen = match config.init {
        Init::Random => distinct_rows(deal.count(), config.clusters, &mut stream),
        Init::PlusPlus => spread_rows(deal, config.clusters, &mut stream)?,
    };
    deal.fetch(&chosen)
}

/// Restarts draw from separate streams of one key, so each can be repeated on its own.
pub(super) fn stream(seed: u64, restart: usize) -> ChaCha8Rng {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    stream.set_stream(restart as u64);
    stream
}

/// The first `count` places of a Fisher-Yates shuffle of `0..rows`.
pub(super) fn distinct_rows(rows: usize, count: usize, stream: &mut impl RngCore) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    for place in 0..count {
        order.swap(place, place + below(rows - place, stream));
    }
    order.truncate(count);
    order
}

fn spread_rows(deal: &Deal, count: usize, stream: &mut impl RngCore) -> Result<Vec<usize>> {
    let mut chosen = vec![below(deal.count(), stream)];
    let mut distances = vec![f32::INFINITY; deal.own.count()];
    while chosen.len() < count {
        let newest = deal.fetch(&chosen[chosen.len() - 1..])?;
        lower_distances(deal.own, &newest, &mut distances)?;
        chosen.push(weighted_row(deal, &distances, stream));
    }
    Ok(chosen)
}

/// Keeps for each point the squared distance to the nearest chosen row.
fn lower_distances(rows: &dyn Rows, newest: &Array2<f32>, distances: &mut [f32]) -> Result<()> {
    let dim = rows.columns();
    let centre = newest.as_slice().expect("standard layout");
    for_each_part(rows, |first, part| {
        let points = part.par_chunks(dim).with_min_len(64);
        let distances = distances[first..].par_iter_mut();
        distances.zip(points).for_each(|(nearest, row)| {
            *nearest = nearest.min(squared_distance(row, centre));
        });
        Ok(())
    })
}

/// A row of any rank with probability proportional to its weight; any row when all weights are zero,
/// which happens when there are fewer different points than clusters.
fn weighted_row(deal: &Deal, weights: &[f32], stream: &mut impl RngCore) -> usize {
    let own: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let totals = deal.ranks.one_of_each(own);
    let total: f64 = totals.iter().sum();
    if total == 0.0 {
        return below(deal.count(), stream);
    }
    let target = unit(stream) * total;
    let mut passed: f64 = totals[..deal.ranks.rank()].iter().sum();
    let reached = weights.iter().position(|&weight| {
        passed += f64::from(weight);
        weight > 0.0 && passed > target
    });
    let reached = deal.found_by_each(reached).next();
    reached.unwrap_or_else(|| {
        let last = weights.iter().rposition(|&w| w > 0.0);
        let last = deal.found_by_each(last).next_back();
        last.expect("total is positive")
    })
}

/// Uniform in `0..n`, up to a bias below `n / 2^64`.
pub(super) fn below(n: usize, stream: &mut impl RngCore) -> usize {
    ((u128::from(stream.next_u64()) * n as u128) >> 64) as usize
}

/// Uniform in `[0, 1)` with 53 bits.
pub(super) fn unit(stream: &mut impl RngCore) -> f64 {
    (stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use pass_model::group::Group;

    #[test]
    fn random_rows_are_distinct_and_depend_on_seed_and_restart() {
        let draw = |seed, restart| distinct_rows(40, 17, &mut stream(seed, restart));
        let mut rows = draw(3, 5);
        assert_eq!(rows, draw(3, 5));
        assert_ne!(rows, draw(3, 6));
        assert_ne!(rows, draw(4, 5));
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 17);
    }

    #[test]
    fn every_row_can_be_drawn() {
        let mut all = distinct_rows(9, 9, &mut stream(0, 0));
        all.sort_unstable();
        assert_eq!(all, (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn spread_rows_take_one_point_from_each_far_group() {
        let points = array![[0.0f32], [0.0], [100.0], [100.0], [-100.0], [-100.0]];
        for restart in 0..8 {
            let view = points.view();
            let deal = Deal::new(&view, &Group::default());
            let mut groups: Vec<usize> = spread_rows(&deal, 3, &mut stream(1, restart))
                .unwrap()
                .iter()
                .map(|r| r / 2)
                .collect();
            groups.sort_unstable();
            assert_eq!(groups, [0, 1, 2]);
        }
    }

    #[test]
    fn spread_rows_end_although_all_points_are_equal() {
        let points = Array2::from_elem((5, 3), 0.5f32);
        let view = points.view();
        let deal = Deal::new(&view, &Group::default());
        assert_eq!(spread_rows(&deal, 4, &mut stream(0, 0)).unwrap().len(), 4);
    }
}
