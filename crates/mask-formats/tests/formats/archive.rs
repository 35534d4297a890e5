//! PNGs in the colours of VOC, alone and in the archive of CVAT.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
};

use luss_metrics::{IGNORE, LabelMask, folder::decode_mask};
use mask_formats::{
    Per, Regions,
    cvat::{CvatMasks, CvatWriter},
    voc::{class_png, object_png},
};
use png::{Decoder, Transformations};
use zip::ZipArchive;

use crate::masks::{cases, names};

type Color = [u8; 3];

fn archive() -> BTreeMap<String, Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = CvatWriter::begin(&mut file, "a test", &names()).unwrap();
    for (number, (_, mask)) in cases().iter().enumerate() {
        let regions = Regions::of(mask, Per::Component);
        writer
            .push(
                &format!("a/{number}"),
                &CvatMasks::new(mask, &regions).unwrap(),
            )
            .unwrap();
    }
    assert_eq!(writer.finish().unwrap(), cases().len() as u64);
    let mut archive = ZipArchive::new(file).unwrap();
    assert_eq!(archive.comment(), b"a test");
    let mut entry = |at| {
        let mut entry = archive.by_index(at).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    };
    let count = 2 + 2 * cases().len();
    (0..count).map(&mut entry).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Names by colour, as the map of labels declares them.
fn declared(map: &str) -> BTreeMap<Color, String> {
    let lines = map.lines().filter(|line| !line.starts_with('#'));
    let label = |line: &str| {
        let parts: Vec<&str> = line.split(':').collect();
        let color: Vec<u8> = parts[1]
            .split(',')
            .map(|channel| channel.parse().unwrap())
            .collect();
        (color.try_into().unwrap(), parts[0].to_string())
    };
    lines.map(label).collect()
}

fn colors(file: &[u8]) -> Vec<Color> {
    let mut decoder = Decoder::new(Cursor::new(file));
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels.as_chunks().0.to_vec()
}

#[test]
fn cvat_declares_every_colour_and_the_pixels_have_them() {
    let archive = archive();
    let declared = declared(text(&archive["labelmap.txt"]));
    assert_eq!(declared.len(), 1 + names().len(), "colours that differ");
    for (number, (name, mask)) in cases().iter().enumerate() {
        let found = colors(&archive[&format!("SegmentationClass/a/{number}.png")]);
        let found: Vec<&str> = found.iter().map(|color| declared[color].as_str()).collect();
        let names = names();
        let expected = mask.labels().iter().map(|&label| match label {
            0 | IGNORE => "background",
            label => &names[usize::from(label) - 1],
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{name}");
    }
}

/// As the regions are: two pixels share a colour where, and only where, they share a region.
#[test]
fn cvat_gives_every_region_a_colour_of_its_own() {
    let archive = archive();
    for (number, (name, mask)) in cases().iter().enumerate() {
        let found = colors(&archive[&format!("SegmentationObject/a/{number}.png")]);
        let regions = Regions::of(mask, Per::Component);
        let pairs: BTreeMap<Color, u32> = found
            .iter()
            .copied()
            .zip(regions.of_pixel().iter().copied())
            .collect();
        let used: std::collections::BTreeSet<u32> = pairs.values().copied().collect();
        assert_eq!(pairs.len(), used.len(), "{name}");
        let same = found
            .iter()
            .zip(regions.of_pixel())
            .all(|(color, region)| pairs[color] == *region);
        assert!(
            same && pairs.get(&[0, 0, 0]).is_none_or(|region| *region == 0),
            "{name}"
        );
    }
}

#[test]
fn cvat_lists_the_pictures() {
    let archive = archive();
    let list = text(&archive["ImageSets/Segmentation/default.txt"]);
    let expected: Vec<String> = (0..cases().len())
        .map(|number| format!("a/{number}"))
        .collect();
    assert_eq!(list.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn voc_has_the_ids_as_indices_and_void_at_255() {
    for (name, mask) in cases() {
        let expected = mask
            .labels()
            .iter()
            .map(|&label| if label == IGNORE { 255 } else { label });
        let (found, _) = decode_mask(&class_png(&mask)).unwrap();
        assert_eq!(found.labels(), expected.collect::<Vec<u16>>(), "{name}");
    }
}

#[test]
fn voc_has_room_for_254_objects() {
    let parts = |count: usize| {
        let labels = (0..2 * count).map(|at| (at % 2) as u16).collect();
        let mask = LabelMask::new(2 * count, 1, labels).unwrap();
        object_png(&mask, &Regions::of(&mask, Per::Component))
    };
    let (objects, _) = decode_mask(&parts(254).unwrap()).unwrap();
    assert_eq!(objects.labels()[506..], [0, 254]);
    assert!(parts(255).is_none());
}
