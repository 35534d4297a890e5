//! The ways to a foreground beside independent programs.

use std::{fs::File, path::Path};

use golden::Arrays;
use ndarray::{Array1, Array2, Array3, Axis};
use serde::Deserialize;

use super::{super::normalized_cut::second_eigenvector, super::*};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
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

fn of_numpy() -> Oracle {
    let file = File::open(fixture("activation_and_border.json")).unwrap();
    serde_json::from_reader(file).unwrap()
}

/// Oracle: `tests/fixtures/activation_and_border.py`, in float64.
#[test]
fn activation_and_border_agrees_with_numpy() {
    for map in of_numpy().maps {
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
    } = of_numpy().whitening;
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

/// Oracle: `tests/fixtures/foreground.py`, dense solvers of numpy on eight small maps.
#[test]
fn cuts_and_principal_masks_agree_with_numpy() {
    compare(&fixture("foreground.npz"), 8);
}

/// Oracle: as above, on the keys of a ViT with random weights for fifty drawn pictures.
#[test]
#[ignore = "needs PyTorch, torchvision and timm: PYTHON=… cargo test --workspace -- --ignored pytorch"]
fn cuts_and_principal_masks_of_keys_of_pytorch_agree_with_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.npz");
    let script = fixture("foreground.py");
    golden::run_python([script.as_os_str(), "--live".as_ref(), path.as_os_str()]);
    compare(&path, 50);
}

/// Every mask is equal, and the first eigenvector within 1e-4 of its largest entry.
#[track_caller]
fn compare(path: &Path, pictures: usize) {
    let mut file = Arrays::open(path);
    let threshold = file.number("threshold");
    let cut = Foreground::NormalizedCut(NormalizedCut {
        threshold,
        objects: 3,
        ..NormalizedCut::default()
    });
    let scene = Foreground::PrincipalMasks(PrincipalMasks::default());
    for at in 0..pictures {
        let features: Array3<f32> = file.array(&format!("features_{at}"));
        let vector: Array1<f64> = file.array(&format!("vector_{at}"));
        let found = first_eigenvector(&features, threshold);
        let worst = (found - vector).fold(0.0f64, |most, gap| most.max(gap.abs()));
        assert!(worst < 1e-4, "picture {at}: {worst}");
        let cuts: Array3<u8> = file.array(&format!("cuts_{at}"));
        assert_eq!(labels(&cut, &features), cuts, "picture {at}");
        let masks: Array3<u8> = file.array(&format!("scene_{at}"));
        assert_eq!(labels(&scene, &features), masks, "picture {at}");
    }
}

fn first_eigenvector(features: &Array3<f32>, threshold: f64) -> Array1<f64> {
    let cells = unit_cells(features.view());
    second_eigenvector(&normalized_cut::affinity(&cells, threshold)).unwrap()
}

/// The masks of all objects, `[objects, height, width]`.
fn labels(way: &Foreground, features: &Array3<f32>) -> Array3<u8> {
    let found = way.find(features.view());
    let masks: Vec<Array2<u8>> = found
        .iter()
        .map(|object| object.mask().mapv(u8::from))
        .collect();
    let views: Vec<_> = masks.iter().map(|mask| mask.view()).collect();
    ndarray::stack(Axis(0), &views).unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} {expected}");
    }
}
