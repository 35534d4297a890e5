mod of_ranks;
mod oracles;

use ndarray::{Array2, array};

use super::mini_batch::MiniBatch;
use super::*;
use crate::{products::squared_distance, rows::tests::Elsewhere};

/// Groups of points around unit directions: uneven sizes, reproducible without a generator.
pub(super) fn blobs(points: usize, dim: usize, groups: usize) -> Array2<f32> {
    let noise = |i: usize| ((i as f32 * 12.9898).sin() * 43_758.547).fract() * 0.3;
    let mut rows = Array2::from_shape_fn((points, dim), |(row, column)| {
        let centre = if (row * row) % groups == column % groups {
            1.0
        } else {
            0.0
        };
        centre + noise(row * dim + column)
    });
    normalize_rows(&mut rows);
    rows
}

pub(super) fn config(clusters: usize) -> KMeansConfig {
    KMeansConfig {
        restarts: 4,
        seed: 7,
        ..KMeansConfig::new(clusters)
    }
}

fn fit_from(
    points: ArrayView2<f32>,
    initial: ArrayView2<f32>,
    config: &KMeansConfig,
) -> Result<Run> {
    KMeans::new(&points, config, &Group::default())?.run_from(initial)
}

#[test]
fn no_centroid_is_closer_than_the_assigned_one() {
    let points = blobs(701, 19, 5);
    let run = fit(points.view(), &config(140)).unwrap();
    for (point, &label) in points.rows().into_iter().zip(&run.assignments) {
        let distance = |row: usize| {
            squared_distance(
                point.to_slice().unwrap(),
                run.centroids.row(row).to_slice().unwrap(),
            )
        };
        let nearest = (0..140).map(distance).fold(f32::INFINITY, f32::min);
        // Unit rows: the products are exact to a few 1e-7.
        assert!(distance(label as usize) <= nearest + 1e-6);
    }
}

#[test]
fn inertia_never_rises() {
    let points = blobs(530, 13, 6);
    for init in [Init::Random, Init::PlusPlus] {
        let run = fit(points.view(), &KMeansConfig { init, ..config(9) }).unwrap();
        assert!(run.history.len() > 2, "more than one update was needed");
        for pair in run.history.windows(2) {
            assert!(pair[1] <= pair[0] * (1.0 + 1e-7), "{pair:?}");
        }
    }
}

#[test]
fn one_thread_and_two_threads_agree_bit_for_bit() {
    let points = blobs(1203, 23, 7);
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| fit(points.view(), &config(31)).unwrap())
    };
    let one = in_pool(1);
    assert_eq!(one, in_pool(2));
    assert_eq!(one, in_pool(3));
}

#[test]
fn the_best_restart_wins_whole() {
    let points = blobs(400, 11, 8);
    let mut runs = Vec::new();
    let config = KMeansConfig {
        restarts: 6,
        iterations: 3,
        ..config(8)
    };
    let view = points.view();
    let kmeans = KMeans::new(&view, &config, &Group::default()).unwrap();
    let best = kmeans.best(|run| runs.push(run.clone())).unwrap();
    assert_eq!(runs.len(), 6);
    assert!(runs.iter().all(|run| best.inertia <= run.inertia));
    assert_eq!(best, runs[best.restart]);
    assert_eq!(
        best.assignments,
        assign(&points.view(), best.centroids.view()).unwrap()
    );
    let recomputed: f64 = points
        .rows()
        .into_iter()
        .zip(&best.assignments)
        .map(|(point, &label)| {
            let difference = &point - &best.centroids.row(label as usize);
            difference
                .iter()
                .map(|&d| f64::from(d) * f64::from(d))
                .sum::<f64>()
        })
        .sum();
    assert!((best.inertia - recomputed).abs() < 1e-6 * recomputed);
}

#[test]
fn a_restart_is_repeatable_and_the_seed_matters() {
    let points = blobs(300, 6, 5);
    let run = |seed| fit(points.view(), &KMeansConfig { seed, ..config(5) }).unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).history, run(2).history);
}

#[test]
fn a_converged_run_stops_early() {
    let points = array![[0.0f32], [0.1], [10.0], [10.1]];
    let config = KMeansConfig {
        iterations: 1000,
        ..config(2)
    };
    let run = fit(points.view(), &config).unwrap();
    assert!(run.iterations <= 4);
    assert_eq!(run.history.len(), run.iterations + 1);
}

#[test]
fn as_many_clusters_as_points_leaves_nothing_to_explain() {
    let points = blobs(9, 5, 3);
    let run = fit(points.view(), &config(9)).unwrap();
    assert_eq!(run.inertia, 0.0);
    let mut labels = run.assignments;
    labels.sort_unstable();
    assert_eq!(labels, (0..9).collect::<Vec<u32>>());
}

