//! k-means beside other programs and plain loops.

use std::path::Path;

use golden::Arrays;
use ndarray::{Array1, Array2};

use super::{super::*, fit_from};

/// Oracle: `tests/fixtures/kmeans.py`. Unlike points of groups, these still move at the end.
#[test]
fn twenty_updates_agree_with_faiss_and_scikit_learn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kmeans.npz");
    let mut file = Arrays::open(&path);
    let mut array = |name: &str| -> Array2<f32> { file.array(name) };
    let (points, initial) = (array("points"), array("initial"));
    let peers = [array("faiss"), array("sklearn")];
    let labels: Array1<u32> = file.array("labels");
    let inertia = file.number("inertia");

    let run = fit_from(points.view(), initial.view(), &KMeansConfig::new(13)).unwrap();
    assert_eq!(run.iterations, 20);
    for centroids in peers {
        let difference = &run.centroids - &centroids;
        // Values below 1, means of about 70 points in float32.
        assert!(difference.iter().all(|d| d.abs() < 1e-6));
    }
    assert_eq!(run.assignments, labels.to_vec());
    assert!((run.inertia / inertia - 1.0).abs() < 1e-6);
}

/// Integers, so that every distance is exact and ties are ties: the lowest index wins.
#[test]
fn assignments_equal_brute_force() {
    let integers = |rows: usize, step: usize| {
        Array2::from_shape_fn((rows, 37), |(row, column)| {
            ((row * 31 + column * step + row * column) % 7) as f32 - 3.0
        })
    };
    let (points, centroids) = (integers(1501, 5), integers(119, 3));
    let nearest = |point: ndarray::ArrayView1<f32>| {
        let distance = |row: ndarray::ArrayView1<f32>| (&point - &row).mapv(|d| d * d).sum();
        let distances: Vec<f32> = centroids.rows().into_iter().map(distance).collect();
        let least = distances.iter().copied().fold(f32::INFINITY, f32::min);
        distances.iter().position(|&d| d == least).unwrap() as u32
    };
    let brute_force: Vec<u32> = points.rows().into_iter().map(nearest).collect();
    let found = assign(&points.view(), centroids.view()).unwrap();
    assert_eq!(found, brute_force);
}

/// Oracle: twenty Lloyd iterations in float64 and faiss from the same start.
#[test]
fn agrees_with_float64_lloyd_and_faiss() {
    let mut file = golden::open("kmeans.npz");
    let points: Array2<f32> = file.array("x");
    let initial: Array2<f32> = file.array("init");
    let labels: Array1<i64> = file.array("final_labels");
    let centroids: Array2<f64> = file.array("final_centroids_f64");
    let objective: Array1<f64> = file.array("objective_per_iter_f64");
    let inertia = file.number("final_inertia_f64");

    let run = fit_from(points.view(), initial.view(), &KMeansConfig::new(20)).unwrap();
    let found: Vec<i64> = run
        .assignments
        .iter()
        .map(|&label| i64::from(label))
        .collect();
    assert_eq!(found, labels.to_vec());
    assert!((run.inertia / inertia - 1.0).abs() < 1e-6);
    for (found, expected) in run.history.iter().zip(&objective) {
        assert!((found / expected - 1.0).abs() < 1e-6);
    }
    for (&found, &expected) in run.centroids.iter().zip(&centroids) {
        assert!((f64::from(found) - expected).abs() < 1e-6);
    }
}
