//! Every kind of PNG, whole and damaged.

use std::path::Path;

use png::{BitDepth, ColorType, Encoder, Filter};

use super::*;
use crate::testing::{Noise, blobs};
use crate::{
    LabelMask,
    folder::{MaskReader, decode_mask, read_mask},
};

/// A PNG with `rows` as its image data.
fn png_of(size: (u32, u32), kind: (ColorType, BitDepth), filter: Filter, rows: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, size.0, size.1);
    encoder.set_color(kind.0);
    encoder.set_depth(kind.1);
    encoder.set_filter(filter);
    if kind.0 == ColorType::Indexed {
        encoder.set_palette([7, 7, 7].repeat(1 << kind.1 as u8));
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(rows).unwrap();
    writer.finish().unwrap();
    file
}

fn rgb_of(mask: &LabelMask, filter: Filter) -> Vec<u8> {
    let bytes = |id: &u16| [id.to_le_bytes()[0], id.to_le_bytes()[1], 0];
    let rows: Vec<u8> = mask.labels().iter().flat_map(bytes).collect();
    let size = (mask.width() as u32, mask.height() as u32);
    png_of(size, (ColorType::Rgb, BitDepth::Eight), filter, &rows)
}

fn small() -> Vec<u8> {
    rgb_of(
        &LabelMask::new(3, 2, vec![0, 1, 255, 256, 919, 1000]).unwrap(),
        Filter::Sub,
    )
}

#[track_caller]
fn check_refused(file: &[u8], parts: &[&str]) {
    let message = decode_mask(file).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{message}");
    }
}

fn ids(file: &[u8]) -> (Vec<u16>, MaskFormat) {
    let (mask, format) = decode_mask(file).unwrap();
    (mask.labels().to_vec(), format)
}

#[test]
fn the_fast_path_equals_the_general_one_under_every_filter() {
    let mut noise = Noise::new(3);
    let mut scratch = fast::Scratch::default();
    for round in 0..120 {
        let (width, height) = (1 + noise.below(61), 1 + noise.below(23));
        let cell = 1 + noise.below(13);
        let mut mask = blobs(&mut noise, width, height, cell, 5);
        mask.labels_mut()
            .iter_mut()
            .for_each(|id| *id = id.wrapping_mul(13_107));
        for filter in [
            Filter::NoFilter,
            Filter::Sub,
            Filter::Up,
            Filter::Avg,
            Filter::Paeth,
            Filter::Adaptive,
        ] {
            let file = rgb_of(&mask, filter);
            let header = Header::read(&file).unwrap();
            let fast = fast::labels(&file, &header, &mut scratch).expect("a usual mask");
            assert_eq!(fast, mask.labels(), "round {round}, {filter:?}");
            assert_eq!(
                labels_of_any(&file, &header).unwrap(),
                fast,
                "round {round}, {filter:?}"
            );
        }
    }
}

#[test]
fn grey_values_and_palette_indices_are_ids() {
    let file = |kind, rows: &[u8]| png_of((3, 2), kind, Filter::NoFilter, rows);
    let grey8 = file(
        (ColorType::Grayscale, BitDepth::Eight),
        &[0, 1, 2, 253, 254, 255],
    );
    assert_eq!(
        ids(&grey8),
        (vec![0, 1, 2, 253, 254, 255], MaskFormat::Gray8)
    );
    let grey16 = file(
        (ColorType::Grayscale, BitDepth::Sixteen),
        &[0, 0, 0, 1, 3, 232, 255, 255, 1, 0, 0, 9],
    );
    assert_eq!(
        ids(&grey16),
        (vec![0, 1, 1000, 65535, 256, 9], MaskFormat::Gray16)
    );
    let palette8 = file(
        (ColorType::Indexed, BitDepth::Eight),
        &[0, 1, 2, 3, 200, 255],
    );
    assert_eq!(
        ids(&palette8),
        (vec![0, 1, 2, 3, 200, 255], MaskFormat::Palette)
    );
    let palette2 = file(
        (ColorType::Indexed, BitDepth::Two),
        &[0b00_01_10_00, 0b11_10_01_00],
    );
    assert_eq!(
        ids(&palette2),
        (vec![0, 1, 2, 3, 2, 1], MaskFormat::Palette)
    );
    let palette1 = file(
        (ColorType::Indexed, BitDepth::One),
        &[0b0100_0000, 0b1110_0000],
    );
    assert_eq!(
        ids(&palette1),
        (vec![0, 1, 0, 1, 1, 1], MaskFormat::Palette)
    );
}

