//! Run lengths as the brush of Label Studio has them.
//!
//! The format is that of `@thi.ng/rle-pack` (<https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack>):
//! a stream of bits, the highest of a byte first. 32 bits count the words; 5 are the bits of a word less one;
//! four times 4 are the sizes of a length field less one. Then come runs: a bit, 1 where one word is
//! repeated; 2 bits that choose a size; the length less one; the word.
//!
//! The words are the bytes of an RGBA picture, row by row: all four are 255 inside, 0 outside.

/// Bits of the four length fields.
const SIZES: [u32; 4] = [3, 4, 8, 16];

/// Bits of a word.
const WORD: u32 = 8;

/// Bytes of a pixel.
const CHANNELS: usize = 4;

/// The stream of a region, of which each item says whether a pixel is inside, row by row.
///
/// # Panics
///
/// For 2³⁰ pixels or more.
pub fn brush_rle(inside: &[bool]) -> Vec<u8> {
    let words = u32::try_from(CHANNELS * inside.len()).expect("a mask of fewer than 2^30 pixels");
    let mut bits = Bits::default();
    bits.push(words, 32);
    bits.push(WORD - 1, 5);
    for size in SIZES {
        bits.push(size - 1, 4);
    }
    for run in inside.chunk_by(|a, b| a == b) {
        push_run(
            &mut bits,
            CHANNELS * run.len(),
            if run[0] { 255 } else { 0 },
        );
    }
    bits.bytes
}

fn push_run(bits: &mut Bits, mut length: usize, word: u32) {
    while length > 0 {
        let part = length.min(1 << SIZES[3]);
        let fits = |size: &u32| part <= 1 << size;
        let choice = SIZES.iter().position(fits).expect("not above the largest");
        bits.push(1, 1);
        bits.push(choice as u32, 2);
        bits.push(part as u32 - 1, SIZES[choice]);
        bits.push(word, WORD);
        length -= part;
    }
}

/// A stream of bits, the last byte filled up with zeros.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken.
    taken: u32,
}

impl Bits {
    /// The lowest `count` bits of `value`, the highest of them first.
    fn push(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            if self.taken == 0 {
                self.bytes.push(0);
            }
            let bit = (value >> at & 1) as u8;
            *self.bytes.last_mut().expect("just seen") |= bit << (7 - self.taken);
            self.taken = (self.taken + 1) % 8;
        }
    }
}
