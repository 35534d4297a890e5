//! The fast way to read the usual mask: 8-bit RGB, not interlaced, whole.
//!
//! A general decoder spends most of its time undoing the row filters byte by byte, and then the
//! bytes become ids in another pass. Masks are made of flat regions, so nearly all that the
//! filters leave is zeros: eight pixels of zeros stand for eight copies of a neighbour. And `B` is
//! 0 everywhere, so the filters can work on ids instead of bytes.
//!
//! [`labels`] is right or says `None`; whatever is unusual or wrong is left to the general decoder,
//! which also has the words for it.

use fdeflate::Decompressor;

use super::header::{Color, Header};

/// Buffers that stay from one file to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

/// The labels of a whole 8-bit RGB mask whose checksums fit, or `None`.
pub(crate) fn labels(file: &[u8], header: &Header, scratch: &mut Scratch) -> Option<Vec<u16>> {
    if (header.color, header.bit_depth) != (Color::Rgb, 8) || !header.plain {
        return None;
    }
    collect_data(file, &mut scratch.packed)?;
    let row_bytes = 1 + 3 * header.width;
    inflate(
        &scratch.packed,
        &mut scratch.unpacked,
        row_bytes * header.height,
    )?;
    let mut labels = vec![0; header.width * header.height];
    let mut above: &[u16] = &vec![0; header.width];
    for (row, out) in scratch
        .unpacked
        .chunks_exact(row_bytes)
        .zip(labels.chunks_exact_mut(header.width))
    {
        undo_filter(row[0], &row[1..], above, out)?;
        above = out;
    }
    Some(labels)
}

/// Joins the image data of all chunks; `None` unless all of them are whole and of known kinds.
fn collect_data(file: &[u8], data: &mut Vec<u8>) -> Option<()> {
    data.clear();
    let mut rest = &file[8..];
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let body = rest.get(4..length.checked_add(8)?)?;
        let checksum = rest.get(length + 8..length + 12)?;
        if crc32fast::hash(body).to_be_bytes() != checksum {
            return None;
        }
        match &body[..4] {
            b"IDAT" => data.extend_from_slice(&body[4..]),
            b"IEND" => return Some(()),
            // Critical chunks begin with a capital; a mask has no further ones.
            kind if kind == b"IHDR" || kind[0].is_ascii_lowercase() => {}
            _ => return None,
        }
        rest = &rest[length + 12..];
    }
}

/// Unpacks a zlib stream of exactly `bytes` bytes.
fn inflate(packed: &[u8], unpacked: &mut Vec<u8>, bytes: usize) -> Option<()> {
    unpacked.resize(bytes, 0);
    let mut decompressor = Decompressor::new();
    decompressor.ignore_adler32(); // the chunks have checksums of their own
    let (mut read, mut written) = (0, 0);
    while !decompressor.is_done() {
        let (more_read, more_written) = decompressor
            .read(&packed[read..], unpacked, written, true)
            .ok()?;
        read += more_read;
        written += more_written;
        if more_read == 0 && more_written == 0 && !decompressor.is_done() {
            return None;
        }
    }
    (written == bytes).then_some(())
}

/// Pixels that are looked at together.
const GROUP: usize = 8;

/// Turns the filtered bytes of a row into ids; `None` for a pixel with `B` or an unknown filter.
fn undo_filter(filter: u8, row: &[u8], above: &[u16], out: &mut [u16]) -> Option<()> {
    match filter {
        0 => undo::<NoFilter>(row, above, out),
        1 => undo::<Sub>(row, above, out),
        2 => undo::<Up>(row, above, out),
        3 => undo::<Average>(row, above, out),
        4 => undo::<Paeth>(row, above, out),
        _ => None,
    }
}

/// One of PNG's filters, on ids of two bytes.
trait Filter {
    /// What a pixel is expected to be.
    fn expected(left: u16, above: u16, above_left: u16) -> u16;

    /// Fills eight pixels that are as expected, if that is known at once.
    fn fill(left: u16, above: &[u16; GROUP], above_left: u16, out: &mut [u16; GROUP]) -> bool;
}

