//! The ways to a foreground: laws, and what independent programs find.

mod oracles;

use ndarray::{Array2, Array3, Axis, array};

use super::*;
use crate::Error;

impl Object {
    /// Whether each cell belongs to the object, `[height, width]`.
    fn mask(&self) -> Array2<bool> {
        self.score.mapv(|score| score > 0.0)
    }
}

fn every_way() -> [Foreground; 4] {
    [
        Foreground::default(),
        Foreground::NormalizedCut(NormalizedCut::default()),
        Foreground::PrincipalMasks(PrincipalMasks::default()),
        Foreground::AttentionMap(AttentionMap {
            keep: Keep::Otsu,
            ..AttentionMap::default()
        }),
    ]
}

/// A bright disc of features of its own on a background of another kind, with some noise.
fn disc([height, width, channels]: [usize; 3]) -> Array3<f32> {
    Array3::from_shape_fn((height, width, channels), |(y, x, channel)| {
        let noise = ((y * 31 + x * 17 + channel * 7 + y * x) % 23) as f32 / 400.0;
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
        // The median of the principal masks takes the tips of the disc away.
        let near = found.iter().any(|mask| overlap(mask, &disc) > 0.8);
        assert!(near, "{way:?}: {found:?}");
    }
}

/// Intersection over union.
fn overlap(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    let count = |both: fn(bool, bool) -> bool| {
        let pairs = a.iter().zip(b);
        pairs.filter(|&(&a, &b)| both(a, b)).count() as f64
    };
    count(|a, b| a && b) / count(|a, b| a || b)
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
        assert_eq!(way.find(dark.view()), [], "{way:?}");
        for features in [&constant, &cell] {
            let found = way.find(features.view());
            match way {
                Foreground::PrincipalMasks(_) => {
                    assert!(found.len() == 1 && found[0].mask().iter().all(|&inside| inside));
                }
                _ => assert_eq!(found, [], "{way:?}"),
            }
        }
    }
}

#[test]
fn the_fewest_cells_that_hold_a_share_of_the_attention_are_kept() {
    let attention = array![[[0.5f32], [0.3], [0.1], [0.1]]];
    let kept = |mass| {
        let keep = Keep::Mass(mass);
        let way = AttentionMap {
            keep,
            ..AttentionMap::default()
        };
        masks(&Foreground::AttentionMap(way), &attention)
    };
    assert_eq!(kept(0.45), [array![[true, false, false, false]]]);
    assert_eq!(kept(0.7), [array![[true, true, false, false]]]);
    assert!(kept(0.95).is_empty(), "all cells would be kept");
}

/// Two blocks of two kinds on a ground of a third.
#[test]
fn several_objects_are_found_the_largest_cut_first() {
    let features = Array3::from_shape_fn((8, 14, 3), |(y, x, channel)| {
        let first = (2..7).contains(&y) && (1..6).contains(&x);
        let second = (1..5).contains(&y) && (8..12).contains(&x);
        let kind = if first { 0 } else { 1 + usize::from(!second) };
        let noise = ((y * 5 + x * 3 + channel) % 7) as f32 / 100.0;
        noise + if channel == kind { 1.0 } else { 0.0 }
    });
    let way = |objects| {
        Foreground::NormalizedCut(NormalizedCut {
            objects,
            ..NormalizedCut::default()
        })
    };
    let areas = |objects| -> Vec<usize> {
        let found = masks(&way(objects), &features);
        let area = |mask: &Array2<bool>| mask.iter().filter(|&&inside| inside).count();
        found.iter().map(area).collect()
    };
    assert_eq!(areas(1).len(), 1);
    let mut both = areas(2);
    both.sort_unstable();
    assert_eq!(both, [16, 25]);
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
    assert_eq!(whitening.dimensions(), 2);
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
