//! Records of a picture: COCO, Label Studio, YOLO.

use luss_metrics::LabelMask;
use mask_formats::{
    Per, Regions,
    coco::{CocoWriter, Image, Segmentation, annotations},
    label_studio::{Task, TaskWriter, labelling_config, picture_address},
    yolo::{data_yaml, yolo_lines},
};
use serde_json::Value;

use crate::{
    decoders::{counts_of, from_counts, from_polygons, words_of},
    masks::{CATEGORIES, cases, names},
};

const BOTH: [Per; 2] = [Per::Category, Per::Component];

/// The pixels of a category.
fn pixels(mask: &LabelMask, category: u16) -> Vec<bool> {
    mask.labels()
        .iter()
        .map(|&label| label == category)
        .collect()
}

/// A mask of what was read, as categories and their pixels: no pixel is in two of them.
fn painted(parts: impl IntoIterator<Item = (u16, Vec<bool>)>, size: usize) -> Vec<u16> {
    let mut labels = vec![0; size];
    for (category, inside) in parts {
        for (label, _) in labels
            .iter_mut()
            .zip(&inside)
            .filter(|(_, inside)| **inside)
        {
            assert_eq!(*label, 0, "a pixel in two regions");
            *label = category;
        }
    }
    labels
}

fn without_ignored(mask: &LabelMask) -> Vec<u16> {
    mask.labels()
        .iter()
        .map(|&label| if label > CATEGORIES { 0 } else { label })
        .collect()
}

fn coco_of(mask: &LabelMask, per: Per, segmentation: Segmentation) -> Value {
    let (width, height) = mask.size();
    let image = Image {
        file_name: "a/1.jpg".into(),
        width,
        height,
    };
    let mut file = Vec::new();
    let mut writer = CocoWriter::begin(&mut file, "a test", &names(), &[image]).unwrap();
    let annotations = annotations(&Regions::of(mask, per), segmentation);
    writer.push(&annotations).unwrap();
    assert_eq!(writer.finish().unwrap(), annotations.len() as u64);
    serde_json::from_slice(&file).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// The pixels of an annotation, decoded by its kind.
fn read_annotation(annotation: &Value, width: usize, height: usize) -> Vec<bool> {
    let segmentation = &annotation["segmentation"];
    let Some(polygons) = segmentation.as_array() else {
        assert_eq!(segmentation["size"], serde_json::json!([height, width]));
        let counts = counts_of(segmentation["counts"].as_str().unwrap());
        return from_counts(&counts, width, height);
    };
    let corners = |polygon: &Value| {
        let numbers: Vec<f64> = serde_json::from_value(polygon.clone()).unwrap();
        numbers.as_chunks::<2>().0.to_vec()
    };
    let polygons: Vec<_> = polygons.iter().map(corners).collect();
    from_polygons(&polygons, width, height)
}

#[track_caller]
fn check_box(annotation: &Value, inside: &[bool], width: usize, name: &str) {
    let found: Vec<usize> = (0..inside.len()).filter(|&at| inside[at]).collect();
    let columns = || found.iter().map(|at| at % width);
    let rows = || found.iter().map(|at| at / width);
    let (left, top) = (columns().min().unwrap(), rows().min().unwrap());
    let expected = [
        left,
        top,
        columns().max().unwrap() - left + 1,
        rows().max().unwrap() - top + 1,
    ];
    assert_eq!(annotation["bbox"], serde_json::json!(expected), "{name}");
    assert_eq!(number(&annotation["area"]), found.len(), "{name}");
}

#[test]
fn coco_has_the_pixels_areas_and_boxes() {
    for (name, mask) in cases() {
        let (width, height) = mask.size();
        for (per, segmentation) in BOTH.into_iter().flat_map(|per| {
            [Segmentation::Rle, Segmentation::Polygons].map(|segmentation| (per, segmentation))
        }) {
            let coco = coco_of(&mask, per, segmentation);
            let annotations = coco["annotations"].as_array().unwrap();
            let parts = annotations.iter().enumerate().map(|(at, annotation)| {
                let inside = read_annotation(annotation, width, height);
                check_box(annotation, &inside, width, name);
                assert_eq!([&annotation["id"], &annotation["image_id"]], [at + 1, 1]);
                assert_eq!(annotation["iscrowd"], 0);
                (number(&annotation["category_id"]) as u16, inside)
            });
            let painted = painted(parts, width * height);
            assert_eq!(
                painted,
                without_ignored(&mask),
                "{name} {per:?} {segmentation:?}"
            );
        }
    }
}

#[test]
fn coco_lists_every_category_from_1_on() {
    let coco = coco_of(&cases()[1].1, Per::Category, Segmentation::Rle);
    let categories = coco["categories"].as_array().unwrap();
    let found: Vec<_> = categories
        .iter()
        .map(|of| (number(&of["id"]), of["name"].as_str().unwrap().to_string()))
        .collect();
    let expected: Vec<_> = (1..).zip(names()).collect();
    assert_eq!(found, expected);
    assert_eq!(
        coco["images"][0],
        serde_json::json!({ "id": 1, "file_name": "a/1.jpg", "width": 3, "height": 2 })
    );
    assert_eq!(coco["annotations"], serde_json::json!([]));
}

#[test]
fn a_component_is_one_polygon() {
    for (name, mask) in cases() {
        let coco = coco_of(&mask, Per::Component, Segmentation::Polygons);
        for annotation in coco["annotations"].as_array().unwrap() {
            assert_eq!(
                annotation["segmentation"].as_array().unwrap().len(),
                1,
                "{name}"
            );
        }
    }
}

#[test]
fn brush_strokes_have_the_pixels() {
    for (name, mask) in cases() {
        let (width, height) = mask.size();
        for per in BOTH {
            let task = Task::new("a.jpg".into(), "test", &Regions::of(&mask, per), &names());
            let mut file = Vec::new();
            let mut writer = TaskWriter::begin(&mut file).unwrap();
            writer.push(&task).unwrap();
            assert_eq!(writer.finish().unwrap(), 1);
            let tasks: Value = serde_json::from_slice(&file).unwrap();
            let brushes = tasks[0]["predictions"][0]["result"].as_array().unwrap();
            let parts = brushes.iter().map(|brush| {
                assert_eq!(
                    [&brush["original_width"], &brush["original_height"]],
                    [width, height]
                );
                let stream: Vec<u8> =
                    serde_json::from_value(brush["value"]["rle"].clone()).unwrap();
                let words = words_of(&stream);
                let pixels: Vec<bool> = words
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|rgba| rgba[3] == 255)
                    .collect();
                assert!(
                    words
                        .as_chunks::<4>()
                        .0
                        .iter()
                        .all(|rgba| [[0; 4], [255; 4]].contains(rgba))
                );
                let label = brush["value"]["brushlabels"][0].as_str().unwrap();
                let category = 1 + names().iter().position(|name| name == label).unwrap();
                (category as u16, pixels)
            });
            assert_eq!(
                painted(parts, width * height),
                without_ignored(&mask),
                "{name} {per:?}"
            );
        }
    }
}

