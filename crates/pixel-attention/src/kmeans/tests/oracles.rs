//! k-means beside other programs and plain loops.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;

use super::{super::*, fit_from};

fn golden(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/method");
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
    }
    path.exists().then_some(path)
}

/// Oracle: `tests/fixtures/kmeans.py`. Unlike points of groups, these still move at the end.
#[test]
fn twenty_updates_agree_with_faiss_and_scikit_learn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kmeans.npz");
    let mut file = NpzReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut array = |name: &str| -> Array2<f32> { file.by_name(name).unwrap() };
    let (points, initial) = (array("points.npy"), array("initial.npy"));
    let peers = [array("faiss.npy"), array("sklearn.npy")];
    let labels: Array1<u32> = file.by_name("labels.npy").unwrap();
    let inertia: ndarray::Array0<f64> = file.by_name("inertia.npy").unwrap();

    let run = fit_from(points.view(), initial.view(), &KMeansConfig::new(13)).unwrap();
    assert_eq!(run.iterations, 20);
    for centroids in peers {
        let difference = &run.centroids - &centroids;
        // Values below 1, means of about 70 points in float32.
        assert!(difference.iter().all(|d| d.abs() < 1e-6));
    }
    assert_eq!(run.assignments, labels.to_vec());
    assert!((run.inertia / inertia.into_scalar() - 1.0).abs() < 1e-6);
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
    let Some(path) = golden("kmeans.npz") else {
        return;
    };
    let mut file = NpzReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let points: Array2<f32> = file.by_name("x.npy").unwrap();
    let initial: Array2<f32> = file.by_name("init.npy").unwrap();
    let labels: Array1<i64> = file.by_name("final_labels.npy").unwrap();
    let centroids: Array2<f64> = file.by_name("final_centroids_f64.npy").unwrap();
    let objective: Array1<f64> = file.by_name("objective_per_iter_f64.npy").unwrap();
    let inertia: ndarray::Array0<f64> = file.by_name("final_inertia_f64.npy").unwrap();

    let run = fit_from(points.view(), initial.view(), &KMeansConfig::new(20)).unwrap();
    let found: Vec<i64> = run
        .assignments
        .iter()
        .map(|&label| i64::from(label))
        .collect();
    assert_eq!(found, labels.to_vec());
    assert!((run.inertia / inertia.into_scalar() - 1.0).abs() < 1e-6);
    for (found, expected) in run.history.iter().zip(&objective) {
        assert!((found / expected - 1.0).abs() < 1e-6);
    }
    for (&found, &expected) in run.centroids.iter().zip(&centroids) {
        assert!((f64::from(found) - expected).abs() < 1e-6);
    }
}
