//! Masks as other tools write them: two values, colours, TIFF, arrays, COCO, lists of pairs.

use png::{BitDepth, ColorType};
use serde_json::json;

use super::workplace::Workplace;

const GRAY8: (ColorType, BitDepth) = (ColorType::Grayscale, BitDepth::Eight);
const RGB8: (ColorType, BitDepth) = (ColorType::Rgb, BitDepth::Eight);

/// One picture of 2 x 2 pixels, both masks alike.
fn alike(kind: (ColorType, BitDepth), rows: &[u8]) -> Workplace {
    let place = Workplace::new();
    for folder in ["truth", "pred"] {
        place.png(&format!("{folder}/a.png"), (2, 2), kind, rows);
    }
    place
}

const C1: [&str; 2] = ["--classes", "1"];

#[test]
fn masks_of_0_and_255_are_refused_with_advice_and_read_on_request() {
    let place = alike(GRAY8, &[0, 255, 255, 0]);
    place
        .eval_as(&C1, &[])
        .refused(&["0/255 masks", "--binary", "write 0/1"]);
    place
        .eval_as(&C1, &["--problems", "p.tsv"])
        .refused(&["0/255 masks"]);
    assert!(place.read("p.tsv").contains("unknown_id\tpred/a.png"));
    let json = place.json_as(&C1, &["--binary"]);
    assert_eq!(
        (&json["miou"], &json["per_class"][1]["truth_pixels"]),
        (&json!(1.0), &json!(2))
    );
    assert_eq!(json["inputs"]["truth_format"], "binary");
    let place = alike(
        (ColorType::Grayscale, BitDepth::Sixteen),
        &[0, 0, 255, 255, 255, 255, 0, 0],
    );
    assert_eq!(
        place.json_as(&C1, &["--binary"])["per_class"][1]["truth_pixels"],
        2
    );
    let wide = [[0, 0], [255, 255], [255, 255], [0, 0]].concat();
    let place = alike((ColorType::Grayscale, BitDepth::Sixteen), &wide);
    place.eval_as(&C1, &[]).refused(&["0/255 masks"]);
    let place = alike(RGB8, &[0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0]);
    place.eval_as(&C1, &[]).refused(&["B = 255", "--binary"]);
    assert_eq!(
        place.json_as(&C1, &["--binary"])["per_class"][1]["truth_pixels"],
        2
    );
}

/// The truth may be 0/1 and the prediction 0/255.
#[test]
fn either_side_alone_is_noticed() {
    let place = alike(GRAY8, &[0, 1, 1, 0]);
    place.png("pred/a.png", (2, 2), GRAY8, &[0, 255, 255, 255]);
    place
        .eval_as(&C1, &[])
        .refused(&["pred: 0/255 masks", "--binary"]);
    let json = place.json_as(&C1, &["--binary"]);
    assert_eq!(json["per_class"][1]["iou"], json!(2.0 / 3.0));
    // 255 is ignored: no mask of two values.
    let place = alike(GRAY8, &[0, 0, 0, 0]);
    place.png("truth/a.png", (2, 2), GRAY8, &[0, 255, 255, 0]);
    let json = place.json_as(&C1, &["--ignore", "255"]);
    assert_eq!(
        (
            &json["per_class"][0]["iou"],
            &json["notes"].as_array().unwrap().len()
        ),
        (&json!(1.0), &1)
    );
}

#[test]
fn masks_of_one_bit_are_read_on_request() {
    let bits = (ColorType::Grayscale, BitDepth::One);
    let place = alike(bits, &[0b0100_0000, 0b1000_0000]);
    place
        .eval_as(&C1, &[])
        .refused(&["1-bit grey PNG", "--binary"]);
    assert_eq!(
        place.json_as(&C1, &["--binary"])["per_class"][1]["truth_pixels"],
        2
    );
}

#[test]
fn two_values_are_two_and_one_class() {
    let place = alike(GRAY8, &[0, 17, 255, 0]);
    place
        .eval_as(&C1, &["--binary"])
        .refused(&["the value 17 at x=1, y=0"]);
    place.eval(&["--binary"]).refused(&["--classes 1"]);
    place
        .eval_as(&C1, &["--binary", "--ignore", "255"])
        .refused(&["255 cannot be ignored"]);
    place.png("pred/a.png", (2, 2), GRAY8, &[0, 255, 255, 0]);
    let json = place.json_as(&C1, &["--binary", "--ignore", "17"]);
    assert_eq!(json["per_class"][1]["truth_pixels"], 1);
    let stated = ["--binary", "--ignore", "17", "--mask-format", "gray8"];
    let json_stated = place.json_as(&C1, &stated);
    assert_eq!(json_stated["per_class"], json["per_class"]);
    assert_eq!(json_stated["inputs"]["truth_format"], "gray8");
}

