use std::cell::RefCell;

use burn::tensor::{Int, Tensor};
use ndarray::{Array2, ArrayView2, array, s};

use super::*;
use crate::{
    error::Error,
    kmeans::{
        EmptyPolicy, Init, Metric, Run, Update, fit,
        tests::{blobs, config},
    },
    products::squared_distance,
    rows::tests::Elsewhere,
};

fn device() -> Device {
    Device::default()
}

/// Chunks of 128 points, so that a few hundred points are several.
fn small_chunks() -> DeviceOptions {
    DeviceOptions {
        chunk_bytes: 1,
        ..DeviceOptions::default()
    }
}

fn streamed() -> DeviceOptions {
    DeviceOptions {
        resident_bytes: 0,
        ..small_chunks()
    }
}

fn fit_on_device(points: ArrayView2<f32>, config: &KMeansConfig) -> Result<Run> {
    KMeans::on_device(
        &points,
        config,
        &device(),
        &small_chunks(),
        &Group::default(),
    )?
    .best(|_| ())
}

/// Two runs agree, but for the order in which numbers were summed.
#[track_caller]
fn assert_same(device: &Run, host: &Run) {
    assert!(device.assignments == host.assignments);
    assert_eq!(device.restart, host.restart);
    assert_eq!(device.iterations, host.iterations);
    let difference = &device.centroids - &host.centroids;
    let largest = difference.iter().fold(0.0f32, |m, d| m.max(d.abs()));
    assert!(largest < 1e-6, "centroids differ by {largest}");
    for (device, host) in device.history.iter().zip(&host.history) {
        // A point between two halves of a cluster may cross a step earlier or later.
        assert!((device - host).abs() <= 1e-5 * host, "{device} {host}");
    }
}

/// Restart by restart: two restarts may end in the same clusters, and rounding decides which wins.
#[test]
fn the_device_finds_the_clusters_of_the_host() {
    let points = blobs(701, 19, 5);
    let view = points.view();
    for init in [Init::Random, Init::PlusPlus] {
        for metric in [Metric::Euclidean, Metric::Spherical] {
            for clusters in [1, 3, 5] {
                let config = KMeansConfig {
                    init,
                    metric,
                    ..config(clusters)
                };
                let host = KMeans::new(&view, &config, &Group::default()).unwrap();
                let kmeans = KMeans::on_device(
                    &view,
                    &config,
                    &device(),
                    &small_chunks(),
                    &Group::default(),
                );
                let kmeans = kmeans.unwrap();
                for restart in 0..3 {
                    let host = host.restart(restart).unwrap();
                    assert_same(&kmeans.restart(restart).unwrap(), &host);
                }
            }
        }
    }
}

/// Noise without clusters, where many points lie between two centroids: the labels may differ only
/// where both are equally near within rounding.
#[test]
fn without_clusters_only_near_ties_go_elsewhere() {
    let noise = |i: usize| ((i as f32 * 78.233).sin() * 43_758.547).fract() - 0.5;
    let points = Array2::from_shape_fn((2003, 37), |(row, column)| noise(row * 37 + column));
    let (view, initial) = (points.view(), points.slice(s![..91, ..]));
    let config = KMeansConfig {
        iterations: 1,
        ..config(91)
    };
    let host = KMeans::new(&view, &config, &Group::default())
        .unwrap()
        .run_from(initial);
    let kmeans = KMeans::on_device(
        &view,
        &config,
        &device(),
        &small_chunks(),
        &Group::default(),
    )
    .unwrap();
    let (host, run) = (host.unwrap(), kmeans.run_from(initial).unwrap());
    let mut elsewhere = 0;
    for (point, (&a, &b)) in host.assignments.iter().zip(&run.assignments).enumerate() {
        let distance = |label: u32| {
            let centroid = run.centroids.row(label as usize);
            squared_distance(
                points.row(point).to_slice().unwrap(),
                centroid.to_slice().unwrap(),
            )
        };
        assert!((distance(a) - distance(b)).abs() < 1e-5, "point {point}");
        elsewhere += usize::from(a != b);
    }
    assert!(elsewhere <= 2, "{elsewhere} of 2003 points");
    assert!((run.inertia / host.inertia - 1.0).abs() < 1e-6);
}

