//! Pictures of labels as PNG files in memory.

use luss_metrics::LabelMask;
use png::{BitDepth, ColorType, Compression, Encoder};

/// A mask as a grey PNG whose values are the ids: of 8 bits, or of 16 where `largest_id` is above 255.
///
/// # Panics
///
/// If an id is above `largest_id`, or a side has 2³¹ pixels or more.
pub fn gray_png(mask: &LabelMask, largest_id: u16) -> Vec<u8> {
    let found = mask.labels().iter().max();
    assert!(
        found <= Some(&largest_id),
        "id {found:?} above {largest_id}"
    );
    let size = mask.size();
    if largest_id > 255 {
        let values: Vec<u8> = mask
            .labels()
            .iter()
            .flat_map(|id| id.to_be_bytes())
            .collect();
        return encode(size, ColorType::Grayscale, BitDepth::Sixteen, &values);
    }
    let values: Vec<u8> = mask.labels().iter().map(|&id| id as u8).collect();
    encode(size, ColorType::Grayscale, BitDepth::Eight, &values)
}

/// An RGB PNG of this width and height, from a colour for each pixel.
pub(crate) fn color_png(size: (usize, usize), colors: impl Iterator<Item = [u8; 3]>) -> Vec<u8> {
    let values: Vec<u8> = colors.flatten().collect();
    encode(size, ColorType::Rgb, BitDepth::Eight, &values)
}

fn encode(
    (width, height): (usize, usize),
    color: ColorType,
    depth: BitDepth,
    values: &[u8],
) -> Vec<u8> {
    let side = |pixels: usize| u32::try_from(pixels).expect("a mask side fits into a PNG");
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, side(width), side(height));
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_compression(Compression::Fast);
    let writer = encoder.write_header();
    let written = writer.and_then(|mut writer| {
        writer.write_image_data(values)?;
        writer.finish()
    });
    written.expect("memory takes what a mask has");
    file
}

#[cfg(test)]
mod tests {
    use luss_metrics::folder::{MaskFormat, decode_mask};

    use super::*;

    #[test]
    fn ids_above_255_take_16_bits_and_read_back() {
        let mask = LabelMask::new(3, 1, vec![0, 255, 7]).unwrap();
        let read = |largest| decode_mask(&gray_png(&mask, largest)).unwrap();
        assert_eq!(read(255), (mask.clone(), MaskFormat::Gray8));
        assert_eq!(read(256), (mask.clone(), MaskFormat::Gray16));
        let mask = LabelMask::new(1, 2, vec![919, 1000]).unwrap();
        assert_eq!(decode_mask(&gray_png(&mask, 1000)).unwrap().0, mask);
    }
}
