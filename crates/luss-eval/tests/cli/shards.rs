//! Counts written on several machines and merged.

use std::{fs, path::PathBuf};

use super::workplace::{Run, Workplace, run_in};

const SIZE: (u32, u32) = (9, 7);

/// Folders `whole` and `0` to `6` with the same seven pictures of three classes, all in the first
/// and dealt out to `shards` others. Some of the clusters are right.
fn dealt(shards: usize) -> Workplace {
    let place = Workplace::new();
    let pixels = (SIZE.0 * SIZE.1) as usize;
    for picture in 0..7 {
        let class = 1 + picture % 3;
        let id = |pixel: usize, shift: usize| {
            let inside = (pixel + shift) % 9 > 3 && pixel > 9 * (picture % 4);
            if inside { class as u16 } else { 0 }
        };
        let truth: Vec<u16> = (0..pixels).map(|pixel| id(pixel, 0)).collect();
        let prediction = (0..pixels).map(|pixel| match id(pixel, picture) {
            0 => 0,
            class => 1 + (class + u16::from(picture == 5)) % 3,
        });
        let prediction: Vec<u16> = prediction.collect();
        for folder in ["whole".to_string(), (picture % shards).to_string()] {
            place.mask(&format!("{folder}/truth/c/{picture}.png"), SIZE, &truth);
            place.mask(&format!("{folder}/pred/c/{picture}.png"), SIZE, &prediction);
        }
    }
    place
}

fn eval_in(place: &Workplace, folder: &str, options: &[&str]) -> Run {
    let given = ["--pred", "pred", "--truth", "truth", "--classes", "3"];
    run_in(&place.path(folder), &[&given[..], options].concat())
}

/// The files of counts of all folders.
fn saved(place: &Workplace, shards: usize, options: &[&str]) -> Vec<String> {
    let file = |shard: usize| {
        let file = format!("{shard}.counts");
        let path = place.path(&file).display().to_string();
        let options = [&["--save-counts", &path, "--quiet"], options].concat();
        eval_in(place, &shard.to_string(), &options).scored();
        file
    };
    (0..shards).map(file).collect()
}

fn merge(place: &Workplace, files: &[String], options: &[&str]) -> Run {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    place.run(&[&["merge"], &files[..], options].concat())
}

#[test]
fn merged_shards_equal_one_pass_bit_for_bit() {
    for shards in [1, 2, 7] {
        let place = dealt(shards);
        for options in [
            &["--match", "image", "--bootstrap", "9"][..],
            &["--match", "iou", "--per-class", "--absent", "skip"],
            &[],
        ] {
            let files = ["json", "csv", "markdown", "confusion"];
            let outputs = files.map(|name| format!("--{name}"));
            let paths = |folder: &str| files.map(|name| place.path(folder).join(name));
            let with_outputs = |paths: &[PathBuf; 4], options: &[&str]| -> Vec<String> {
                let pairs = outputs.iter().zip(paths);
                let pairs = pairs.flat_map(|(o, path)| [o.clone(), path.display().to_string()]);
                pairs.chain(options.iter().map(|o| o.to_string())).collect()
            };
            let texts = |paths: &[PathBuf; 4]| paths.clone().map(|path| fs::read(path).unwrap());
            let whole = paths("whole");
            let all = with_outputs(&whole, options);
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let table = eval_in(&place, "whole", &all).scored().stdout.clone();

            let counting: Vec<&str> = match options.iter().position(|o| *o == "--absent") {
                Some(at) => options[at..].to_vec(),
                None => Vec::new(),
            };
            let mut files = saved(&place, shards, &counting);
            files.rotate_left(shards / 2);
            files.reverse();
            fs::create_dir_all(place.path("merged")).unwrap();
            let merged = paths("merged");
            let later = options.iter().copied().filter(|o| !counting.contains(o));
            let later: Vec<&str> = later.collect();
            let all = with_outputs(&merged, &later);
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let run = merge(&place, &files, &all);
            assert_eq!(run.scored().stdout, table);
            assert!(
                texts(&merged) == texts(&whole),
                "{shards} shards, {options:?}"
            );
        }
    }
}

