//! Numbers that can be worked out by hand, and equalities between runs.

use serde_json::{Value, json};

use super::workplace::Workplace;

#[track_caller]
fn assert_close(actual: &Value, expected: f64) {
    let actual = actual.as_f64().unwrap();
    assert!(
        (actual - expected).abs() < 1e-12,
        "{actual} is not {expected}"
    );
}

#[test]
fn three_pictures_score_as_worked_out_by_hand() {
    let place = Workplace::with_three_pictures();
    let json = place.json(&[]);
    assert_eq!((&json["schema"], &json["images"]), (&json!(2), &json!(3)));
    // Pixels: class 1 has 4 true, 3 predicted (one more is ignored), all of them shared.
    let counts = |class: usize| {
        let class = &json["per_class"][class];
        ["truth_pixels", "prediction_pixels", "intersection_pixels"]
            .map(|name| class[name].as_u64().unwrap())
    };
    assert_eq!(
        [counts(1), counts(2), counts(3)],
        [[4, 3, 3], [8, 6, 6], [4, 4, 2]]
    );
    assert_eq!(counts(0), [19, 22, 17]);
    let ious = [17.0 / 24.0, 3.0 / 4.0, 6.0 / 8.0, 2.0 / 6.0];
    assert_close(&json["miou"], ious.iter().sum::<f64>() / 4.0);
    assert_close(
        &json["miou_without_other"],
        ious[1..].iter().sum::<f64>() / 3.0,
    );
    assert_close(&json["image_accuracy"], 1.0);
    let f = [
        13.0 * 3.0 / (3.0 * 4.0 + 10.0 * 3.0),
        13.0 * 6.0 / (3.0 * 8.0 + 10.0 * 6.0),
        13.0 * 2.0 / (3.0 * 4.0 + 10.0 * 4.0),
    ];
    assert_close(&json["f_beta"], f.iter().sum::<f64>() / 3.0);
    // Objects of 4/11, 8/12 and 4/12 of their pictures: two ML, one L.
    assert_eq!(
        json["sizes"]["small"],
        json!({"miou": null, "boundary_miou": null, "classes": 0})
    );
    assert_eq!(json["sizes"]["medium_small"]["miou"], Value::Null);
    assert_eq!(json["sizes"]["large"]["classes"], 1);
    assert_eq!(json["matching"]["kind"], "none");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let place = Workplace::with_three_pictures();
    let json = |threads: &str| {
        place.json(&[
            "--match",
            "image",
            "--bootstrap",
            "20",
            "--threads",
            threads,
        ])
    };
    assert_eq!(json("1"), json("3"));
    assert_eq!(json("1"), json("0"));
}

/// Clusters 1, 2, 3 stand for 3, 1, 2.
fn with_clusters() -> Workplace {
    let place = Workplace::with_three_pictures();
    place.mask(
        "pred/a/one.png",
        (4, 3),
        &[0, 2, 2, 0, 0, 2, 0, 0, 0, 0, 0, 2],
    );
    place.mask(
        "pred/a/two.png",
        (4, 3),
        &[3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0],
    );
    place.mask(
        "pred/b/three.png",
        (3, 4),
        &[0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0],
    );
    place
}

#[test]
fn matched_clusters_score_like_classes() {
    let expected = Workplace::with_three_pictures().json(&[]);
    let place = with_clusters();
    for rule in ["image", "pixel", "iou", "many-to-one"] {
        let json = place.json(&["--match", rule, "--save-match", "match.json"]);
        assert_eq!(json["per_class"], expected["per_class"], "{rule}");
        let pairs = json!([{"cluster": 1, "class": 3}, {"cluster": 2, "class": 1}, {"cluster": 3, "class": 2}]);
        assert_eq!(json["matching"]["pairs"], pairs);
        assert_eq!(json["matching"]["ties"]["unique"], true);
        assert_eq!(
            place.read("match.json"),
            "{\"1\": 3, \"2\": 1, \"3\": 2, \"0\": 0}\n"
        );
        let again = place.json(&["--match", "match.json"]);
        assert_eq!(again["per_class"], expected["per_class"]);
    }
    let json = place.json(&["--match", "image"]);
    assert_eq!(
        (&json["matching"]["total"], &json["matching"]["unit"]),
        (&json!(3), &json!(1.0))
    );
    assert_eq!(json["matching"]["miou_range"]["lowest"], json["miou"]);
}