#[test]
fn of_two_values_the_second_is_1_or_the_largest_whatever_the_encoding() {
    let four = |color, reader: &mut MaskReader| {
        let rows = [0x01, 0xf0]; // 0, 1, 15, 0
        let file = png_of((2, 2), (color, BitDepth::Four), Filter::NoFilter, &rows);
        let (mask, format) = reader.decode(&file)?;
        Ok::<_, FileError>((mask.into_labels(), format))
    };
    let mut reader = MaskReader::of_two(&[]);
    for color in [ColorType::Grayscale, ColorType::Indexed] {
        let read = four(color, &mut reader).unwrap();
        assert_eq!(read, (vec![0, 1, 1, 0], MaskFormat::Binary));
    }
    // An id that is kept is not the second value.
    let mut kept = MaskReader::of_two(&[15]);
    let read = four(ColorType::Grayscale, &mut kept).unwrap();
    assert_eq!(read.0, [0, 1, 15, 0]);
    // A stated encoding is compared with that of the file.
    let mut stated = MaskReader::of_two(&[]).expecting(MaskFormat::Palette);
    let read = four(ColorType::Indexed, &mut stated).unwrap();
    assert_eq!(read, (vec![0, 1, 1, 0], MaskFormat::Palette));
    let refused = four(ColorType::Grayscale, &mut stated).unwrap_err();
    assert!(matches!(refused, FileError::FewBits { bits: 4 }));
    let grey = png_of(
        (3, 1),
        (ColorType::Grayscale, BitDepth::Eight),
        Filter::NoFilter,
        &[0, 255, 1],
    );
    let mut stated = MaskReader::of_two(&[]).expecting(MaskFormat::Gray8);
    let (mask, format) = stated.decode(&grey).unwrap();
    assert_eq!((mask.labels(), format), (&[0, 1, 1][..], MaskFormat::Gray8));
    let refused = four(ColorType::Indexed, &mut stated).unwrap_err();
    assert!(matches!(refused, FileError::Format { .. }));
}