#[test]
fn merged_counts_are_merged_again() {
    let place = dealt(7);
    let files = saved(&place, 7, &[]);
    merge(&place, &files[3..], &["--save-counts", "late.counts"]).scored();
    let files = [&["late.counts".to_string()], &files[..3]].concat();
    let json = |run: Run| run.scored().stdout.clone();
    let once = json(eval_in(
        &place,
        "whole",
        &["--match", "pixel", "--json", "-"],
    ));
    let merged = json(merge(&place, &files, &["--match", "pixel", "--json", "-"]));
    assert_eq!(merged, once);
}

#[test]
fn a_match_file_is_applied_where_the_masks_are() {
    let place = dealt(2);
    place.file("m.json", r#"{"1": 3, "2": 1, "3": 2}"#);
    let file = place.path("m.json").display().to_string();
    let files = saved(&place, 2, &["--match", &file]);
    let whole = eval_in(&place, "whole", &["--match", &file, "--json", "-"]);
    let merged = merge(&place, &files, &["--json", "-"]);
    assert_eq!(merged.scored().stdout, whole.scored().stdout);
    merge(&place, &files, &["--match", "image"]).refused(&["not matched again"]);
    merge(&place, &files, &["--match", &file]).refused(&["where they are"]);
}

#[test]
fn shards_that_do_not_belong_together_are_refused() {
    let place = dealt(2);
    let files = saved(&place, 2, &[]);
    let twice = [files.clone(), vec!["0.counts".into()]].concat();
    merge(&place, &twice, &[]).refused(&["picture c/0", "0.counts", "once"]);
    let other = [
        ("--ignore", "255"),
        ("--absent", "skip"),
        ("--boundary-ratio", "0.02"),
    ];
    for (option, value) in other {
        let path = place.path("other.counts").display().to_string();
        let options = [option, value, "--save-counts", &path];
        eval_in(&place, "1", &options).scored();
        let files = ["0.counts".to_string(), "other.counts".to_string()];
        let run = merge(&place, &files, &[]);
        run.refused(&["0.counts and other.counts", "different settings", value]);
    }
}

#[test]
fn damaged_counts_are_refused_with_the_path_and_the_remedy() {
    let place = dealt(1);
    let files = saved(&place, 1, &[]);
    let good = place.read("0.counts");
    let digit = good.rfind(|c: char| c.is_ascii_digit()).unwrap();
    let mut changed = good.clone().into_bytes();
    changed[digit] ^= 1;
    let cut = &good.as_bytes()[..good.len() - 9];
    for bad in [&changed[..], cut, b"", b"{}", b"\x89PNG\n", b"[]\n[]\n"] {
        place.file("0.counts", bad);
        merge(&place, &files, &[]).refused(&["0.counts"]);
    }
    place.file("0.counts", &changed);
    merge(&place, &files, &[]).refused(&["checksum", "--save-counts"]);
    merge(&place, &["none.counts".into()], &[]).refused(&["none.counts"]);
}

/// Seven clusters on three classes.
#[test]
fn joined_clusters_name_the_command_that_has_the_masks() {
    let place = dealt(1);
    let row: Vec<u16> = (0..63).map(|pixel| 4 + pixel % 2).collect();
    place.mask("0/pred/c/0.png", SIZE, &row);
    let files = saved(&place, 1, &["--match", "pixel", "--clusters", "5"]);
    let run = merge(&place, &files, &["--match", "many-to-one"]);
    run.refused(&[
        "in the masks alone",
        "luss-eval --pred pred --truth truth --classes 3 --clusters 5 --match many-to-one",
    ]);
}

#[test]
fn merge_takes_files_and_nothing_of_folders() {
    let place = dealt(1);
    let files = saved(&place, 1, &[]);
    place.run(&["merge"]).refused(&["merge FILES"]);
    place
        .run(&["0.counts"])
        .refused(&["0.counts", "merge FILES"]);
    for option in [["--classes", "3"], ["--pred", "pred"], ["--ignore", "255"]] {
        merge(&place, &files, &option).refused(&["cannot be used with"]);
    }
    let threshold = [
        "--scores",
        "pred",
        "--threshold",
        "otsu",
        "--save-counts",
        "x",
    ];
    eval_in(&place, "0", &threshold).refused(&["--save-counts", "fixed threshold"]);
}
