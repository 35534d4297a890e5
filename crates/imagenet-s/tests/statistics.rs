//! What a dataset consists of: masks that can be counted by hand, and `fixtures/statistics.npz`,
//! counted by `fixtures/statistics.py`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use golden::{Arrays, ReadableElement};
use image::{Rgb, RgbImage};
use imagenet_s::{
    Dataset, Error, LabelMask, Split,
    statistics::{Agreement, SplitStatistics, Statistics, agreement, statistics, write_page},
    write_mask,
};
use ndarray::{Array, Array2, Dimension, Ix1, Ix2};
use tempfile::TempDir;

/// The arrays of the script.
fn array<T: ReadableElement, D: Dimension>(name: &str) -> Array<T, D> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/statistics.npz");
    Arrays::open(&path).array(name)
}

fn vector(name: &str) -> Vec<u64> {
    array::<u64, Ix1>(name).to_vec()
}

/// The four masks of an annotator.
fn masks_of(annotator: usize) -> Vec<LabelMask> {
    let mask = |picture: usize| {
        let labels: Array2<u16> = array::<u16, Ix2>(&format!("mask.{annotator}.{picture}"));
        let (height, width) = labels.dim();
        LabelMask::new(width, height, labels.into_iter().collect()).unwrap()
    };
    (0..4).map(mask).collect()
}

fn write_masks(folder: &Path, masks: &[LabelMask]) {
    for (picture, mask) in masks.iter().enumerate() {
        write_mask(&folder.join(format!("{picture}.png")), mask).unwrap();
    }
}

fn write_picture(path: &Path, [width, height]: [u32; 2]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let picture = RgbImage::from_pixel(width, height, Rgb([1, 2, 3]));
    picture.save(path).unwrap();
}

/// A tree whose class folders are the first `classes` numbers, with these validation masks.
fn tree(classes: usize, masks: &[LabelMask]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let names: Vec<String> = (1..=classes).map(|class| format!("{class:03}")).collect();
    fs::write(root.join("categories.txt"), names.join("\n")).unwrap();
    for (class, pictures) in [("001", 2), ("002", 1)] {
        for picture in 0..pictures {
            let name = format!("train/{class}/{picture}.png");
            write_picture(&root.join(name), [3, 2]);
        }
    }
    for (picture, mask) in masks.iter().enumerate() {
        let sides = [mask.width() as u32, mask.height() as u32];
        write_picture(&root.join(format!("validation/001/{picture}.png")), sides);
    }
    write_masks(&root.join("validation-segmentation/001"), masks);
    folder
}

fn described(root: &Path) -> Statistics {
    statistics(&Dataset::open(root).unwrap(), &|_| ()).unwrap()
}

/// 10 x 10: class 1 has six pixels, class 2 thirty, ten are ignored, 54 are other.
fn six_and_thirty() -> LabelMask {
    let mut labels = vec![0; 100];
    labels[..6].fill(1);
    labels[20..50].fill(2);
    labels[90..].fill(1000);
    LabelMask::new(10, 10, labels).unwrap()
}

