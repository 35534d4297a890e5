//! What general tools print: accuracies, precision, recall, Dice, the confusion matrix.

use serde_json::{Value, json};

use super::workplace::Workplace;

#[test]
fn precision_recall_and_accuracies_are_those_of_the_pixels() {
    let place = Workplace::with_row(&[1, 1, 0, 0, 0, 0], &[1, 1, 1, 1, 0, 0]);
    let json = place.json_as(&["--classes", "2"], &["--confusion", "confusion.csv"]);
    assert_eq!(json["schema"], 2);
    assert_eq!(
        [&json["aacc"], &json["macc"], &json["fwiou"]],
        [&json!(4.0 / 6.0), &json!(0.75), &json!(0.5)]
    );
    let class = |id: usize| {
        let class = &json["per_class"][id];
        ["iou", "precision", "recall", "dice"].map(|name| class[name].clone())
    };
    assert_eq!(
        class(1),
        [json!(0.5), json!(0.5), json!(1.0), json!(2.0 / 3.0)]
    );
    assert_eq!(
        class(0),
        [json!(0.5), json!(1.0), json!(0.5), json!(2.0 / 3.0)]
    );
    assert_eq!(class(2), [const { Value::Null }; 4]);
    let confusion = place.read("confusion.csv");
    assert_eq!(
        confusion,
        "truth\\prediction,0,1,2\n0,2,2,0\n1,0,2,0\n2,0,0,0\n"
    );
}

#[test]
fn scores_of_nothing_are_null() {
    let place = Workplace::with_row(&[0; 25], &[0; 25]);
    let json = place.json_as(&["--classes", "1"], &["--absent", "skip"]);
    for name in ["miou_without_other", "image_accuracy", "f_beta"] {
        assert_eq!(json[name], Value::Null, "{name}");
    }
    assert_eq!([&json["miou"], &json["aacc"]], [1.0, 1.0]);
    let place = Workplace::with_row(&[255; 25], &[1; 25]);
    let json = place.json_as(&["--classes", "1"], &["--ignore", "255"]);
    for name in ["miou", "boundary_miou", "aacc", "macc", "fwiou"] {
        assert_eq!(json[name], Value::Null, "{name}");
    }
}

#[test]
fn an_ignored_rim_does_not_spoil_a_perfect_prediction() {
    let place = Workplace::new();
    let within = |from: u16, to: u16, pixel: u16| {
        (from..to).contains(&(pixel % 100)) && (from..to).contains(&(pixel / 100))
    };
    let labels = |rim: u16| -> Vec<u16> {
        let label = |pixel| match pixel {
            _ if within(30, 70, pixel) => 1,
            _ if within(20, 80, pixel) => rim,
            _ => 0,
        };
        (0..100 * 100).map(label).collect()
    };
    place.mask("truth/a.png", (100, 100), &labels(255));
    place.mask("pred/a.png", (100, 100), &labels(0));
    let transparent = ["--boundary-ignore", "transparent"];
    let options = [&["--ignore", "255"], &transparent[..]].concat();
    let json = place.json_as(&["--classes", "1"], &options);
    assert_eq!(json["boundary_miou"], 1.0);
}

#[test]
fn every_output_has_the_scores() {
    let place = Workplace::with_row(&[1, 1, 0, 0, 0, 0], &[1, 1, 1, 1, 0, 0]);
    let given = [
        "--pred",
        "pred",
        "--truth",
        "truth",
        "--classes",
        "1",
        "--per-class",
    ];
    let outputs = ["--csv", "out.csv", "--markdown", "out.md"];
    let run = place.run(&[&given[..], &outputs].concat());
    let table = &run.scored().stdout;
    for line in [
        "pixel accuracy         66.67",
        "mean accuracy          75.00",
    ] {
        assert!(table.contains(line), "{table}");
    }
    assert!(table.contains("precision   recall     Dice"), "{table}");
    let csv = place.read("out.csv");
    for line in [
        "aacc,,,0.6666666666666666,,",
        "recall,1,,1,,",
        "precision,1,,0.5,,",
    ] {
        assert!(csv.contains(line), "{csv}");
    }
    assert!(place.read("out.md").contains("| 1 |  | 50.00 |"));
}
