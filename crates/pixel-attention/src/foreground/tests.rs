//! The ways to a foreground: laws, and what independent programs find.

use std::{fs::File, path::Path};

use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, de::DeserializeOwned};

use super::*;

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    serde_json::from_reader(File::open(path.join(name)).unwrap()).unwrap()
}

fn every_way() -> Vec<Foreground> {
    vec![Foreground::default()]
}

/// A bright disc of features of its own on a background of another kind, with some noise.
fn disc([height, width, channels]: [usize; 3]) -> Array3<f32> {
    Array3::from_shape_fn((height, width, channels), |(y, x, channel)| {
        let noise = ((y * 31 + x * 17 + channel * 7 + y * x) % 23) as f32 / 40.0;
        let far = (y as f32 - 0.4 * height as f32).hypot(x as f32 - 0.45 * width as f32);
        let inside = far < 0.28 * height as f32;
        let kind = if inside {
            channel < 3
        } else {
            channel + 3 >= channels
        };
        noise
            + if kind && inside {
                3.0
            } else if kind {
                1.0
            } else {
                0.0
            }
    })
}

fn masks(way: &Foreground, features: &Array3<f32>) -> Vec<Array2<bool>> {
    let found = way.find(features.view());
    found.iter().map(Object::mask).collect()
}

#[test]
fn the_disc_is_found_by_every_way() {
    let features = disc([11, 13, 9]);
    let disc = Array2::from_shape_fn((11, 13), |(y, x)| {
        (y as f32 - 4.4).hypot(x as f32 - 5.85) < 0.28 * 11.0
    });
    for way in every_way() {
        let found = masks(&way, &features);
        assert!(found.contains(&disc), "{way:?}: {found:?}");
    }
}

#[test]
fn the_order_of_the_channels_and_the_scale_of_the_features_do_not_matter() {
    let features = disc([9, 12, 7]);
    let mut turned = features.clone();
    turned.invert_axis(Axis(2));
    let scaled = features.mapv(|value| value * 0.125);
    for way in every_way() {
        let found = masks(&way, &features);
        assert_eq!(masks(&way, &turned), found, "{way:?}");
        assert_eq!(masks(&way, &scaled), found, "{way:?}");
    }
}

#[test]
fn what_is_alike_everywhere_has_no_object() {
    let constant = Array3::from_elem((5, 6, 4), 0.3);
    let cell = Array3::from_elem((1, 1, 4), 0.3);
    let dark = Array3::zeros((4, 3, 2));
    for way in every_way() {
        for features in [&constant, &cell, &dark] {
            assert_eq!(way.find(features.view()), [], "{way:?}");
        }
    }
}

#[test]
#[should_panic(expected = "NaN")]
fn features_that_are_no_numbers_are_a_bug_of_the_caller() {
    let mut features = disc([5, 6, 4]);
    features[[2, 2, 1]] = f32::NAN;
    Foreground::default().find(features.view());
}

