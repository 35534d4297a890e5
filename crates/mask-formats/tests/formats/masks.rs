//! Masks that formats stumble over, and random ones.

use luss_metrics::{IGNORE, LabelMask};

/// Categories of these masks.
pub(crate) const CATEGORIES: u16 = 3;

pub(crate) fn names() -> Vec<String> {
    ["cat", "great \"white\" <shark>", "dog"]
        .map(String::from)
        .to_vec()
}

fn drawn(rows: &[&str]) -> LabelMask {
    let label = |letter: u8| match letter {
        b'.' => 0,
        b'#' => IGNORE,
        digit => u16::from(digit - b'0'),
    };
    let labels: Vec<u16> = rows.concat().bytes().map(label).collect();
    LabelMask::new(rows[0].len(), rows.len(), labels).unwrap()
}

/// A name for each, and the mask.
pub(crate) fn cases() -> Vec<(&'static str, LabelMask)> {
    let mut cases = vec![
        (
            "a hole, two parts and one pixel",
            drawn(&[
                "1111...22", //
                "1..1....2",
                "1..1.....",
                "1111....3",
                ".....22..",
            ]),
        ),
        ("nothing", drawn(&["...", "..."])),
        ("ignored alone", drawn(&["##", "##", "##"])),
        ("full", drawn(&["2222", "2222", "2222"])),
        ("one pixel", drawn(&["3"])),
        ("one empty pixel", drawn(&["."])),
        ("a column", drawn(&["1", ".", "1", "1", "2"])),
        ("a row", drawn(&["1.11#2"])),
        (
            "an island in a hole in an island in a hole",
            drawn(&[
                "11111111111",
                "1.........1",
                "1.1111111.1",
                "1.1.....1.1",
                "1.1.2.1.1.1",
                "1.1.....1.1",
                "1.1111111.1",
                "1.........1",
                "11111111111",
            ]),
        ),
        (
            "holes that touch at corners, and the border",
            drawn(&[
                "1.1111111",
                "1111.1.11",
                "111.1.111",
                "11.1.1.1.",
                "111.1.111",
                ".1111.111",
                "1111111.1",
            ]),
        ),
        (
            "a chessboard",
            drawn(&["1212121", "2121212", "1212121", "2121212"]),
        ),
        ("a diagonal", drawn(&["1....", ".1...", "..1..", "...1."])),
        (
            "holes side by side and above each other",
            drawn(&[
                "3333333333",
                "3.3.33.3.3",
                "3333333333",
                "3.33.3.33#",
                "33.3333..3",
                "3333333333",
            ]),
        ),
    ];
    for (name, seed, share) in [("sparse", 1, 20), ("dense", 2, 80), ("middling", 3, 50)] {
        cases.push((name, random(23, 17, seed, share)));
        cases.push((name, random(16, 31, seed + 10, share)));
    }
    cases.push((
        "runs longer than 65536",
        LabelMask::new(301, 260, vec![1; 301 * 260]).unwrap(),
    ));
    cases
}

/// Each pixel has a category with this chance in percent, from a linear congruential generator.
fn random(width: usize, height: usize, seed: u64, percent: u64) -> LabelMask {
    let mut state = seed;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut label = || {
        if draw() % 100 < percent {
            1 + draw() as u16 % CATEGORIES
        } else {
            0
        }
    };
    let labels = (0..width * height).map(|_| label()).collect();
    LabelMask::new(width, height, labels).unwrap()
}
