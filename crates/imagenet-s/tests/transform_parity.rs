//! The views against Pillow and torchvision on real photographs: `fixtures/transforms.npz`, made
//! by `fixtures/transforms.py`.

use std::{collections::BTreeMap, path::PathBuf};

use golden::Arrays;
use image::{RgbImage, imageops::flip_horizontal};
use imagenet_s::{
    LabelMask, OddPictures, read_picture,
    views::{
        CropFrame, Filter, MULTI_CROP, PLAIN, Region, blur::gaussian_blur, center_crop, color,
        resize_mask, resize_plane, resize_shorter, resized_crop,
    },
};
use ndarray::{Ix2, Ix3};

/// Top, left, height, width, side of the result: those of the script.
const BOXES: [(&str, [u32; 5]); 5] = [
    ("down", [3, 5, 42, 50, 20]),
    ("down_much", [0, 0, 48, 60, 7]),
    ("up", [20, 31, 13, 17, 32]),
    ("narrow", [2, 40, 45, 7, 22]),
    ("flat", [30, 1, 6, 58, 22]),
];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The arrays of the script.
struct Reference(Arrays);

impl Reference {
    fn open() -> Self {
        Self(Arrays::open(&fixture("transforms.npz")))
    }

    #[track_caller]
    fn picture(&mut self, name: &str) -> RgbImage {
        let pixels = self.0.array::<u8, Ix3>(name);
        let (height, width, _) = pixels.dim();
        RgbImage::from_raw(
            width as u32,
            height as u32,
            pixels.iter().copied().collect(),
        )
        .unwrap()
    }

    #[track_caller]
    fn mask(&mut self, name: &str) -> LabelMask {
        let labels = self.0.array::<u16, Ix2>(name);
        let (height, width) = labels.dim();
        LabelMask::new(width, height, labels.iter().copied().collect()).unwrap()
    }

    /// Checks that no sample differs by more than `levels`, and counts those that differ at all.
    #[track_caller]
    fn check(&mut self, name: &str, ours: &RgbImage, levels: u8) -> usize {
        let theirs = self.picture(name);
        assert_eq!(ours.dimensions(), theirs.dimensions(), "{name}");
        let differences = ours.iter().zip(theirs.iter()).map(|(a, b)| a.abs_diff(*b));
        let differences: Vec<u8> = differences.filter(|&levels| levels > 0).collect();
        let largest = differences.iter().max().copied().unwrap_or(0);
        assert!(largest <= levels, "{name}: {largest} levels");
        differences.len()
    }
}

/// Both photographs with their names.
fn photos(reference: &mut Reference) -> BTreeMap<String, RgbImage> {
    let names = ["photo0", "photo1"].map(str::to_owned);
    names
        .map(|name| (name.clone(), reference.picture(&name)))
        .into()
}

fn frame([top, left, height, width, _]: [u32; 5], flip: bool) -> CropFrame {
    CropFrame {
        left,
        top,
        width,
        height,
        flip,
    }
}

#[test]
fn crops_are_within_one_level() {
    let mut reference = Reference::open();
    for (name, photo) in photos(&mut reference) {
        for (cut, numbers) in BOXES {
            let side = numbers[4];
            let ours = resized_crop(&photo, &frame(numbers, false), [side; 2], Filter::BILINEAR);
            reference.check(&format!("{name}.crop.{cut}"), &ours, 1);
        }
    }
}

#[test]
fn whole_pictures_are_within_one_level() {
    let mut reference = Reference::open();
    for (name, photo) in photos(&mut reference) {
        let shorter = resize_shorter(&photo, 30, Filter::BILINEAR);
        reference.check(&format!("{name}.shorter"), &shorter, 1);
        reference.check(&format!("{name}.centre"), &center_crop(&shorter, 25), 1);
        reference.check(&format!("{name}.mirrored"), &flip_horizontal(&photo), 0);
    }
}

