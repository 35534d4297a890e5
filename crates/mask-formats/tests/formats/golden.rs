//! The strings of pycocotools and the strokes of Label Studio's own encoder (`tests/fixtures/golden.py`).

use std::collections::BTreeMap;

use luss_metrics::LabelMask;
use mask_formats::{
    Per, Regions,
    brush::brush_rle,
    rle::{column_runs, compressed},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    rows: Vec<Vec<u16>>,
    categories: BTreeMap<u16, Category>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Category {
    counts: String,
    area: u64,
    bbox: [u32; 4],
    stroke: Vec<u8>,
}

fn ours(mask: &LabelMask) -> BTreeMap<u16, Category> {
    let regions = Regions::of(mask, Per::Category);
    let all = regions.categories().iter().zip(column_runs(&regions));
    all.map(|(&id, runs)| {
        let inside: Vec<bool> = mask.labels().iter().map(|&label| label == id).collect();
        let category = Category {
            counts: compressed(&runs.counts),
            area: runs.area_px,
            bbox: runs.bbox_px,
            stroke: brush_rle(&inside),
        };
        (id, category)
    })
    .collect()
}

#[test]
fn strings_and_strokes_are_those_of_the_programs() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/golden.json")).unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let (width, height) = (case.rows[0].len(), case.rows.len());
        let mask = LabelMask::new(width, height, case.rows.concat()).unwrap();
        let ours = ours(&mask);
        for (id, mut theirs) in case.categories {
            // Their encoder adds a byte where the last one is full.
            let full = theirs.stroke.len() == ours[&id].stroke.len() + 1;
            assert!(!full || theirs.stroke.pop() == Some(0));
            assert_eq!(ours[&id], theirs, "{}, {id}", case.name);
        }
    }
}
