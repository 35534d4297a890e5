//! The segments of a JPEG file, as far as they tell whether it is whole, of which kind, and how
//! its components are sampled.
//!
//! ITU-T T.81, Annex B: a file is a run of markers (`0xFF` and a code); most carry a length, and
//! compressed data follows the start of a scan up to the next marker.

use image::metadata::Orientation;

use crate::pictures::orientation::{EXIF_HEADER, orientation_in};

const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const HIERARCHY: u8 = 0xDE;
const ADOBE: u8 = 0xEE;
/// The segment of EXIF, and of other metadata.
const APPLICATION_1: u8 = 0xE1;
const PROGRESSIVE: u8 = 0xC2;
/// The frame of JPEG-LS, ITU-T T.87.
const NEAR_LOSSLESS: u8 = 0xF7;

/// What the markers of a JPEG file say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JpegStructure {
    /// The first frame header; `None` where the file ends before it.
    pub(crate) frame: Option<Frame>,
    /// The scans, in their order.
    scans: Vec<Scan>,
    /// What Adobe's segment says about the colours: 0 for RGB and CMYK.
    pub(crate) adobe_transform: Option<u8>,
    /// How viewers turn it, by the first segment of EXIF.
    orientation: Option<Orientation>,
    /// Whether the end-of-image marker was reached.
    pub(crate) complete: bool,
}

/// A frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    code: u8,
    bits: u8,
    /// Width and height in pixels.
    pub(crate) size_px: (u32, u32),
    /// Grey has one component, colour three, CMYK four.
    pub(crate) components: Vec<Component>,
}

/// A component of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Component {
    id: u8,
    /// Sampling factors, horizontal and vertical: the largest of a frame is full resolution.
    pub(crate) factors: [u8; 2],
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Scan {
    components: Vec<u8>,
    /// First and last coefficient, in zigzag order.
    coefficients: [u8; 2],
    /// Bits of the coefficients that later scans still bring.
    missing_bits: u8,
}

impl JpegStructure {
    /// Walks the markers of `bytes`, up to the end of the first image.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut structure = Self::default();
        let mut rest = bytes;
        while let Some((code, after)) = next_marker(rest) {
            if code == END_OF_IMAGE {
                structure.complete = true;
                break;
            }
            let (segment, behind) = split_segment(code, after);
            structure.note(code, segment);
            rest = behind;
        }
        structure
    }

    fn note(&mut self, code: u8, segment: &[u8]) {
        match code {
            START_OF_SCAN => self.scans.extend(Scan::of(segment)),
            ADOBE if segment.starts_with(b"Adobe") => {
                self.adobe_transform = segment.get(11).copied();
            }
            APPLICATION_1 if segment.starts_with(EXIF_HEADER) => {
                self.orientation
                    .get_or_insert_with(|| orientation_in(segment));
            }
            _ if is_frame_header(code) && self.frame.is_none() => {
                self.frame = Frame::of(code, segment);
            }
            _ => {}
        }
    }

    /// How viewers turn the picture.
    pub(crate) fn orientation(&self) -> Orientation {
        self.orientation.unwrap_or(Orientation::NoTransforms)
    }

    /// Whether the scans that have begun bring every bit of every coefficient.
    pub(crate) fn every_scan_has_begun(&self) -> bool {
        let Some(frame) = &self.frame else {
            return false;
        };
        let brought = |id: u8, coefficient: u8| {
            let mut scans = self
                .scans
                .iter()
                .filter(|scan| scan.components.contains(&id));
            scans.any(|scan| frame.code != PROGRESSIVE || scan.completes(coefficient))
        };
        let mut components = frame.components.iter();
        components.all(|component| (0..64).all(|at| brought(component.id, at)))
    }

    /// Whether a scan brings one component alone, as those of progressive files do.
    pub(crate) fn has_separate_scans(&self) -> bool {
        let components = self
            .frame
            .as_ref()
            .map_or(0, |frame| frame.components.len());
        self.scans
            .iter()
            .any(|scan| scan.components.len() < components)
    }
}

impl Frame {
    /// The first frame header of a file; nothing behind it is read.
    pub(crate) fn first_of(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        while let Some((code, after)) = next_marker(rest) {
            let (segment, behind) = split_segment(code, after);
            if is_frame_header(code) {
                return Self::of(code, segment);
            }
            rest = behind;
        }
        None
    }

    fn of(code: u8, segment: &[u8]) -> Option<Self> {
        let &[bits, high, low, wide, narrow, count] = segment.first_chunk()?;
        let side = |bytes| u32::from(u16::from_be_bytes(bytes));
        let components = segment[6..].as_chunks::<3>().0.iter();
        Some(Self {
            code,
            bits,
            size_px: (side([wide, narrow]), side([high, low])),
            components: components.take(count.into()).map(Component::of).collect(),
        })
    }

    /// Whether the coefficients come in several scans, coarse ones first.
    pub(crate) fn is_progressive(&self) -> bool {
        self.code == PROGRESSIVE
    }

