//! Masks as other programs write them hold the ids that `fixtures/masks.py` gave them.
#![cfg(feature = "tiff")]

use std::{collections::BTreeMap, fs, path::Path};

use luss_metrics::folder::{MaskFiles, MaskReader, MaskSource, Side, open_masks, read_mask};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn expected() -> BTreeMap<String, Vec<u16>> {
    let text = fs::read_to_string(Path::new(FIXTURES).join("masks.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn open(name: &str) -> Box<dyn MaskSource> {
    let path = Path::new(FIXTURES).join("masks").join(name);
    open_masks(
        &path,
        MaskFiles::default(),
        "",
        Side::Truth { ignore: 1000 },
    )
    .unwrap()
}

/// Compares all masks of a source with those under `prefix` and the rest of their paths.
#[track_caller]
fn check(source: &dyn MaskSource, count: usize, prefix: &str) {
    let (expected, mut reader) = (expected(), MaskReader::default());
    assert_eq!(source.tree().len(), count);
    for (_, path) in source.tree().iter() {
        let name = path.strip_prefix(source.tree().root()).unwrap();
        let name = format!("{prefix}{}", name.display());
        let mask = source.read(path, &mut reader).unwrap();
        assert_eq!(mask.size(), (11, 9), "{name}");
        assert_eq!(mask.labels(), expected[&name], "{name}");
    }
}

/// NumPy's arrays, and TIFF files of Pillow and OpenCV.
#[test]
fn files_of_other_programs_hold_their_ids() {
    let (mut count, folder) = (0, Path::new(FIXTURES).join("masks"));
    for (name, ids) in expected()
        .iter()
        .filter(|(name, _)| !name.contains(".json"))
    {
        let (mask, _) = read_mask(&folder.join(name)).unwrap();
        assert_eq!((mask.size(), mask.labels()), ((11, 9), &ids[..]), "{name}");
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn runs_and_polygons_are_filled_as_pycocotools_does() {
    check(&*open("regions.json"), 10, "regions.json/");
}

#[test]
fn of_results_the_higher_score_counts_and_the_truth_names_the_pictures() {
    let truth = open("regions.json");
    let path = Path::new(FIXTURES).join("masks/results.json");
    let results = open_masks(
        &path,
        MaskFiles::default(),
        "",
        Side::Prediction { truth: &*truth },
    )
    .unwrap();
    check(&*results, 1, "results.json/");
}

#[test]
fn panoptic_segments_have_the_label_of_their_category_and_void_is_ignored() {
    let source = open("panoptic.json");
    let (key, path) = source.tree().iter().next().unwrap();
    let mask = source.read(path, &mut MaskReader::default()).unwrap();
    assert_eq!(key, Path::new("000000000139"));
    assert_eq!(mask.labels(), expected()["panoptic.json"]);
}