#[test]
fn what_can_be_counted_by_hand_is_counted() {
    let empty = LabelMask::new(4, 5, vec![0; 20]).unwrap();
    let full = LabelMask::new(4, 5, vec![2; 20]).unwrap();
    let folder = tree(3, &[six_and_thirty(), empty, full]);
    let found = described(folder.path());
    let [train, validation] = found.splits.as_slice() else {
        panic!("{} splits", found.splits.len());
    };
    assert_eq!(
        (train.split, train.pictures, train.masks),
        (Split::Train, 3, 0)
    );
    assert_eq!(
        train
            .classes
            .iter()
            .map(|class| class.pictures)
            .collect::<Vec<_>>(),
        [2, 1, 0]
    );
    assert!(train.categories_per_picture.is_empty());

    assert_eq!((validation.pictures, validation.masks), (3, 3));
    let classes = validation
        .classes
        .iter()
        .map(|class| (class.pictures, class.pixels));
    assert_eq!(classes.collect::<Vec<_>>(), [(1, 6), (2, 50), (0, 0)]);
    assert_eq!(validation.categories_per_picture, [1, 1, 1]);
    assert_eq!(validation.share_with_several(), 1.0 / 3.0);
    // Of 90 pixels that count: 6.7 and 33.3 %, and all of the third picture.
    assert_eq!(validation.size_groups, [0, 1, 1, 1]);
    let steps = validation.object_sizes.iter().enumerate();
    let steps = steps.filter(|(_, count)| **count > 0).map(|(at, _)| at + 1);
    assert_eq!(steps.collect::<Vec<_>>(), [7, 34, 100]);
    // The middle lies in class 2 of the first and of the third picture, the last place in none
    // that counts but the third's.
    let places = &validation.objects.pictures;
    assert_eq!((places[25 * 64 + 32], places[64 * 64 - 1]), (2, 1));
    let text = found.to_string();
    assert!(text.contains("33.33   33.33   33.33"), "{text}");
}

fn split_of_the_script() -> SplitStatistics {
    let folder = tree(999, &masks_of(0));
    let mut found = described(folder.path());
    found.splits.pop().unwrap()
}

#[test]
fn objects_and_places_are_those_that_numpy_counts() {
    let found = split_of_the_script();
    let mut categories = found.categories_per_picture.clone();
    categories.resize(8, 0);
    assert_eq!(categories, vector("categories"));
    assert_eq!(found.size_groups.to_vec(), vector("groups"));
    assert_eq!(found.object_sizes, vector("steps"));
    let of_classes = |number: fn(&imagenet_s::statistics::ClassStatistics) -> u64| {
        found.classes.iter().map(number).collect::<Vec<_>>()
    };
    assert_eq!(of_classes(|class| class.pictures), vector("pictures"));
    assert_eq!(of_classes(|class| class.pixels), vector("pixels"));
    for (map, name) in [(&found.objects, "objects"), (&found.contours, "contours")] {
        let expected = array::<u64, Ix2>(name);
        assert_eq!(
            map.pictures,
            expected.into_iter().collect::<Vec<_>>(),
            "{name}"
        );
    }
}

/// The folders of three annotators.
fn annotators() -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let folders = (0..3).map(|annotator| {
        let path = folder.path().join(format!("annotator {annotator}"));
        write_masks(&path, &masks_of(annotator));
        path
    });
    let folders = folders.collect();
    (folder, folders)
}

fn agreed(folders: &[PathBuf]) -> Result<Agreement, Error> {
    agreement(folders, &|_| ())
}

#[test]
fn annotators_agree_as_far_as_numpy_says() {
    let (_folder, folders) = annotators();
    let found = agreed(&folders).unwrap();
    assert_eq!((found.pictures, found.pairs), (4, 3));
    let expected = array::<f64, Ix2>("agreement");
    let ratios = found.rows.iter().map(|row| row.boundary_ratio);
    assert!(ratios.eq([Some(0.02), Some(0.03), Some(0.04), None]));
    for (row, expected) in found.rows.iter().zip(expected.rows()) {
        let numbers = [row.all].into_iter().chain(row.sizes);
        for (number, &expected) in numbers.zip(expected) {
            // A size without objects is "not a number" in the script.
            let agrees = match number {
                Some(number) => (number - expected).abs() < 1e-12,
                None => expected.is_nan(),
            };
            assert!(agrees, "{number:?} and {expected}: {found}");
        }
    }
}

#[test]
fn whoever_ignores_the_same_agrees_fully_with_a_copy() {
    let (_folder, folders) = annotators();
    let found = agreed(&[folders[1].clone(), folders[1].clone()]).unwrap();
    for row in &found.rows {
        assert_eq!(row.all, Some(1.0), "{found}");
        assert!(
            row.sizes.iter().flatten().all(|&size| size == 1.0),
            "{found}"
        );
    }
}