/// Sums of small whole numbers are exact in any order, so counts and means must be the host's.
#[test]
fn whole_numbers_give_the_bits_of_the_host() {
    let points = Array2::from_shape_fn((900, 7), |(i, k)| ((i * 31 + k * 17) % 23) as f32);
    let host = fit(points.view(), &config(12)).unwrap();
    assert_eq!(fit_on_device(points.view(), &config(12)).unwrap(), host);
}

#[test]
fn streamed_points_give_the_bits_of_resident_ones() {
    let points = blobs(1500, 23, 9);
    let elsewhere = Elsewhere {
        rows: points.view(),
        broken: None,
    };
    let config = config(9);
    let view = points.view();
    let resident = KMeans::on_device(
        &view,
        &config,
        &device(),
        &small_chunks(),
        &Group::default(),
    )
    .unwrap();
    assert!(resident.device_plan().unwrap().resident);
    let streamed = KMeans::on_device(
        &elsewhere,
        &config,
        &device(),
        &streamed(),
        &Group::default(),
    )
    .unwrap();
    assert!(!streamed.device_plan().unwrap().resident);
    let (resident, streamed) = (resident.best(|_| ()), streamed.best(|_| ()));
    assert_eq!(streamed.unwrap(), resident.unwrap());
}

#[test]
fn a_file_that_breaks_while_it_is_streamed_is_an_error() {
    let points = blobs(700, 5, 3);
    let elsewhere = Elsewhere {
        rows: points.view(),
        broken: Some(650),
    };
    let config = config(3);
    let refused = KMeans::on_device(
        &elsewhere,
        &config,
        &device(),
        &streamed(),
        &Group::default(),
    );
    assert!(matches!(refused.err(), Some(Error::Io { .. })));
}

#[test]
fn empty_clusters_are_treated_as_on_the_host() {
    let points = blobs(400, 6, 3);
    let mut initial = points.slice(s![..5, ..]).to_owned();
    initial.slice_mut(s![3.., ..]).fill(50.0); // no point is near them
    let view = points.view();
    for empty in [EmptyPolicy::Split, EmptyPolicy::Farthest] {
        let config = KMeansConfig { empty, ..config(5) };
        let host = KMeans::new(&view, &config, &Group::default()).unwrap();
        let host = host.run_from(initial.view()).unwrap();
        let run = KMeans::on_device(
            &view,
            &config,
            &device(),
            &small_chunks(),
            &Group::default(),
        )
        .unwrap();
        let run = run.run_from(initial.view()).unwrap();
        assert!(run.assignments.contains(&4), "{empty:?}");
        assert_same(&run, &host);
    }
    let config = KMeansConfig {
        empty: EmptyPolicy::Error,
        ..config(5)
    };
    let kmeans = KMeans::on_device(
        &view,
        &config,
        &device(),
        &small_chunks(),
        &Group::default(),
    )
    .unwrap();
    let error = kmeans.run_from(initial.view()).unwrap_err();
    assert!(matches!(error, Error::EmptyCluster { cluster: 3, .. }));
}

#[test]
fn rows_that_are_not_finite_are_refused_by_index() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut points = blobs(300, 5, 3);
        points[[213, 4]] = bad;
        let error = fit_on_device(points.view(), &config(3)).unwrap_err();
        assert!(
            matches!(error, Error::NotFinite { row: 213, .. }),
            "{error}"
        );
    }
}

