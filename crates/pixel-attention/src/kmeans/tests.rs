mod of_ranks;
mod oracles;

use ndarray::{Array2, array};

use super::*;
use crate::{error::Error, products::squared_distance, rows::tests::Elsewhere};

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
