//! A suggestion of the number of clusters.
//!
//! Clusters that are there are found again in another sample of the points (Lange et al. 2004,
//! <https://doi.org/10.1162/089976604773717621>), and each of their points lies much nearer to its own
//! centroid than to the next (the simplified silhouette of Hruschka et al. 2004,
//! <https://doi.org/10.1109/ICDM.2004.10073>).

use luss_metrics::adjusted_rand_index;
use ndarray::{Array2, ArrayView2};
use pass_model::group::Group;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Init, KMeans, KMeansConfig, Metric, Run,
    init::{distinct_rows, stream},
};
use crate::{
    error::{Error, Result, at_least_one, setting},
    products::{row_products, squared_norm},
    rows::{Normalized, Rows},
};

/// Clusters with at least this stability count as found again.
pub const REPRODUCIBLE: f64 = 0.75;

/// Share of the points in each resample.
const RESAMPLE: f64 = 0.8;

/// Settings of [`suggest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuggestConfig {
    /// The largest number of clusters that is tried, at least 2.
    pub limit: usize,
    /// Numbers of clusters between 2 and `limit` that are tried first, in equal ratios; at least 2.
    pub numbers: usize,
    /// Most points that are looked at, at least 10.
    pub points: usize,
    /// Resamples that are compared with each other, at least 2.
    pub resamples: usize,
    /// Restarts of k-means on each, at least 1.
    pub restarts: usize,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Default for SuggestConfig {
    fn default() -> Self {
        Self {
            limit: 64,
            numbers: 12,
            points: 2000,
            resamples: 4,
            restarts: 30,
            seed: 0,
        }
    }
}

impl SuggestConfig {
    /// Whether every setting lies in its range.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for the first that does not.
    pub fn check(&self) -> Result<()> {
        let Self {
            limit,
            numbers,
            points,
            resamples,
            ..
        } = *self;
        setting("suggest.limit", limit, limit >= 2, "at least 2")?;
        setting("suggest.numbers", numbers, numbers >= 2, "at least 2")?;
        setting("suggest.points", points, points >= 10, "at least 10")?;
        setting("suggest.resamples", resamples, resamples >= 2, "at least 2")?;
        at_least_one("suggest.restarts", self.restarts)
    }
}

/// A suggested number of clusters, and what it was chosen by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The number of clusters K.
    pub clusters: usize,
    /// Whether clusters of this number were found again in other resamples. If not, no number of
    /// clusters is distinct in these points.
    pub reproducible: bool,
    /// What was tried, the smallest number first.
    pub curve: Vec<Candidate>,
}

/// A number of clusters that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The number K.
    pub clusters: usize,
    /// Mean adjusted Rand index of the points that two resamples share, over all pairs of resamples;
    /// 1 where the same clusters are found, 0 where they are unrelated.
    pub stability: f64,
    /// Mean over all points of `(b − a) / b`, where `a` and `b` are one minus the cosine with their own
    /// centroid and with the next one; `0..=1`.
    pub silhouette: f64,
}

/// Suggests how many clusters to make of rows, by spherical k-means of resamples.
///
/// 1. Numbers between 2 and the limit are tried, then those between the neighbours of the chosen one,
///    up to eight.
/// 2. Chosen is the number of the largest silhouette among those whose stability is at least
///    [`REPRODUCIBLE`]; if there is none, the one of the largest stability.
///
/// It is a suggestion of what is distinct, not of what people name.
///
/// No more clusters are tried than a quarter of a resample has points. The result does not depend on
/// the number of threads.
///
/// # Shapes
///
/// - `rows`: `[N, D]`, `N >= 10`; they are brought to length 1
///
/// # Errors
///
/// Settings out of range, fewer than ten rows, a row with NaN or infinity among the rows that are
/// looked at, a file that cannot be read.
///
/// # Example
///
/// ```
/// use ndarray::Array2;
/// use pixel_attention::kmeans::suggest::{SuggestConfig, suggest};
///
/// // Forty points around each of three axes.
/// let points = Array2::from_shape_fn((120, 3), |(row, column)| {
///     if row % 3 == column { 1.0 } else { (row * 7 % 11) as f32 / 50.0 }
/// });
/// let suggestion = suggest(&points.view(), &SuggestConfig { limit: 6, ..Default::default() })?;
/// assert_eq!(suggestion.clusters, 3);
/// # Ok::<(), pixel_attention::Error>(())
/// ```
pub fn suggest(rows: &dyn Rows, config: &SuggestConfig) -> Result<Suggestion> {
    config.check()?;
    let points = sample(rows, config)?;
    let of_resample = (RESAMPLE * points.nrows() as f64) as usize;
    let limit = config.limit.min(of_resample / 4).max(2);
    let resamples: Vec<Resample> = (0..config.resamples)
        .map(|at| Resample::draw(points.view(), of_resample, config.seed, at))
        .collect();
    let look = |clusters: usize| candidate(&resamples, clusters, config);
    let first = equal_ratios(limit, config.numbers);
    let mut curve = first.into_iter().map(look).collect::<Result<Vec<_>>>()?;
    let between = between_neighbours(&curve, choose(&curve));
    for clusters in between {
        curve.push(look(clusters)?);
    }
    curve.sort_by_key(|candidate| candidate.clusters);
    let chosen = curve[choose(&curve)];
    Ok(Suggestion {
        clusters: chosen.clusters,
        reproducible: chosen.stability >= REPRODUCIBLE,
        curve,
    })
}

