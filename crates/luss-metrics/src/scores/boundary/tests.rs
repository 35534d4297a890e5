//! Boundaries against two plain forms, and the published example.

use super::*;
use crate::LabelMask;
use crate::testing::{Noise, blobs};

/// Plain form: looks at every pixel of every window.
fn boundary_by_window(mask: &LabelMask, truth: &LabelMask, d: isize) -> Vec<bool> {
    let (width, height) = (mask.width() as isize, mask.height() as isize);
    let at = |m: &LabelMask, x: isize, y: isize| m.at(x as usize, y as usize);
    let differs = |label: u16, x: isize, y: isize| {
        let outside = x < 0 || y < 0 || x >= width || y >= height;
        outside || (at(truth, x, y) != IGNORE && at(mask, x, y) != label)
    };
    let around = |x: isize, y: isize| {
        (y - d..=y + d).any(|v| (x - d..=x + d).any(|u| differs(at(mask, x, y), u, v)))
    };
    (0..width * height)
        .map(|i| around(i % width, i / width))
        .collect()
}

/// The reference's form: each label's region minus its erosion, one 3x3 step at a time.
fn boundary_by_erosion(mask: &LabelMask, d: usize) -> Vec<bool> {
    let (width, height) = mask.size();
    let mut boundary = vec![false; width * height];
    for label in mask
        .labels()
        .iter()
        .copied()
        .collect::<std::collections::BTreeSet<_>>()
    {
        let region: Vec<bool> = mask.labels().iter().map(|&l| l == label).collect();
        let eroded = (0..d).fold(region.clone(), |r, _| eroded_once(&r, width, height));
        for i in 0..region.len() {
            boundary[i] |= region[i] && !eroded[i];
        }
    }
    boundary
}

fn eroded_once(region: &[bool], width: usize, height: usize) -> Vec<bool> {
    let inside = |x: usize, y: usize| {
        let border = x == 0 || y == 0 || x + 1 == width || y + 1 == height;
        !border && (y - 1..=y + 1).all(|v| (x - 1..=x + 1).all(|u| region[v * width + u]))
    };
    (0..width * height)
        .map(|i| inside(i % width, i / width))
        .collect()
}

/// Random maps of uneven sizes, from coarse blobs to single-pixel noise.
fn random_maps() -> impl Iterator<Item = (LabelMask, usize)> {
    let mut noise = Noise::new(7);
    (0..200).map(move |_| {
        let (width, height) = (1 + noise.below(23), 1 + noise.below(17));
        let cell = 1 + noise.below(9);
        (
            blobs(&mut noise, width, height, cell, 4),
            1 + noise.below(4),
        )
    })
}

#[test]
fn one_pass_equals_the_erosion_of_each_label() {
    for (mask, d) in random_maps() {
        assert_eq!(
            boundary_map(&mask, d),
            boundary_by_erosion(&mask, d),
            "{mask:?} d={d}"
        );
    }
}

#[test]
fn looking_through_ignored_pixels_equals_the_plain_window() {
    let mut noise = Noise::new(8);
    for (mask, d) in random_maps() {
        let mut truth = blobs(&mut noise, mask.width(), mask.height(), 3, 2);
        truth
            .labels_mut()
            .iter_mut()
            .filter(|l| **l == 2)
            .for_each(|l| *l = IGNORE);
        let fast = boundary_map_transparent(&mask, &truth, d);
        let plain = boundary_by_window(&mask, &truth, d as isize);
        for i in (0..fast.len()).filter(|&i| truth.labels()[i] != IGNORE) {
            assert_eq!(
                fast[i], plain[i],
                "pixel {i} of {mask:?} in {truth:?} d={d}"
            );
        }
    }
}

#[test]
fn the_encoding_of_the_published_example() {
    let block = |i: usize| (1..6).contains(&(i % 7)) && (1..6).contains(&(i / 7));
    let labels = (0..49).map(|i| if block(i) { 3 } else { 0 }).collect();
    let mask = LabelMask::new(7, 7, labels).unwrap();
    let flags = boundary_map(&mask, 1);
    let code = |i: usize| if flags[i] { mask.labels()[i] + 1 } else { 0 };
    let rows: Vec<Vec<u16>> = (0..7)
        .map(|y| (0..7).map(|x| code(y * 7 + x)).collect())
        .collect();
    assert_eq!(rows[0], [1; 7]);
    assert_eq!(rows[1], [1, 4, 4, 4, 4, 4, 1]);
    assert_eq!(rows[3], [1, 4, 0, 0, 0, 4, 1]);
    assert_eq!(rows[5], rows[1]);
}

#[test]
fn thickness_is_three_percent_of_the_diagonal_rounded_half_to_even() {
    let cases = [
        (500, 375, 19),
        (500, 333, 18),
        (500, 500, 21),
        (3264, 2448, 122),
    ];
    for (width, height, expected) in cases {
        assert_eq!(boundary_thickness(width, height, 0.03), expected);
    }
    assert_eq!(boundary_thickness(20, 30, 0.03), 1);
    assert_eq!(boundary_thickness(120, 90, 0.03), 4); // 4.5
    assert_eq!(boundary_thickness(40, 30, 0.03), 2); // 1.5
    assert_eq!(boundary_thickness(1, 1, 0.03), 1);
}

#[test]
fn an_object_that_fills_the_image_ends_at_the_image_border() {
    let mask = LabelMask::new(5, 4, vec![9; 20]).unwrap();
    let interior = boundary_map(&mask, 1).iter().filter(|&&b| !b).count();
    assert_eq!(interior, 3 * 2);
}

#[test]
fn a_seam_with_an_ignored_region_is_a_boundary_only_in_the_edge_policy() {
    let labels = (0..35)
        .map(|i| if i % 7 < 5 { 2 } else { IGNORE })
        .collect();
    let truth = LabelMask::new(7, 5, labels).unwrap();
    let seam = 2 * 7 + 4;
    assert!(boundary_map(&truth, 1)[seam]);
    assert!(!boundary_map_transparent(&truth, &truth, 1)[seam]);
}
