//! Counts written on several machines and merged.

use std::fs;

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
            let attention: Vec<f32> = (0..pixels).map(|pixel| (pixel % 5) as f32 / 4.0).collect();
            place.npy(&format!("{folder}/maps/c/{picture}.npy"), SIZE, &attention);
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

const OUTPUTS: [&str; 5] = ["json", "csv", "markdown", "confusion", "html"];

/// The table and all files of a run; the pages without their images, which merged counts cannot draw.
fn outputs(place: &Workplace, run: impl FnOnce(&[&str]) -> Run) -> Vec<String> {
    fs::create_dir_all(place.path("out")).unwrap();
    let file = |name: &str| place.path("out").join(name).display().to_string();
    let options = OUTPUTS
        .map(|name| [format!("--{name}"), file(name)])
        .concat();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let table = run(&options).scored().stdout.clone();
    let mut texts = OUTPUTS.map(|name| place.read(&format!("out/{name}")));
    let page = texts[4].split("<section>");
    let [images, rest]: [Vec<&str>; 2] = {
        let is_images = |section: &&str| section.contains("<h2>Images</h2>");
        let (images, rest) = page.partition(is_images);
        [images, rest]
    };
    assert_eq!(images.len(), 1);
    texts[4] = rest.concat();
    [vec![table], texts.to_vec()].concat()
}

/// Some orders of files whose number is 1 or a prime: by steps of 1, 3, …, from either end.
fn orders(files: &[String]) -> Vec<Vec<String>> {
    let n = files.len();
    let strides = (1..n.max(2)).step_by(2);
    let order =
        |step: usize| -> Vec<String> { (0..n).map(|at| files[at * step % n].clone()).collect() };
    let mut orders: Vec<Vec<String>> = strides.map(order).collect();
    orders.extend(orders.clone().into_iter().map(|mut order| {
        order.reverse();
        order
    }));
    orders
}

/// Runs with these options where pictures are counted, and with these where counts are merged.
#[track_caller]
fn check_equal(shards: usize, counting: &[&str], later: &[&str]) {
    let place = dealt(shards);
    place.mask("whole/truth/c/none.png", SIZE, &[0; 63]);
    place.mask("0/truth/c/none.png", SIZE, &[0; 63]);
    let counting = [&["--allow-missing"], counting].concat();
    let whole = outputs(&place, |files| {
        eval_in(&place, "whole", &[&counting, later, files].concat())
    });
    assert!(
        whole[0].contains("1 of 8 pictures left out"),
        "{}",
        whole[0]
    );
    let files = saved(&place, shards, &counting);
    for files in orders(&files) {
        let merged = outputs(&place, |outputs| {
            merge(&place, &files, &[later, outputs].concat())
        });
        assert!(merged == whole, "{files:?}, {counting:?}, {later:?}");
    }
}

#[test]
fn merged_shards_equal_one_pass_bit_for_bit() {
    for shards in [1, 2, 7] {
        check_equal(shards, &[], &["--match", "image", "--bootstrap", "9"]);
        check_equal(shards, &[], &[]);
        let skip = ["--absent", "skip"];
        check_equal(shards, &skip, &["--match", "iou", "--per-class"]);
        let attention = ["--scores", "maps", "--threshold", "0.5"];
        check_equal(shards, &attention, &["--match", "pixel"]);
        let from_zero = ["--reduce-zero-label", "--out-of-range", "reference"];
        check_equal(shards, &from_zero, &["--bootstrap", "9"]);
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

/// The names of two colours change places, and the ids with them.
#[test]
fn counts_of_masks_that_were_read_in_different_ways_are_not_merged() {
    let place = dealt(2);
    let maps = ["cat:9,0,0\ndog:0,9,0\n", "dog:0,9,0\ncat:9,0,0\n"];
    for (folder, map) in maps.into_iter().enumerate() {
        place.file(&format!("{folder}/map.txt"), map);
    }
    let ids = ["--mask-format", "rg", "--colors", "map.txt"];
    let run = merge(&place, &saved(&place, 2, &ids), &[]);
    run.refused(&["different settings", "colors is \"label map "]);
    place.file("1/map.txt", maps[0]);
    merge(&place, &saved(&place, 2, &ids), &[]).scored();

    let place = Workplace::new();
    for folder in ["0", "1"] {
        place.mask(&format!("{folder}/truth/{folder}.png"), (2, 1), &[0, 1]);
        place.mask(&format!("{folder}/pred/{folder}.png"), (2, 1), &[0, 1]);
        let binary = ["--binary", "--mask-format", "rg"];
        let options = ["--pred", "pred", "--truth", "truth", "--classes", "1"];
        let counts = ["--save-counts", "../counts"];
        let options = [
            &options[..],
            &counts,
            if folder == "0" { &binary } else { &[] },
        ]
        .concat();
        run_in(&place.path(folder), &options).scored();
        fs::rename(
            place.path("counts"),
            place.path(&format!("{folder}.counts")),
        )
        .unwrap();
    }
    let run = place.run(&["merge", "0.counts", "1.counts"]);
    run.refused(&["different settings", "binary is true and null"]);
}

#[test]
fn counts_of_clusters_are_matched_when_they_are_merged() {
    let place = dealt(2);
    saved(&place, 2, &["--match", "iou"]);
    fs::rename(place.path("1.counts"), place.path("iou.counts")).unwrap();
    saved(&place, 2, &[]);
    for files in [["0.counts", "iou.counts"], ["iou.counts", "0.counts"]] {
        let files = files.map(String::from);
        merge(&place, &files, &[]).refused(&["counts are of clusters", "--match iou"]);
        let run = merge(&place, &files, &["--match", "image", "--json", "-"]);
        let whole = eval_in(&place, "whole", &["--match", "image", "--json", "-"]);
        assert_eq!(run.scored().stdout, whole.scored().stdout);
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
    for option in [
        &["--classes", "3"][..],
        &["--pred", "pred"],
        &["--ignore", "255"],
        &["--pairs", "pairs.txt"],
        &["--pred-suffix", "_x"],
        &["--truth-suffix", "_x"],
        &["--binary"],
        &["--colors", "voc"],
        &["--reduce-zero-label"],
    ] {
        merge(&place, &files, option).refused(&["cannot be used with"]);
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
