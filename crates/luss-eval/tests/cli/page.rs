//! The page of `--html`: the numbers of the JSON, hostile names, nothing from elsewhere.

use image::{Rgb, RgbImage};
use serde_json::Value;

use super::workplace::Workplace;

/// Elements without an end.
const VOID: [&str; 8] = [
    "meta", "img", "image", "rect", "path", "line", "circle", "polyline",
];

/// The text of each tag, its brackets aside.
fn tags(page: &str) -> Vec<&str> {
    let body = page.split_once("</style>").expect("a style").1;
    body.split('<')
        .skip(1)
        .map(|tag| tag.split('>').next().unwrap())
        .collect()
}

/// Every element is closed, in order.
#[track_caller]
fn assert_closed(page: &str) {
    let mut open = vec!["html", "head"];
    for tag in tags(page) {
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        match tag.starts_with('/') {
            true => assert_eq!(open.pop(), Some(name), "</{name}>"),
            false if tag.ends_with('/') || VOID.contains(&name) => {}
            false => open.push(name),
        }
    }
    assert_eq!(open, [""; 0]);
}

/// No script, and nothing that a browser would fetch.
#[track_caller]
fn assert_self_contained(page: &str) {
    for outside in [
        "http:", "https:", "//", "url(", "@import", "<script", "<link", "<iframe",
    ] {
        assert!(!without_data(page).contains(outside), "{outside}");
    }
    for tag in tags(page) {
        let asked = tag.split(" src=\"").nth(1).or(tag.split(" href=\"").nth(1));
        assert!(
            asked.is_none_or(|uri| uri.starts_with("data:image/")),
            "{tag}"
        );
    }
}

/// Base64 may hold any two characters.
fn without_data(page: &str) -> String {
    let mut parts = page.split("data:image/");
    let first = parts.next().unwrap().to_string();
    parts.fold(first, |text, part| text + part.split_once('"').unwrap().1)
}

/// The rows whose name holds `name`, below the heading of a section.
#[track_caller]
fn row(page: &str, section: &str, name: &str) -> String {
    let section = page
        .split(&format!("<h2>{section}</h2>"))
        .nth(1)
        .expect("a section");
    let section = section.split("</section>").next().unwrap();
    let rows = section.split("<tr>");
    rows.filter(|row| row.split("</th>").next().unwrap().contains(name))
        .collect()
}

/// The exact values in these rows.
#[track_caller]
fn values(page: &str, section: &str, name: &str) -> Vec<f64> {
    let row = row(page, section, name);
    let data = row.split("<data value=\"").skip(1);
    data.map(|data| data.split('"').next().unwrap().parse().unwrap())
        .collect()
}

/// How the page calls a class without a name, behind its colour.
fn class_name(id: &Value) -> String {
    match id.as_u64().unwrap() {
        0 => "</i>other<".to_string(),
        id => format!("</i>class {id}<"),
    }
}

fn numbers(of: &Value, fields: &[&str]) -> Vec<f64> {
    fields
        .iter()
        .filter_map(|field| of[field].as_f64())
        .collect()
}

/// The page and the JSON of a golden set, matched, thresholds and all.
fn golden() -> (String, Value) {
    let (root, place) = (::golden::path("e_curve50"), Workplace::new());
    let [pred, truth] = ["pred", "gt"].map(|name| root.join(name).display().to_string());
    let folders = ["--pred", &pred, "--truth", &truth, "--scores", &pred];
    let rest = [
        "--classes",
        "50",
        "--match",
        "image",
        "--threshold",
        "best",
        "--bootstrap",
        "20",
        "--html",
        "page.html",
        "--json",
        "out.json",
        "--quiet",
    ];
    place.run(&[&folders[..], &rest].concat()).scored();
    (place.read("page.html"), place.read_json("out.json"))
}

#[test]
fn the_page_holds_the_numbers_of_the_json() {
    let (page, json) = golden();
    assert_closed(&page);
    assert_self_contained(&page);
    for (title, score) in [
        ("mIoU<", "miou"),
        ("mIoU without other<", "miou_without_other"),
        ("boundary mIoU<", "boundary_miou"),
        ("image accuracy<", "image_accuracy"),
        ("F-beta<", "f_beta"),
        ("pixel accuracy<", "aacc"),
        ("mean accuracy<", "macc"),
        ("fwIoU<", "fwiou"),
    ] {
        let all = json["uncertainty"]["scores"].as_array().unwrap();
        let interval = all.iter().find(|of| of["score"] == score).unwrap();
        let mut expected = numbers(&json, &[score]);
        expected.extend(numbers(&interval["interval"], &["low", "high"]));
        assert_eq!(
            values(&page, "Scores", &format!(">{title}"))[..3],
            expected,
            "{score}"
        );
    }
    let sizes = ["small", "medium_small", "medium_large", "large"];
    let classes = sizes.map(|size| json["sizes"][size]["classes"].as_f64().unwrap());
    assert_eq!(values(&page, "Scores", ">classes<"), classes);
    check_classes(&page, &json);
    check_settings(&page, &json);
    let pairs = json["matching"]["pairs"].as_array().unwrap();
    for pair in pairs {
        let row = row(&page, "Matching", &format!(">{}</data>", pair["cluster"]));
        assert!(row.contains(&class_name(&pair["class"])), "{pair} {row}");
    }
    let axes = [
        ">mIoU, percent<",
        ">attention threshold<",
        ">predicted label<",
        ">true label<",
    ];
    let lines: String = page.lines().collect();
    let named = |axis: &&str| lines.contains(*axis);
    assert!(axes.iter().all(named));
}