/// Expected: Python's `urllib.parse.quote`.
#[test]
fn a_path_in_a_query_is_percent_encoded() {
    let path = "a b/\u{fc}&1+2#%.jpg";
    assert_eq!(
        picture_address("/data/local-files/?d=", path),
        "/data/local-files/?d=a%20b/%C3%BC%261%2B2%23%25.jpg"
    );
    assert_eq!(
        picture_address("s3://mine/", path),
        format!("s3://mine/{path}")
    );
}

#[test]
fn the_labelling_configuration_names_every_category() {
    let names = names();
    let config = labelling_config(names.iter().map(|name| (name.as_str(), [1, 2, 255])));
    assert!(
        config.contains("value=\"great &quot;white&quot; &lt;shark>\" background=\"#0102ff\""),
        "{config}"
    );
    assert_eq!(config.matches("<Label ").count(), 3);
}

#[test]
fn yolo_polygons_have_the_pixels() {
    for (name, mask) in cases() {
        let (width, height) = mask.size();
        let text = yolo_lines(&Regions::of(&mask, Per::Category));
        for category in 1..=CATEGORIES {
            let polygons: Vec<_> = text
                .lines()
                .filter_map(|line| polygon_of(line, category, [width, height]))
                .collect();
            let found = from_polygons(&polygons, width, height);
            assert_eq!(found, pixels(&mask, category), "{name} {category}");
        }
        assert_eq!(
            text,
            sorted_lines(&yolo_lines(&Regions::of(&mask, Per::Component))),
            "{name}"
        );
    }
}

/// The same lines in the order of their categories.
fn sorted_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u16>().unwrap());
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

fn polygon_of(line: &str, category: u16, [width, height]: [usize; 2]) -> Option<Vec<[f64; 2]>> {
    let mut words = line.split(' ');
    let class: u16 = words.next().unwrap().parse().unwrap();
    let shares: Vec<f64> = words.map(|word| word.parse().unwrap()).collect();
    let corner = |[x, y]: &[f64; 2]| {
        assert!((0.0..=1.0).contains(x) && (0.0..=1.0).contains(y));
        [x * width as f64, y * height as f64]
    };
    (class + 1 == category).then(|| shares.as_chunks::<2>().0.iter().map(corner).collect())
}

#[test]
fn the_yaml_counts_classes_from_0() {
    let yaml = data_yaml("train", &names());
    assert!(
        yaml.ends_with(
            "names:\n  0: \"cat\"\n  1: \"great \\\"white\\\" <shark>\"\n  2: \"dog\"\n"
        ),
        "{yaml}"
    );
}
