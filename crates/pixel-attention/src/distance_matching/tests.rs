use burn::tensor::Device;
use ndarray::{Array1, Array4, array};

use super::{
    voting::{cast_votes, keep_nearest},
    *,
};

const CONFIG: DistanceMatchingConfig = DistanceMatchingConfig {
    neighbours: 10,
    temperature: 0.07,
    voting: Voting::Weighted,
};

fn tensor(values: &[f32], shape: [usize; 4]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::default())
}

fn waves(rows: usize, columns: usize, speed: f32) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(r, c)| {
        ((r * columns + c) as f32 * speed).sin()
    })
}

/// The whole table, sorted.
fn plain_vote(set: &SupportSet, pixel: &[f32], config: &DistanceMatchingConfig) -> u16 {
    let mut pixel = pixel.to_vec();
    normalize(&mut pixel);
    let dot = |row: &[f32]| row.iter().zip(&pixel).map(|(x, y)| x * y).sum::<f32>();
    let mut near: Vec<(f32, u16)> = set
        .rows
        .chunks(set.channels)
        .map(dot)
        .zip(set.labels.iter().copied())
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut votes = vec![0.0; usize::from(set.classes) + 1];
    for (similarity, label) in near.iter().take(config.neighbours) {
        votes[usize::from(*label)] += (f64::from(*similarity) / config.temperature).exp();
    }
    (0..votes.len())
        .rev()
        .max_by(|&a, &b| votes[a].total_cmp(&votes[b]))
        .unwrap() as u16
}

#[test]
fn blocks_of_any_size_agree_with_the_whole_table() {
    for (support, pixels) in [(1, 1), (7, 65), (2500, 131)] {
        let labels: Vec<u16> = (0..support).map(|i| (i * i % 8) as u16).collect();
        let set = SupportSet::from_embeddings(waves(support, 5, 0.73).view(), &labels, 7).unwrap();
        let queries = waves(pixels, 5, 1.31);
        let found = set.classify_rows(queries.view(), &CONFIG).unwrap();
        for (pixel, found) in queries.rows().into_iter().zip(found) {
            assert_eq!(found, plain_vote(&set, pixel.to_slice().unwrap(), &CONFIG));
        }
    }
}

#[test]
fn one_thread_and_two_threads_agree() {
    let labels: Vec<u16> = (0..300).map(|i| i % 5).collect();
    let set = SupportSet::from_embeddings(waves(300, 9, 0.73).view(), &labels, 4).unwrap();
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            set.classify_rows(waves(500, 9, 1.31).view(), &CONFIG)
                .unwrap()
        })
    };
    assert_eq!(in_pool(1), in_pool(2));
}

#[test]
fn a_pixel_of_a_support_picture_takes_its_own_label() {
    // Two channels tell the columns apart; the mask is larger than the map.
    let features = tensor(&[1.0, 0.1, 0.1, 0.1, 2.0, 2.0], [1, 2, 1, 3]);
    let mask = LabelMask::new(6, 2, [[0, 0, 3, 3, IGNORE, IGNORE]; 2].concat()).unwrap();
    let mut set = SupportSet::new(3, 2);
    set.add(features.clone(), &[mask]).unwrap();
    assert_eq!(set.labels(), [0, 3]);
    let config = DistanceMatchingConfig {
        neighbours: 1,
        ..CONFIG
    };
    let masks = set.classify(features, &config).unwrap();
    assert_eq!(masks[0].labels(), [0, 3, 3]);
    assert_eq!(resize_labels(&masks[0], 6, 1).labels(), [0, 0, 3, 3, 3, 3]);
}

#[test]
fn a_batch_is_classified_picture_by_picture() {
    let set = SupportSet::from_embeddings(array![[1.0, 0.0], [0.0, 1.0]].view(), &[1, 2], 2);
    let features = tensor(&[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0], [2, 2, 2, 1]);
    let masks = set.unwrap().classify(features, &CONFIG).unwrap();
    assert_eq!(
        (masks[0].labels(), masks[1].labels()),
        (&[1, 2][..], &[2, 2][..])
    );
    assert_eq!((masks[0].width(), masks[0].height()), (1, 2));
}

#[test]
fn a_picture_without_labels_adds_nothing() {
    let mut set = SupportSet::new(3, 2);
    let mask = LabelMask::new(3, 1, vec![IGNORE; 3]).unwrap();
    set.add(tensor(&[1.0; 6], [1, 2, 1, 3]), &[mask]).unwrap();
    assert!(set.is_empty());
    let error = set
        .classify_rows(array![[1.0, 0.0]].view(), &CONFIG)
        .unwrap_err();
    assert!(matches!(error, Error::EmptySupport));
}

#[test]
fn a_bad_label_or_value_leaves_the_set_as_it_was() {
    let mut set = SupportSet::from_embeddings(array![[1.0, 0.5]].view(), &[2], 2).unwrap();
    let before = set.clone();
    let mask = LabelMask::new(2, 1, vec![0, 3]).unwrap();
    let error = set
        .add(tensor(&[1.0; 4], [1, 2, 1, 2]), &[mask])
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::LabelOutOfRange {
                label: 3,
                classes: 2,
                ..
            }
        ),
        "{error}"
    );
    let mask = LabelMask::new(1, 1, vec![1]).unwrap();
    let error = set
        .add(tensor(&[1.0, f32::NAN], [1, 2, 1, 1]), &[mask])
        .unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    assert_eq!(set, before);
    let error = set.classify_rows(array![[1.0, 2.0], [f32::NAN, 0.0]].view(), &CONFIG);
    assert!(matches!(
        error,
        Err(Error::NotFinite {
            what: "pixel",
            row: 1
        })
    ));
}