/// Clusters 1 and 4 share class 3's object; side by side in one picture.
#[test]
fn joined_clusters_have_no_boundary_between_them() {
    let place = with_clusters();
    let (one, other) = ([1, 1, 1, 1, 4, 4, 4, 4], [3, 3, 3, 3, 3, 3, 3, 3]);
    let row = |halves: [u16; 8]| halves.repeat(6);
    for (name, ids) in [
        ("pred/c/split.png", row(one)),
        ("truth/c/split.png", row(other)),
    ] {
        place.mask(name, (8, 6), &ids);
    }
    let many = place.json(&["--match", "many-to-one", "--clusters", "4"]);
    assert_eq!(
        many["matching"]["pairs"][3],
        json!({"cluster": 4, "class": 3})
    );
    place.mask("pred/c/split.png", (8, 6), &row([1; 8]));
    let whole = place.json(&["--match", "many-to-one", "--clusters", "4"]);
    assert_eq!(many["boundary_miou"], whole["boundary_miou"]);
    assert_eq!(many["miou"], whole["miou"]);

    // One to one, cluster 4 stays alone and becomes other; fixed by a file it joins.
    place.mask("pred/c/split.png", (8, 6), &row(one));
    place.file("match.json", "{\"1\": 3, \"2\": 1, \"3\": 2, \"4\": 3}");
    let fixed = place.json(&["--match", "match.json"]);
    assert_eq!(fixed["per_class"], whole["per_class"]);
    assert_eq!(fixed["policies"]["clusters"], 4);
    let alone = place.json(&["--match", "image", "--clusters", "4"]);
    assert_eq!(
        alone["matching"]["pairs"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pair| pair["class"] == 0)
            .count(),
        1
    );
}

#[test]
fn attention_below_the_threshold_is_other() {
    let place = Workplace::with_three_pictures();
    let half = |size: usize| {
        (0..size)
            .map(|i| if i % 2 == 0 { 0.5 } else { 0.25 })
            .collect::<Vec<f32>>()
    };
    for (name, size) in [("a/one", (4, 3)), ("a/two", (4, 3)), ("b/three", (3, 4))] {
        place.npy(&format!("maps/{name}.npy"), size, &half(12));
    }
    let at = |t: &str| place.json(&["--scores", "maps", "--threshold", t]);
    assert_eq!(at("0.25")["per_class"], place.json(&[])["per_class"]);
    assert_eq!(
        at("0.25")["threshold"],
        json!({"value": 0.25, "rule": "fixed", "labels_used": "none"})
    );
    assert_eq!(at("0.5")["per_class"][2]["prediction_pixels"], 3);
    assert_eq!(at("0.50001")["per_class"][2]["prediction_pixels"], 0);
    assert_eq!(at("share:0.5")["per_class"], at("0.5")["per_class"]);
    assert_eq!(at("otsu")["per_class"], at("0.5")["per_class"]);
    assert_eq!(at("otsu")["threshold"]["labels_used"], "none");

    let best = place.json(&[
        "--scores",
        "maps",
        "--threshold",
        "best",
        "--match",
        "image",
        "--threshold-curve",
        "curve.csv",
    ]);
    assert_eq!(
        best["threshold"],
        json!({"value": 0.0, "rule": "best", "labels_used": "true masks"})
    );
    let curve = place.read("curve.csv");
    assert_eq!(curve.lines().count(), 82);
    let first = curve.lines().nth(1).unwrap();
    assert_eq!(first, format!("0,{},3", best["miou"]));
}

#[test]
fn attention_maps_that_do_not_fit_are_listed() {
    let place = Workplace::with_three_pictures();
    place.npy("maps/a/one.npy", (3, 4), &[0.0; 12]);
    place.npy("maps/a/two.npy", (4, 3), &[f32::NAN; 12]);
    place
        .eval(&["--scores", "maps", "--threshold", "0.5"])
        .refused(&[
            "missing: pred/b/three.png: nothing under maps holds its attention",
            "undecodable: maps/a/two.npy: the score at x=0, y=0 is NaN",
            "wrong_size: maps/a/one.npy: the scores are 3x4 but the mask is 4x3",
        ]);
}

#[test]
fn two_folders_are_compared_picture_by_picture() {
    let place = Workplace::with_three_pictures();
    let same = place.json(&["--compare", "pred", "--bootstrap", "30"]);
    let paired = &same["comparison"]["paired"];
    assert_eq!(
        (&paired["images"], &paired["bootstrap"]["resamples"]),
        (&json!(3), &json!(30))
    );
    assert_eq!(paired["scores"][0]["score"], "miou");
    assert_eq!(
        (
            &paired["scores"][0]["difference"],
            &paired["scores"][0]["equal"]
        ),
        (&json!(0.0), &json!(1.0))
    );
    assert_eq!(same["uncertainty"]["scores"][0]["value"], same["miou"]);

    let alone = place.json(&[]);
    for (name, size, ids) in [
        ("a/one", (4, 3), [0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0]),
        ("a/two", (4, 3), [2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0]),
        ("b/three", (3, 4), [3, 3, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        place.mask(&format!("perfect/{name}.png"), size, &ids);
    }
    let run = place.eval(&["--compare", "perfect", "--json", "out.json"]);
    run.scored();
    let comparison = &place.read_json("out.json")["comparison"];
    assert_eq!(
        (
            &comparison["b"]["miou"],
            &comparison["paired"]["scores"][0]["b"]
        ),
        (&json!(1.0), &json!(1.0))
    );
    assert_eq!(comparison["paired"]["scores"][0]["a"], alone["miou"]);
    assert!(
        run.stdout
            .contains("A against B on 3 pictures, 1000 resamples"),
        "{}",
        run.stdout
    );
    let both = place.run(&[
        "--compare",
        "pred",
        "perfect",
        "--truth",
        "truth",
        "--classes",
        "3",
    ]);
    assert_eq!(both.scored().stdout, run.stdout);
    place
        .eval(&["--compare", "pred", "perfect"])
        .refused(&["--compare takes two folders without --pred"]);
}
