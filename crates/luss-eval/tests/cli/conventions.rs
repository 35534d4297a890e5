//! Ignored ids, suffixes, spellings of names, and the notes beside the scores.

use png::{BitDepth, ColorType};
use serde_json::{Value, json};

use super::workplace::Workplace;

fn ious(json: &Value) -> Vec<Option<f64>> {
    let classes = json["per_class"].as_array().unwrap();
    classes.iter().map(|class| class["iou"].as_f64()).collect()
}

const C2: [&str; 2] = ["--classes", "2"];

#[test]
fn several_ids_are_ignored_and_0_may_be_among_them() {
    let place = Workplace::with_row(&[2, 1, 0, 255], &[2, 1, 0, 1]);
    let json = place.json_as(&C2, &["--ignore", "0,255"]);
    assert_eq!(ious(&json), [None, Some(1.0), Some(1.0)]);
    assert_eq!(json["policies"]["ignored"], json!([0, 255]));
    assert_eq!(json["miou"], 1.0);
    let zero = Workplace::with_row(&[2, 1, 0, 0], &[2, 1, 0, 1]);
    let json = zero.json_as(&C2, &["--ignore", "0"]);
    assert_eq!(
        (ious(&json), &json["miou_without_other"]),
        (vec![None, Some(1.0), Some(1.0)], &json!(1.0))
    );
    let many = Workplace::with_row(&[2, 1, 250, 254, 255], &[2, 1, 1, 0, 2]);
    let json = many.json_as(&C2, &["--ignore", "250,254,255"]);
    assert_eq!(ious(&json)[1..], [Some(1.0), Some(1.0)]);
    many.eval_as(&C2, &["--ignore", "255"])
        .refused(&["the truth has id 250"]);
    many.eval_as(&C2, &["--ignore", "2,255"])
        .refused(&["--ignore 2", "one of the 2 classes"]);
    many.eval_as(&C2, &["--ignore=-1"]).refused(&["--ignore"]);
    // The id that stands for ignored pixels is not one of the files.
    let stray = Workplace::with_row(&[2, 1, 0, 1000], &[2, 1, 0, 1]);
    stray.eval_as(&C2, &["--ignore", "0"]).refused(&[
        "unknown_id: truth/a.png: the truth has id 1000 at x=3, y=0",
        "from 0 to 2, and 0 (ignore)",
    ]);
    let json = stray.json_as(&C2, &["--ignore", "0,1000"]);
    assert_eq!(ious(&json), [None, Some(1.0), Some(1.0)]);
}

/// The void of colours is the id that stands for ignored pixels.
#[test]
fn void_is_ignored_where_0_is() {
    let place = Workplace::new();
    let kind = (ColorType::Rgb, BitDepth::Eight);
    let rows = [[128, 0, 0], [224, 224, 192], [0, 0, 0]].concat();
    place.png("truth/a.png", (3, 1), kind, &rows);
    place.png(
        "pred/a.png",
        (3, 1),
        (ColorType::Grayscale, BitDepth::Eight),
        &[1, 2, 0],
    );
    for options in [&[][..], &["--mask-format", "mixed"]] {
        let options = [&["--colors", "voc", "--ignore", "0"], options].concat();
        let json = place.json_as(&C2, &options);
        assert_eq!(ious(&json)[1], Some(1.0));
    }
}

/// ADE20K: 150 classes from 1 on in the truth, from 0 on in predictions.
#[test]
fn the_zero_label_is_reduced_as_mmsegmentation_does() {
    let place = Workplace::with_row(&[0, 1, 2, 150, 255], &[7, 0, 1, 149, 3]);
    let arguments = ["--reduce-zero-label", "--ignore", "255", "--absent", "skip"];
    let json = place.json_as(&["--classes", "150"], &arguments);
    assert_eq!((&json["miou"], ious(&json).len()), (&json!(1.0), 150));
    assert_eq!(json["policies"]["reduce_zero_label"], true);
    let stray = Workplace::with_row(&[1, 149], &[0, 149]);
    stray
        .eval_as(&["--classes", "149"], &arguments)
        .refused(&["unknown_id: pred/a.png", "id 149"]);
    // Ids are named as the file has them.
    let stray = Workplace::with_row(&[0, 200], &[7, 0]);
    stray
        .eval_as(&["--classes", "150"], &arguments)
        .refused(&["id 200 at x=1, y=0", "from 0 to 150, and 255 (ignore)"]);
}

