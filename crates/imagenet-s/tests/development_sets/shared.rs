//! Each set opens, and its masks fit its pictures.

use imagenet_s::{Dataset, OddPictures, Split, read_mask, read_picture};

fn open(set: &str) -> Dataset {
    Dataset::open(&golden::shared("data").join(set)).unwrap()
}

/// Opens a set and compares its classes and its pictures in each split.
#[track_caller]
fn check_opens(set: &str, classes: u16, pictures: [usize; 4]) {
    let dataset = open(set);
    assert_eq!(dataset.classes(), classes);
    assert_eq!(
        Split::ALL.map(|split| dataset.samples(split).len()),
        pictures
    );
    for split in Split::ALL {
        let labelled = split != Split::Train && !dataset.samples(split).is_empty();
        assert_eq!(dataset.has_masks(split), labelled, "{split:?}");
    }
}

/// Reads every validation picture and mask, and checks the mask against its picture and the classes.
#[track_caller]
fn check_validation_masks(set: &str) {
    let dataset = open(set);
    for sample in dataset.samples(Split::Validation) {
        let path = sample.mask.as_deref().unwrap();
        let picture = read_picture(&sample.picture, OddPictures::Refuse).unwrap();
        let picture_px = (picture.width() as usize, picture.height() as usize);
        assert_eq!(sample.picture_size().unwrap(), picture_px);
        let mask = read_mask(path).unwrap();
        dataset.check_mask(&mask, path, picture_px).unwrap();
        let own = 1 + sample.folder.unwrap() as u16;
        assert!(
            mask.labels().contains(&own),
            "{}: no pixel of its class {own}",
            path.display()
        );
    }
}

#[test]
#[ignore = "needs ../shared: cargo test --workspace -- --ignored shared"]
fn eth80_opens() {
    check_opens("eth80", 8, [1968, 80, 336, 336]);
}

#[test]
#[ignore = "needs ../shared: cargo test --workspace -- --ignored shared"]
fn cloth10_opens() {
    check_opens("cloth10", 10, [900, 50, 120, 0]);
}

#[test]
#[ignore = "needs ../shared: cargo test --workspace -- --ignored shared"]
fn cal40_opens() {
    check_opens("cal40", 40, [3497, 107, 247, 0]);
}

#[test]
#[ignore = "needs ../shared: cargo test --workspace -- --ignored shared"]
fn vocanimals5_opens() {
    check_opens("vocanimals5", 5, [3933, 50, 200, 100]);
}

#[test]
#[ignore = "needs ../shared: cargo test --workspace -- --ignored shared"]
fn coco228_opens_with_classes_that_have_no_folder() {
    check_opens("coco228", 80, [126, 126, 100, 0]);
}

#[test]
#[ignore = "needs ../shared: cargo test --workspace -- --ignored shared"]
fn every_validation_mask_of_cloth10_fits_its_picture() {
    check_validation_masks("cloth10");
}

#[test]
#[ignore = "needs ../shared: cargo test --workspace -- --ignored shared"]
fn every_validation_mask_of_vocanimals5_fits_its_picture() {
    check_validation_masks("vocanimals5");
}
