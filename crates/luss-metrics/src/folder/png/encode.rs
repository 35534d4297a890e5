//! Masks as PNG files.

use png::{BitDepth, ColorType, Compression, Encoder};

use crate::LabelMask;

/// A mask as the bytes of a PNG file in the format [`MaskFormat::Rg`](super::super::MaskFormat::Rg).
///
/// # Panics
///
/// If a side has 2³¹ pixels or more.
pub fn encode_mask(mask: &LabelMask) -> Vec<u8> {
    let pixel = |label: &u16| {
        let [low, high] = label.to_le_bytes();
        [low, high, 0]
    };
    let rgb: Vec<u8> = mask.labels().iter().flat_map(pixel).collect();
    encode(mask, ColorType::Rgb, Vec::new(), &rgb)
}

/// A mask as the bytes of an indexed PNG of 8 bits,
/// [`MaskFormat::Palette`](super::super::MaskFormat::Palette): the index is the id, and `palette[id]` the
/// colour in which viewers show it.
///
/// # Panics
///
/// If an id has no colour, if there are more than 256 colours, or if a side has 2³¹ pixels or more.
pub fn encode_indexed_mask(mask: &LabelMask, palette: &[[u8; 3]]) -> Vec<u8> {
    assert!(palette.len() <= 256, "{} colours", palette.len());
    let index = |&label: &u16| {
        assert!(
            usize::from(label) < palette.len(),
            "id {label} has no colour in a palette of {}",
            palette.len()
        );
        label as u8
    };
    let indices: Vec<u8> = mask.labels().iter().map(index).collect();
    encode(mask, ColorType::Indexed, palette.concat(), &indices)
}

fn encode(mask: &LabelMask, color: ColorType, palette: Vec<u8>, pixels: &[u8]) -> Vec<u8> {
    let side = |pixels: usize| u32::try_from(pixels).expect("a mask side fits into a PNG");
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, side(mask.width()), side(mask.height()));
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    if color == ColorType::Indexed {
        encoder.set_palette(palette);
    }
    encoder.set_compression(Compression::Fast);
    let writer = encoder.write_header();
    let written = writer.and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.expect("memory takes what a mask has");
    file
}
