use std::path::PathBuf;

use golden::Arrays;
use ndarray::{Array1, Array2, array};

use super::*;
use crate::rows::{PART_UNIT, tests::Elsewhere};

/// Of `tests/fixtures/cluster_report.py`.
struct Oracle {
    points: Array2<f32>,
    centroids: Array2<f32>,
    assignments: Vec<u32>,
    restarts: Array2<u32>,
    report: ClusterReport,
    nmi: Vec<f64>,
}

#[derive(Deserialize)]
struct Expected {
    report: ClusterReport,
    nmi: Vec<f64>,
}

fn oracle() -> Oracle {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut arrays = Arrays::open(&folder.join("cluster_report.npz"));
    let text = std::fs::read_to_string(folder.join("cluster_report.json")).unwrap();
    let Expected { report, nmi } = serde_json::from_str(&text).unwrap();
    let assignments: Array1<u32> = arrays.array("assignments");
    Oracle {
        points: arrays.array("points"),
        centroids: arrays.array("centroids"),
        assignments: assignments.to_vec(),
        restarts: arrays.array("restarts"),
        report,
        nmi,
    }
}

/// Sums in another order, in `f64`.
#[track_caller]
fn assert_close(actual: f64, expected: f64) {
    let gap = (actual - expected).abs();
    assert!(
        gap <= 1e-12 * expected.abs().max(1.0),
        "{actual} is not {expected}"
    );
}

fn run(restart: usize, assignments: Vec<u32>) -> Run {
    Run {
        centroids: Array2::zeros((1, 1)),
        assignments,
        inertia: 7.0 + restart as f64,
        iterations: 3,
        restart,
        history: vec![9.0, 7.0],
    }
}

#[test]
fn every_number_agrees_with_numpy_scipy_and_faiss() {
    let oracle = oracle();
    let report = ClusterReport::new(
        &oracle.points.view(),
        oracle.centroids.view(),
        &oracle.assignments,
        4,
    )
    .unwrap();
    let expected = &oracle.report;
    assert_eq!(
        (report.points, report.empty),
        (expected.points, expected.empty)
    );
    assert_close(report.inertia, expected.inertia);
    assert_close(report.imbalance, expected.imbalance);
    assert_close(report.normalized_entropy, expected.normalized_entropy);
    assert_eq!(report.clusters.len(), expected.clusters.len());
    for (ours, theirs) in report.clusters.iter().zip(&expected.clusters) {
        assert_eq!(ours.size, theirs.size);
        assert_close(ours.inertia, theirs.inertia);
        let rows = |entry: &ClusterEntry| -> Vec<usize> {
            entry.nearest.iter().map(|point| point.row).collect()
        };
        assert_eq!(rows(ours), rows(theirs));
        for (ours, theirs) in ours.nearest.iter().zip(&theirs.nearest) {
            assert_close(ours.squared_distance, theirs.squared_distance);
        }
    }
}

#[test]
fn restarts_agree_with_the_best_as_far_as_scikit_learn_says() {
    let oracle = oracle();
    let best = &oracle.assignments;
    let others = oracle.restarts.rows().into_iter();
    let labellings = [best.clone()]
        .into_iter()
        .chain(others.map(|row| row.to_vec()));
    let compared: Vec<RestartEntry> = (0..)
        .zip(labellings)
        .map(|(restart, labels)| RestartEntry::new(&run(restart, labels), best))
        .collect();
    assert_eq!(compared[0].nmi_with_best, 1.0);
    for (entry, &expected) in compared[1..].iter().zip(&oracle.nmi) {
        assert_close(entry.nmi_with_best, expected);
    }
    let mean = oracle.nmi.iter().sum::<f64>() / 3.0;
    assert_close(stability(&compared, 0).unwrap(), mean);
    assert_eq!(compared[2].inertia, 9.0);
}

#[test]
fn one_restart_says_nothing_about_stability() {
    let only = RestartEntry::new(&run(0, vec![0, 1, 1]), &[0, 1, 1]);
    assert_eq!(stability(&[only], 0), None);
}

#[test]
fn rows_in_a_file_give_the_same_bits_as_rows_in_memory() {
    let (points, dim) = (PART_UNIT + 77, 16_384);
    let value = |(row, column): (usize, usize)| ((row * 31 + column * 7) % 23) as f32 / 7.0;
    let all = Array2::from_shape_fn((points, dim), value);
    let centroids = Array2::from_shape_fn((3, dim), |at| value(at) + 0.3);
    let labels: Vec<u32> = (0..points as u32).map(|row| row % 3).collect();
    let file = Elsewhere {
        rows: all.view(),
        broken: None,
    };
    let report = |rows: &dyn Rows| ClusterReport::new(rows, centroids.view(), &labels, 5).unwrap();
    assert_eq!(report(&all.view()), report(&file));
}

#[test]
fn of_equally_near_points_the_lower_rows_are_kept() {
    let points = array![[1.0f32], [-1.0], [1.0], [0.5]];
    let report = ClusterReport::new(&points.view(), array![[0.0f32]].view(), &[0; 4], 3).unwrap();
    let rows: Vec<usize> = report.clusters[0].nearest.iter().map(|p| p.row).collect();
    assert_eq!(rows, [3, 0, 1]);
    assert_eq!(report.clusters[0].mean_squared_distance(), Some(3.25 / 4.0));
}

#[test]
fn no_nearest_points_may_be_asked_for() {
    let points = array![[1.0f32], [-1.0]];
    let report = ClusterReport::new(&points.view(), array![[0.0f32]].view(), &[0; 2], 0).unwrap();
    assert_eq!(report.clusters[0].nearest, []);
    assert_eq!(report.clusters[0].size, 2);
}

#[test]
fn arrays_that_do_not_fit_are_refused_with_their_numbers() {
    let (points, centroids) = (Array2::zeros((3, 2)), Array2::zeros((2, 2)));
    let refused = |centroids: &Array2<f32>, labels: &[u32]| {
        let report = ClusterReport::new(&points.view(), centroids.view(), labels, 1);
        report.unwrap_err().to_string()
    };
    assert!(refused(&centroids, &[0, 1]).contains("2 assignments for 3 rows"));
    assert!(refused(&centroids, &[0, 2, 1]).contains("row 1 is in cluster 2"));
    assert!(refused(&Array2::zeros((2, 5)), &[0; 3]).contains("5 columns, rows of 2"));
}