#[test]
fn every_update_is_told_and_a_run_at_rest_stops() {
    let (points, config) = (blobs(200, 5, 6), config(6));
    let updates = RefCell::new(Vec::new());
    let watch = |update: &Update| updates.borrow_mut().push(*update);
    let view = points.view();
    let kmeans = KMeans::on_device(
        &view,
        &config,
        &device(),
        &small_chunks(),
        &Group::default(),
    )
    .unwrap();
    let run = kmeans.watched_by(&watch).restart(3).unwrap();
    let updates = updates.borrow();
    let told: Vec<f64> = updates.iter().map(|update| update.inertia).collect();
    assert_eq!(told, run.history);
    assert!(updates.iter().all(|update| update.restart == 3));
    assert_eq!((updates[0].iteration, updates[0].moved), (0, 200));
    assert_eq!(updates[updates.len() - 1].moved, 0, "it came to rest");
    assert!(run.iterations < config.iterations);
}

#[test]
fn the_best_restart_wins_whole() {
    let (points, config) = (blobs(300, 8, 7), config(7));
    let mut runs = Vec::new();
    let view = points.view();
    let kmeans = KMeans::on_device(
        &view,
        &config,
        &device(),
        &small_chunks(),
        &Group::default(),
    )
    .unwrap();
    let best = kmeans.best(|run| runs.push(run.clone())).unwrap();
    assert_eq!(runs.len(), config.restarts);
    assert!(runs.iter().all(|run| best.inertia <= run.inertia));
    assert_eq!(best, runs[best.restart]);
}

#[test]
fn equal_centroids_leave_the_points_to_the_first() {
    let points = array![[1.0f32, 2.0], [1.0, 2.0], [3.0, 0.0]];
    let initial = array![[1.0f32, 2.0], [1.0, 2.0], [3.0, 0.0]];
    let (view, config) = (points.view(), config(3));
    let engine = DeviceEngine::new(&view, 3, &device(), &small_chunks()).unwrap();
    let problem = Problem::new(Deal::new(&view, &Group::default()), &config, None).unwrap();
    let sums = crate::kmeans::sums::ClusterSums::new(3, 2, None);
    let (labels, moved) = (vec![9; 3], 3);
    let mut partition = crate::kmeans::run::Partition {
        labels,
        sums,
        moved,
    };
    let engine: &dyn crate::kmeans::problem::Engine = &engine;
    let moved = engine.assign(&problem, initial.view(), &mut partition);
    assert_eq!(moved.unwrap(), 3);
    assert_eq!(partition.labels, [0, 0, 2]);
    assert_eq!(partition.sums.counts(), [2, 0, 1]);
}

/// Added one after the other in `f32`, ten thousand tenths are off by a part in ten thousand.
#[test]
fn sums_keep_what_additions_lose() {
    let point = || Tensor::<2>::from_floats([[0.1, -0.7]], &device());
    let label = || Tensor::<1, Int>::from_ints([0], &device());
    let mut totals = Tensor::<3>::zeros([2, 1, 2], &device());
    let mut plain = 0.0f32;
    for _ in 0..10_000 {
        totals = operations::add(totals, point(), label());
        plain += 0.1;
    }
    let sums = engine::read_sums(totals).unwrap();
    let error = |sum: f64, value: f32| (sum / (f64::from(value) * 1e4) - 1.0).abs();
    assert!(error(f64::from(plain), 0.1) > 1e-5);
    assert!(error(sums[0], 0.1) < 1e-9 && error(sums[1], -0.7) < 1e-9);
}

#[test]
fn the_plan_says_what_runs_and_kernels_are_refused_where_there_are_none() {
    let (points, config) = (blobs(300, 8, 7), config(7));
    let view = points.view();
    let plan = |options: &DeviceOptions| {
        KMeans::on_device(&view, &config, &device(), options, &Group::default())
            .map(|kmeans| kmeans.device_plan().unwrap())
    };
    let said = plan(&streamed()).unwrap().to_string();
    assert_eq!(
        said,
        "compute `operations`, points streamed in chunks of 128"
    );
    assert_eq!(plan(&DeviceOptions::default()).unwrap().chunk_rows, 1 << 20);
    for compute in [Compute::SortedSums, Compute::Fused] {
        let options = DeviceOptions {
            compute: Some(compute),
            ..small_chunks()
        };
        let error = plan(&options).unwrap_err().to_string();
        assert!(error.contains("feature `cube`"), "{error}");
    }
}