fn undo<F: Filter>(row: &[u8], above: &[u16], out: &mut [u16]) -> Option<()> {
    let (groups, last) = row.as_chunks::<{ 3 * GROUP }>();
    let (groups_above, last_above) = above.as_chunks::<GROUP>();
    let (groups_out, last_out) = out.as_chunks_mut::<GROUP>();
    let (mut left, mut above_left) = (0, 0);
    for ((bytes, above), out) in groups.iter().zip(groups_above).zip(groups_out) {
        if *bytes != [0; 3 * GROUP] || !F::fill(left, above, above_left, out) {
            undo_pixels::<F>(bytes, above, (left, above_left), out)?;
        }
        (left, above_left) = (out[GROUP - 1], above[GROUP - 1]);
    }
    undo_pixels::<F>(last, last_above, (left, above_left), last_out)
}

/// The plain form, pixel by pixel.
fn undo_pixels<F: Filter>(
    bytes: &[u8],
    above: &[u16],
    (mut left, mut above_left): (u16, u16),
    out: &mut [u16],
) -> Option<()> {
    let (pixels, _) = bytes.as_chunks::<3>();
    let mut blue = 0;
    for ((pixel, above), out) in pixels.iter().zip(above).zip(out) {
        let rest = u16::from_le_bytes([pixel[0], pixel[1]]);
        blue |= pixel[2];
        left = add_bytes(F::expected(left, *above, above_left), rest);
        above_left = *above;
        *out = left;
    }
    (blue == 0).then_some(())
}

/// Adds the low bytes and the high bytes, without carries.
fn add_bytes(a: u16, b: u16) -> u16 {
    ((a & 0x7f7f) + (b & 0x7f7f)) ^ ((a ^ b) & 0x8080)
}

struct NoFilter;
struct Sub;
struct Up;
struct Average;
struct Paeth;

impl Filter for NoFilter {
    fn expected(_: u16, _: u16, _: u16) -> u16 {
        0
    }

    fn fill(_: u16, _: &[u16; GROUP], _: u16, out: &mut [u16; GROUP]) -> bool {
        *out = [0; GROUP];
        true
    }
}

impl Filter for Sub {
    fn expected(left: u16, _: u16, _: u16) -> u16 {
        left
    }

    fn fill(left: u16, _: &[u16; GROUP], _: u16, out: &mut [u16; GROUP]) -> bool {
        *out = [left; GROUP];
        true
    }
}

impl Filter for Up {
    fn expected(_: u16, above: u16, _: u16) -> u16 {
        above
    }

    fn fill(_: u16, above: &[u16; GROUP], _: u16, out: &mut [u16; GROUP]) -> bool {
        *out = *above;
        true
    }
}

impl Filter for Average {
    fn expected(left: u16, above: u16, _: u16) -> u16 {
        let ([a, b], [c, d]) = (left.to_le_bytes(), above.to_le_bytes());
        let mean = |x: u8, y: u8| ((u16::from(x) + u16::from(y)) / 2) as u8;
        u16::from_le_bytes([mean(a, c), mean(b, d)])
    }

    fn fill(left: u16, above: &[u16; GROUP], _: u16, out: &mut [u16; GROUP]) -> bool {
        *out = [left; GROUP];
        *above == [left; GROUP]
    }
}

impl Filter for Paeth {
    fn expected(left: u16, above: u16, above_left: u16) -> u16 {
        let (a, b, c) = (
            left.to_le_bytes(),
            above.to_le_bytes(),
            above_left.to_le_bytes(),
        );
        u16::from_le_bytes([nearest(a[0], b[0], c[0]), nearest(a[1], b[1], c[1])])
    }

    fn fill(left: u16, above: &[u16; GROUP], above_left: u16, out: &mut [u16; GROUP]) -> bool {
        // Where the row above is flat each pixel is its left neighbour; where left and above-left
        // are equal it is its upper one, and then the same holds for the next pixel.
        let flat_above = *above == [above_left; GROUP];
        *out = if flat_above { [left; GROUP] } else { *above };
        flat_above || left == above_left
    }
}

/// Paeth's predictor: which of the three is nearest to `left + above - above_left`.
fn nearest(left: u8, above: u8, above_left: u8) -> u8 {
    let [a, b, c] = [left, above, above_left].map(i16::from);
    let (pa, pb, pc) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if pa <= pb && pa <= pc {
        left
    } else if pb <= pc {
        above
    } else {
        above_left
    }
}