    /// What this file is, if it is none of the kinds that are read.
    pub(crate) fn unread_kind(&self) -> Option<String> {
        let kind = match self.code {
            NEAR_LOSSLESS => "a JPEG-LS file",
            HIERARCHY | 0xC5..=0xC7 | 0xCD..=0xCF => "a hierarchical JPEG",
            0xC3 => "a lossless JPEG",
            0xC9..=0xCB => "an arithmetic-coded JPEG",
            _ if self.bits != 8 => return Some(format!("a {}-bit JPEG", self.bits)),
            _ if self.size_px.1 == 0 => "a JPEG without a height in its header (DNL)",
            _ => return self.unread_components(),
        };
        Some(kind.to_owned())
    }

    fn unread_components(&self) -> Option<String> {
        let count = self.components.len();
        (![1, 3, 4].contains(&count)).then(|| format!("a JPEG of {count} colour components"))
    }

    /// The largest sampling factors, horizontal and vertical.
    pub(crate) fn most(&self) -> [u8; 2] {
        [0, 1].map(|axis| {
            let factors = self
                .components
                .iter()
                .map(|component| component.factors[axis]);
            factors.max().unwrap_or(1)
        })
    }

    /// The sampling factors as libjpeg's programs write them: `2x2,1x1,1x1`.
    pub(crate) fn sampling(&self) -> String {
        let text = |component: &Component| {
            let [horizontal, vertical] = component.factors;
            format!("{horizontal}x{vertical}")
        };
        let factors: Vec<String> = self.components.iter().map(text).collect();
        factors.join(",")
    }
}

impl Component {
    fn of(&[id, factors, _]: &[u8; 3]) -> Self {
        Self {
            id,
            factors: [factors >> 4, factors & 15],
        }
    }
}

impl Scan {
    fn of(segment: &[u8]) -> Option<Self> {
        let (&count, rest) = segment.split_first()?;
        let (components, last) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, bits] = last.first_chunk()?;
        Some(Self {
            components: components.iter().step_by(2).copied().collect(),
            coefficients: [first, last],
            missing_bits: bits & 15,
        })
    }

    fn completes(&self, coefficient: u8) -> bool {
        let [first, last] = self.coefficients;
        self.missing_bits == 0 && (first..=last).contains(&coefficient)
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

/// Start-of-frame markers; the three left out define tables or are reserved. The header of a
/// hierarchy of frames has the form of a frame header.
fn is_frame_header(code: u8) -> bool {
    let plain = matches!(code, 0xC0..=0xCF) && !matches!(code, 0xC4 | 0xC8 | 0xCC);
    plain || matches!(code, HIERARCHY | NEAR_LOSSLESS)
}

/// The content of a segment, whose length counts itself, and what is behind it. Start of image
/// and the one-byte marker TEM have none.
fn split_segment(code: u8, after: &[u8]) -> (&[u8], &[u8]) {
    if matches!(code, 0x01 | 0xD8) {
        return (&[], after);
    }
    let length = after
        .first_chunk()
        .map(|&length| u16::from_be_bytes(length).into());
    let split = length.and_then(|length: usize| after.split_at_checked(length));
    let (segment, behind) = split.unwrap_or_default();
    (segment.get(2..).unwrap_or_default(), behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start, an application segment that hides an end marker, a progressive frame whose first
    /// component has the factors 2x1, and a scan with a stuffed zero and a restart marker.
    fn jpeg() -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 5, 0xFF, END_OF_IMAGE, 0];
        bytes.extend([0xFF, PROGRESSIVE, 0, 14, 8, 0, 5, 0, 7, 2]);
        bytes.extend([1, 0x21, 0, 2, 0x11, 0]);
        scan(&mut bytes, &[1, 2], [0, 0], 0);
        bytes.extend([12, 0xFF, 0, 9, 0xFF, 0xD3, 4]);
        bytes
    }

    fn scan(bytes: &mut Vec<u8>, components: &[u8], [first, last]: [u8; 2], missing_bits: u8) {
        let count = components.len() as u8;
        bytes.extend([0xFF, START_OF_SCAN, 0, 6 + 2 * count, count]);
        bytes.extend(components.iter().flat_map(|&id| [id, 0]));
        bytes.extend([first, last, missing_bits]);
    }

    #[test]
    fn the_end_marker_of_a_thumbnail_is_not_the_end() {
        assert!(!JpegStructure::of(&jpeg()).complete);
    }

    #[test]
    fn data_behind_the_image_does_not_matter() {
        let mut bytes = jpeg();
        bytes.extend([0xFF, 0xFF, END_OF_IMAGE, 0xFF, START_OF_SCAN, 3]);
        let structure = JpegStructure::of(&bytes);
        assert!(structure.complete && structure.scans.len() == 1);
        let frame = structure.frame.unwrap();
        assert_eq!((frame.size_px, frame.most()), ((7, 5), [2, 1]));
        assert_eq!(frame.sampling(), "2x1,1x1");
    }

    #[test]
    fn a_progressive_file_lacks_scans_until_every_bit_is_brought() {
        let mut bytes = jpeg();
        scan(&mut bytes, &[1], [1, 63], 0);
        scan(&mut bytes, &[2], [1, 63], 1);
        assert!(!JpegStructure::of(&bytes).every_scan_has_begun());
        scan(&mut bytes, &[2], [1, 63], 0);
        assert!(JpegStructure::of(&bytes).every_scan_has_begun());
    }

    #[test]
    fn nothing_is_incomplete() {
        assert_eq!(JpegStructure::of(&[]), JpegStructure::default());
        assert!(!JpegStructure::default().every_scan_has_begun());
    }
}
