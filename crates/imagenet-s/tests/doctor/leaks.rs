//! Pictures that several splits share, and pictures that merely have one name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::RgbImage;
use imagenet_s::doctor::{FaultKind, Options, Report, examine};

use super::{check_found, first, options};

#[test]
fn a_picture_in_two_splits_is_found() {
    check_found(FaultKind::Leak, |root| {
        let picture = first(root, "validation");
        let leaked = root
            .join("test/n01443537")
            .join(picture.file_name().unwrap());
        fs::copy(picture, &leaked).unwrap();
        leaked
    });
}

#[test]
fn a_picture_in_two_splits_is_found_under_another_name() {
    check_found(FaultKind::Leak, |root| {
        let twin = first(root, "validation");
        fs::copy(first(root, "train"), &twin).unwrap();
        twin
    });
}

/// A tree of one's own whose pictures are numbered anew in each folder. All are different.
fn numbered(root: &Path, shade: u8) {
    for (at, class) in [
        "train/a",
        "train/b",
        "validation/a",
        "validation/b",
        "test/a",
    ]
    .iter()
    .enumerate()
    {
        fs::create_dir_all(root.join(class)).unwrap();
        let pixel = image::Rgb([shade, at as u8, 7]);
        let picture = RgbImage::from_pixel(3, 2, pixel);
        picture.save(root.join(class).join("000.png")).unwrap();
    }
}

/// Opened, and quick.
fn examined_both_ways(roots: &[PathBuf]) -> [Report; 2] {
    [true, false].map(|open_files| {
        let options = Options {
            open_files,
            ..options()
        };
        examine(roots, &options, &|_| ()).unwrap()
    })
}

#[test]
fn equal_names_of_different_pictures_are_neither_leaks_nor_shared() {
    let folder = tempfile::tempdir().unwrap();
    let roots = ["one", "two"].map(|name| folder.path().join(name));
    numbered(&roots[0], 1);
    numbered(&roots[1], 2);
    for report in examined_both_ways(&roots) {
        assert_eq!(report.faults, [], "{report}");
    }
}

#[test]
fn equal_pictures_of_one_name_are_found_without_opening_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let roots = ["one", "two"].map(|name| folder.path().join(name));
    numbered(&roots[0], 1);
    numbered(&roots[1], 2);
    let copy = |from: &Path, to: &Path| fs::copy(from, to).unwrap();
    let leaked = roots[0].join("validation/a/000.png");
    copy(&roots[0].join("train/b/000.png"), &leaked);
    copy(
        &roots[0].join("test/a/000.png"),
        &roots[1].join("validation/b/000.png"),
    );
    for report in examined_both_ways(&roots) {
        let kinds: Vec<FaultKind> = report.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(
            kinds,
            [FaultKind::Leak, FaultKind::SharedBetweenSubsets],
            "{report}"
        );
        assert_eq!(report.faults[0].path, leaked);
        assert!(
            report.faults[1].message.starts_with("1 of its pictures"),
            "{report}"
        );
    }
}
