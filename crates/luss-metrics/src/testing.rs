//! Random masks for tests: a small fixed generator, so that a failure repeats.

use crate::LabelMask;

/// A 64-bit xorshift stream.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    /// A number in `0..n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    /// A number in `0.0..1.0` with 16 random bits, so that thresholds are hit exactly at times.
    pub(crate) fn unit(&mut self) -> f32 {
        self.below(1 << 16) as f32 / 65536.0
    }
}

/// Square cells of `cell` pixels, each with a label in `0..=classes`.
pub(crate) fn blobs(
    noise: &mut Noise,
    width: usize,
    height: usize,
    cell: usize,
    classes: u16,
) -> LabelMask {
    let columns = width.div_ceil(cell);
    let cells: Vec<u16> = (0..columns * height.div_ceil(cell))
        .map(|_| noise.below(usize::from(classes) + 1) as u16)
        .collect();
    let label = |i: usize| cells[i / width / cell * columns + i % width / cell];
    LabelMask::new(width, height, (0..width * height).map(label).collect()).unwrap()
}