/// Pillow cannot write one, so it is put together by hand: 2x2, seven passes, stored deflate.
#[test]
fn an_interlaced_mask_reads_like_any_other() {
    let rows = [0, 5, 1, 0, 0, 6, 0, 0, 0, 7, 0, 0, 8, 0, 0];
    let mut data = vec![
        0x78,
        0x01,
        0x01,
        rows.len() as u8,
        0,
        !(rows.len() as u8),
        0xff,
    ];
    data.extend(rows);
    data.extend(adler(&rows).to_be_bytes());
    let header = [0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0, 1];
    let file = [
        &b"\x89PNG\r\n\x1a\n"[..],
        &chunk(b"IHDR", &header),
        &chunk(b"IDAT", &data),
        &chunk(b"IEND", &[]),
    ]
    .concat();
    assert_eq!(ids(&file).0, [261, 6, 7, 8]);
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let length = (data.len() as u32).to_be_bytes();
    [&length[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

fn adler(bytes: &[u8]) -> u32 {
    let step = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    };
    let (a, b) = bytes.iter().fold((1, 0), step);
    b << 16 | a
}

#[test]
fn other_kinds_of_png_are_refused_by_name() {
    for (kind, samples, found) in [
        (
            (ColorType::Rgba, BitDepth::Eight),
            4,
            "8-bit RGB-with-alpha PNG",
        ),
        (
            (ColorType::GrayscaleAlpha, BitDepth::Eight),
            2,
            "8-bit grey-with-alpha PNG",
        ),
        ((ColorType::Rgb, BitDepth::Sixteen), 6, "16-bit RGB PNG"),
    ] {
        let file = png_of((3, 2), kind, Filter::NoFilter, &vec![0; 6 * samples]);
        check_refused(&file, &[found, "id = R + 256 G"]);
    }
    let bits = png_of(
        (3, 2),
        (ColorType::Grayscale, BitDepth::One),
        Filter::NoFilter,
        &[0, 0],
    );
    check_refused(&bits, &["1-bit grey PNG", "a mask of two values"]);
}

#[test]
fn blue_is_refused_with_its_place() {
    let rows = [0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4, 5, 6, 7, 8, 9];
    let file = png_of(
        (3, 2),
        (ColorType::Rgb, BitDepth::Eight),
        Filter::NoFilter,
        &rows,
    );
    check_refused(&file, &["B = 6 at x=1, y=1 (R = 4, G = 5)"]);
}

#[test]
fn what_is_no_png_is_called_by_its_name() {
    check_refused(b"\xff\xd8\xff\xe0 and so on", &["a JPEG, not a PNG"]);
    check_refused(b"", &["an empty file"]);
    check_refused(b"GIF89a", &["a GIF"]);
    check_refused(b"hello", &["some other file"]);
}

#[test]
fn impossible_sizes_are_refused_before_anything_is_allocated() {
    let with_size = |width: u32, height: u32| {
        let mut file = small();
        file[16..20].copy_from_slice(&width.to_be_bytes());
        file[20..24].copy_from_slice(&height.to_be_bytes());
        file
    };
    check_refused(&with_size(0, 2), &["the file claims 0x2 pixels"]);
    check_refused(
        &with_size(1 << 31, 1 << 31),
        &["2147483648x2147483648", "more than"],
    );
    check_refused(&with_size(u32::MAX, u32::MAX), &["more than"]);
    check_refused(
        &with_size(10_000, 10_000),
        &["cannot hold 10000x10000 pixels"],
    );
}

#[test]
fn every_truncation_is_refused() {
    let file = small();
    for length in 0..file.len() {
        assert!(
            decode_mask(&file[..length]).is_err(),
            "{length} of {} bytes",
            file.len()
        );
    }
}

#[test]
fn every_changed_byte_is_noticed_or_harmless() {
    let file = small();
    let whole = ids(&file).0;
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            // A changed name can turn a chunk into one that does not matter.
            if let Ok((mask, _)) = decode_mask(&damaged) {
                assert_eq!(mask.labels(), whole, "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let message = read_mask(Path::new("nowhere/mask.png"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("nowhere/mask.png"), "{message}");
}

/// A modest form of the fuzz target: whatever a mutation makes of a mask, it reads or is refused.
#[test]
fn mutated_masks_do_no_harm() {
    let mut noise = Noise::new(11);
    let mut scratch = fast::Scratch::default();
    let mask = blobs(&mut noise, 29, 17, 5, 4);
    let seeds = [Filter::Sub, Filter::Paeth, Filter::Adaptive].map(|filter| rgb_of(&mask, filter));
    for round in 0..3000 {
        let mut file = seeds[round % 3].clone();
        for _ in 0..=noise.below(4) {
            let at = noise.below(file.len());
            file[at] = noise.below(256) as u8;
        }
        if round % 2 == 0 {
            repair_checksums(&mut file);
        }
        let Ok(header) = Header::read(&file) else {
            continue;
        };
        let general = labels_of_any(&file, &header);
        if let Some(fast) = fast::labels(&file, &header, &mut scratch) {
            assert_eq!(general.ok(), Some(fast), "round {round}: {file:?}");
        }
    }
}

/// Makes the checksums fit again, so that mutations reach the decoder behind them.
fn repair_checksums(file: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = file.get(at..at + 4) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(end) = at
            .checked_add(8 + length)
            .filter(|end| end + 4 <= file.len())
        else {
            return;
        };
        let checksum = crc32fast::hash(&file[at + 4..end]).to_be_bytes();
        file[end..end + 4].copy_from_slice(&checksum);
        at = end + 4;
    }
}

#[test]
fn an_encoded_mask_reads_back() {
    let mask = LabelMask::new(3, 2, vec![0, 1, 255, 256, 919, 65535]).unwrap();
    assert_eq!(
        decode_mask(&encode_mask(&mask)).unwrap(),
        (mask, MaskFormat::Rg)
    );
}
