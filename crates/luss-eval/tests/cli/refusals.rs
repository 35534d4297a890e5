//! Everything that is refused, with its message and exit code 2.

use png::{BitDepth, ColorType};

use super::workplace::Workplace;

#[test]
fn missing_and_extra_predictions_are_listed() {
    let place = Workplace::with_three_pictures();
    place.mask("truth/a/four.png", (1, 1), &[0]);
    place.mask("pred/b/five.png", (1, 1), &[0]);
    let run = place.eval(&["--json", "out.json"]);
    run.refused(&[
        "missing: truth/a/four.png: nothing under pred belongs to this true mask",
        "extra: pred/b/five.png: truth has no true mask b/five",
        "nothing is scored: 1 missing, 1 extra",
        "--allow-missing",
    ]);
    assert!(!place.path("out.json").exists());
}

#[test]
fn what_is_wrong_with_single_pictures_is_listed_once_each() {
    let place = Workplace::with_three_pictures();
    place.mask("pred/a/one.png", (3, 4), &[0; 12]);
    place.mask(
        "pred/a/two.png",
        (4, 3),
        &[0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0],
    );
    place.mask(
        "truth/b/three.png",
        (3, 4),
        &[0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    place.eval(&[]).refused(&[
        "wrong_size: pred/a/one.png: the prediction is 3x4 pixels but the truth is 4x3",
        "unknown_id: pred/a/two.png: the prediction has id 9 at x=2, y=1",
        "unknown_id: truth/b/three.png: the truth has id 77 at x=0, y=1",
        "1 wrong_size, 2 unknown_id",
    ]);
}

#[test]
fn files_that_are_no_masks_are_listed_with_cause_and_remedy() {
    let place = Workplace::with_three_pictures();
    place.file("pred/a/one.png", b"\xff\xd8\xff\xe0 a JPEG");
    let whole = std::fs::read(place.path("pred/a/two.png")).unwrap();
    place.file("pred/a/two.png", &whole[..whole.len() - 15]);
    let mut huge = whole.clone();
    huge[16..24].copy_from_slice(&[0x80, 0, 0, 0, 0x80, 0, 0, 0]);
    place.file("truth/b/three.png", huge);
    place.eval(&[]).refused(&[
        "undecodable: pred/a/one.png: this is a JPEG, not a PNG",
        "undecodable: pred/a/two.png: the PNG is damaged or truncated",
        "undecodable: truth/b/three.png: 2147483648x2147483648 pixels are more than",
        "3 undecodable",
    ]);
}

#[test]
fn a_changed_byte_fails_its_checksum() {
    let place = Workplace::with_three_pictures();
    let mut bytes = std::fs::read(place.path("pred/a/two.png")).unwrap();
    let last_checksum = bytes.len() - 16;
    bytes[last_checksum] ^= 1;
    place.file("pred/a/two.png", bytes);
    place.eval(&[]).refused(&[
        "undecodable: pred/a/two.png: the PNG is damaged or truncated",
        "CRC",
    ]);
}

#[test]
fn alpha_and_coloured_pictures_are_no_masks() {
    let place = Workplace::with_three_pictures();
    place.png(
        "pred/a/one.png",
        (4, 3),
        (ColorType::Rgba, BitDepth::Eight),
        &[0; 48],
    );
    place.png(
        "pred/a/two.png",
        (4, 3),
        (ColorType::Rgb, BitDepth::Eight),
        &[7; 36],
    );
    place.eval(&[]).refused(&[
        "undecodable: pred/a/one.png: this is a 8-bit RGB-with-alpha PNG",
        "undecodable: pred/a/two.png: B = 7 at x=0, y=0",
    ]);
}

#[test]
fn the_terminal_shows_twenty_problems_and_the_file_all() {
    let place = Workplace::with_three_pictures();
    for index in 0..30 {
        place.mask(&format!("truth/c/{index}.png"), (1, 1), &[0]);
    }
    let run = place.eval(&["--problems", "problems.tsv"]);
    run.refused(&["… and 10 more", "30 missing"]);
    let list = place.read("problems.tsv");
    assert_eq!(list.lines().count(), 31);
    assert!(
        list.lines()
            .skip(1)
            .all(|line| line.starts_with("missing\ttruth/c/")),
        "{list}"
    );
}

#[test]
fn masks_of_two_formats_in_one_folder_are_listed() {
    let place = Workplace::with_three_pictures();
    place.png(
        "pred/b/three.png",
        (3, 4),
        (ColorType::Grayscale, BitDepth::Eight),
        &[0; 12],
    );
    place
        .eval(&[])
        .refused(&["mixed_format: pred/b/three.png: the mask is gray8 where rg is expected"]);
    place.eval(&["--mask-format", "mixed"]).scored();
    place
        .eval(&["--mask-format", "palette"])
        .refused(&["the mask is rg where palette is expected", "6 mixed_format"]);
}

#[test]
fn folders_without_masks_are_refused() {
    let place = Workplace::with_three_pictures();
    place.file("jpegs/a.jpg", b"");
    let run = |pred: &str| place.run(&["--pred", pred, "--truth", "truth", "--classes", "3"]);
    run("nowhere").refused(&["cannot read nowhere", "check that it exists"]);
    run("jpegs").refused(&["there is no .png below jpegs"]);
}

#[test]
fn settings_that_do_not_fit_are_refused_before_anything_is_read() {
    let place = Workplace::with_three_pictures();
    place.file("match.json", "{\"1\": 2.5}");
    place.file("too-far.json", "{\"1\": 9}");
    place.file("names.txt", "one\ntwo\n");
    for (arguments, part) in [
        (
            &["--clusters", "5"][..],
            "--clusters 5 differs from --classes 3",
        ),
        (&["--match", "hungarian"], "--match hungarian: no rule"),
        (&["--match", "match.json"], "not a match file"),
        (
            &["--match", "too-far.json"],
            "leads to class 9, but there are 3",
        ),
        (&["--names", "names.txt"], "2 names for 3 classes"),
        (
            &["--boundary-ratio", "0"],
            "a boundary of 0 times the image diagonal",
        ),
        (&["--ignore", "2"], "2"),
        (&["--save-match", "m.json"], "nothing to save"),
        (
            &["--json", "no/folder/out.json"],
            "there is no folder no/folder",
        ),
        (&["--json", "pred"], "it is a folder"),
        (&["--scores", "pred"], "--threshold"),
        (&["--threshold", "0.4"], "--scores"),
        (
            &["--scores", "pred", "--threshold", "often"],
            "none of: a number, best, otsu, share:X",
        ),
        (
            &["--scores", "pred", "--threshold", "share:2"],
            "no share between 0 and 1",
        ),
        (
            &["--scores", "pred", "--threshold", "best"],
            "add --match image",
        ),
        (
            &[
                "--scores",
                "pred",
                "--threshold",
                "0.1",
                "--compare",
                "pred",
            ],
            "--compare-scores",
        ),
        (&["--bootstrap", "0"], "0"),
    ] {
        place.eval(arguments).refused(&[part]);
    }
    place
        .run(&["--pred", "pred", "--truth", "truth", "--classes", "0"])
        .refused(&["0"]);
    place
        .run(&["--pred", "pred", "--truth", "truth", "--classes", "65535"])
        .refused(&["65535"]);
    place
        .run(&["--pred", "pred", "--truth", "truth"])
        .refused(&["--classes"]);
    place
        .run(&["--pred", "pred", "--truth", "truth", "--classes", "1200"])
        .refused(&["1000"]);
}

#[test]
fn the_second_folder_of_a_comparison_must_be_complete_too() {
    let place = Workplace::with_three_pictures();
    place.mask("b/a/one.png", (4, 3), &[0; 12]);
    place
        .eval(&["--compare", "b"])
        .refused(&["--compare b", "2 missing", "nothing under b"]);
    let run = place.eval(&["--compare", "b", "--allow-missing", "--problems", "p.tsv"]);
    assert!(
        run.scored().stdout.contains("A against B on 1 pictures"),
        "{}",
        run.stdout
    );
    assert_eq!(place.read("p.tsv").lines().count(), 3);
}

#[test]
fn when_no_picture_is_left_nothing_is_scored() {
    let place = Workplace::new();
    place.mask("truth/one.png", (1, 1), &[0]);
    place.mask("pred/two.png", (1, 1), &[0]);
    place
        .eval(&["--allow-missing"])
        .refused(&["no picture is left to score"]);
}