#[test]
fn the_indices_of_palettes_may_be_two_values() {
    let place = alike(GRAY8, &[0, 255, 255, 0]);
    let palette = (ColorType::Indexed, BitDepth::Eight);
    place.png("truth/a.png", (2, 2), palette, &[0, 255, 1, 0]);
    let json = place.json_as(&C1, &["--binary"]);
    assert_eq!(json["per_class"][1]["iou"], 1.0);
    assert_eq!(json["inputs"]["truth_format"], "binary");
}

/// Red alone is a valid `R + 256 G`, green is not.
#[test]
fn what_looks_like_colors_is_refused_at_any_number_of_classes() {
    let red = [[0, 0, 0], [128, 0, 0], [128, 0, 0], [0, 0, 0]].concat();
    let green = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [0, 0, 0]].concat();
    for rows in [&red, &green] {
        let place = alike(RGB8, rows);
        for classes in ["3", "127", "128", "300", "919"] {
            let refused = place.eval_as(&["--classes", classes], &[]);
            refused.refused(&[
                "these look like colours",
                "--colors voc",
                "--mask-format rg",
            ]);
        }
    }
    let full = [[0, 0, 0], [255, 0, 0], [255, 0, 0], [0, 0, 0]].concat();
    alike(RGB8, &full)
        .eval_as(&C1, &[])
        .refused(&["these look like colours"]);
    let place = alike(RGB8, &red);
    let stated = place.json_as(
        &["--classes", "300"],
        &["--mask-format", "rg", "--absent", "skip"],
    );
    assert_eq!(stated["per_class"][128]["iou"], 1.0);
    let blue = alike(
        RGB8,
        &[[0, 0, 0], [0, 0, 128], [0, 0, 128], [0, 0, 0]].concat(),
    );
    blue.eval(&[])
        .refused(&["B = 128", "these look like colours", "--colors"]);
}

#[test]
fn ids_that_happen_to_be_round_are_ids_among_others() {
    let place = Workplace::new();
    for folder in ["truth", "pred"] {
        place.mask(&format!("{folder}/a.png"), (2, 1), &[128, 64]);
        place.mask(&format!("{folder}/b.png"), (2, 1), &[128, 77]);
    }
    let json = place.json_as(&["--classes", "300"], &["--absent", "skip"]);
    assert_eq!(json["miou"], 1.0);
}

/// VOC's aeroplane, bicycle and void; predictions are ids in grey.
#[test]
fn colors_stand_for_ids_on_request() {
    let place = alike(GRAY8, &[0, 1, 2, 2]);
    let rows = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [224, 224, 192]].concat();
    place.png("truth/a.png", (2, 2), RGB8, &rows);
    let json = place.json(&["--colors", "voc"]);
    let ious = [0, 1, 2].map(|class| json["per_class"][class]["iou"].as_f64());
    assert_eq!(ious, [Some(1.0); 3]);
    assert_eq!(json["inputs"]["truth_format"], "colors");
    assert_eq!(json["inputs"]["prediction_format"], "gray8");
    place
        .eval(&["--colors", "cityscapes"])
        .refused(&["(128, 0, 0) at x=1, y=0 stands for no id"]);
    place
        .eval(&["--colors", "nowhere.txt"])
        .refused(&["neither voc nor cityscapes"]);
    place
        .eval(&["--truth-format", "colors"])
        .refused(&["colours need a map"]);
}

/// Cityscapes' colour files are RGBA: road, car, unlabeled.
#[test]
fn cityscapes_colors_are_train_ids() {
    let place = alike(GRAY8, &[0, 13, 13, 5]);
    let rows = [
        [128, 64, 128, 255],
        [0, 0, 142, 255],
        [0, 0, 142, 255],
        [0, 0, 0, 255],
    ]
    .concat();
    place.png(
        "truth/a.png",
        (2, 2),
        (ColorType::Rgba, BitDepth::Eight),
        &rows,
    );
    place
        .eval(&[])
        .refused(&["8-bit RGB-with-alpha", "--colors"]);
    let classes = [
        "--classes",
        "18",
        "--ignore",
        "255",
        "--colors",
        "cityscapes",
    ];
    let json = place.json_as(&classes, &["--absent", "skip"]);
    assert_eq!(
        (&json["miou"], &json["per_class"][13]["truth_pixels"]),
        (&json!(1.0), &json!(2))
    );
    let mut rows = rows;
    rows[3] = 128;
    place.png(
        "truth/a.png",
        (2, 2),
        (ColorType::Rgba, BitDepth::Eight),
        &rows,
    );
    place
        .eval_as(&classes, &[])
        .refused(&["x=0, y=0 is not opaque (alpha 128)"]);
}