/// What takes 0 for "other" is refused, or said.
#[test]
fn where_0_is_a_class_nothing_becomes_other_unsaid() {
    let place = Workplace::with_row(&[1, 2], &[0, 1]);
    let note =
        "id 0 is the first class; mIoU without other, image accuracy, F-beta and object sizes";
    let json = place.json_as(&C2, &["--reduce-zero-label"]);
    let notes = json["notes"].to_string();
    assert!(notes.contains(note), "{notes}");
    let notes = place.json_as(&C2, &[])["notes"].to_string();
    assert!(!notes.contains("id 0"), "{notes}");
    place.file("match.json", r#"{"1": 1}"#);
    place.npy("pred/a.npy", (2, 1), &[0.0, 1.0]);
    for options in [
        &["--match", "image"][..],
        &["--match", "match.json"],
        &["--scores", "pred", "--threshold", "0.5"],
    ] {
        place
            .eval_as(&C2, &[&["--reduce-zero-label"], options].concat())
            .refused(&["with --reduce-zero-label id 0 is a class"]);
    }
    let save = ["--reduce-zero-label", "--save-counts", "counts"];
    place.eval_as(&C2, &save).scored();
    place
        .run(&["merge", "counts", "--match", "image"])
        .refused(&["with --reduce-zero-label id 0 is a class"]);
}

#[test]
fn names_may_end_differently() {
    let place = Workplace::new();
    for city in ["aachen", "bonn"] {
        let name = |end: &str| format!("truth/{city}/{city}_1{end}");
        place.mask(&name("_gtFine_labelTrainIds.png"), (2, 1), &[1, 2]);
        place.mask(&name("_gtFine_color.png"), (9, 9), &[0; 81]);
        place.mask(
            &format!("pred/{city}/{city}_1_leftImg8bit.png"),
            (2, 1),
            &[1, 0],
        );
    }
    let suffixes = |truth, pred| ["--truth-suffix", truth, "--pred-suffix", pred];
    for (truth, pred) in [
        ("_gtFine_labelTrainIds.png", "_leftImg8bit.png"),
        ("_gtFine_labelTrainIds", "_leftImg8bit"),
    ] {
        let json = place.json_as(&C2, &suffixes(truth, pred));
        assert_eq!((&json["images"], ious(&json)[1]), (&json!(2), Some(1.0)));
    }
    place
        .eval_as(&C2, &suffixes("_gtFine_labelIds.png", "_leftImg8bit.png"))
        .refused(&["there is no .png below truth whose name ends with _gtFine_labelIds.png"]);
    place
        .eval_as(&C2, &["--truth-suffix", "_gtFine_labelTrainIds.png"])
        .refused(&["2 missing, 2 extra"]);
    place
        .eval_as(&C2, &["--truth-suffix", ""])
        .refused(&["leave the option out"]);
}

/// `é` as one letter and as two.
#[test]
fn names_that_differ_in_their_unicode_form_are_paired_and_it_is_said() {
    let place = Workplace::new();
    place.mask("truth/caf\u{e9}/\u{fc}ber.png", (1, 1), &[1]);
    place.mask("pred/cafe\u{301}/u\u{308}ber.png", (1, 1), &[1]);
    place.mask("truth/plain.png", (1, 1), &[0]);
    place.mask("pred/plain.png", (1, 1), &[0]);
    let json = place.json_as(&C2, &[]);
    assert_eq!(
        (&json["images"], &json["inputs"]["paired_by"]),
        (&json!(2), &json!("path"))
    );
    let note = "pairs whose names differ only in the Unicode form of their letters: 1";
    assert!(
        json["notes"].as_array().unwrap().contains(&json!(note)),
        "{}",
        json["notes"]
    );
    assert!(place.eval_as(&C2, &[]).stdout.contains(note));
    // Both forms in one folder are two names.
    place.mask("pred/caf\u{e9}/\u{fc}ber.png", (1, 1), &[2]);
    place
        .eval_as(&C2, &[])
        .refused(&["extra: pred/cafe\u{301}/u\u{308}ber.png", "1 extra"]);
    // By file name alone.
    let place = Workplace::new();
    place.mask("truth/a/\u{e9}.png", (1, 1), &[1]);
    place.mask("pred/e\u{301}.png", (1, 1), &[1]);
    assert_eq!(place.json_as(&C2, &[])["inputs"]["paired_by"], "name");
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_scored_against_itself_is_told() {
    use std::{fs, os::unix::fs::symlink};

    let place = Workplace::with_three_pictures();
    fs::remove_file(place.path("truth/a/one.png")).unwrap(); // has ignored pixels
    fs::remove_file(place.path("pred/a/one.png")).unwrap();
    let note = "both folders are the same: every prediction is the true mask itself";
    let check = |pred: &str, note: &str| {
        let json = place.json_of(pred, "truth", &[]);
        assert!(
            json["notes"].as_array().unwrap().contains(&json!(note)),
            "{}",
            json["notes"]
        );
        let run = place.run(&["--pred", pred, "--truth", "truth", "--classes", "3"]);
        assert!(run.scored().stdout.contains(note), "{}", run.stdout);
    };
    check("truth", note);
    check("./truth/../truth", note);
    symlink("truth", place.path("link")).unwrap();
    check("link", note);
    fs::create_dir(place.path("links")).unwrap();
    symlink("../truth/a", place.path("links/a")).unwrap();
    fs::create_dir(place.path("links/b")).unwrap();
    fs::hard_link(
        place.path("truth/b/three.png"),
        place.path("links/b/three.png"),
    )
    .unwrap();
    check("links", note);
    fs::remove_file(place.path("links/b/three.png")).unwrap();
    fs::copy(
        place.path("truth/b/three.png"),
        place.path("links/b/three.png"),
    )
    .unwrap();
    check("links", "predictions that are the true mask itself: 1 of 2");
    let annotations = r#"{"images": [{"id": 7, "file_name": "a/cat.jpg", "width": 2, "height": 1}],
        "annotations": [{"image_id": 7, "category_id": 2, "segmentation": {"size": [1, 2], "counts": [0, 1, 1]}}]}"#;
    place.file("truth.json", annotations);
    symlink("truth.json", place.path("link.json")).unwrap();
    for (pred, is_same) in [
        ("truth.json", true),
        ("link.json", true),
        ("copy.json", false),
    ] {
        place.file("copy.json", annotations);
        let notes = place.json_of(pred, "truth.json", &[])["notes"].to_string();
        assert_eq!(notes.contains(note), is_same, "{pred}: {notes}");
    }
    let run = place.run(&[
        "--compare",
        "pred",
        "./pred",
        "--truth",
        "truth",
        "--classes",
        "3",
    ]);
    assert!(
        run.scored().stdout.contains("A and B are the same folder"),
        "{}",
        run.stdout
    );
    let run = place.eval(&[]);
    assert!(!run.stdout.contains("itself"), "{}", run.stdout);
}

/// 700 x 900 zeros with 10 x 10 ones, the prediction shifted by 5; and a large square, whose boundary has an
/// inside.
#[test]
fn objects_thinner_than_the_boundary_band_are_told() {
    let square = |left: usize, side: usize| -> Vec<u8> {
        let is_in = |at: usize| {
            (300..300 + side).contains(&(at / 900)) && (left..left + side).contains(&(at % 900))
        };
        (0..630_000).map(|at| u8::from(is_in(at))).collect()
    };
    let place = Workplace::new();
    let write = |name: &str, rows: &[u8]| {
        place.png(
            name,
            (900, 700),
            (ColorType::Grayscale, BitDepth::Eight),
            rows,
        );
    };
    write("truth/a.png", &square(400, 10));
    write("pred/a.png", &square(405, 10));
    let json = place.json_as(&["--classes", "1"], &[]);
    let class = &json["per_class"][1];
    assert_eq!(
        (&class["iou"], &class["boundary_iou"]),
        (&json!(1.0 / 3.0), &json!(1.0 / 3.0))
    );
    let note = "thinner than twice the boundary band";
    let notes = |json: &Value| json["notes"].to_string();
    assert!(notes(&json).contains(note), "{}", notes(&json));
    let thin = place.json_as(&["--classes", "1"], &["--boundary-ratio", "0.003"]);
    assert!(!notes(&thin).contains(note), "{}", notes(&thin));
    write("truth/a.png", &square(400, 300));
    write("pred/a.png", &square(405, 300));
    let json = place.json_as(&["--classes", "1"], &[]);
    assert!(!notes(&json).contains(note), "{}", notes(&json));
}

#[test]
fn the_notes_of_the_json_are_those_of_the_table() {
    let place = Workplace::with_three_pictures();
    let run = place.eval(&["--match", "image", "--bootstrap", "9"]);
    let json = place.json(&["--match", "image", "--bootstrap", "9"]);
    let notes = json["notes"].as_array().unwrap().iter();
    let notes: Vec<&str> = notes.map(|note| note.as_str().unwrap()).collect();
    let (above, _) = run.stdout.split_once("\n\n").unwrap();
    assert_eq!(notes, above.lines().collect::<Vec<_>>());
}
