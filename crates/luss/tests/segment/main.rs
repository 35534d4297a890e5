//! `luss segment` and `luss model`: a run with drawn weights on pictures of several sizes.

mod memory;
mod place;
mod plans;
mod runs;

use std::{fs, io::Write as _, path::Path, process::Stdio, thread, time::Duration};

use html_report::palette::palette;
use imagenet_s::LabelMask;
use luss_metrics::folder::read_mask;
use serde_json::Value;

use place::{Place, command, files, indexed, names, passed, run, save, started};

#[test]
fn the_pictures_of_a_run_get_the_labels_that_it_predicted() {
    let place = Place::new();
    let validation = run().join("run/data/validation").display().to_string();
    passed(&place.segment("masks", &[&validation]));
    let predicted = run().join("run/fine_tuned/validation");
    let list = place.list("masks");
    let pictures = list["pictures"].as_array().unwrap();
    assert_eq!(pictures.len(), 9);
    let mut ids = Vec::new();
    for picture in pictures {
        let mask = picture["mask"].as_str().unwrap();
        let (expected, _) = read_mask(&predicted.join(mask)).unwrap();
        let found = indexed(&place.path("masks").join(mask));
        assert_eq!(found, expected, "{mask}");
        check_entry(picture, &found);
        ids.extend_from_slice(found.labels());
        let shown = image::open(place.path("masks").join(mask))
            .unwrap()
            .into_rgb8();
        assert_eq!(shown[(0, 0)].0, palette(6)[usize::from(found.labels()[0])]);
    }
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() > 1, "one id everywhere shows nothing: {ids:?}");
    assert_eq!(list["categories"][4]["name"], "category 4");
}

/// What the list says of a picture, counted again.
#[track_caller]
fn check_entry(entry: &Value, mask: &LabelMask) {
    assert_eq!(
        [&entry["width"], &entry["height"]],
        [mask.width(), mask.height()]
    );
    let confidence = entry["confidence"].as_f64().unwrap();
    assert!(
        (0.2..=1.0).contains(&confidence),
        "{confidence} of the best of five"
    );
    let mut left = mask.labels().len() as u64;
    for segment in entry["segments"].as_array().unwrap() {
        let id = segment["id"].as_u64().unwrap();
        let pixels = mask
            .labels()
            .iter()
            .filter(|&&found| u64::from(found) == id)
            .count() as u64;
        assert_eq!(segment["pixels"], pixels);
        let share = segment["share"].as_f64().unwrap();
        assert!((share - pixels as f64 / mask.labels().len() as f64).abs() < 1e-6);
        left -= pixels;
    }
    assert_eq!(left, 0);
}

#[test]
fn a_model_file_gives_the_bytes_of_its_run_and_others_are_refused() {
    let place = Place::with_pictures(3, 50);
    passed(&place.segment("a", &["pictures"]));
    let run = run().join("run").display().to_string();
    let export = ["model", "export", "--run", &run, "--out"];
    let exported = |name: &str| {
        passed(&started(place.0.path(), &[&export[..], &[name]].concat()));
        fs::read(place.path(name)).unwrap()
    };
    let bytes = exported("m.safetensors");
    assert!(bytes == exported("again.safetensors"));
    let with = |model: &str, out: &str| {
        let words = [
            "segment", "--model", model, "--out", out, "--quiet", "pictures",
        ];
        started(place.0.path(), &words)
    };
    passed(&with("m.safetensors", "b"));
    assert!(files(&place.path("a")) == files(&place.path("b")));
    let shown = passed(&started(
        place.0.path(),
        &["model", "show", "m.safetensors"],
    ));
    assert!(
        shown.contains("\"kind\": \"fine_tuned\"") && shown.contains("\"resize\": 64"),
        "{shown}"
    );

    let check = |bytes: &[u8], fact: &str| {
        fs::write(place.path("bad.safetensors"), bytes).unwrap();
        let output = with("bad.safetensors", "c");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for fact in [fact, "bad.safetensors", "luss model export --run"] {
            assert!(said.contains(fact), "no {fact:?} in {said}");
        }
        assert!(!place.path("c").exists());
    };
    check(&bytes[..bytes.len() - 1], "no whole .safetensors file");
    check(b"", "no whole .safetensors file");
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    check(&changed, "not those that it was written with");
    let resize = b"\\\"resize\\\":64";
    let at = bytes
        .windows(resize.len())
        .position(|found| found == resize)
        .unwrap();
    let mut other = bytes.clone();
    other[at + resize.len() - 1] = b'5';
    check(
        &other,
        "its metadata are not those that it was written with",
    );
    let text = b"\\\"version\\\":2";
    let at = bytes
        .windows(text.len())
        .position(|found| found == text)
        .unwrap();
    let mut newer = bytes.clone();
    newer[at + text.len() - 1] = b'7';
    check(
        &newer,
        "has the version 7, and this program reads version 2",
    );
    let weights = fs::read(Path::new(&run).join("finetune/weights.safetensors")).unwrap();
    check(&weights, "says nothing of its model");
}