fn check_classes(page: &str, json: &Value) {
    let classes = json["per_class"].as_array().unwrap();
    assert_eq!(classes.len(), 51);
    for class in classes {
        let name = class_name(&class["id"]);
        let bars = ["iou", "boundary_iou", "precision", "recall"];
        let mut expected = numbers(class, &bars);
        let pixels = [
            "dice",
            "truth_pixels",
            "prediction_pixels",
            "intersection_pixels",
        ];
        expected.extend(numbers(class, &pixels));
        let boundaries = ["truth", "prediction", "intersection"];
        let boundaries = boundaries.map(|of| format!("{of}_boundary_pixels"));
        expected.extend(numbers(class, &boundaries.each_ref().map(String::as_str)));
        assert_eq!(values(page, "Classes", &name), expected, "{name}");
    }
}

fn check_settings(page: &str, json: &Value) {
    let said = |name: &str, value: &Value| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
            Value::Array(values) => values[0].to_string(),
            number => number.to_string(),
        };
        let pair = format!("<dt>{}</dt><dd>{value}</dd>", name.replace('_', " "));
        assert!(page.contains(&pair), "no {pair}");
    };
    for (name, value) in json["policies"].as_object().unwrap() {
        said(name, value);
    }
    said("images", &json["images"]);
    said("images left out", &json["left_out"]["images"]);
    said("attention threshold", &json["threshold"]["value"]);
    said("rule of the threshold", &json["threshold"]["rule"]);
    said("total", &json["matching"]["total"]);
    said(
        "clusters with a choice among them",
        &json["matching"]["ties"]["clusters_with_choice"],
    );
}

/// Three pictures, one of them of a hostile name.
fn hostile() -> Workplace {
    let place = Workplace::with_three_pictures();
    for folder in ["truth", "pred"] {
        let path = |name: &str| place.path(&format!("{folder}/a/{name}"));
        std::fs::rename(path("one.png"), path("<script>alert(1)<&\"'.png")).unwrap();
    }
    place.file("names.txt", "<b>cat\n\"dog\" & <i>\n</table>\n");
    place
}

#[test]
fn names_of_files_and_classes_cannot_become_markup() {
    let place = hostile();
    place
        .eval(&[
            "--html",
            "page.html",
            "--names",
            "names.txt",
            "--match",
            "pixel",
        ])
        .scored();
    let page = place.read("page.html");
    assert_closed(&page);
    assert_self_contained(&page);
    for text in [
        "a/&lt;script&gt;alert(1)&lt;&amp;&quot;&#39;",
        "1 &lt;b&gt;cat",
        "2 &quot;dog&quot; &amp; &lt;i&gt;",
        "3 &lt;/table&gt;",
    ] {
        assert!(page.contains(text), "no {text}");
    }
}

#[test]
fn the_worst_and_the_best_are_drawn_and_equal_runs_make_equal_pages() {
    let place = Workplace::with_three_pictures();
    place.eval(&["--html", "page.html"]).scored();
    let page = place.read("page.html");
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(at("Worst by mIoU") < at(">b/three<") && at(">b/three<") < at("Best by mIoU"));
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 3 * 3);
    for name in ["truth", "prediction", "difference"] {
        assert_eq!(page.matches(&format!("alt=\"{name} of ")).count(), 3);
    }
    place
        .eval(&["--html", "again.html", "--threads", "1"])
        .scored();
    assert_eq!(page, place.read("again.html"));
}

