//! One clustering by a peer: `peer-clustering ENGINE ROWS.npy CLUSTERS ITERATIONS` prints seconds and inertia.
//!
//! Both run on rayon's threads. linfa starts from the first rows of the file, kentro from rows of its
//! own choice (it takes neither centroids nor a seed). Reading the file and the inertia are not timed.

use std::{env, process::ExitCode, time::Instant};

use linfa::{DatasetBase, traits::Fit};
use linfa_clustering::{KMeans, KMeansInit};
use linfa_nn::distance::L2Dist;
use ndarray::{Array2, ArrayView2, Axis, parallel::prelude::*, s};
use rand_xoshiro::{Xoshiro256Plus, rand_core::SeedableRng};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [engine, rows, clusters, iterations] = &arguments[..] else {
        eprintln!("usage: peer-clustering kentro|linfa ROWS.npy CLUSTERS ITERATIONS");
        return ExitCode::FAILURE;
    };
    let rows: Array2<f32> = ndarray_npy::read_npy(rows).expect("a float32 .npy file");
    let clusters = clusters.parse().expect("a number of clusters");
    let iterations = iterations.parse().expect("a number of iterations");
    let start = Instant::now();
    let centroids = match engine.as_str() {
        "kentro" => kentro(rows.view(), clusters, iterations),
        "linfa" => linfa(&rows, clusters, iterations),
        other => panic!("no engine {other}"),
    };
    let seconds = start.elapsed().as_secs_f64();
    let inertia = inertia(rows.view(), centroids.view());
    println!("{{\"seconds\": {seconds}, \"inertia\": {inertia}}}");
    ExitCode::SUCCESS
}

fn kentro(rows: ArrayView2<f32>, clusters: usize, iterations: usize) -> Array2<f32> {
    let mut kmeans = kentro::KMeans::new(clusters)
        .with_euclidean(true)
        .with_iterations(iterations);
    kmeans.train(rows, None).expect("enough rows");
    kmeans.centroids().expect("trained").to_owned()
}

fn linfa(rows: &Array2<f32>, clusters: usize, iterations: usize) -> Array2<f32> {
    let initial = rows.slice(s![..clusters, ..]).to_owned();
    let data = DatasetBase::from(rows.view());
    let model = KMeans::params_with(clusters, Xoshiro256Plus::seed_from_u64(0), L2Dist)
        .init_method(KMeansInit::Precomputed(initial))
        .n_runs(1)
        .max_n_iterations(iterations as u64)
        .tolerance(f32::MIN_POSITIVE)
        .fit(&data)
        .expect("a clustering");
    model.centroids().to_owned()
}

/// Sum of the squared distances to the nearest centroid.
fn inertia(rows: ArrayView2<f32>, centroids: ArrayView2<f32>) -> f64 {
    let nearest = |block: ArrayView2<f32>| -> f64 {
        let products = block.dot(&centroids.t());
        let lengths = centroids.map_axis(Axis(1), |c| c.dot(&c));
        let pairs = products.rows().into_iter().zip(block.rows());
        pairs
            .map(|(products, row)| {
                let best = products.iter().zip(&lengths).map(|(p, l)| l - 2.0 * p);
                f64::from(best.fold(f32::INFINITY, f32::min)) + f64::from(row.dot(&row))
            })
            .sum()
    };
    rows.axis_chunks_iter(Axis(0), 1024)
        .into_par_iter()
        .map(nearest)
        .sum()
}
