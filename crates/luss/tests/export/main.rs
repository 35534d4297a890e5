//! `luss export`: folders of masks, and runs, into the formats of other programs.

mod place;
mod programs;
mod run;

use std::{collections::BTreeSet, fs};

use imagenet_s::Decoding;
use luss_metrics::folder::{MaskFormat, read_mask};
use place::{KEYS, Place};
use serde_json::Value;

#[test]
fn ids_and_palettes_read_back() {
    let place = Place::new();
    for (format, expected) in [("id", MaskFormat::Gray8), ("palette", MaskFormat::Palette)] {
        place.check_exports(&["--format", format, "--out", format]);
        for key in KEYS {
            let (found, kind) = read_mask(&place.path(&format!("{format}/{key}.png"))).unwrap();
            assert_eq!((found, kind), (place.mask(key), expected), "{key}");
        }
    }
}

#[test]
fn a_sheet_has_a_row_for_each_category_that_occurs_and_replaces_nothing() {
    let place = Place::new();
    place.check_exports(&["--format", "sheet", "--out", "sheet.jpg"]);
    let occur = KEYS
        .iter()
        .flat_map(|key| place.mask(key).labels().to_vec());
    let occur: BTreeSet<u16> = occur.filter(|id| (1..1000).contains(id)).collect();
    let (width, height) = image::image_dimensions(place.path("sheet.jpg")).unwrap();
    assert_eq!([width, height], [932, 116 * occur.len() as u32 + 4]);
    place.check_refused(
        &["--format", "sheet", "--out", "sheet.jpg"],
        &["is there already", "--out"],
    );
}

#[test]
fn a_sheet_has_the_first_40_categories_that_occur_and_tells_of_the_others() {
    let place = Place::new();
    let sheet = |out: &str| {
        let folders = ["export", "--masks", "masks", "--images", "pictures"];
        place.luss(
            "2",
            &[&folders[..], &["--format", "sheet", "--out", out]].concat(),
        )
    };
    let rows = |out: &str| (image::image_dimensions(place.path(out)).unwrap().1 - 4) / 116;
    place.put_all(|_| 0);
    place.check_refused(&["--format", "sheet", "--out", "none.jpg"], &["no pixel"]);
    place.put_mask("b/3", |labels| labels[0] = 45);
    place::check_passed(&sheet("last.jpg"));
    assert_eq!(rows("last.jpg"), 1);
    // 48 pixels, of which the first has id 1 and the 45th id 45.
    let mut ids = 0;
    place.put_all(|_| {
        ids += 1;
        if ids > 45 { 0 } else { ids }
    });
    let output = sheet("many.jpg");
    place::check_passed(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("45 categories occur") && said.contains("the last 5"),
        "{said}"
    );
    assert_eq!(rows("many.jpg"), 40);
}

#[test]
fn options_that_a_format_has_no_use_for_are_refused() {
    let place = Place::new();
    place.check_refused(
        &["--format", "label-studio", "--out", "tasks.xml"],
        &["tasks.xml", "takes the name .xml", "NAME.json"],
    );
    place.check_refused(
        &["--format", "yolo", "--per", "category", "--out", "y"],
        &["one component", "--format coco"],
    );
    assert!(!place.path("tasks.xml").exists() && !place.path("y").exists());
}

#[test]
fn paths_with_spaces_are_encoded_for_label_studio() {
    let place = Place::new();
    place.put("c/a b", &place.mask("a/1"));
    place.check_exports(&["--format", "label-studio", "--out", "t.json"]);
    let tasks: Value = serde_json::from_slice(&fs::read(place.path("t.json")).unwrap()).unwrap();
    assert_eq!(
        tasks[4]["data"]["image"],
        "/data/local-files/?d=c/a%20b.png"
    );
}

