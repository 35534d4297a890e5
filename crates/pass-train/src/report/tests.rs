use std::path::PathBuf;

use image::{Rgb, RgbImage};
use luss_metrics::{IGNORE, LabelMask};

use super::*;
use crate::{CategoryUse, Finding, Grade, RunVerdict};

fn metric(name: &str, kind: RowKind, miou: f64) -> MetricRow {
    MetricRow {
        name: name.into(),
        kind,
        about: "what it is",
        uses_labels: name == "distance_matching",
        miou: Some(miou),
        boundary_miou: Some(0.4 * miou),
        image_accuracy: Some(0.3 + miou),
        f_beta: (kind == RowKind::Method).then_some(0.45),
    }
}

/// A shaded disc on a gradient, its true mask with an ignored rim, and a mask that is shifted.
fn row(index: u32, scored: bool) -> SheetRow {
    let (width, height) = if index.is_multiple_of(3) {
        (150, 200)
    } else {
        (200, 150)
    };
    let label = 1 + index as u16 % 10;
    let distance = |x: u32, y: u32, shift: f64| {
        let dx = f64::from(x) - f64::from(width) / 2.0 + shift;
        let dy = f64::from(y) - f64::from(height) / 2.0;
        (dx * dx + dy * dy).sqrt()
    };
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let shade = 255 - (distance(x, y, 20.0) * 1.2) as u8;
        if distance(x, y, 0.0) < 50.0 {
            Rgb([shade, (40 * index) as u8, shade / 2])
        } else {
            Rgb([(x / 2) as u8 + 90, (y / 2) as u8 + 100, 120])
        }
    });
    let mask = |shift: f64, rim: f64, label: u16| {
        let label_of = |i: u32| match distance(i % width, i / width, shift) {
            d if d < 50.0 => label,
            d if d < 50.0 + rim => IGNORE,
            _ => 0,
        };
        let labels = (0..width * height).map(label_of).collect();
        Some(LabelMask::new(width as usize, height as usize, labels).unwrap())
    };
    SheetRow {
        key: format!("n0144353{index}/ILSVRC2012_val_0000023{index}"),
        picture,
        truth: if scored { mask(0.0, 6.0, label) } else { None },
        pseudo: mask(f64::from(index) * 8.0, 0.0, label),
        prediction: mask(
            f64::from(index) * 5.0,
            0.0,
            if index > 4 { 3 } else { label },
        ),
        score: scored.then_some(0.93 - 0.13 * f64::from(index)),
    }
}

fn series(name: &str, length: u32, value: impl Fn(f64) -> f64) -> Series {
    let points = (0..length).map(f64::from).map(|i| (i, value(i))).collect();
    Series {
        name: name.into(),
        points,
    }
}

fn losses() -> Vec<Series> {
    let noise = |i: f64| (i * 7919.0) % 101.0 / 400.0;
    vec![
        series("loss", 3000, |i| 3.0 + 4.0 * (-i / 1000.0).exp() + noise(i)),
        series("d2s_3", 3000, |i| 1.2 + 1.5 * (-i / 500.0).exp()),
        series("swapped_prediction", 3000, |i| {
            1.8 + 2.5 * (-i / 1000.0).exp() + 0.7 * noise(i)
        }),
    ]
}

fn atlas(clusters: u16) -> Atlas {
    let cluster = |id: u16| {
        let rows = (0..6).map(|n| row(u32::from(id % 10) + n, true));
        let pictures = rows.map(|row| {
            let labels = row.pseudo.as_ref().unwrap();
            AtlasPicture::new(&row.key, &row.picture, labels, 0.1)
        });
        AtlasCluster {
            id,
            class: Some(id % 10),
            size: 40 + usize::from(id * 37 % 101),
            mean_squared_distance: Some(0.3),
            folder: Some((format!("n0144353{id}"), 0.6)),
            pictures: pictures.collect(),
        }
    };
    Atlas {
        facts: vec![("clusters".into(), format!("{clusters} of 900 images"))],
        clusters: (1..=clusters).map(cluster).collect(),
    }
}

fn verdict() -> RunVerdict {
    RunVerdict {
        schema: 1,
        grade: Grade::Doubtful,
        sentence: "The result is doubtful: 2 of 9 clusters hold < 1 image.".into(),
        findings: vec![Finding {
            step: "cluster".into(),
            grade: Grade::Doubtful,
            what: "2 of 9 clusters hold < 1 image".into(),
            advice: "fewer classes".into(),
        }],
        categories: (0..10)
            .map(|id| CategoryUse {
                id,
                share: 0.1,
                images: 20,
                on_all_sides: 3,
            })
            .collect(),
        stability: Some(0.8),
        masks: vec!["fine_tuned/validation".into()],
    }
}

