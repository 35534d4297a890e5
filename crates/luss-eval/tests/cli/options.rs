//! Outputs and policies.

use serde_json::json;

use super::workplace::Workplace;

#[test]
fn incomplete_pictures_are_left_out_on_request() {
    let place = Workplace::with_three_pictures();
    let complete = Workplace::with_three_pictures();
    for folder in ["pred", "truth"] {
        std::fs::remove_file(complete.path(&format!("{folder}/b/three.png"))).unwrap();
    }
    std::fs::remove_file(place.path("pred/b/three.png")).unwrap();
    place.mask("pred/spare.png", (1, 1), &[0]);
    let found = place.json(&["--allow-missing", "--problems", "problems.tsv"]);
    assert_eq!(found["per_class"], complete.json(&[])["per_class"]);
    assert_eq!(found["images"], 2);
    assert_eq!(
        found["left_out"],
        json!({"images": 1, "problems": {"extra": 1, "missing": 1}})
    );
    assert_eq!(place.read("problems.tsv").lines().count(), 3);
    let run = place.eval(&["--allow-missing"]);
    assert!(
        run.stdout.contains("1 of 3 pictures left out"),
        "{}",
        run.stdout
    );
    assert!(
        run.stderr
            .contains("left out (--allow-missing): 1 missing, 1 extra"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_policies_are_those_asked_for_and_are_written_down() {
    let place = Workplace::with_three_pictures();
    assert_eq!(
        place.json(&[])["policies"],
        json!({
            "classes": 3, "clusters": 3, "ignore": 1000, "ignored": [1000], "reduce_zero_label": false,
            "match": "none", "out_of_range": "error",
            "absent_class": "zero", "boundary_ignore": "edge", "boundary_ratio": 0.03, "allow_missing": false,
        })
    );
    let skip = [
        "--classes",
        "9",
        "--absent",
        "skip",
        "--boundary-ignore",
        "transparent",
        "--boundary-ratio",
        "0.02",
    ];
    let run = place.run(
        &[
            &["--pred", "pred", "--truth", "truth", "--json", "skip.json"],
            &skip[..],
        ]
        .concat(),
    );
    run.scored();
    let skip = place.read_json("skip.json");
    assert_eq!(skip["miou"], place.json(&[])["miou"]);
    assert_eq!(
        (
            &skip["per_class"][9]["iou"],
            &skip["policies"]["absent_class"]
        ),
        (&json!(null), &json!("skip"))
    );
    assert_eq!(
        (
            &skip["policies"]["boundary_ignore"],
            &skip["policies"]["boundary_ratio"]
        ),
        (&json!("transparent"), &json!(0.02))
    );
}

#[test]
fn ids_out_of_range_are_dropped_on_request() {
    let place = Workplace::with_three_pictures();
    place.mask(
        "pred/a/two.png",
        (4, 3),
        &[2, 2, 2, 2, 2, 2, 9, 1000, 0, 0, 0, 0],
    );
    let json = place.json(&["--out-of-range", "reference"]);
    assert_eq!(
        (
            &json["per_class"][2]["prediction_pixels"],
            &json["policies"]["out_of_range"]
        ),
        (&json!(6), &json!("reference"))
    );
    let matched = place.json(&["--out-of-range", "reference", "--match", "image"]);
    assert_eq!(matched["per_class"], json["per_class"]);
    place.file("match.json", "{\"1\": 1, \"2\": 2, \"3\": 3}");
    let fixed = place.json(&["--out-of-range", "reference", "--match", "match.json"]);
    assert_eq!(fixed["per_class"], json["per_class"]);
}

#[test]
fn names_appear_beside_their_classes() {
    let place = Workplace::with_three_pictures();
    place.file("names.txt", "1 tench\n2 shark, \"great\" white\n3 ray\n");
    let run = place.eval(&[
        "--names",
        "names.txt",
        "--per-class",
        "--csv",
        "out.csv",
        "--markdown",
        "out.md",
        "--json",
        "out.json",
    ]);
    run.scored();
    assert!(
        run.stdout.contains("shark, \"great\" white"),
        "{}",
        run.stdout
    );
    assert_eq!(
        place.read_json("out.json")["per_class"][2]["name"],
        "shark, \"great\" white"
    );
    let csv = place.read("out.csv");
    assert!(
        csv.starts_with("metric,id,name,value,low,high\nimages,,,3,,\nmiou,,,0.6"),
        "{csv}"
    );
    assert!(
        csv.contains("\niou,2,\"shark, \"\"great\"\" white\",0.75,,\n"),
        "{csv}"
    );
    assert!(csv.contains("\nsizes.small.miou,,,,,\n"), "{csv}");
    let markdown = place.read("out.md");
    assert!(markdown.contains("| mIoU | 63.54 |  |"), "{markdown}");
    assert!(markdown.contains("| 1 | tench | 75.00 |"), "{markdown}");
}

#[test]
fn intervals_appear_in_every_output() {
    let place = Workplace::with_three_pictures();
    let run = place.eval(&[
        "--bootstrap",
        "50",
        "--seed",
        "4",
        "--csv",
        "out.csv",
        "--markdown",
        "out.md",
        "--json",
        "out.json",
    ]);
    run.scored();
    assert!(
        run.stdout
            .contains("95 % intervals from 50 resamples of the pictures, seed 4"),
        "{}",
        run.stdout
    );
    let json = place.read_json("out.json");
    let interval = &json["uncertainty"]["scores"][0]["interval"];
    assert!(
        interval["low"].as_f64() <= json["miou"].as_f64()
            && json["miou"].as_f64() <= interval["high"].as_f64()
    );
    let csv = place.read("out.csv");
    let miou = csv.lines().find(|line| line.starts_with("miou,")).unwrap();
    assert!(
        miou.split(',')
            .skip(3)
            .all(|number| number.parse::<f64>().is_ok()),
        "{miou}"
    );
    assert!(place.read("out.md").contains(" to "));
}

#[test]
fn a_dash_is_the_standard_output_and_quiet_is_quiet() {
    let place = Workplace::with_three_pictures();
    let run = place.eval(&["--json", "-"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["images"], 3);
    let run = place.eval(&["--match", "image", "--save-match", "-"]);
    assert_eq!(
        run.scored().stdout,
        "{\"1\": 1, \"2\": 2, \"3\": 3, \"0\": 0}\n"
    );
    let run = place.eval(&["--problems", "-"]);
    assert_eq!(run.scored().stdout, "kind\tpath\tmessage\n");
    let run = place.eval(&["--quiet"]);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (0, "", "")
    );
}

#[test]
fn help_teaches_and_usage_errors_are_refusals() {
    let place = Workplace::new();
    let help = place.run(&["--help"]);
    assert_eq!(help.code, 0);
    for part in [
        "Exit code: 0 when scored, 1 when something failed, 2 when refused",
        "Examples:",
        "--threshold best",
    ] {
        assert!(help.stdout.contains(part), "{part}");
    }
    place
        .run(&["--no-such-thing"])
        .refused(&["--no-such-thing"]);
}

#[test]
fn outputs_replace_older_files_and_leave_nothing_beside_them() {
    let place = Workplace::with_three_pictures();
    place.file("out/scores.json", "old");
    place.eval(&["--json", "out/scores.json"]).scored();
    assert_eq!(place.read_json("out/scores.json")["images"], 3);
    assert_eq!(std::fs::read_dir(place.path("out")).unwrap().count(), 1);
}

#[test]
fn without_a_reader_the_exit_code_is_the_same() {
    let place = Workplace::with_three_pictures();
    for (predictions, code) in [("pred", 0), ("none", 2)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_luss-eval"))
            .args(["--truth", "truth", "--classes", "3", "--pred", predictions])
            .current_dir(place.path("."))
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .status();
        assert_eq!(status.unwrap().code(), Some(code), "{predictions}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_written_are_a_failure_and_no_refusal() {
    let place = Workplace::with_three_pictures();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_luss-eval"))
        .args(["--truth", "truth", "--classes", "3", "--pred", "pred"])
        .current_dir(place.path("."))
        .stdout(std::fs::File::create("/dev/full").unwrap())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
}
