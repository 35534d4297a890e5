//! Nesting, links, names and mask formats.

use png::{BitDepth, ColorType};

use super::workplace::Workplace;

#[test]
fn flat_predictions_find_nested_truths_by_name() {
    let nested = Workplace::with_three_pictures();
    let expected = nested.json(&[]);
    let flat = Workplace::with_three_pictures();
    for (from, to) in [("a/one", "one"), ("a/two", "two"), ("b/three", "three")] {
        let from = flat.path(&format!("pred/{from}.png"));
        std::fs::rename(from, flat.path(&format!("pred/{to}.png"))).unwrap();
    }
    let found = flat.json(&[]);
    assert_eq!(
        (&found["inputs"]["paired_by"], &found["miou"]),
        (&"name".into(), &expected["miou"])
    );
    assert!(flat.eval(&[]).stdout.contains("paired by file name"));
}

#[test]
fn a_name_that_fits_two_truths_is_ambiguous() {
    let place = Workplace::new();
    for folder in ["truth/a", "truth/b", "pred"] {
        place.mask(&format!("{folder}/one.png"), (1, 1), &[0]);
    }
    place
        .eval(&[])
        .refused(&["ambiguous: pred/one.png: 2 true masks and 1 files have this name"]);
}

#[test]
fn one_picture_under_two_spellings_is_ambiguous() {
    let place = Workplace::with_three_pictures();
    place.mask("pred/a/one.PNG", (4, 3), &[0; 12]);
    place
        .eval(&[])
        .refused(&["ambiguous: pred/a/one.png: pred/a/one.PNG has the same name"]);
}

#[test]
fn other_and_hidden_files_do_not_matter() {
    let place = Workplace::with_three_pictures();
    let expected = place.json(&[]);
    place.file("pred/a/.one.png.tmp", b"unfinished");
    place.file("pred/.hidden/two.png", b"hidden");
    place.file("pred/a/notes.txt", b"hello");
    assert_eq!(place.json(&[]), expected);
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;

    let place = Workplace::with_three_pictures();
    let expected = place.json(&[]);
    symlink("../pred", place.path("pred/a/loop")).unwrap();
    symlink("..", place.path("pred/b/up")).unwrap();
    std::fs::rename(place.path("pred/b/three.png"), place.path("elsewhere.png")).unwrap();
    symlink(place.path("elsewhere.png"), place.path("pred/b/three.png")).unwrap();
    assert_eq!(place.json(&[])["miou"], expected["miou"]);

    std::fs::remove_file(place.path("elsewhere.png")).unwrap();
    place
        .eval(&[])
        .refused(&["undecodable: pred/b/three.png", "link whose target is gone"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_names() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let place = Workplace::with_three_pictures();
    for folder in ["pred", "truth"] {
        let from = place.path(&format!("{folder}/b/three.png"));
        let to = place.path(folder).join(OsStr::from_bytes(b"caf\xe9.png"));
        std::fs::rename(from, to).unwrap();
    }
    assert_eq!(place.json(&[])["images"], 3);
    std::fs::remove_file(place.path("pred").join(OsStr::from_bytes(b"caf\xe9.png"))).unwrap();
    place
        .eval(&["--problems", "p.tsv"])
        .refused(&["missing: truth/caf\u{fffd}.png"]);
}

/// The same ids in each encoding, in one folder each.
#[test]
fn every_mask_format_scores_alike() {
    let expected = Workplace::with_three_pictures().json(&[]);
    for (kind, name) in [
        ((ColorType::Grayscale, BitDepth::Eight), "gray8"),
        ((ColorType::Grayscale, BitDepth::Sixteen), "gray16"),
        ((ColorType::Indexed, BitDepth::Eight), "palette"),
    ] {
        let place = Workplace::new();
        write_as(&place, kind);
        let found = place.json(&["--ignore", "200"]);
        assert_eq!(found["per_class"], expected["per_class"], "{name}");
        assert_eq!(found["inputs"]["prediction_format"], name);
        let stated = place.json(&["--ignore", "200", "--mask-format", name]);
        assert_eq!(stated, found);
    }
}

/// The three pictures, with 200 in place of 1000.
fn write_as(place: &Workplace, kind: (ColorType, BitDepth)) {
    let three: [(&str, (u32, u32), [u16; 12]); 6] = [
        (
            "truth/a/one",
            (4, 3),
            [0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 200],
        ),
        ("pred/a/one", (4, 3), [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]),
        ("truth/a/two", (4, 3), [2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0]),
        ("pred/a/two", (4, 3), [2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0]),
        (
            "truth/b/three",
            (3, 4),
            [3, 3, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0],
        ),
        ("pred/b/three", (3, 4), [0, 3, 3, 0, 3, 3, 0, 0, 0, 0, 0, 0]),
    ];
    for (name, size, ids) in three {
        let bytes = |id: &u16| match kind.1 {
            BitDepth::Sixteen => id.to_be_bytes().to_vec(),
            _ => vec![*id as u8],
        };
        let rows: Vec<u8> = ids.iter().flat_map(bytes).collect();
        place.png(&format!("{name}.png"), size, kind, &rows);
    }
}

#[test]
fn truths_may_have_a_format_of_their_own() {
    let place = Workplace::with_three_pictures();
    for name in ["a/one", "a/two", "b/three"] {
        let size = if name == "b/three" { (3, 4) } else { (4, 3) };
        place.png(
            &format!("truth/{name}.png"),
            size,
            (ColorType::Grayscale, BitDepth::Sixteen),
            &[0; 24],
        );
    }
    assert_eq!(place.json(&[])["inputs"]["truth_format"], "gray16");
    let formats = ["--mask-format", "rg", "--truth-format", "gray16"];
    assert_eq!(place.json(&formats)["inputs"]["prediction_format"], "rg");
    place
        .eval(&["--mask-format", "rg"])
        .refused(&["3 mixed_format"]);
}

#[test]
fn classes_beyond_the_usual_thousand_need_another_ignore_id() {
    let place = Workplace::new();
    place.mask("truth/one.png", (3, 1), &[40_000, 65_534, 65_535]);
    place.mask("pred/one.png", (3, 1), &[40_000, 65_534, 0]);
    let arguments = [
        "--pred",
        "pred",
        "--truth",
        "truth",
        "--classes",
        "65534",
        "--ignore",
        "65535",
        "--absent",
        "skip",
        "--json",
        "out.json",
    ];
    place.run(&arguments).scored();
    assert_eq!(place.read_json("out.json")["miou"], 1.0);
}