/// Pillow keeps weights of float64 and rounds to float32 between the two passes.
#[test]
fn planes_of_reals_are_those_of_mode_f() {
    let mut reference = Reference::open();
    for name in ["photo0", "photo1"] {
        let plane = reference.0.array::<f32, Ix2>(&format!("{name}.plane"));
        let (height, width) = plane.dim();
        let values: Vec<f32> = plane.iter().copied().collect();
        for to in [[20, 17], [97, 64], [60, 9]] {
            let key = format!("{name}.plane.{}x{}", to[0], to[1]);
            let theirs = reference.0.array::<f32, Ix2>(&key);
            assert_eq!(theirs.dim(), (to[1], to[0]), "{key}");
            let ours = resize_plane(&values, [width, height], to, Filter::BICUBIC);
            assert_eq!(ours.len(), theirs.len(), "{key}");
            let differences = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
            let largest = differences.fold(0.0, f32::max);
            // Weights of 22 bits, up to 30 for a value, and values up to 25.
            assert!(largest < 1e-4, "{key}: {largest}");
        }
    }
}

#[test]
fn masks_are_exact() {
    let mut reference = Reference::open();
    for name in ["photo0", "photo1"] {
        let mask = reference.mask(&format!("{name}.mask"));
        for (cut, [top, left, height, width, side]) in BOXES {
            let region = Region {
                left,
                top,
                width,
                height,
            };
            let theirs = reference.mask(&format!("{name}.mask.{cut}"));
            assert_eq!(
                resize_mask(&mask, region, side, side),
                theirs,
                "{name}.mask.{cut}"
            );
        }
    }
}

#[test]
fn colours_are_within_one_level() {
    let mut reference = Reference::open();
    type Operation = fn(&mut [u8], f64);
    let operations: [(&str, Operation, &[f64]); 4] = [
        ("brightness", color::brightness, &[0.3, 1.7]),
        ("contrast", color::contrast, &[0.3, 1.7]),
        ("saturation", color::saturation, &[0.3, 1.7]),
        ("hue", color::hue, &[-0.17, 0.2]),
    ];
    for (name, photo) in photos(&mut reference) {
        for (operation, apply, strengths) in operations {
            for &strength in strengths {
                let mut ours = photo.clone();
                apply(&mut ours, strength);
                let differing =
                    reference.check(&format!("{name}.{operation}.{strength}"), &ours, 1);
                assert_eq!(differing, 0, "{name}.{operation}.{strength}");
            }
        }
        let mut gray = photo;
        color::grayscale(&mut gray);
        reference.check(&format!("{name}.gray"), &gray, 1);
    }
}

#[test]
fn blurs_are_within_two_levels() {
    let mut reference = Reference::open();
    for (name, photo) in photos(&mut reference) {
        for sigma in ["0.4", "1.1", "2.0"] {
            let mut ours = photo.clone();
            gaussian_blur(&mut ours, sigma.parse().unwrap());
            reference.check(&format!("{name}.blur.{sigma}"), &ours, 2);
        }
    }
}

#[test]
fn a_whole_view_and_its_normalisation_agree() {
    let mut reference = Reference::open();
    for (name, photo) in photos(&mut reference) {
        let mut view = resized_crop(&photo, &frame(BOXES[0].1, true), [20; 2], Filter::BILINEAR);
        color::brightness(&mut view, 1.4);
        color::hue(&mut view, -0.1);
        color::saturation(&mut view, 0.6);
        color::contrast(&mut view, 0.8);
        gaussian_blur(&mut view, 1.3);
        for (kind, normalization) in [("plain", PLAIN), ("multi_crop", MULTI_CROP)] {
            let key = format!("{name}.view.{kind}");
            let theirs = reference.0.array::<f32, Ix3>(&key);
            let ours = normalization.planes(&view);
            assert_eq!(ours.len(), theirs.len());
            let differences = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
            let largest = differences.fold(0.0, f32::max);
            // One level is 1 / (255 * 0.224) = 0.0175; a level in the resize may become two.
            assert!(largest <= 0.036, "{key}: {largest}");
        }
    }
}

/// Decoders round their inverse DCT and their colour conversion differently.
#[test]
fn a_decoded_photograph_is_within_three_levels() {
    let mut reference = Reference::open();
    let ours = read_picture(&fixture("photo.jpg"), OddPictures::Refuse).unwrap();
    let differing = reference.check("decoded", &ours, 3);
    let share = differing as f64 / ours.len() as f64;
    assert!(share < 0.5, "{share} of the samples differ");
}