#[test]
fn a_label_map_of_cvat_names_the_colors() {
    let rows = [[0, 0, 0], [10, 20, 30], [200, 0, 9], [255, 255, 255]].concat();
    let place = alike(RGB8, &rows);
    place.file(
        "labelmap.txt",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:10,20,30::\ndog:200,0,9::\nignored:255,255,255::\n",
    );
    place
        .eval(&["--colors", "labelmap.txt"])
        .refused(&["unknown_id: pred/a.png", "id 1000"]);
    place.png(
        "pred/a.png",
        (2, 2),
        RGB8,
        &[&rows[..9], &[0, 0, 0]].concat(),
    );
    let json = place.json(&["--colors", "labelmap.txt", "--absent", "skip"]);
    assert_eq!(
        (&json["miou"], &json["per_class"][2]["truth_pixels"]),
        (&json!(1.0), &json!(1))
    );
    place.file("labelmap.txt", "cat:10,20\n");
    place
        .eval(&["--colors", "labelmap.txt"])
        .refused(&["line 1", "no colour"]);
}

/// A grey TIFF of one strip without compression.
fn tiff(width: u32, ids: &[u8]) -> Vec<u8> {
    let length = ids.len() as u32;
    let tags = [
        (256, width),
        (257, length / width),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, length / width),
        (279, length),
    ];
    let entry = |(tag, value): (u16, u32)| {
        let [tag, kind] = [tag, 4].map(u16::to_le_bytes);
        [&tag[..], &kind, &1u32.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let entries: Vec<u8> = tags.into_iter().flat_map(entry).collect();
    let start = [b"II*\0".as_slice(), &(8 + length).to_le_bytes(), ids].concat();
    [start, vec![9, 0], entries, vec![0; 4]].concat()
}

#[test]
fn tiff_and_arrays_are_masks_where_there_is_no_png() {
    let place = Workplace::new();
    place.file("truth/a.tif", tiff(2, &[0, 1, 1, 3]));
    place.array("pred/a.npy", "|u1", "(2, 2)", &[0, 1, 1, 2]);
    let json = place.json(&[]);
    assert_eq!(json["per_class"][1]["iou"], 1.0);
    assert_eq!(json["inputs"]["truth_format"], "tiff");
    assert_eq!(json["inputs"]["prediction_format"], "npy");
    place.array("pred/a.npy", "|u1", "(4,)", &[0, 1, 1, 2]);
    place
        .eval(&[])
        .refused(&["undecodable: pred/a.npy", "(height, width)"]);
    // Attention beside PNG masks is not taken for masks.
    place.mask("pred/a.png", (2, 2), &[0, 1, 1, 3]);
    assert_eq!(place.json(&[])["miou_without_other"], json!(2.0 / 3.0));
}

/// Nothing vanishes because of its extension.
#[test]
fn masks_of_another_kind_are_told_and_a_format_chooses_among_them() {
    let place = Workplace::new();
    for folder in ["truth", "pred"] {
        place.png(&format!("{folder}/a.png"), (2, 2), GRAY8, &[0, 1, 1, 3]);
        place.file(&format!("{folder}/b.tif"), tiff(2, &[0, 1, 2, 3]));
    }
    place.file("pred/b.tif", tiff(2, &[0, 1, 2, 2]));
    let found = |options: &[&str]| {
        let json = place.json(options);
        let is_told = json["notes"].to_string().contains("which are not read: 2");
        (
            json["images"].clone(),
            json["per_class"][2]["iou"].clone(),
            is_told,
        )
    };
    assert_eq!(found(&[]), (json!(1), json!(null), true));
    let tiff_alone = found(&["--mask-format", "tiff"]);
    assert_eq!(tiff_alone, (json!(1), json!(0.5), true));
    let mixed = found(&["--mask-format", "mixed"]);
    assert_eq!(mixed, (json!(2), json!(0.5), false));
    place
        .eval(&["--mask-format", "npy"])
        .refused(&["no mask of the stated kind below truth, but 2 of another one"]);
    // Attention beside the masks is not of another kind.
    place.npy("pred/a.npy", (2, 2), &[1.0; 4]);
    let attention = ["--scores", "pred", "--threshold", "0.5"];
    assert!(found(&attention).2);
    place.png("truth/b.png", (2, 2), GRAY8, &[0; 4]);
    place.eval(&[]).refused(&["missing: truth/b.png"]);
}

/// Category 2 is a square of 2 x 2 pixels in a picture of 4 x 3; the runs are down the columns.
fn coco(counts: &str) -> String {
    format!(
        r#"{{"images": [{{"id": 7, "file_name": "a/cat.jpg", "width": 4, "height": 3}}],
            "categories": [{{"id": 2, "name": "cat"}}],
            "annotations": [{{"id": 1, "image_id": 7, "category_id": 2, "iscrowd": 0,
                "segmentation": {{"size": [3, 4], "counts": {counts}}}}}]}}"#
    )
}