#[test]
fn settings_are_written_and_read_by_their_names_and_checked() {
    for way in every_way() {
        let text = serde_json::to_string(&way).unwrap();
        assert_eq!(serde_json::from_str::<Foreground>(&text).unwrap(), way);
        way.check().unwrap();
    }
    let read = |text: &str| serde_json::from_str::<Foreground>(text);
    let way = read(r#"{"way": "activation_and_border"}"#).unwrap();
    assert_eq!(way, Foreground::default());
    assert!(read(r#"{"way": "activation_and_border", "object": 2}"#).is_err());
    let none = read(r#"{"way": "activation_and_border", "objects": 0}"#).unwrap();
    let said = none.check().unwrap_err().to_string();
    assert_eq!(said, "foreground.objects is 0, but it must be at least 1");
}

#[test]
fn an_embedding_is_the_mean_of_the_objects_cells() {
    let features = Array3::from_shape_fn((1, 3, 2), |(_, x, channel)| (2 * x + channel) as f32);
    let of = |scores: [f32; 3]| {
        let score = Array2::from_shape_vec((1, 3), scores.to_vec()).unwrap();
        embedding(features.view(), &Object { score })
    };
    // Cells (2, 3) and (4, 5): the mean is (3, 4).
    assert_eq!(of([0.0, 0.1, 2.0]), [0.6, 0.8]);
    assert_eq!(of([0.0, -0.1, -2.0]), [0.0, 0.0]);
}

#[derive(Deserialize)]
struct Oracle {
    maps: Vec<Map>,
    whitening: Whitening,
}

#[derive(Deserialize)]
struct Map {
    features: Vec<Vec<Vec<f32>>>,
    score: Vec<Vec<f32>>,
    threshold: f32,
    mask: Vec<Vec<u8>>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Whitening {
    embeddings: Vec<Vec<f32>>,
    dimensions: usize,
    gram: Vec<Vec<f32>>,
}

/// Oracle: `tests/fixtures/activation_and_border.py`, in float64.
#[test]
fn activation_and_border_agrees_with_numpy() {
    let oracle: Oracle = fixture("activation_and_border.json");
    for map in oracle.maps {
        let (height, width) = (map.features.len(), map.features[0].len());
        let flat: Vec<f32> = map.features.concat().concat();
        let features = Array3::from_shape_vec((height, width, 5), flat).unwrap();
        let [object] = &Foreground::default().find(features.view())[..] else {
            panic!("one object");
        };
        let mask: Vec<u8> = object.mask().iter().map(|&inside| inside.into()).collect();
        assert_eq!(mask, map.mask.concat());
        for (&score, expected) in object.score.iter().zip(map.score.concat()) {
            let expected = expected - map.threshold;
            // Other parts than the object's are negative.
            assert!(
                (score.abs() - expected.abs()).abs() < 1e-5,
                "{score} {expected}"
            );
        }
        let embedding = embedding(features.view(), object);
        assert_close(&embedding, &map.embedding, 1e-6);
    }
}

/// Oracle: as above; the signs of the directions cancel in products of whitened embeddings.
#[test]
fn half_whitening_agrees_with_numpy() {
    let Whitening {
        embeddings,
        dimensions,
        gram,
    } = fixture::<Oracle>("activation_and_border.json").whitening;
    let rows = Array2::from_shape_vec((embeddings.len(), 5), embeddings.concat()).unwrap();
    let whitening = HalfWhitening::fit(&rows.view(), dimensions).unwrap();
    let whitened: Vec<Vec<f32>> = embeddings.iter().map(|row| whitening.apply(row)).collect();
    for (a, expected) in whitened.iter().zip(gram) {
        let products: Vec<f32> = whitened
            .iter()
            .map(|b| a.iter().zip(b).map(|(a, b)| a * b).sum())
            .collect();
        assert_close(&products, &expected, 1e-5);
    }
}

#[test]
fn half_whitening_is_stored_whole_and_does_not_depend_on_threads() {
    let rows = Array2::from_shape_fn((2300, 300), |(row, column)| {
        ((row * 7919 + column * 104_729 + row * column) % 1013) as f32 / 1013.0
    });
    let fit = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().unwrap();
        pool.install(|| HalfWhitening::fit(&rows.view(), 6).unwrap())
    };
    let whitening = fit(1);
    assert_eq!(whitening, fit(3));
    let text = serde_json::to_string(&whitening).unwrap();
    let read: HalfWhitening = serde_json::from_str(&text).unwrap();
    assert_eq!(read, whitening);
    assert!(serde_json::from_str::<HalfWhitening>(r#"{"mean": [1], "projection": []}"#).is_err());
    let torn = r#"{"mean": [1, 2], "projection": [1, 2, 3]}"#;
    assert!(serde_json::from_str::<HalfWhitening>(torn).is_err());
}

#[test]
fn no_more_directions_are_kept_than_rows_vary_in() {
    let rows = Array2::from_shape_fn((9, 4), |(row, column)| match column {
        0 => row as f32,
        1 => (row * row) as f32,
        _ => 0.5,
    });
    let whitening = HalfWhitening::fit(&rows.view(), 4).unwrap();
    assert_eq!(whitening.projection().dim(), (2, 4));
    let equal = Array2::from_elem((7, 3), 0.25);
    let said = HalfWhitening::fit(&equal.view(), 2)
        .unwrap_err()
        .to_string();
    assert!(said.contains("all equal"), "{said}");
    assert!(HalfWhitening::fit(&Array2::zeros((0, 3)).view(), 2).is_err());
    let mut bad = rows.clone();
    bad[[5, 1]] = f32::INFINITY;
    let error = HalfWhitening::fit(&bad.view(), 2).unwrap_err();
    assert!(matches!(error, Error::NotFinite { row: 5, .. }));
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} {expected}");
    }
}