/// Some of the points, and where they lie among all.
struct Resample {
    points: Array2<f32>,
    /// For each of all points its place here.
    places: Vec<Option<usize>>,
}

impl Resample {
    fn draw(all: ArrayView2<f32>, count: usize, seed: u64, at: usize) -> Self {
        let chosen = distinct_rows(all.nrows(), count, &mut draws(seed, at + 1));
        let mut places = vec![None; all.nrows()];
        for (place, &row) in chosen.iter().enumerate() {
            places[row] = Some(place);
        }
        let points = all.select(ndarray::Axis(0), &chosen);
        Self { points, places }
    }

    fn cluster(&self, clusters: usize, config: &SuggestConfig) -> Result<Run> {
        let config = KMeansConfig {
            restarts: config.restarts,
            seed: config.seed,
            init: Init::PlusPlus,
            metric: Metric::Spherical,
            ..KMeansConfig::new(clusters)
        };
        KMeans::new(&self.points.view(), &config, &Group::default())?.best(|_| ())
    }
}

/// Stream 0 draws the points, each resample has one of its own. They count down from the last, since
/// the restarts of k-means count up from the first.
fn draws(seed: u64, at: usize) -> ChaCha8Rng {
    stream(seed, usize::MAX - at)
}

/// At most so many rows of length 1.
fn sample(rows: &dyn Rows, config: &SuggestConfig) -> Result<Array2<f32>> {
    let (count, columns) = (rows.count(), rows.columns());
    if count < 10 {
        let (what, reason) = (
            "embeddings",
            format!("{count} are too few to suggest a number of clusters; at least 10 are needed"),
        );
        return Err(Error::Shape { what, reason });
    }
    let mut chosen = distinct_rows(count, config.points.min(count), &mut draws(config.seed, 0));
    chosen.sort_unstable();
    let mut points = Array2::zeros((chosen.len(), columns));
    for (mut point, row) in points.rows_mut().into_iter().zip(chosen) {
        let point = point.as_slice_mut().expect("standard layout");
        Normalized(rows).read(row, point)?;
        if !squared_norm(point).is_finite() {
            let what = "embedding";
            return Err(Error::NotFinite { what, row });
        }
    }
    Ok(points)
}

fn candidate(resamples: &[Resample], clusters: usize, config: &SuggestConfig) -> Result<Candidate> {
    let runs = resamples
        .iter()
        .map(|resample| resample.cluster(clusters, config));
    let runs = runs.collect::<Result<Vec<Run>>>()?;
    let found: Vec<(&Resample, &Run)> = resamples.iter().zip(&runs).collect();
    let agreements = found
        .iter()
        .enumerate()
        .flat_map(|(at, &a)| found[..at].iter().map(move |&b| agreement(a, b)));
    let silhouettes = found
        .iter()
        .map(|(resample, run)| silhouette(&resample.points, run));
    Ok(Candidate {
        clusters,
        stability: mean(agreements),
        silhouette: mean(silhouettes),
    })
}

/// Adjusted Rand index of the points that both have.
fn agreement((a, of_a): (&Resample, &Run), (b, of_b): (&Resample, &Run)) -> f64 {
    let places = a.places.iter().zip(&b.places);
    let shared = places.filter_map(|(&a, &b)| Some((of_a.assignments[a?], of_b.assignments[b?])));
    let (in_a, in_b): (Vec<u32>, Vec<u32>) = shared.unzip();
    adjusted_rand_index(&in_a, &in_b)
}

fn silhouette(points: &Array2<f32>, run: &Run) -> f64 {
    let (clusters, columns) = run.centroids.dim();
    let centroids = run.centroids.as_slice().expect("standard layout");
    let of_points: Vec<f64> = points
        .as_slice()
        .expect("standard layout")
        .par_chunks(256 * columns)
        .flat_map_iter(|block| {
            let count = block.len() / columns;
            let mut cosines = vec![0.0; count * clusters];
            row_products(centroids, block, columns, &mut cosines);
            let rows = cosines.chunks_exact(clusters).map(of_point);
            rows.collect::<Vec<_>>()
        })
        .collect();
    mean(of_points.into_iter())
}

/// The silhouette of a point by its cosines with all centroids.
fn of_point(cosines: &[f32]) -> f64 {
    let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &cosine in cosines {
        second = second.max(cosine.min(first));
        first = first.max(cosine);
    }
    let [own, next] = [first, second].map(|cosine| (1.0 - f64::from(cosine)).max(0.0));
    if next > 0.0 { (next - own) / next } else { 0.0 }
}