/// Label 0 is ignored in the truth and, wherever it is predicted, wrong: the mean leaves it out.
#[test]
fn an_other_that_is_not_scored_is_none_of_the_lowest() {
    let place = Workplace::new();
    place.mask("truth/x.png", (4, 1), &[1, 2, 2, 255]);
    place.mask("pred/x.png", (4, 1), &[1, 2, 0, 0]);
    let lowest = |ignore: &str| {
        let classes = ["--classes", "70", "--ignore", ignore, "--absent", "skip"];
        place.eval_as(&classes, &["--html", "page.html"]).scored();
        let page = place.read("page.html");
        let (before, after) = page.split_once(" labels of the lowest IoU").unwrap();
        let table = after.split("</table>").next().unwrap();
        (before.ends_with(">The 2"), table.contains(">other<"))
    };
    assert_eq!(lowest("0,255"), (true, false));
    assert_eq!(lowest("255"), (false, true));
}

#[test]
fn a_perfect_prediction_has_no_confusions() {
    let place = Workplace::with_three_pictures();
    place
        .run(&[
            "--pred",
            "truth",
            "--truth",
            "truth",
            "--classes",
            "3",
            "--out-of-range",
            "reference",
            "--html",
            "page.html",
        ])
        .scored();
    let page = place.read("page.html");
    assert!(page.contains("No pixel of a label is predicted as another one."));
    assert!(!page.contains("The largest confusions"));
}

#[test]
fn a_zero_that_is_a_class_has_a_color_and_no_other_beside_it() {
    let place = Workplace::new();
    place.mask("truth/x.png", (3, 1), &[1, 2, 0]);
    place.mask("pred/x.png", (3, 1), &[0, 1, 1]);
    let classes = ["--classes", "2", "--reduce-zero-label"];
    place.eval_as(&classes, &["--html", "page.html"]).scored();
    let page = place.read("page.html");
    assert!(page.contains("<i class=\"swatch\" style=\"background:#2878dc\"></i>class 0<"));
    assert!(!page.contains("predicted as other") && page.contains("ignored, counts nowhere"));
}

fn photograph(place: &Workplace, name: &str, size: (u32, u32)) {
    let path = place.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(size.0, size.1, Rgb([90, 120, 200]))
        .save(path)
        .unwrap();
}

#[test]
fn photographs_lie_under_the_masks_and_missing_ones_are_named() {
    let place = Workplace::with_three_pictures();
    photograph(&place, "images/a/one.jpg", (4, 3));
    photograph(&place, "images/a/two.png", (30, 40));
    place
        .eval(&["--html", "page.html", "--images", "images"])
        .scored();
    let page = place.read("page.html");
    assert_eq!(page.matches("src=\"data:image/jpeg;base64,").count(), 4);
    assert!(page.contains("two.png: it is 30x40 and the mask 4x3 (width x height)"));
    assert!(page.contains("no photograph has its name"));
}

#[test]
fn a_folder_without_any_photograph_of_the_masks_is_refused() {
    let place = Workplace::with_three_pictures();
    photograph(&place, "images/x.jpg", (4, 3));
    let run = place.eval(&["--html", "page.html", "--images", "images"]);
    run.refused(&["--images images", "no photograph"]);
    assert!(!place.path("page.html").exists());
    place.eval(&["--images", "images"]).refused(&["--html"]);
    place
        .eval(&["--html", "absent/page.html"])
        .refused(&["there is no folder absent"]);
}

#[test]
fn merged_counts_have_a_page_without_pictures() {
    let place = Workplace::with_three_pictures();
    place.eval(&["--save-counts", "all.counts"]).scored();
    place
        .run(&["merge", "all.counts", "--html", "page.html"])
        .scored();
    let page = place.read("page.html");
    assert_closed(&page);
    assert!(page.contains("Merged counts hold no masks") && page.contains(">b/three<"));
    assert!(!page.contains("<img"));
}

#[test]
fn two_folders_are_compared_on_the_page() {
    let place = Workplace::with_three_pictures();
    let other = [
        "--compare",
        "pred",
        "--bootstrap",
        "10",
        "--html",
        "page.html",
        "--json",
        "out.json",
    ];
    place.eval(&other).scored();
    let (page, json) = (place.read("page.html"), place.read_json("out.json"));
    let miou = &json["comparison"]["paired"]["scores"][0];
    let found = values(&page, "A against B", "mIoU");
    assert_eq!(found[..2], numbers(miou, &["a", "b"]));
    assert!(page.contains("<h2>Images of B</h2>"));
}

/// The parser of the HTML standard, without its leniency.
#[test]
#[ignore = "needs Python with html5lib"]
fn html5lib_finds_no_fault_in_its_strict_mode() {
    let place = hostile();
    place
        .eval(&["--html", "page.html", "--names", "names.txt"])
        .scored();
    place.file("golden.html", golden().0);
    let script = "import html5lib, sys; html5lib.HTMLParser(strict=True).parse(open(sys.argv[1], encoding='utf-8').read())";
    for page in ["page.html", "golden.html"] {
        let page = place.path(page);
        ::golden::run_python(["-c", script, page.to_str().unwrap()]);
    }
}