#[test]
fn ids_above_255_take_16_bits_or_are_refused() {
    let place = Place::new();
    place.put_mask("b/3", |labels| labels[0] = 300);
    place.check_exports(&["--format", "id", "--out", "ids"]);
    for key in KEYS {
        let (found, kind) = read_mask(&place.path(&format!("ids/{key}.png"))).unwrap();
        assert_eq!((found, kind), (place.mask(key), MaskFormat::Gray16));
    }
    place.check_refused(
        &["--format", "palette", "--out", "p"],
        &["ids go to 300", "--format id"],
    );
    place.check_refused(
        &["--format", "voc", "--out", "v"],
        &["300 categories", "--format coco"],
    );
}

#[test]
fn pictures_names_and_annotations_of_coco_are_in_order() {
    let place = Place::new();
    fs::write(place.path("names.txt"), "2 white shark\n1 cat\n").unwrap();
    place.check_exports(&[
        "--format",
        "coco",
        "--out",
        "a/coco.json",
        "--names",
        "names.txt",
    ]);
    let coco: Value =
        serde_json::from_slice(&fs::read(place.path("a/coco.json")).unwrap()).unwrap();
    let names = |list: &str, key: &str| -> Vec<String> {
        let all = coco[list].as_array().unwrap().iter();
        all.map(|of| of[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names("images", "file_name"),
        ["a/1.png", "a/2.png", "b/3.png", "b/4.png"]
    );
    assert_eq!(
        names("categories", "name"),
        ["cat", "white shark", "category 3"]
    );
    let ids: Vec<u64> = coco["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["image_id"].as_u64().unwrap())
        .collect();
    assert!(
        ids.is_sorted() && ids.contains(&1) && ids.contains(&4),
        "{ids:?}"
    );
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let place = Place::new();
    for (format, out) in [
        ("coco", "c.json"),
        ("cvat", "c.zip"),
        ("label-studio", "t.json"),
    ] {
        let bytes = |threads: &str| {
            place.check_exports_with_threads(threads, &["--format", format, "--out", out]);
            fs::read(place.path(out)).unwrap()
        };
        assert!(bytes("1") == bytes("3"), "{format}");
    }
}

#[test]
fn an_export_replaces_its_own_result_and_nothing_else() {
    let place = Place::new();
    for (format, out) in [
        ("coco", "c.json"),
        ("cvat", "c.zip"),
        ("label-studio", "t.json"),
        ("yolo", "y"),
        ("id", "i"),
    ] {
        place.check_exports(&["--format", format, "--out", out]);
        place.check_exports(&["--format", format, "--out", out]);
    }
    let others = ["[]", "thesis"];
    fs::write(place.path("other.json"), others[0]).unwrap();
    fs::create_dir(place.path("other")).unwrap();
    fs::write(place.path("other/thesis.tex"), others[1]).unwrap();
    place.check_refused(
        &["--format", "coco", "--out", "other.json"],
        &["other.json", "--out", "rm "],
    );
    place.check_refused(
        &["--format", "coco", "--out", "other"],
        &["this is a folder", "--out"],
    );
    place.check_refused(
        &["--format", "voc", "--out", "other"],
        &["thesis.tex", "--out"],
    );
    let command = [
        "export", "--masks", "i", "--images", "pictures", "--format", "palette", "--out", "i",
    ];
    let output = place.luss("2", &command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && said.contains("would replace it"),
        "{said}"
    );
    assert!(
        KEYS.iter()
            .all(|key| place.path(&format!("i/{key}.png")).exists())
    );
    let found = ["other.json", "other/thesis.tex"]
        .map(|name| fs::read_to_string(place.path(name)).unwrap());
    assert_eq!(found, others);
}

#[test]
fn what_cannot_be_exported_is_told_before_anything_is_written() {
    let place = Place::new();
    fs::remove_file(place.path("pictures/a/2.png")).unwrap();
    place.check_refused(
        &["--format", "id", "--out", "o"],
        &["a/2.png", "its picture a/2.* is not there"],
    );
    let place = Place::new();
    place.draw("b/4", 5, 5);
    fs::write(place.path("masks/a/1.png"), "no PNG").unwrap();
    let said = [
        "2 of 4 masks",
        "b/4.png",
        "4 x 3 pixels",
        "5 x 5",
        "a/1.png",
    ];
    place.check_refused(&["--format", "coco", "--out", "o.json"], &said);
    assert!(!place.path("o").exists() && !place.path("o.json").exists());
}

#[test]
fn a_folder_of_segment_names_its_pictures_and_categories() {
    let place = Place::new();
    let picture = |key: &str| serde_json::json!({ "key": key, "path": place.path(&format!("pictures/{key}.png")) });
    let names = ["other", "cat", "dog", "emu", "fox"];
    let category = |(id, name)| serde_json::json!({ "id": id, "name": name });
    let segments = serde_json::json!({
        "version": 1,
        "model": { "decoding": Decoding::as_shown() },
        "categories": names.into_iter().enumerate().map(category).collect::<Vec<_>>(),
        "pictures": KEYS.map(picture),
    });
    fs::write(place.path("masks/segments.json"), segments.to_string()).unwrap();
    let command = [
        "export", "--masks", "masks", "--format", "coco", "--out", "c.json",
    ];
    place::check_passed(&place.luss("2", &command));
    let coco: Value = serde_json::from_slice(&fs::read(place.path("c.json")).unwrap()).unwrap();
    assert_eq!(coco["categories"][3]["name"], "fox");
    assert_eq!(coco["images"][2]["file_name"], "b/3.png");
    fs::remove_file(place.path("masks/segments.json")).unwrap();
    let output = place.luss("2", &command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && said.contains("with --images"),
        "{said}"
    );
}

#[test]
fn ignored_pixels_are_void_in_voc_and_no_category() {
    let place = Place::new();
    place.put_mask("b/3", |labels| labels[5] = 1000);
    place.check_exports(&["--format", "voc", "--out", "voc"]);
    let (found, _) = read_mask(&place.path("voc/SegmentationClass/b/3.png")).unwrap();
    assert_eq!(found.labels()[4..7], [0, 255, 0]);
    let map = fs::read_to_string(place.path("voc/labelmap.txt")).unwrap();
    assert!(
        map.ends_with("category 3:128,128,0::\nignored:224,224,192::\n"),
        "{map}"
    );
    place.check_refused(&["--format", "palette", "--out", "p"], &["ids go to 1000"]);
}

#[test]
fn names_that_do_not_tell_categories_apart_are_refused() {
    let place = Place::new();
    let named = |text: &str, format: &str, said: &str| {
        fs::write(place.path("names.txt"), text).unwrap();
        let arguments = ["--format", format, "--out", "o", "--names", "names.txt"];
        place.check_refused(&arguments, &[said, "--names"]);
    };
    named("a:b\n", "cvat", "a:b");
    named("cat\ncat\n", "coco", "\"cat\" occurs twice");
    named("1 cat\n1 dog\n", "coco", "named twice");
}

#[test]
fn a_dataset_for_training_has_its_pictures() {
    let place = Place::new();
    for (format, pictures) in [("voc", "JPEGImages"), ("yolo", "images/train")] {
        place.check_exports(&["--format", format, "--out", format]);
        for key in KEYS {
            let copied = fs::read(place.path(&format!("{format}/{pictures}/{key}.png"))).unwrap();
            assert_eq!(
                copied,
                fs::read(place.path(&format!("pictures/{key}.png"))).unwrap()
            );
        }
        place.check_exports(&["--format", format, "--out", format, "--without-pictures"]);
        assert!(!place.path(format).join(pictures).exists());
    }
    let list = fs::read_to_string(place.path("voc/ImageSets/Segmentation/train.txt")).unwrap();
    assert_eq!(list.lines().collect::<Vec<_>>(), KEYS);
}