#[test]
fn coco_annotations_are_masks_on_either_side() {
    let place = Workplace::new();
    let (truth, predicted) = ("[3, 2, 1, 2, 4]", "[4, 2, 1, 2, 3]");
    place.file("truth.json", coco(truth));
    place.file("pred.json", coco(predicted));
    let json = place.json_of("pred.json", "truth.json", &[]);
    assert_eq!(json["per_class"][2]["iou"], json!(2.0 / 6.0));
    assert_eq!(json["inputs"]["truth_format"], "coco");
    place.mask(
        "truth/a/cat.png",
        (4, 3),
        &[0, 2, 2, 0, 0, 2, 2, 0, 0, 0, 0, 0],
    );
    let mixed = place.json_of("pred.json", "truth", &[]);
    assert_eq!(mixed["per_class"], json["per_class"]);
    let suffix = [
        "--pred",
        "pred.json",
        "--pred-suffix",
        "_x",
        "--truth",
        "truth",
        "--classes",
        "3",
    ];
    place
        .run(&suffix)
        .refused(&["a suffix is that of files in a folder"]);
    // A list of results names its pictures by the ids of the truth.
    let results = r#"[{"image_id": 7, "category_id": 2, "score": 0.5, "segmentation": {"size": [3, 4], "counts": "32112"}}]"#;
    place.file("results.json", results);
    let listed = place.json_of("results.json", "truth.json", &[]);
    assert_eq!(listed["per_class"][2]["prediction_pixels"], 5);
}

#[test]
fn coco_results_find_the_masks_that_are_called_by_their_ids() {
    let place = Workplace::new();
    place.mask("truth/000000000139.png", (4, 3), &[0; 12]);
    let results = r#"[{"image_id": 139, "category_id": 2, "segmentation": {"size": [3, 4], "counts": [0, 1, 11]}}]"#;
    place.file("results.json", results);
    let json = place.json_of("results.json", "truth", &[]);
    assert_eq!(json["per_class"][2]["prediction_pixels"], 1);
}

/// Names with dots; and a number that two names end with is the id of neither.
#[test]
fn coco_results_find_pictures_whose_names_have_dots() {
    let place = Workplace::new();
    place.file(
        "truth.json",
        coco("[3, 2, 1, 2, 4]").replace("cat.jpg", "cat.v2.jpg"),
    );
    let results = r#"[{"image_id": 7, "category_id": 2, "segmentation": {"size": [3, 4], "counts": [3, 2, 7]}}]"#;
    place.file("results.json", results);
    let json = place.json_of("results.json", "truth.json", &[]);
    assert_eq!(json["per_class"][2]["iou"], json!(0.5));

    place.mask("truth/x_7.png", (4, 3), &[0; 12]);
    let json = place.json_of("results.json", "truth", &[]);
    assert_eq!(json["images"], 1);
    place.mask("truth/y_7.png", (4, 3), &[0; 12]);
    let run = place.run(&[
        "--pred",
        "results.json",
        "--truth",
        "truth",
        "--classes",
        "3",
    ]);
    run.refused(&["extra: results.json/7", "2 missing, 1 extra"]);
}