#[test]
fn a_killed_call_goes_on_to_the_same_bytes() {
    let place = Place::with_pictures(40, 150);
    let options = ["--resize", "160", "--batch", "1", "pictures"];
    let words = place.words("killed", &options);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = command(place.0.path(), &words)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let journal = place.path("killed/.segment/done.jsonl");
    let lines = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    while lines() < 3 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !place.path("killed/segments.json").exists(),
        "killed too late to test anything"
    );
    let before = lines();
    // A kill may tear the last line, and leaves half a mask under another name.
    let torn = fs::OpenOptions::new().append(true).open(&journal);
    torn.unwrap().write_all(b"{\"picture\":39,\"conf").unwrap();
    fs::write(place.path("killed/.39.png.tmp"), "half").unwrap();

    place.refused(
        "killed",
        &["--batch", "1", "pictures"],
        &["sizing", "name another folder with --out"],
    );
    let said = passed(&place.segment("killed", &options));
    assert!(
        said.contains(&format!("40 masks in killed, {before} of them from before")),
        "{said}"
    );
    passed(
        &place.segment(
            "whole",
            &options[..2]
                .iter()
                .copied()
                .chain(["pictures"])
                .collect::<Vec<_>>(),
        ),
    );
    assert!(files(&place.path("killed")) == files(&place.path("whole")));

    let said = passed(&place.segment("whole", &["--resize", "160", "pictures"]));
    assert!(said.contains("40 of them from before"), "{said}");
    fs::remove_file(place.path("whole/7.png")).unwrap();
    passed(&place.segment("whole", &["--resize", "160", "pictures"]));
    assert!(
        files(&place.path("killed"))[Path::new("7.png")]
            == files(&place.path("whole"))[Path::new("7.png")]
    );
}

#[test]
fn other_pictures_and_folders_of_others_are_refused_with_what_helps() {
    let place = Place::with_pictures(3, 40);
    passed(&place.segment("masks", &["pictures"]));
    let before = files(&place.path("masks"));
    save(&place.path("pictures/new.png"), [40, 40], 0.0);
    place.refused(
        "masks",
        &["pictures"],
        &["new.png is new", "name another folder with --out"],
    );
    fs::remove_file(place.path("pictures/new.png")).unwrap();
    save(&place.path("pictures/1.png"), [49, 45], 7.0);
    fs::remove_file(place.path("pictures/2.png")).unwrap();
    place.refused(
        "masks",
        &["pictures"],
        &["1.png is another picture", "2.png is gone"],
    );
    assert!(files(&place.path("masks")) == before);
    place.refused(
        "pictures",
        &["pictures"],
        &["files of others", "name an empty or a new folder"],
    );
    place.refused(
        "new",
        &["pictures", "nowhere.jpg"],
        &["nowhere.jpg: no such file"],
    );
    place.refused(
        "new",
        &["--tile", "50", "pictures"],
        &["--tile 50", "64 pixels or more"],
    );
    assert!(!place.path("new").exists());
}

#[test]
fn pictures_that_cannot_be_read_are_all_named_or_left_out() {
    let place = Place::with_pictures(2, 40);
    fs::write(place.path("pictures/torn.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    fs::write(place.path("pictures/empty.jpg"), b"").unwrap();
    place.refused(
        "masks",
        &["pictures"],
        &["2 of 4 pictures", "torn.png", "empty.jpg", "--skip-broken"],
    );
    assert!(!place.path("masks").exists());
    let said = passed(&place.segment("masks", &["--skip-broken", "pictures"]));
    assert!(
        said.contains("2 masks in masks; 2 pictures cannot be read"),
        "{said}"
    );
    let skipped = place.list("masks")["skipped"].clone();
    let paths = skipped
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["path"].as_str().unwrap());
    assert!(paths.clone().any(|path| path.ends_with("torn.png")) && paths.count() == 2);
    passed(&place.segment("masks", &["--skip-broken", "pictures"]));
    save(&place.path("pictures/torn.png"), [40, 40], 0.0);
    place.refused(
        "masks",
        &["--skip-broken", "pictures"],
        &["torn.png is another picture", "name another folder"],
    );
}

#[test]
fn lists_name_pictures_and_masks_among_pictures_are_none() {
    let place = Place::with_pictures(3, 40);
    fs::write(place.path("list.txt"), "pictures/2.png\n\npictures/0.png\n").unwrap();
    fs::write(place.path("names.txt"), "1 sea\n3 sky\n").unwrap();
    passed(&place.segment("pictures/masks", &["--names", "names.txt", "list.txt"]));
    assert_eq!(
        names(&place.path("pictures/masks")).last().unwrap(),
        "segments.json"
    );
    let list = place.list("pictures/masks");
    let keys = list["pictures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|picture| &picture["key"]);
    assert!(keys.eq(["2", "0"]));
    assert_eq!(list["categories"][3]["name"], "sky");

    let words = place.words("all", &["-"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = command(place.0.path(), &words);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"pictures\n")
        .unwrap();
    assert!(child.wait().unwrap().success());
    let masks = names(&place.path("all"));
    assert_eq!(
        masks.iter().filter(|name| name.ends_with(".png")).count(),
        3,
        "{masks:?}"
    );
}

#[test]
fn a_picture_in_windows_is_labelled_as_the_whole_one() {
    let place = Place::new();
    save(&place.path("large.png"), [900, 610], 0.0);
    passed(&place.segment(
        "whole",
        &["--resize", "full", "--tile", "4096", "large.png"],
    ));
    passed(&place.segment("tiled", &["--resize", "full", "--tile", "384", "large.png"]));
    let [whole, tiled] = ["whole", "tiled"].map(|out| indexed(&place.path(out).join("large.png")));
    let mut ids = whole.labels().to_vec();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() > 1, "one id everywhere shows no seam: {ids:?}");
    let pairs = whole.labels().iter().zip(tiled.labels());
    let differing = pairs.filter(|(a, b)| a != b).count();
    assert!(
        200 * differing < whole.labels().len(),
        "{differing} pixels differ"
    );
}
