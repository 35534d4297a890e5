//! How long do an assignment and a few iterations of k-means take, beside the crate `kentro`?
//!
//! Both cluster the same rows for the same number of iterations, from rows chosen at random, on
//! rayon's threads (`RAYON_NUM_THREADS`), and assign once more at the end. kentro has no seed, and
//! returns no inertia.

use std::{hint::black_box, time::Duration};

use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main, measurement::WallTime,
};
use luss_benches::mixture;
use ndarray::{Array2, ArrayView2, s};
use pixel_attention::kmeans::{KMeansConfig, assign, fit};

/// Points, columns and clusters: 50 classes, the same from the wide network, 300 classes.
const SIZES: [[usize; 3]; 3] = [[20_000, 128, 50], [64_000, 512, 50], [20_000, 512, 300]];

const ITERATIONS: usize = 3;

fn kmeans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kmeans");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    for [points, dim, clusters] in SIZES {
        let rows = mixture(points, dim, clusters);
        let size = format!("{points}x{dim}, k {clusters}");
        bench_assign(&mut group, &size, rows.view(), clusters);
        bench_fit(&mut group, &size, rows.view(), clusters);
        bench_kentro(&mut group, &size, &rows, clusters);
    }
    group.finish();
}

fn bench_assign(
    group: &mut BenchmarkGroup<WallTime>,
    size: &str,
    rows: ArrayView2<f32>,
    clusters: usize,
) {
    let centroids = rows.slice(s![..clusters, ..]);
    group.bench_function(format!("assign/{size}"), |bencher| {
        bencher.iter(|| assign(black_box(&rows), centroids).expect("finite rows"));
    });
}

fn bench_fit(
    group: &mut BenchmarkGroup<WallTime>,
    size: &str,
    rows: ArrayView2<f32>,
    clusters: usize,
) {
    let config = KMeansConfig {
        iterations: ITERATIONS,
        restarts: 1,
        ..KMeansConfig::new(clusters)
    };
    let name = format!("fit/{size}, {ITERATIONS} iterations");
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let run = fit(black_box(rows), &config).expect("finite rows");
            assert_eq!(run.iterations, ITERATIONS, "came to rest before the peer");
            run
        });
    });
}

fn bench_kentro(
    group: &mut BenchmarkGroup<WallTime>,
    size: &str,
    rows: &Array2<f32>,
    clusters: usize,
) {
    let values = rows.as_slice().expect("standard layout");
    let rows = ndarray16::ArrayView2::from_shape(rows.dim(), values).expect("the same shape");
    let name = format!("fit by kentro/{size}, {ITERATIONS} iterations");
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut kmeans = kentro::KMeans::new(clusters)
                .with_euclidean(true)
                .with_iterations(ITERATIONS);
            kmeans.train(black_box(rows), None).expect("enough rows")
        });
    });
}

criterion_group!(benches, kmeans);
criterion_main!(benches);
