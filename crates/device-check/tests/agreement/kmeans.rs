//! k-means: the clusters of the device are those of the host, whichever way it computes.

use burn::tensor::{Device, TensorData};
use device_check::{Numbers, Products, tested};
use ndarray::{Array2, ArrayView2, s};
use pass_model::group::Group;
use pixel_attention::kmeans::{
    EmptyPolicy, KMeans, KMeansConfig, Metric, Run,
    device::{Compute, DeviceOptions},
};

const KERNELS: [Compute; 2] = [Compute::SortedSums, Compute::Fused];

/// The kernels, where the device under test takes them; on the CPU, which checks the checks, none.
fn kernels() -> &'static [Compute] {
    let cpu = tested().device == Device::flex();
    if cpu { &[] } else { &KERNELS }
}

fn by(compute: Compute) -> DeviceOptions {
    DeviceOptions {
        compute: Some(compute),
        ..DeviceOptions::default()
    }
}

/// Standard normal noise: no clusters, many near ties.
fn noise(seed: u64, points: usize, columns: usize) -> Array2<f32> {
    let values = Numbers::new(seed).normal([points, columns]);
    array(values, points, columns)
}

/// Groups of points around centres that are far apart.
fn groups(points: usize, columns: usize, groups: usize) -> Array2<f32> {
    let centres = noise(1, groups, columns) * 4.0;
    let mut rows = noise(2, points, columns) * 0.1;
    for (index, mut row) in rows.rows_mut().into_iter().enumerate() {
        row += &centres.row(index * index % groups);
    }
    rows
}

fn array(values: TensorData, points: usize, columns: usize) -> Array2<f32> {
    let values = values.try_to_vec::<f32>().expect("float32");
    Array2::from_shape_vec((points, columns), values).expect("points x columns")
}

fn config(clusters: usize, iterations: usize) -> KMeansConfig {
    KMeansConfig {
        iterations,
        restarts: 1,
        ..KMeansConfig::new(clusters)
    }
}

fn on_host(points: ArrayView2<f32>, config: &KMeansConfig) -> Run {
    let initial = points.slice(s![..config.clusters, ..]);
    let kmeans = KMeans::new(&points, config, &Group::default()).expect("finite");
    kmeans.run_from(initial).expect("no policy forbids")
}

fn on_device(points: ArrayView2<f32>, config: &KMeansConfig, options: &DeviceOptions) -> Run {
    let initial = points.slice(s![..config.clusters, ..]);
    let kmeans = KMeans::on_device(
        &points,
        config,
        &tested().device,
        options,
        &Group::default(),
    )
    .expect("it is there");
    println!("{}", kmeans.device_plan().expect("it is on a device"));
    kmeans.run_from(initial).expect("the device works")
}

/// How much farther than the nearest centroid a point's own may be, relative to its squared length:
/// rounding of `compute`'s products.
fn slack(compute: Compute) -> f32 {
    match (compute, tested().products) {
        (Compute::Fused, _) | (_, Products::Float32) => 1e-5,
        (_, Products::PerhapsTf32) => 5e-3,
    }
}

/// Every label names the nearest of the run's own centroids, but for ties within rounding.
#[track_caller]
fn assert_nearest(points: ArrayView2<f32>, run: &Run, slack: f32) {
    for (point, &label) in points.rows().into_iter().zip(&run.assignments) {
        let distance = |centroid: usize| {
            let difference = &point - &run.centroids.row(centroid);
            difference.dot(&difference)
        };
        let nearest = (0..run.centroids.nrows())
            .map(distance)
            .fold(f32::INFINITY, f32::min);
        let allowed = nearest + slack * (1.0 + point.dot(&point));
        assert!(distance(label as usize) <= allowed);
    }
}

#[track_caller]
fn assert_same(compute: Compute, run: &Run, host: &Run) {
    assert_eq!(run.assignments, host.assignments, "{compute}");
    let difference = &run.centroids - &host.centroids;
    let largest = difference.iter().fold(0.0f32, |m, d| m.max(d.abs()));
    assert!(largest < 1e-5, "{compute}: centroids differ by {largest}");
    assert!((run.inertia / host.inertia - 1.0).abs() < 1e-5, "{compute}");
}

/// What the device takes without being told, so that no fallback goes unnoticed.
#[test]
fn a_gpu_takes_the_kernels_by_itself() {
    let (points, config) = (noise(3, 9, 4), config(2, 1));
    let (view, options) = (points.view(), DeviceOptions::default());
    let kmeans = KMeans::on_device(
        &view,
        &config,
        &tested().device,
        &options,
        &Group::default(),
    )
    .expect("it is there");
    let expected = kernels().last().copied().unwrap_or(Compute::Operations);
    assert_eq!(kmeans.device_plan().expect("on a device").compute, expected);
}

