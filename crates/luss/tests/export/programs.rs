//! The programs that the formats are for read the same pixels.

use std::{fs, path::Path};

use golden::run_python;
use imagenet_s::LabelMask;

use crate::place::Place;

/// Masks that formats stumble over: `.` is no category.
const DRAWN: [(&str, &[&str]); 9] = [
    (
        "hole",
        &[
            "1111...22",
            "1..1....2",
            "1..1.....",
            "1111....3",
            ".....22..",
        ],
    ),
    ("empty", &["...", "..."]),
    ("full", &["2222", "2222", "2222"]),
    ("pixel", &["3"]),
    ("column", &["1", ".", "1", "1", "2"]),
    ("chessboard", &["1212121", "2121212", "1212121"]),
    ("diagonal", &["1....", ".1...", "..1..", "...1."]),
    (
        "corners",
        &[
            "1.1111111",
            "1111.1.11",
            "111.1.111",
            "11.1.1.1.",
            "111.1.111",
            ".1111.111",
        ],
    ),
    (
        "islands",
        &[
            "1111111", "1.....1", "1.222.1", "1.2.2.1", "1.222.1", "1.....1", "1111111",
        ],
    ),
];

fn drawn(rows: &[&str]) -> LabelMask {
    let label = |letter: u8| {
        if letter == b'.' {
            0
        } else {
            u16::from(letter - b'0')
        }
    };
    let labels = rows.concat().bytes().map(label).collect();
    LabelMask::new(rows[0].len(), rows.len(), labels).unwrap()
}

/// Rings, stripes and blots.
fn large(width: usize, height: usize, seed: usize) -> LabelMask {
    let label = |at: usize| {
        let (x, y) = (at % width, at / width);
        let far = x.abs_diff(width / 2).pow(2) + y.abs_diff(height / 2).pow(2);
        match (far / (40 + seed)) % 5 {
            1 => 1,
            3 if !(x / 3 + y / 5 + seed).is_multiple_of(4) => 2,
            4 if (x * 7 + y * 13 + seed) % 11 < 4 => 3,
            _ => 0,
        }
    };
    LabelMask::new(width, height, (0..width * height).map(label).collect()).unwrap()
}

#[test]
#[ignore = "needs pycocotools, datumaro, label-studio-sdk and ultralytics: PYTHON=… cargo test --workspace -- --ignored python"]
fn python_programs_read_the_same_pixels() {
    let place = Place::new();
    for (name, rows) in DRAWN {
        place.put(&format!("drawn/{name}"), &drawn(rows));
    }
    for (seed, [width, height]) in [[120, 90], [61, 200], [333, 47]].into_iter().enumerate() {
        place.put(&format!("large/{seed}"), &large(width, height, seed));
    }
    fs::write(place.path("names.txt"), "cat\nwhite shark\n").unwrap();
    let export = |format: &str, out: &str, more: &[&str]| {
        let named = ["--format", format, "--out", out, "--names", "names.txt"];
        place.check_exports(&[&named, more].concat());
    };
    export("id", "id", &[]);
    export("palette", "palette", &[]);
    export("overlay", "overlay-jpg", &[]);
    export("overlay", "overlay-png", &["--overlay", "png"]);
    export("coco", "components.json", &[]);
    export("coco", "polygons.json", &["--segmentation", "polygons"]);
    export("coco", "categories.json", &["--per", "category"]);
    export(
        "coco",
        "category_polygons.json",
        &["--per", "category", "--segmentation", "polygons"],
    );
    export("cvat", "cvat.zip", &[]);
    export("label-studio", "tasks.json", &[]);
    export("voc", "voc", &[]);
    export("yolo", "yolo", &[]);
    let ignoring = Place::new();
    ignoring.put_mask("b/3", |labels| labels[5..7].fill(1000));
    let out = place.path("voc-ignored");
    ignoring.check_exports(&["--format", "voc", "--out", out.to_str().unwrap()]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/read_exports.py");
    write_ids(&place);
    run_python([script.as_path(), place.path("").as_path()]);
}

/// The ids as grey pictures, not by the code under test.
fn write_ids(place: &Place) {
    let masks = luss_metrics::folder::Tree::of_masks(&place.path("masks")).unwrap();
    for (key, _) in masks.iter() {
        let mask = place.mask(key.to_str().unwrap());
        let ids = mask.labels().iter().map(|&id| id as u8).collect();
        let picture = image::GrayImage::from_raw(mask.width() as u32, mask.height() as u32, ids);
        let path = place.path(&format!("ids/{}.png", key.display()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture.unwrap().save(path).unwrap();
    }
}