#[test]
fn settings_out_of_range_are_refused() {
    let set = SupportSet::from_embeddings(array![[1.0, 0.5]].view(), &[2], 2).unwrap();
    for config in [
        DistanceMatchingConfig {
            neighbours: 0,
            ..CONFIG
        },
        DistanceMatchingConfig {
            temperature: 0.0,
            ..CONFIG
        },
        DistanceMatchingConfig {
            temperature: f64::NAN,
            ..CONFIG
        },
    ] {
        let error = set
            .classify_rows(array![[1.0, 0.0]].view(), &config)
            .unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
    }
}

/// Oracle: the published nearest-neighbour function in float64.
#[test]
fn votes_agree_with_the_published_code() {
    let mut file = golden::open("knn.npz");
    let support: Array2<f64> = file.array("train");
    let labels: Array1<i64> = file.array("train_labels");
    let queries: Array2<f64> = file.array("test");
    let scores: Array2<f64> = file.array("class_scores");
    let predicted: Array1<i64> = file.array("predicted");
    let labels: Vec<u16> = labels.iter().map(|&label| label as u16).collect();
    let support = support.mapv(|value| value as f32);
    let queries = queries.mapv(|value| value as f32);
    let set = SupportSet::from_embeddings(support.view(), &labels, 12).unwrap();
    let found = set.classify_rows(queries.view(), &CONFIG).unwrap();
    assert_eq!(
        found,
        predicted
            .iter()
            .map(|&label| label as u16)
            .collect::<Vec<_>>()
    );

    for (pixel, scores) in queries.rows().into_iter().zip(scores.rows()) {
        let similarities = support.dot(&pixel).to_vec();
        let (mut nearest, mut votes) = (Vec::new(), vec![0.0; 13]);
        keep_nearest(&similarities, &labels, 10, &mut nearest);
        cast_votes(&nearest, &CONFIG, &mut votes);
        for (vote, score) in votes.iter().zip(scores) {
            // Similarities are f32, and the exponent multiplies their error by 14.
            assert!((vote - score).abs() <= 1e-5 * score.abs());
        }
    }
}

fn whole_numbers(rows: usize, columns: usize, value: impl Fn(i64, i64) -> i64) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(r, c)| value(r as i64, c as i64) as f32)
}

/// Oracle: `tests/fixtures/knn.py`, numpy.
#[test]
fn both_votes_agree_with_numpy() {
    let rows = |r: i64, c: i64| (r * r * r * 7 + c * c * 13 + r * c * 3 + r * 5) % 101 - 50;
    let support = whole_numbers(40, 5, rows);
    let labels: Vec<u16> = (0..40).map(|i| i * 11 / 3 % 5).collect();
    let queries = whole_numbers(24, 5, |r, c| {
        (r * r * r * 5 + c * c * c * 7 + r * c * 11) % 103 - 51
    });
    let set = SupportSet::from_embeddings(support.view(), &labels, 4).unwrap();
    let check = |voting, neighbours, expected: [u16; 24]| {
        let config = DistanceMatchingConfig {
            neighbours,
            voting,
            ..CONFIG
        };
        assert_eq!(
            set.classify_rows(queries.view(), &config).unwrap(),
            expected
        );
    };
    check(
        Voting::Weighted,
        10,
        [
            1, 4, 0, 4, 3, 0, 0, 4, 1, 4, 1, 2, 3, 4, 0, 3, 1, 1, 3, 3, 0, 4, 3, 3,
        ],
    );
    check(
        Voting::Plain,
        10,
        [
            1, 3, 2, 4, 1, 1, 3, 4, 2, 3, 2, 2, 4, 3, 1, 4, 1, 1, 3, 4, 2, 4, 2, 3,
        ],
    );
    check(
        Voting::Plain,
        3,
        [
            1, 4, 0, 4, 3, 0, 0, 4, 1, 4, 1, 2, 3, 3, 0, 4, 1, 1, 3, 3, 0, 4, 3, 3,
        ],
    );
}

/// Oracle: the published pooling in float64.
#[test]
fn class_embeddings_agree_with_the_published_code() {
    let mut file = golden::open("get_instance_pool.npz");
    let features: Array4<f64> = file.array("features");
    let masks: Array4<i64> = file.array("segmentation");
    let embeddings: Array2<f64> = file.array("embeddings");
    let labels: Array1<i64> = file.array("labels");
    let (batch, channels, height, width) = features.dim();
    let values: Vec<f32> = features.iter().map(|&value| value as f32).collect();
    let masks: Vec<LabelMask> = masks
        .outer_iter()
        .map(|mask| mask.iter().map(|&id| id as u16).collect())
        .map(|ids: Vec<u16>| LabelMask::new(width, height, ids).unwrap())
        .collect();
    let features = tensor(&values, [batch, channels, height, width]);
    let (found, found_labels) = class_embeddings(features, &masks).unwrap();
    assert_eq!(
        found_labels,
        labels.iter().map(|&label| label as u16).collect::<Vec<_>>()
    );
    for (found, expected) in found.iter().zip(&embeddings) {
        assert!((f64::from(*found) - expected).abs() < 1e-6);
    }
}