#[test]
fn an_empty_cluster_is_split_off_a_full_one() {
    let points = blobs(60, 4, 3);
    let mut initial = points.slice(ndarray::s![..3, ..]).to_owned();
    initial.row_mut(2).fill(50.0); // no point is near it
    let run = fit_from(points.view(), initial.view(), &config(3)).unwrap();
    assert!(run.assignments.contains(&2));
    let error = KMeansConfig {
        empty: EmptyPolicy::Error,
        ..config(3)
    };
    let error = fit_from(points.view(), initial.view(), &error).unwrap_err();
    assert!(
        matches!(
            error,
            Error::EmptyCluster {
                cluster: 2,
                iteration: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_column_major_array_gives_the_same_clusters() {
    let points = blobs(90, 7, 4);
    let transposed = points.t().as_standard_layout().into_owned();
    assert_eq!(
        fit(points.view(), &config(4)).unwrap(),
        fit(transposed.t(), &config(4)).unwrap()
    );
}

#[test]
fn rows_that_are_not_finite_are_refused_by_index() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        let mut points = blobs(700, 5, 3);
        points[[613, 4]] = bad;
        points[[680, 0]] = bad;
        let error = fit(points.view(), &config(3)).unwrap_err();
        assert!(
            matches!(
                error,
                Error::NotFinite {
                    what: "point",
                    row: 613
                }
            ),
            "{error}"
        );
        let centroids = blobs(3, 5, 3);
        let error = assign(&points.view(), centroids.view()).unwrap_err();
        assert!(
            matches!(error, Error::NotFinite { row: 613, .. }),
            "{error}"
        );
        let error = assign(&centroids.view(), points.view()).unwrap_err();
        assert!(
            matches!(
                error,
                Error::NotFinite {
                    what: "centroid",
                    row: 613
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn fewer_points_than_clusters_are_refused_with_both_numbers() {
    let error = fit(blobs(6, 3, 2).view(), &config(7)).unwrap_err();
    assert!(matches!(
        error,
        Error::TooFewPoints {
            points: 6,
            clusters: 7
        }
    ));
    assert!(error.to_string().contains("6 points") && error.to_string().contains("7 clusters"));
}

#[test]
fn settings_of_zero_are_refused() {
    let points = blobs(6, 3, 2);
    for config in [
        KMeansConfig {
            clusters: 0,
            ..config(2)
        },
        KMeansConfig {
            iterations: 0,
            ..config(2)
        },
        KMeansConfig {
            restarts: 0,
            ..config(2)
        },
    ] {
        assert!(matches!(
            fit(points.view(), &config),
            Err(Error::Setting { .. })
        ));
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let points = blobs(6, 3, 2);
    let wide = blobs(2, 4, 2);
    assert!(matches!(
        assign(&points.view(), wide.view()),
        Err(Error::Shape { .. })
    ));
    let none = Array2::zeros((0, 3));
    assert!(matches!(
        assign(&points.view(), none.view()),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        fit_from(points.view(), points.view(), &config(2)),
        Err(Error::Shape { .. })
    ));
    let columnless = Array2::zeros((6, 0));
    assert!(matches!(
        fit(columnless.view(), &config(2)),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn rows_in_a_file_give_the_same_bits_as_rows_in_memory() {
    // Wide rows: several parts of 1024 each.
    let points = blobs(2500, 5000, 9);
    let streamed = Elsewhere {
        rows: points.view(),
        broken: None,
    };
    for init in [Init::Random, Init::PlusPlus] {
        let config = KMeansConfig {
            init,
            restarts: 1,
            iterations: 4,
            ..config(9)
        };
        let resident = fit(points.view(), &config).unwrap();
        let run = KMeans::new(&streamed, &config, &Group::default())
            .unwrap()
            .best(|_| ())
            .unwrap();
        assert!(run.iterations > 1);
        assert_eq!(run, resident);
    }
    let broken = Elsewhere {
        broken: Some(2100),
        ..streamed
    };
    assert!(matches!(
        KMeans::new(&broken, &config(9), &Group::default()),
        Err(Error::Io { .. })
    ));
}

#[test]
fn the_farthest_points_fill_empty_clusters() {
    let points = array![[0.0f32], [1.0], [2.0], [40.0], [100.0], [101.0]];
    let initial = array![[1.0f32], [100.0], [-500.0], [-600.0]];
    let config = KMeansConfig {
        empty: EmptyPolicy::Farthest,
        ..config(4)
    };
    let run = fit_from(points.view(), initial.view(), &config).unwrap();
    // 40 is farthest from its centroid, 1; then 0 (before 2 and 101, which are as far).
    assert_eq!(run.assignments, [3, 0, 0, 2, 1, 1]);
    assert_eq!(run.centroids, array![[1.5f32], [100.5], [40.0], [0.0]]);
}

/// Clusters of directions, whatever the lengths; the oracle scales by hand.
#[test]
fn spherical_centroids_have_length_one_and_win_by_product() {
    let mut points = blobs(300, 8, 4);
    for (index, mut row) in points.rows_mut().into_iter().enumerate() {
        row *= 0.5 + (index % 7) as f32;
    }
    let config = KMeansConfig {
        metric: Metric::Spherical,
        ..config(4)
    };
    let run = fit(points.view(), &config).unwrap();
    for centroid in run.centroids.rows() {
        assert!((centroid.dot(&centroid) - 1.0).abs() < 1e-6);
    }
    for (point, &label) in points.rows().into_iter().zip(&run.assignments) {
        let products = run.centroids.dot(&point);
        let largest = products.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!(products[label as usize] >= largest - 1e-5);
    }
    for pair in run.history.windows(2) {
        assert!(pair[1] <= pair[0] * (1.0 + 1e-7), "{pair:?}");
    }
}

#[test]
fn weights_count_as_repeated_points() {
    let points = blobs(90, 6, 4);
    let weights: Vec<f32> = (0..90).map(|i| (1 + i % 3) as f32).collect();
    let repeated: Vec<usize> = (0..90).flat_map(|i| vec![i; 1 + i % 3]).collect();
    let repeated = points.select(ndarray::Axis(0), &repeated);
    let initial = points.slice(ndarray::s![..4, ..]);
    let (view, config) = (points.view(), config(4));
    let weighted = KMeans::weighted(&view, &weights, &config).unwrap();
    let weighted = weighted.run_from(initial).unwrap();
    let plain = fit_from(repeated.view(), initial, &config).unwrap();
    assert!((weighted.inertia / plain.inertia - 1.0).abs() < 1e-9);
    let difference = &weighted.centroids - &plain.centroids;
    assert!(difference.iter().all(|d| d.abs() < 1e-6));
}

#[test]
fn weights_that_mean_nothing_are_refused() {
    let (points, config) = (blobs(9, 3, 2), config(2));
    let view = points.view();
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let mut weights = [1.0; 9];
        weights[7] = bad;
        let error = KMeans::weighted(&view, &weights, &config).err().unwrap();
        assert!(error.to_string().contains("at point 7"), "{error}");
    }
    let few = KMeans::weighted(&view, &[1.0; 8], &config);
    assert!(matches!(few, Err(Error::Shape { .. })));
}

#[test]
fn a_tolerance_ends_a_run_earlier() {
    let points = blobs(900, 12, 30);
    let run = |tolerance| {
        fit(
            points.view(),
            &KMeansConfig {
                tolerance,
                restarts: 1,
                ..config(12)
            },
        )
        .unwrap()
    };
    let (exact, rough) = (run(0.0), run(0.02));
    assert!(rough.iterations < exact.iterations);
    assert_eq!(rough.history, exact.history[..=rough.iterations]);
    let refused = fit(
        points.view(),
        &KMeansConfig {
            tolerance: 1.0,
            ..config(12)
        },
    );
    assert!(matches!(refused, Err(Error::Setting { .. })));
}

#[test]
fn every_update_is_told() {
    let (points, config) = (blobs(200, 5, 6), config(6));
    let updates = std::cell::RefCell::new(Vec::new());
    let watch = |update: &Update| updates.borrow_mut().push(*update);
    let view = points.view();
    let kmeans = KMeans::new(&view, &config, &Group::default())
        .unwrap()
        .watched_by(&watch);
    let run = kmeans.restart(3).unwrap();
    let told: Vec<f64> = updates
        .borrow()
        .iter()
        .map(|update| update.inertia)
        .collect();
    assert_eq!(told, run.history);
    let updates = updates.borrow();
    assert!(updates.iter().all(|update| update.restart == 3));
    assert_eq!((updates[0].iteration, updates[0].moved), (0, 200));
    assert_eq!(updates[updates.len() - 1].moved, 0, "it came to rest");
}

/// Batches find nearly what all points find.
#[test]
fn mini_batches_come_close_to_the_full_algorithm() {
    let points = blobs(4000, 10, 8);
    let config = KMeansConfig {
        init: Init::PlusPlus,
        ..config(8)
    };
    let view = points.view();
    let kmeans = KMeans::new(&view, &config, &Group::default()).unwrap();
    let full = kmeans.best(|_| ()).unwrap();
    let batch = MiniBatch {
        points: 200,
        batches: 60,
    };
    let rough = mini_batch::fit(&kmeans, batch).unwrap();
    assert!(rough.inertia >= full.inertia * 0.999);
    assert!(
        rough.inertia < full.inertia * 1.05,
        "{} {}",
        rough.inertia,
        full.inertia
    );
    assert_eq!(rough, mini_batch::fit(&kmeans, batch).unwrap());
    let none = MiniBatch { points: 0, ..batch };
    assert!(matches!(
        mini_batch::fit(&kmeans, none),
        Err(Error::Setting { .. })
    ));
}
