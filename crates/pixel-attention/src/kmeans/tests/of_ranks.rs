//! Ranks that cluster their rows together find the clusters of one process with all rows.

use burn::tensor::Device;
use ndarray::{ArrayView2, Axis, concatenate, s};
use pass_model::group::Group;
use pass_ranks::{Ending, ThreadRanks, Transport};

use super::{blobs, config};
use crate::{
    error::{Error, Result},
    kmeans::{
        EmptyPolicy, Init, KMeans, KMeansConfig, Metric, Run,
        device::DeviceOptions,
        fit,
        mini_batch::{self, MiniBatch},
    },
    rows::{Rows, tests::Elsewhere},
};

/// The rows of rank `rank` of `size`: uneven parts, and rank 1 of 3 has none.
fn share<'a>(points: &'a ArrayView2<f32>, [rank, size]: [usize; 2]) -> ArrayView2<'a, f32> {
    let all = points.nrows();
    let starts = match size {
        1 => vec![0, all],
        2 => vec![0, all / 3, all],
        3 => vec![0, all / 2 + 1, all / 2 + 1, all],
        other => unreachable!("{other} ranks"),
    };
    points.slice_move(s![starts[rank]..starts[rank + 1], ..])
}

/// What each of `size` ranks finds.
fn of_ranks(
    size: usize,
    points: ArrayView2<f32>,
    config: &KMeansConfig,
    work: impl Fn(&KMeans) -> Result<Run> + Sync,
    streamed: bool,
) -> Vec<Run> {
    ThreadRanks::run(size, |ranks| {
        let rows = share(&points, [ranks.rank(), size]);
        let broken = None;
        let elsewhere = Elsewhere { rows, broken };
        let own: &dyn Rows = if streamed { &elsewhere } else { &rows };
        work(&KMeans::new(own, config, &ranks).unwrap()).unwrap()
    })
}

/// No point lies equally near to two centroids, so that only the order of the sums differs.
#[track_caller]
fn assert_same(runs: &[Run], alone: &Run) {
    assert_near(runs, alone, 1e-9);
}

/// `tolerance` is relative, of the inertia.
#[track_caller]
fn assert_near(runs: &[Run], alone: &Run, tolerance: f64) {
    for run in runs {
        assert_eq!(run, &runs[0], "all ranks get the same bits");
    }
    let run = &runs[0];
    assert!(run.assignments == alone.assignments);
    assert_eq!(
        (run.restart, run.iterations),
        (alone.restart, alone.iterations)
    );
    for (inertia, expected) in run.history.iter().zip(&alone.history) {
        assert!(
            (inertia - expected).abs() <= tolerance * expected,
            "{inertia} {expected}"
        );
    }
    let apart = (&run.centroids - &alone.centroids).mapv(f32::abs);
    assert!(apart.iter().all(|&apart| apart < 1e-6));
}

#[test]
fn the_clusters_of_ranks_are_those_of_one_process() {
    let points = blobs(3001, 17, 9);
    for (init, metric) in [
        (Init::Random, Metric::Euclidean),
        (Init::PlusPlus, Metric::Euclidean),
        (Init::PlusPlus, Metric::Spherical),
    ] {
        let config = KMeansConfig {
            init,
            metric,
            restarts: 2,
            ..config(12)
        };
        let alone = fit(points.view(), &config).unwrap();
        assert!(alone.iterations > 3);
        for size in [1, 2, 3] {
            for streamed in [false, true] {
                let best = |kmeans: &KMeans| kmeans.best(|_| ());
                let runs = of_ranks(size, points.view(), &config, best, streamed);
                assert_same(&runs, &alone);
                if size == 1 {
                    assert_eq!(runs[0], alone, "to the bit");
                }
            }
        }
    }
}