/// The place of the chosen candidate.
fn choose(curve: &[Candidate]) -> usize {
    let rank = |candidate: &Candidate| match candidate.stability >= REPRODUCIBLE {
        true => (1, candidate.silhouette),
        false => (0, candidate.stability),
    };
    let places = 0..curve.len();
    let better = |best: usize, at: usize| {
        if rank(&curve[at]) > rank(&curve[best]) {
            at
        } else {
            best
        }
    };
    places.reduce(better).expect("a number was tried")
}

/// Whole numbers from 2 to `limit` whose ratios are as equal as they can be, each once.
fn equal_ratios(limit: usize, count: usize) -> Vec<usize> {
    let ratio = (limit as f64 / 2.0).powf(1.0 / (count - 1) as f64);
    let mut numbers: Vec<usize> = (0..count)
        .map(|at| (2.0 * ratio.powi(at as i32)).round() as usize)
        .collect();
    numbers.dedup();
    numbers
}

/// Up to eight numbers around a place of the curve that were not tried, evenly.
fn between_neighbours(curve: &[Candidate], at: usize) -> Vec<usize> {
    let low = curve[at.saturating_sub(1)].clusters;
    let high = curve[(at + 1).min(curve.len() - 1)].clusters;
    let open: Vec<usize> = (low..high)
        .filter(|&number| curve.iter().all(|tried| tried.clusters != number))
        .collect();
    let step = open.len().div_ceil(8).max(1);
    open.into_iter().step_by(step).collect()
}

fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0u32);
    for number in numbers {
        (sum, count) = (sum + number, count + 1);
    }
    sum / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmeans::init::{below, unit};

    /// Points around `clusters` random directions of 24 dimensions, in equal numbers. A deviation of 1
    /// is as long as the direction itself.
    fn mixture(clusters: usize, deviation: f64, points: usize, seed: u64) -> Array2<f32> {
        let mut stream = stream(seed, 99);
        let mut normal = || (0..12).map(|_| unit(&mut stream)).sum::<f64>() - 6.0;
        let scale = 1.0 / 24f64.sqrt();
        let centres = Array2::from_shape_simple_fn((clusters, 24), &mut normal) * scale;
        let noise = Array2::from_shape_simple_fn((points, 24), &mut normal) * (scale * deviation);
        let row = |(at, column)| (centres[[at % clusters, column]] + noise[[at, column]]) as f32;
        Array2::from_shape_fn((points, 24), row)
    }

    fn of(clusters: usize, deviation: f64, seed: u64) -> Suggestion {
        let points = mixture(clusters, deviation, 240, seed);
        let config = SuggestConfig {
            limit: 12,
            numbers: 6,
            resamples: 3,
            seed,
            ..SuggestConfig::default()
        };
        suggest(&points.view(), &config).unwrap()
    }

    #[test]
    fn distinct_clusters_are_counted() {
        let cases = [(2, 0.8, 0), (3, 0.4, 0), (5, 0.8, 1), (8, 0.4, 0)];
        for (clusters, deviation, seed) in cases {
            let found = of(clusters, deviation, seed);
            assert!(found.reproducible);
            assert_eq!(found.clusters, clusters, "{deviation}: {:?}", found.curve);
        }
    }

    #[test]
    fn points_without_clusters_are_said_to_have_none() {
        let found = of(1, 20.0, 5);
        assert!(!found.reproducible, "{found:?}");
    }

    #[test]
    fn the_suggestion_does_not_depend_on_the_number_of_threads() {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| of(5, 0.8, 3))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn the_curve_rises_and_few_points_bound_it() {
        let points = mixture(3, 0.3, 40, 1);
        let found = suggest(&points.view(), &SuggestConfig::default()).unwrap();
        assert!(found.curve.is_sorted_by(|a, b| a.clusters < b.clusters));
        assert_eq!(found.curve.last().unwrap().clusters, 8);
        assert_eq!(found.clusters, 3);
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let few = mixture(3, 0.3, 9, 1);
        assert!(suggest(&few.view(), &SuggestConfig::default()).is_err());
        let mut bad = mixture(3, 0.3, 40, 1);
        bad[[below(40, &mut stream(0, 0)), 2]] = f32::NAN;
        let error = suggest(&bad.view(), &SuggestConfig::default()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row, .. } if bad[[row, 2]].is_nan()));
        let one = SuggestConfig {
            limit: 1,
            ..SuggestConfig::default()
        };
        let said = suggest(&few.view(), &one).unwrap_err().to_string();
        assert_eq!(said, "suggest.limit is 1, but it must be at least 2");
    }

    #[test]
    fn numbers_are_tried_in_equal_ratios_and_around_the_best() {
        assert_eq!(
            equal_ratios(64, 12),
            [2, 3, 4, 5, 7, 10, 13, 18, 25, 34, 47, 64]
        );
        assert_eq!(equal_ratios(3, 12), [2, 3]);
        let curve = [7, 10, 13].map(|clusters| Candidate {
            clusters,
            stability: 1.0,
            silhouette: 0.5,
        });
        assert_eq!(between_neighbours(&curve, 1), [8, 9, 11, 12]);
        assert_eq!(between_neighbours(&curve, 2), [11, 12]);
    }
}
