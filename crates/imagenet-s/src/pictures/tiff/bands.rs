//! The samples of a file, pixel by pixel and band by band.

use tiff::{
    TiffError,
    decoder::{DecodingResult, Limits},
    tags::Tag,
};

use super::{
    directory::{Entries, Entry},
    header::{Header, photometric},
    open,
};

/// All samples of the first page, in the strips or tiles of the file: the library puts together those
/// of planes wrongly.
pub(super) struct Bands {
    pub(super) size: (u32, u32),
    pub(super) bits: usize,
    pub(super) samples: usize,
    pub(super) is_planar: bool,
    /// Width and height of a strip or tile.
    pub(super) part_px: (usize, usize),
    /// Strips or tiles side by side.
    pub(super) across: usize,
    /// Strips or tiles of a plane, or of all bands where they lie together.
    pub(super) per_plane: usize,
    pub(super) parts: Vec<Part>,
}

/// A strip or a tile.
pub(super) struct Part {
    /// Without what pads it, in pixels.
    width: usize,
    pub(super) values: DecodingResult,
}

impl Bands {
    pub(super) fn read(bytes: &[u8], header: &Header) -> Result<Self, TiffError> {
        let bytes = with_all_bands(bytes);
        let file = open(&bytes)?;
        let mut file = file.with_limits(Limits::unlimited()); // the sizes are checked
        let (width, height) = file.chunk_dimensions();
        let across = header.size.0.div_ceil(width);
        let per_plane = across * header.size.1.div_ceil(height);
        let planes = if header.is_planar { header.samples } else { 1 };
        let part = |index| {
            Ok(Part {
                width: file.chunk_data_dimensions(index).0 as usize,
                values: file.read_chunk(index)?,
            })
        };
        let parts = (0..per_plane * u32::from(planes)).map(part);
        Ok(Self {
            size: header.size,
            bits: header.bits.into(),
            samples: header.samples.into(),
            is_planar: header.is_planar,
            part_px: (width as usize, height as usize),
            across: across as usize,
            per_plane: per_plane as usize,
            parts: parts.collect::<Result<_, TiffError>>()?,
        })
    }

    /// A sample by its pixel and band.
    pub(super) fn value(&self, x: usize, y: usize, band: usize) -> f64 {
        let (width, height) = self.part_px;
        let (plane, samples, band) = match self.is_planar {
            true => (band, 1, 0),
            false => (0, self.samples, band),
        };
        let part = plane * self.per_plane + y / height * self.across + x / width;
        let part = &self.parts[part];
        let (x, y) = (x % width, y % height);
        match &part.values {
            DecodingResult::U8(bytes) if self.bits < 8 => {
                let row = (part.width * samples * self.bits).div_ceil(8);
                let bit = (x * samples + band) * self.bits;
                let byte = bytes[y * row + bit / 8] >> (8 - self.bits - bit % 8);
                f64::from(byte & ((1 << self.bits) - 1))
            }
            values => number_at(values, (y * part.width + x) * samples + band),
        }
    }

    /// Columns and rows of all pixels, in the order of a picture.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)))
    }

    /// The values of some bands, pixel by pixel.
    pub(super) fn values_of<'a>(&'a self, bands: &'a [u16]) -> impl Iterator<Item = f64> + 'a {
        self.places().flat_map(move |(x, y)| {
            let value = move |&band: &u16| self.value(x, y, band.into());
            bands.iter().map(value)
        })
    }

    /// The largest value of unsigned integers of so many bits.
    pub(super) fn most(&self) -> f64 {
        2_f64.powi(self.bits as i32) - 1.0
    }

    /// The smallest and largest value of the type, where pictures use it whole: those of 32 bits hold
    /// counts, heights and the like.
    pub(super) fn ends(&self) -> Option<[f64; 2]> {
        let is_whole = matches!(
            self.parts[0].values,
            DecodingResult::U8(_) | DecodingResult::U16(_)
        );
        is_whole.then(|| [0.0, self.most()])
    }
}

fn number_at(values: &DecodingResult, at: usize) -> f64 {
    match values {
        DecodingResult::U8(values) => values[at].into(),
        DecodingResult::U16(values) => values[at].into(),
        DecodingResult::U32(values) => values[at].into(),
        DecodingResult::U64(values) => values[at] as f64,
        DecodingResult::I8(values) => values[at].into(),
        DecodingResult::I16(values) => values[at].into(),
        DecodingResult::I32(values) => values[at].into(),
        DecodingResult::I64(values) => values[at] as f64,
        DecodingResult::F16(values) => values[at].to_f64(),
        DecodingResult::F32(values) => values[at].into(),
        DecodingResult::F64(values) => values[at],
    }
}

/// The file with the tag `PhotometricInterpretation` saying grey: the library then decodes every band
/// as it is stored.
fn with_all_bands(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let is_little = bytes.first() == Some(&b'I');
    let two = |number: u16| match is_little {
        true => number.to_le_bytes(),
        false => number.to_be_bytes(),
    };
    let entries = Entries::of(bytes).into_iter().flatten();
    // Of several the library takes the last one that it understands.
    for Entry { at, value, .. } in
        entries.filter(|entry| entry.tag == Tag::PhotometricInterpretation.to_u16())
    {
        changed[at + 2..at + 4].copy_from_slice(&two(3)); // a value of 16 bits
        changed[value..value + 2].copy_from_slice(&two(photometric::BLACK_IS_ZERO));
    }
    changed
}