/// Three of the first centroids lie where no point is, and the farthest points are on other ranks.
#[test]
fn empty_clusters_are_filled_alike_on_all_ranks() {
    let points = blobs(2500, 11, 5);
    let far = |at: f32| ndarray::Array2::from_elem((1, 11), at);
    let near = points.slice(s![..6, ..]);
    let initial = concatenate(
        Axis(0),
        &[far(80.0).view(), near, far(-90.0).view(), far(70.0).view()],
    );
    let initial = initial.unwrap();
    for empty in [EmptyPolicy::Split, EmptyPolicy::Farthest] {
        let config = KMeansConfig { empty, ..config(9) };
        let run_from = |kmeans: &KMeans| kmeans.run_from(initial.view());
        let alone =
            run_from(&KMeans::new(&points.view(), &config, &Group::default()).unwrap()).unwrap();
        let mut sizes = [0; 9];
        alone
            .assignments
            .iter()
            .for_each(|&label| sizes[label as usize] += 1);
        assert!(sizes.iter().all(|&size| size > 0), "{sizes:?}");
        for size in [1, 2, 3] {
            for streamed in [false, true] {
                let runs = of_ranks(size, points.view(), &config, run_from, streamed);
                assert_same(&runs, &alone);
            }
        }
    }
    let config = KMeansConfig {
        empty: EmptyPolicy::Error,
        ..config(9)
    };
    let errors = ThreadRanks::run(2, |ranks| {
        let view = points.view();
        let own = share(&view, [ranks.rank(), 2]);
        let kmeans = KMeans::new(&own, &config, &ranks).unwrap();
        kmeans.run_from(initial.view())
    });
    for error in errors {
        assert!(
            matches!(error, Err(Error::EmptyCluster { cluster: 0, .. })),
            "{error:?}"
        );
    }
}

#[test]
fn batches_are_drawn_from_the_rows_of_all_ranks() {
    let points = blobs(900, 7, 4);
    let batch = MiniBatch {
        points: 64,
        batches: 20,
    };
    let config = config(4);
    let alone = mini_batch::fit(
        &KMeans::new(&points.view(), &config, &Group::default()).unwrap(),
        batch,
    )
    .unwrap();
    let fit = |kmeans: &KMeans| mini_batch::fit(kmeans, batch);
    assert_same(&of_ranks(3, points.view(), &config, fit, false), &alone);
}

#[test]
fn each_rank_may_compute_on_a_device_of_its_own() {
    let points = blobs(700, 9, 5);
    let config = config(6);
    let options = DeviceOptions {
        chunk_bytes: 1,
        ..DeviceOptions::default()
    };
    let view = points.view();
    let alone =
        KMeans::on_device(&view, &config, &Device::flex(), &options, &Group::default()).unwrap();
    let alone = alone.best(|_| ()).unwrap();
    let runs = ThreadRanks::run(3, |ranks| {
        let own = share(&view, [ranks.rank(), 3]);
        let device = Device::flex();
        let kmeans = KMeans::on_device(&own, &config, &device, &options, &ranks);
        kmeans.unwrap().best(|_| ()).unwrap()
    });
    // A device adds up pairs of float32.
    assert_near(&runs, &alone, 1e-7);
}

#[test]
fn a_bad_row_is_named_by_its_number_among_all() {
    let mut points = blobs(90, 3, 3);
    points[[77, 1]] = f32::NAN;
    let (view, config) = (points.view(), config(3));
    let group = ThreadRanks::group(2, Transport::Host);
    let endings = ThreadRanks::endings(group, |ranks| {
        let own = share(&view, [ranks.rank(), 2]);
        KMeans::new(&own, &config, &ranks).map(drop)
    });
    assert!(
        matches!(
            endings[..],
            [
                Ending::Forsaken,
                Ending::Returned(Err(Error::NotFinite { row: 77, .. }))
            ]
        ),
        "{endings:?}"
    );
}

#[test]
fn the_points_of_all_ranks_must_be_as_many_as_clusters() {
    let points = blobs(4, 3, 2);
    let (view, fits, too_many) = (points.view(), config(4), config(5));
    let refused = ThreadRanks::run(2, |ranks| {
        let own = share(&view, [ranks.rank(), 2]);
        KMeans::new(&own, &fits, &ranks).unwrap();
        KMeans::new(&own, &too_many, &ranks).map(drop)
    });
    for error in refused {
        assert!(
            matches!(
                error,
                Err(Error::TooFewPoints {
                    points: 4,
                    clusters: 5
                })
            ),
            "{error:?}"
        );
    }
}