#[test]
fn panoptic_annotations_are_masks() {
    let place = Workplace::new();
    place.png("truth/a.png", (2, 1), RGB8, &[7, 1, 1, 0, 0, 0]);
    let segments = |category: u16| {
        format!(
            r#"{{"annotations": [{{"image_id": 1, "file_name": "a.png",
                "segments_info": [{{"id": 65799, "category_id": {category}}}]}}]}}"#
        )
    };
    place.file("truth.json", segments(3));
    place.mask("pred/a.png", (2, 1), &[3, 1]);
    let json = place.json_of("pred", "truth.json", &["--absent", "skip"]);
    assert_eq!(
        (&json["miou"], &json["inputs"]["truth_format"]),
        (&json!(1.0), &json!("panoptic"))
    );
    place.file("truth.json", segments(3).replace("65799", "5"));
    place
        .run(&["--pred", "pred", "--truth", "truth.json", "--classes", "3"])
        .refused(&["undecodable: truth/a.png: the segment 65799 at x=0, y=0"]);
    place.png("truth/a.png", (2, 1), GRAY8, &[7, 1]);
    place
        .run(&["--pred", "pred", "--truth", "truth.json", "--classes", "3"])
        .refused(&["this is a 8-bit grey PNG; panoptic segments are 8-bit RGB"]);
    place.file("other.json", segments(3));
    place
        .run(&["--pred", "pred", "--truth", "other.json", "--classes", "3"])
        .refused(&["belong into the folder other"]);
}

#[test]
fn annotations_that_give_no_mask_are_refused_by_name() {
    let place = Workplace::new();
    place.mask("pred/a/cat.png", (4, 3), &[0; 12]);
    for (text, part) in [
        (
            coco("[3, 2]"),
            "truth.json/a/cat.jpg: its annotations give no mask: its runs cover 5 of 12 pixels",
        ),
        (
            coco("[3, 9]").replace("\"image_id\": 7", "\"image_id\": 8"),
            "image_id 8 is not among the images",
        ),
        (
            coco("[3, 9]").replace("[3, 4]", "[4, 3]"),
            "its size is 3x4 where the picture has 4x3",
        ),
        (
            coco("[3, 9]").replace("\"segmentation\"", "\"bbox\""),
            "a box alone gives no mask",
        ),
        (
            coco("[3, 9]").replace("\"category_id\": 2", "\"category_id\": -1"),
            "category_id -1",
        ),
        ("{\"images\": []}".into(), "missing field `annotations`"),
    ] {
        place.file("truth.json", text);
        let run = place.run(&["--pred", "pred", "--truth", "truth.json", "--classes", "3"]);
        run.refused(&[part]);
    }
}

#[test]
fn a_list_of_pairs_takes_the_place_of_the_folders() {
    let place = Workplace::with_three_pictures();
    let expected = place.json(&[]);
    place.file(
        "lists/pairs.csv",
        "truth,prediction\n../truth/a/one.png,../pred/a/one.png\n# a comment\n\n\"../truth/a/two.png\",../pred/a/two.png\n\
         ../truth/b/three.png , ../pred/b/three.png\n",
    );
    place.file(
        "pairs.txt",
        "pred/a/one.png truth/a/one.png\npred/a/two.png\ttruth/a/two.png\npred/b/three.png  truth/b/three.png\n",
    );
    for list in ["lists/pairs.csv", "pairs.txt"] {
        place
            .run(&["--pairs", list, "--classes", "3", "--json", "out.json"])
            .scored();
        assert_eq!(
            place.read_json("out.json")["per_class"],
            expected["per_class"],
            "{list}"
        );
    }
    place.file(
        "pairs.txt",
        "pred/a/one.png truth/a/one.png\npred/a/none.png truth/a/two.png\n",
    );
    let run = place.run(&["--pairs", "pairs.txt", "--classes", "3"]);
    run.refused(&["missing: pred/a/none.png: cannot read", "1 missing"]);
    place.file("pairs.txt", "pred/a/one.png\n");
    let run = place.run(&["--pairs", "pairs.txt", "--classes", "3"]);
    run.refused(&["pairs.txt, line 1: 1 fields where a prediction and its true mask belong"]);
    place.file(
        "pairs.txt",
        "pred/a/one.png truth/a/one.png\n\npred/a/two.png truth/a/one.tif\n",
    );
    let run = place.run(&["--pairs", "pairs.txt", "--classes", "3"]);
    run.refused(&["pairs.txt, line 3: truth/a/one.tif is the true mask of line 1 already"]);
    place
        .run(&["--pairs", "none.txt", "--classes", "3"])
        .refused(&["cannot read none.txt"]);
    place
        .eval(&["--pairs", "pairs.txt"])
        .refused(&["cannot be used with"]);
}
