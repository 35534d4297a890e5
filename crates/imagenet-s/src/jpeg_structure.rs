//! The segments of a JPEG file, as far as they tell whether it is whole and in which colours.
//!
//! ITU-T T.81, Annex B: a file is a run of markers (`0xFF` and a code); most carry a length, and
//! compressed data follows the start of a scan up to the next marker.

const END_OF_IMAGE: u8 = 0xD9;

/// What the markers of a JPEG file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JpegStructure {
    /// Colour components of the frame: 1 grey, 3 colour, 4 CMYK; `None` before a frame header.
    pub(crate) components: Option<u8>,
    /// Whether the end-of-image marker was reached. libjpeg asks for it too.
    pub(crate) complete: bool,
}

impl JpegStructure {
    /// Walks the markers of `bytes`, up to the end of the first image.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut components = None;
        let mut rest = bytes;
        while let Some((code, after)) = next_marker(rest) {
            if code == END_OF_IMAGE {
                return Self {
                    components,
                    complete: true,
                };
            }
            if is_frame_header(code) {
                components = after.get(7).copied();
            }
            rest = skip_segment(code, after);
        }
        Self {
            components,
            complete: false,
        }
    }
}

/// The next marker's code and the bytes behind it. Stuffed zeros and restart markers belong to
/// compressed data, and any number of `0xFF` may precede a code.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let in_data = |code: u8| matches!(code, 0x00 | 0xD0..=0xD7 | 0xFF);
    let at = bytes
        .windows(2)
        .position(|pair| pair[0] == 0xFF && !in_data(pair[1]))?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

/// Start-of-frame markers; the three left out define tables or are reserved.
fn is_frame_header(code: u8) -> bool {
    matches!(code, 0xC0..=0xCF) && !matches!(code, 0xC4 | 0xC8 | 0xCC)
}

/// Steps over the content of a segment, whose length counts itself. Start of image and the
/// one-byte marker TEM have none.
fn skip_segment(code: u8, after: &[u8]) -> &[u8] {
    if matches!(code, 0x01 | 0xD8) {
        return after;
    }
    let length = after
        .first_chunk()
        .map_or(usize::MAX, |&length| u16::from_be_bytes(length).into());
    after.get(length..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start, an application segment that hides an end marker, frame, scan with a stuffed zero
    /// and a restart marker.
    fn jpeg(components: u8) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 5, 0xFF, END_OF_IMAGE, 0];
        bytes.extend([0xFF, 0xC2, 0, 9, 8, 0, 5, 0, 7, components, 0]);
        bytes.extend([0xFF, 0xDA, 0, 3, 0, 12, 0xFF, 0, 9, 0xFF, 0xD3, 4]);
        bytes
    }

    #[test]
    fn the_end_marker_of_a_thumbnail_is_not_the_end() {
        assert!(!JpegStructure::of(&jpeg(3)).complete);
    }

    #[test]
    fn data_behind_the_image_does_not_matter() {
        let mut bytes = jpeg(4);
        bytes.extend([0xFF, 0xFF, END_OF_IMAGE, 1, 2, 3]);
        assert_eq!(
            JpegStructure::of(&bytes),
            JpegStructure {
                components: Some(4),
                complete: true
            }
        );
    }

    #[test]
    fn nothing_is_incomplete() {
        assert_eq!(
            JpegStructure::of(&[]),
            JpegStructure {
                components: None,
                complete: false
            }
        );
    }
}