fn sample() -> ReportData {
    let names = [
        "t-shirt", "shoes", "trousers", "dress", "hat", "shirt", "skirt", "coat", "bag",
    ];
    let points: Vec<(f32, f64)> = (0..=80)
        .map(|i| i as f32 / 100.0)
        .map(|t| {
            (
                t,
                0.21 * f64::from((1.0 - (t - 0.33).powi(2) * 4.0).max(0.1)),
            )
        })
        .collect();
    ReportData {
        title: "PASS on <cloth10>".into(),
        summary: vec![
            (
                "data".into(),
                "cloth10: 900 train, 120 validation images".into(),
            ),
            ("classes".into(), "10".into()),
            ("backbone".into(), "ResNet-18, 64 prototypes".into()),
            ("seed".into(), "7".into()),
            ("device".into(), "CPU (flex)".into()),
            ("crate version".into(), "0.1.0".into()),
        ],
        verdict: Some(ShownVerdict {
            verdict: verdict(),
            next: vec!["luss segment --run runs/sample".into()],
        }),
        metrics: vec![
            metric("pseudo_labels", RowKind::Method, 0.2345),
            metric("fine_tuned", RowKind::Method, 0.2678),
            metric("distance_matching", RowKind::Method, 0.3123),
            metric("control: one cluster", RowKind::Control, 0.0611),
            metric("control: random clusters", RowKind::Control, 0.0912),
            metric("control: colour clusters", RowKind::Control, 0.1663),
        ],
        curves: vec![
            Curve {
                step: "pretrain".into(),
                group: "loss".into(),
                unit: "loss".into(),
                series: losses(),
            },
            Curve {
                step: "finetune".into(),
                group: "loss".into(),
                unit: "loss".into(),
                series: vec![series("cross_entropy", 90, |i| {
                    2.4 * (-i / 15.0).exp() + 0.02
                })],
            },
        ],
        atlas: Some(atlas(9)),
        suggestion: None,
        threshold: Some(ThresholdChart {
            points,
            chosen: 0.33,
            note: "Chosen by the mIoU on the masks of the validation images.".into(),
        }),
        sheet: (0..8).map(|index| row(index, true)).collect(),
        class_names: names.map(String::from).to_vec(),
    }
}

/// Set `PASS_REPORT_SAMPLE` to a folder to look at the pages of these tests.
fn keep_sample(name: &str, page: &str) {
    if let Some(folder) = std::env::var_os("PASS_REPORT_SAMPLE") {
        std::fs::write(PathBuf::from(folder).join(name), page).unwrap();
    }
}

#[test]
fn a_report_is_one_file_that_needs_nothing_from_elsewhere() {
    let page = render(&sample());
    keep_sample("report.html", &page);
    for outside in ["http:", "https:", "<script", "<link", "url(", "@import"] {
        assert!(!page.contains(outside), "the page holds {outside}");
    }
    assert!(page.contains("PASS on &lt;cloth10&gt;"));
    let finding = "<li>cluster: 2 of 9 clusters hold &lt; 1 image; fewer classes</li>";
    assert!(page.contains(finding));
    assert!(page.find(finding) < page.find("<h2>Metrics"));
    assert_eq!(page.matches("<img").count(), 8 * 4 + 9 * 6);
}

#[test]
fn the_atlas_of_many_clusters_is_a_second_file_beside_the_report() {
    let root = tempfile::tempdir().unwrap();
    let data = ReportData {
        atlas: Some(atlas(60)),
        ..sample()
    };
    write_report(&root.path().join("report.html"), &data).unwrap();
    let read = |name: &str| std::fs::read_to_string(root.path().join(name)).unwrap();
    let (report, atlas) = (read("report.html"), read("atlas.html"));
    keep_sample("atlas.html", &atlas);
    assert_eq!(report.matches("<img").count(), 8 * 4);
    assert!(report.contains("href=\"atlas.html\""));
    assert_eq!(atlas.matches("<img").count(), 60 * 6);
}

#[test]
fn equal_data_make_an_equal_file() {
    let root = tempfile::tempdir().unwrap();
    let [one, two] = ["one/report.html", "two/report.html"].map(|name| root.path().join(name));
    write_report(&one, &sample()).unwrap();
    write_report(&two, &sample()).unwrap();
    assert!(std::fs::read(one).unwrap() == std::fs::read(two).unwrap());
}

#[test]
fn a_folder_of_pictures_without_masks_has_a_report_too() {
    let data = ReportData {
        title: "A folder".into(),
        sheet: (0..5).map(|index| row(index, false)).collect(),
        ..ReportData::default()
    };
    let page = render(&data);
    keep_sample("folder.html", &page);
    assert!(page.contains("category 3") && !page.contains("truth"));
    assert!(!page.contains("<h2>Metrics"), "there is nothing to measure");
}

#[test]
fn a_wide_range_of_losses_is_drawn_logarithmically() {
    let series = |values: &[f64]| {
        let points = values.iter().map(|&value| (0.0, value)).collect();
        [Series {
            name: "loss".into(),
            points,
        }]
    };
    assert_eq!(axis_for(&series(&[0.1, 7.0])), Axis::Logarithmic);
    assert_eq!(axis_for(&series(&[5.0, 7.0])), Axis::Linear);
    assert_eq!(axis_for(&series(&[-1.0, 7.0])), Axis::Linear);
}