/// One shape, since burn tunes its products for each.
#[test]
fn operations_find_the_clusters_of_the_host() {
    let points = groups(301, 19, 50);
    let config = config(50, 3);
    let run = on_device(points.view(), &config, &by(Compute::Operations));
    assert_same(Compute::Operations, &run, &on_host(points.view(), &config));
    assert_nearest(points.view(), &run, slack(Compute::Operations));
}

#[test]
fn kernels_find_the_clusters_of_the_host() {
    for [count, columns, clusters] in [[301, 19, 50], [129, 1, 1], [997, 65, 130]] {
        let points = groups(count, columns, clusters);
        let config = config(clusters, 3);
        let host = on_host(points.view(), &config);
        let run = on_device(points.view(), &config, &by(Compute::Fused));
        assert_same(Compute::Fused, &run, &host);
    }
}

/// As many centroids as PASS has, and points between them.
#[test]
fn kernels_choose_the_nearest_of_many_centroids() {
    let points = noise(4, 1501, 12);
    for metric in [Metric::Euclidean, Metric::Spherical] {
        let config = KMeansConfig {
            metric,
            ..config(919, 1)
        };
        let host = on_host(points.view(), &config);
        for &compute in kernels() {
            if metric == Metric::Spherical && compute == Compute::SortedSums {
                continue; // another shape to tune for nothing new
            }
            let run = on_device(points.view(), &config, &by(compute));
            if metric == Metric::Euclidean {
                assert_nearest(points.view(), &run, slack(compute));
            }
            let elsewhere = run.assignments.iter().zip(&host.assignments);
            let elsewhere = elsewhere.filter(|(a, b)| a != b).count();
            println!("{compute}: {elsewhere} of 1501 points elsewhere");
            let share = f64::from(slack(compute)) * 1501.0;
            assert!(elsewhere as f64 <= share.max(2.0), "{elsewhere}");
        }
    }
}

#[test]
fn kernels_treat_empty_clusters_as_the_host_does() {
    let points = groups(301, 19, 5);
    for empty in [EmptyPolicy::Split, EmptyPolicy::Farthest] {
        let config = KMeansConfig {
            empty,
            ..config(7, 4)
        };
        let view = points.view();
        let mut initial = points.slice(s![..7, ..]).to_owned();
        initial.slice_mut(s![5.., ..]).fill(900.0); // no point is near them
        let host = KMeans::new(&view, &config, &Group::default()).expect("finite");
        let host = host.run_from(initial.view()).expect("points are given");
        for &compute in kernels() {
            let device = &tested().device;
            let run = KMeans::on_device(&view, &config, device, &by(compute), &Group::default())
                .expect("there");
            let run = run.run_from(initial.view()).expect("points are given");
            assert_eq!(run.history.len(), host.history.len());
            match empty {
                EmptyPolicy::Split => assert_split(compute, points.view(), &run, &host),
                _ => assert_same(compute, &run, &host),
            }
        }
    }
}

/// The halves of a split cluster are so close that rounding decides where some points go; what must
/// agree is that every cluster has points again, and how well they fit.
#[track_caller]
fn assert_split(compute: Compute, points: ArrayView2<f32>, run: &Run, host: &Run) {
    for run in [run, host] {
        let clusters = 0..run.centroids.nrows() as u32;
        let empty = clusters.filter(|cluster| !run.assignments.contains(cluster));
        assert_eq!(empty.count(), 0, "{compute}");
    }
    assert_nearest(points, run, slack(compute));
    let ratio = run.inertia / host.inertia;
    assert!(
        (ratio - 1.0).abs() < 1e-2,
        "{compute}: inertia {ratio} of the host's"
    );
}

#[test]
fn streamed_points_give_the_bits_of_resident_ones() {
    let points = groups(700, 19, 9);
    let config = config(9, 3);
    for &compute in kernels() {
        let resident = DeviceOptions {
            chunk_bytes: 1, // 128 points
            ..by(compute)
        };
        let streamed = DeviceOptions {
            resident_bytes: 0,
            ..resident.clone()
        };
        let resident = on_device(points.view(), &config, &resident);
        assert_eq!(on_device(points.view(), &config, &streamed), resident);
    }
}

/// Twenty thousand tenths, added one after the other: `f32` alone would lose the fourth digit, and
/// so would a compiler that takes the compensation for zero.
#[test]
fn kernels_keep_what_additions_lose() {
    let points = Array2::from_elem((20_000, 3), 0.1f32);
    let config = config(1, 1);
    for &compute in kernels() {
        let run = on_device(points.view(), &config, &by(compute));
        assert_eq!(
            run.centroids,
            Array2::from_elem((1, 3), 0.1f32),
            "{compute}"
        );
    }
}