#[test]
fn annotators_who_ignore_everything_agree_on_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ignored = LabelMask::new(5, 4, vec![1000; 20]).unwrap();
    write_masks(folder.path(), &[ignored]);
    let found = agreed(&[folder.path().to_owned(), folder.path().to_owned()]).unwrap();
    assert!(found.rows.iter().all(|row| row.all.is_none()), "{found}");
    let text = found.to_string();
    assert_eq!(text.matches("-").count(), 4 * 5, "{text}");
}

#[test]
fn annotators_of_other_pictures_are_refused() {
    let (_folder, folders) = annotators();
    let refusal = || agreed(&folders).unwrap_err().to_string();

    write_mask(&folders[1].join("9.png"), &six_and_thirty()).unwrap();
    let message = refusal();
    assert!(
        message.contains("annotator 0/9.png: there is no such mask"),
        "{message}"
    );
    fs::remove_file(folders[1].join("9.png")).unwrap();

    fs::remove_file(folders[2].join("3.png")).unwrap();
    let message = refusal();
    assert!(
        message.contains("annotator 2/3.png: there is no such mask"),
        "{message}"
    );

    write_mask(&folders[2].join("3.png"), &six_and_thirty()).unwrap();
    let message = refusal();
    assert!(message.contains("mask is 10 x 10 pixels"), "{message}");

    let nobody = folders[0].with_file_name("nobody");
    fs::create_dir(&nobody).unwrap();
    let error = agreed(&[folders[0].clone(), nobody]).unwrap_err();
    assert!(matches!(error, Error::NoMasks { .. }), "{error}");
}

#[test]
fn a_label_that_no_class_has_stops_the_count() {
    let folder = tree(2, &[LabelMask::new(4, 5, vec![3; 20]).unwrap()]);
    let data = Dataset::open(folder.path()).unwrap();
    let error = statistics(&data, &|_| ()).unwrap_err();
    assert!(
        matches!(error, Error::IdOutOfRange { id: 3, .. }),
        "{error}"
    );
}

#[test]
fn the_page_shows_charts_and_maps_and_the_numbers_lie_beside_it() {
    let folder = tree(999, &masks_of(0));
    let found = described(folder.path());
    let output = folder.path().join("out");
    write_page(&found, &output).unwrap();
    let page = fs::read_to_string(output.join("statistics.html")).unwrap();
    for chart in ["class-pictures", "class-pixels", "object-sizes"] {
        let svg = fs::read_to_string(output.join(format!("{chart}.svg"))).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.contains("<polyline"),
            "{chart}"
        );
        assert!(page.contains(&format!("src=\"{chart}.svg\"")), "{chart}");
    }
    let brightest = |place: usize, map: &[u64]| map[place] == *map.iter().max().unwrap();
    for (name, map) in [
        ("objects", &found.splits[1].objects.pictures),
        ("contours", &found.splits[1].contours.pictures),
    ] {
        let png = image::open(output.join(format!("{name}-validation.png"))).unwrap();
        let png = png.into_rgb8();
        assert_eq!(png.dimensions(), (320, 320));
        for (x, y) in [(0, 0), (31, 32), (63, 63), (12, 40)] {
            let yellow = png.get_pixel(5 * x + 2, 5 * y + 2) == &Rgb([252, 255, 164]);
            assert_eq!(
                yellow,
                brightest((64 * y + x) as usize, map),
                "{name} {x} {y}"
            );
        }
        assert!(page.contains(&format!("{name}-validation.png")));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(output.join("statistics.json")).unwrap()).unwrap();
    assert_eq!(json["splits"][1]["masks"], 4);
    assert_eq!(
        json["splits"][1]["objects"]["pictures"][31 * 64 + 32],
        found.splits[1].objects.pictures[31 * 64 + 32]
    );
}
