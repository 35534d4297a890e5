//! A folder of pictures as people have it: what is left out, turned, broken or beside its mask.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use image::{Rgb, RgbImage};

use super::place::{Place, check_passed, check_refused};

/// Fourteen pictures in `photos`, enough for the batches of these tests.
fn photos(place: &Place) -> PathBuf {
    let folder = place.path("photos");
    fs::create_dir(&folder).unwrap();
    for number in 0..14 {
        let picture =
            RgbImage::from_fn(40, 32, |x, y| Rgb([6 * x as u8, 7 * y as u8, 17 * number]));
        picture
            .save(folder.join(format!("{number:02}.png")))
            .unwrap();
    }
    folder
}

/// Starts the first step of a run in `run` on these pictures, without any training.
fn start(place: &Place, folder: &Path, run: &str, more: &[&str]) -> Output {
    let run = place.path(run);
    let mut arguments: Vec<&OsStr> = vec!["--images".as_ref(), folder.as_ref()];
    arguments.extend(["--classes", "3", "--run"].map(OsStr::new));
    arguments.push(run.as_os_str());
    arguments.extend(["--set", "pretrain.epochs=0"].map(OsStr::new));
    arguments.extend(more.iter().map(OsStr::new));
    place.start("step pretrain", &arguments)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run has kept of its check.
fn checked(place: &Place, run: &str) -> serde_json::Value {
    let text = fs::read_to_string(place.path(run).join("done/check_data.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_is_left_out_is_counted_by_kind_at_the_start() {
    let place = Place::new();
    let folder = photos(&place);
    for name in ["a.gif", "b.heic", "c.HEIC", "notes.txt"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    let output = start(&place, &folder, "run", &[]);
    check_passed(&output);
    let line = "left out: 2 heic, 1 gif, 1 txt; read are: JPEG, PNG, WebP, TIFF and BMP";
    assert!(said(&output).contains(line), "{}", said(&output));
    assert_eq!(checked(&place, "run")["notes"][0], line);
}

#[test]
fn pictures_are_turned_and_the_run_says_so() {
    let place = Place::new();
    let folder = photos(&place);
    let turned = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../imagenet-s/tests/fixtures/formats/turned_6.tif");
    fs::copy(turned, folder.join("turned.tif")).unwrap();
    let output = start(&place, &folder, "run", &[]);
    check_passed(&output);
    let line = "1 picture with an orientation";
    assert!(said(&output).contains(line), "{}", said(&output));
    let file = fs::read_to_string(place.path("run/run.toml")).unwrap();
    assert!(file.contains("orientation = \"apply\""), "{file}");
    assert!(
        file.contains("colour = [255, 255, 255]") || file.contains("background.colour"),
        "{file}"
    );

    let stored = start(
        &place,
        &folder,
        "stored",
        &["--set", "data.orientation=ignore"],
    );
    check_passed(&stored);
    assert!(
        said(&stored).contains("read as they are stored"),
        "{}",
        said(&stored)
    );
}

#[test]
fn a_tree_is_read_as_it_is_stored() {
    let place = Place::new();
    let (tree, run) = (place.tree(), place.run_dir());
    let mut arguments: Vec<&OsStr> = vec!["--data".as_ref(), tree.as_ref(), "--run".as_ref()];
    arguments.push(run.as_ref());
    arguments.extend(["--set", "pretrain.epochs=0"].map(OsStr::new));
    check_passed(&place.start("step pretrain", &arguments));
    let file = fs::read_to_string(run.join("run.toml")).unwrap();
    assert!(file.contains("orientation = \"ignore\""), "{file}");
    assert!(file.contains("background = \"drop\""), "{file}");
}

#[test]
fn a_pattern_tells_pictures_from_the_masks_beside_them() {
    let place = Place::new();
    let folder = photos(&place);
    for number in 0..14 {
        let name = format!("{number:02}.png");
        let picture = image::open(folder.join(&name)).unwrap();
        picture
            .save(folder.join(&name).with_extension("jpg"))
            .unwrap();
    }
    let output = start(&place, &folder, "both", &[]);
    check_passed(&output);
    let facts = [
        "pictures differ in the extension alone, in 14 pairs",
        "--pattern '*.jpg'",
    ];
    assert!(
        facts.iter().all(|fact| said(&output).contains(fact)),
        "{}",
        said(&output)
    );

    let output = start(&place, &folder, "run", &["--pattern", "*.JPG"]);
    check_passed(&output);
    let line = "left out: 14 that the pattern leaves out";
    assert!(said(&output).contains(line), "{}", said(&output));
    assert_eq!(checked(&place, "run")["pictures"], 14);
    let output = start(&place, &folder, "none", &["--pattern", "*.tif"]);
    check_refused(&output, &["left out: 28 that the pattern leaves out"]);
}

/// Spoils three pictures in the ways of a bad download.
fn spoil(folder: &Path) -> Vec<PathBuf> {
    let names = ["03.png", "07.png", "11.png"].map(|name| folder.join(name));
    fs::write(&names[0], "").unwrap();
    fs::write(&names[1], "<html>404</html>").unwrap();
    let bytes = fs::read(&names[2]).unwrap();
    fs::write(&names[2], &bytes[..bytes.len() / 2]).unwrap();
    names.to_vec()
}

#[test]
fn broken_pictures_are_left_out_by_the_command_that_the_refusal_gives() {
    let place = Place::new();
    let folder = photos(&place);
    let broken = spoil(&folder);
    let output = start(&place, &folder, "run", &[]);
    let facts = ["3 bad files", "file is empty (0 bytes)", "a web page"];
    check_refused(&output, &facts);
    let command = said(&output);
    let command = command
        .lines()
        .find(|line| line.ends_with("--skip-broken"))
        .unwrap();
    assert!(
        command.contains(" step pretrain ") && command.contains("--classes 3"),
        "{command}"
    );

    let output = start(&place, &folder, "run", &["--skip-broken"]);
    check_passed(&output);
    assert!(
        said(&output).contains("3 bad training pictures are left out"),
        "{}",
        said(&output)
    );
    let first = checked(&place, "run");
    let names: Vec<&str> = first["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skipped| skipped["picture"].as_str().unwrap())
        .collect();
    let expected: Vec<&str> = broken.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(names, expected);

    check_passed(&start(&place, &folder, "other", &["--skip-broken"]));
    assert_eq!(checked(&place, "other")["skipped"], first["skipped"]);
    let run = place.path("run");
    let resume: [&OsStr; 2] = ["--run".as_ref(), run.as_ref()];
    let resumed = start_only(&place, &resume);
    assert!(
        said(&resumed).contains("3 bad training pictures are left out"),
        "{}",
        said(&resumed)
    );
    assert_eq!(checked(&place, "run")["skipped"], first["skipped"]);
}

/// The same step with nothing but these arguments.
fn start_only(place: &Place, arguments: &[&OsStr]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_luss"))
        .args(["step", "pretrain"])
        .args(arguments)
        .current_dir(place.path("."))
        .output()
        .unwrap()
}
