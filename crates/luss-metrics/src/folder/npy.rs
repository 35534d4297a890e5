//! Attention maps from `.npy` files (NumPy's format, versions 1 to 3).

use std::{fs::File, io::Read as _, path::Path};

use super::{FileError, MAX_PIXELS};

/// The longest file that is read: the largest map in `float64` and its header.
const MAX_FILE_BYTES: u64 = 8 * MAX_PIXELS + (1 << 20);

/// One score for each pixel of a picture; a score is a number.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreMap {
    width: usize,
    height: usize,
    scores: Vec<f32>,
}

impl ScoreMap {
    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row-major scores, none of them NaN.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }
}

/// Reads an array of height x width numbers: `float16`, `float32` or `float64` (which is rounded to
/// `f32`), in either byte order, in C or Fortran order.
///
/// # Errors
///
/// [`FileError`] with the cause and the remedy; a NaN is one.
pub fn read_npy(path: &Path) -> Result<ScoreMap, FileError> {
    let io = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    decode_npy(&bytes)
}

/// As [`read_npy`], from the bytes of a file.
///
/// # Errors
///
/// [`FileError`] with the cause and the remedy.
pub fn decode_npy(file: &[u8]) -> Result<ScoreMap, FileError> {
    let (header, data) = split(file)?;
    let kind = Kind::of(entry(header, "descr")?)?;
    let (height, width) = shape_of(entry(header, "shape")?)?;
    let columns_first = flag(entry(header, "fortran_order")?)?;
    let scores = kind.numbers(data, width * height)?;
    let scores = if columns_first {
        transposed(&scores, height)
    } else {
        scores
    };
    match scores.iter().position(|score| score.is_nan()) {
        Some(at) => Err(FileError::NotANumber {
            x: at % width,
            y: at / width,
        }),
        None => Ok(ScoreMap {
            width,
            height,
            scores,
        }),
    }
}

/// Header text and data.
fn split(file: &[u8]) -> Result<(&str, &[u8]), FileError> {
    let Some(rest) = file.strip_prefix(b"\x93NUMPY") else {
        return Err(npy("it does not begin with \\x93NUMPY"));
    };
    let truncated = || npy("it ends within its header");
    let version = *rest.first().ok_or_else(truncated)?;
    let rest = rest.get(2..).ok_or_else(truncated)?;
    let (length, rest) = match version {
        1 => (
            usize::from(u16::from_le_bytes(
                *rest.first_chunk().ok_or_else(truncated)?,
            )),
            &rest[2..],
        ),
        2 | 3 => (
            u32::from_le_bytes(*rest.first_chunk().ok_or_else(truncated)?) as usize,
            &rest[4..],
        ),
        _ => return Err(npy(format!("format version {version} does not exist"))),
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(truncated)?;
    let header = std::str::from_utf8(header).map_err(|_| npy("its header is no text"))?;
    Ok((header, data))
}

/// What follows `'name':` in the header.
fn entry<'a>(header: &'a str, name: &str) -> Result<&'a str, FileError> {
    let found = [format!("'{name}':"), format!("\"{name}\":")]
        .iter()
        .find_map(|key| header.split_once(key.as_str()));
    match found {
        Some((_, value)) => Ok(value.trim_start()),
        None => Err(npy(format!("its header has no '{name}'"))),
    }
}

fn flag(value: &str) -> Result<bool, FileError> {
    match value {
        _ if value.starts_with("True") => Ok(true),
        _ if value.starts_with("False") => Ok(false),
        _ => Err(npy("its order is neither C nor Fortran")),
    }
}

/// Height and width of `(height, width)`; single dimensions around them are none.
fn shape_of(value: &str) -> Result<(usize, usize), FileError> {
    let inside = value
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    let (inside, _) = inside.ok_or_else(|| npy("its shape is damaged"))?;
    let sides: Option<Vec<u64>> = inside
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().ok())
        .collect();
    match sides.as_deref() {
        Some(&[height, width]) if height > 0 && width > 0 => check_size(height, width),
        _ => Err(npy(format!("its shape is ({inside}), not (height, width)"))),
    }
}

fn check_size(height: u64, width: u64) -> Result<(usize, usize), FileError> {
    match height.checked_mul(width) {
        Some(pixels) if pixels <= MAX_PIXELS => Ok((height as usize, width as usize)),
        _ => Err(FileError::TooLarge { width, height }),
    }
}

/// Rows first, from columns first.
fn transposed(columns: &[f32], height: usize) -> Vec<f32> {
    let rows = (0..height).flat_map(|y| columns.iter().skip(y).step_by(height));
    rows.copied().collect()
}

/// Size and byte order of the numbers.
struct Kind {
    bytes: usize,
    big_endian: bool,
}

impl Kind {
    fn of(descr: &str) -> Result<Self, FileError> {
        let name: String = descr
            .chars()
            .skip(1)
            .take_while(|c| !"'\"".contains(*c))
            .collect();
        let mut letters = name.chars();
        let big_endian = match letters.next() {
            Some('<' | '=' | '|') => false,
            Some('>') => true,
            _ => return Err(wrong_kind(&name)),
        };
        let bytes = match letters.as_str() {
            "f2" => 2,
            "f4" => 4,
            "f8" => 8,
            _ => return Err(wrong_kind(&name)),
        };
        Ok(Self { bytes, big_endian })
    }

    fn numbers(&self, data: &[u8], count: usize) -> Result<Vec<f32>, FileError> {
        let (bytes, found) = (count * self.bytes, data.len());
        if bytes != found {
            let reason = format!("its shape asks for {bytes} bytes of data and {found} follow");
            return Err(npy(reason));
        }
        Ok(match self.bytes {
            2 => self.map(data, |b: [u8; 2]| f32_from_half(u16::from_le_bytes(b))),
            4 => self.map(data, f32::from_le_bytes),
            _ => self.map(data, |b: [u8; 8]| f64::from_le_bytes(b) as f32),
        })
    }

    fn map<const N: usize>(&self, data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (numbers, _) = data.as_chunks::<N>();
        let swapped = |bytes: &[u8; N]| {
            let mut bytes = *bytes;
            bytes.reverse();
            bytes
        };
        match self.big_endian {
            true => numbers.iter().map(|bytes| number(swapped(bytes))).collect(),
            false => numbers.iter().map(|bytes| number(*bytes)).collect(),
        }
    }
}

/// IEEE half precision: exact in single precision.
fn f32_from_half(bits: u16) -> f32 {
    const TWO_TO_112: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // The exponent is 112 too small; infinities and NaN keep their largest exponent.
    let magnitude = match bits & 0x7c00 {
        0x7c00 => magnitude | 0x7f80_0000,
        _ => (f32::from_bits(magnitude) * TWO_TO_112).to_bits(),
    };
    f32::from_bits(magnitude | u32::from(bits & 0x8000) << 16)
}

fn wrong_kind(name: &str) -> FileError {
    npy(format!(
        "its numbers are `{name}`, not float16, float32 or float64 (f2, f4, f8)"
    ))
}

fn npy(reason: impl Into<String>) -> FileError {
    FileError::Npy {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 1 file.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [
            b"\x93NUMPY\x01\x00",
            length.as_slice(),
            header.as_bytes(),
            data,
        ]
        .concat()
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    fn bytes_of(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    #[track_caller]
    fn check_refused(file: &[u8], part: &str) {
        let message = decode_npy(file).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn all_precisions_byte_orders_and_layouts_read_alike() {
        let expected: [f32; 6] = [0.0, 0.25, -1.5, 2.0, 0.5, 1.0];
        let map = |descr: &str, data: Vec<u8>| {
            decode_npy(&file(&header(descr, "False", "(2, 3)"), &data)).unwrap()
        };
        let doubles = expected
            .iter()
            .flat_map(|&n| f64::from(n).to_le_bytes())
            .collect();
        let swapped = expected.iter().flat_map(|n| n.to_be_bytes()).collect();
        let halves = [0u16, 0x3400, 0xbe00, 0x4000, 0x3800, 0x3c00];
        let halves = halves.iter().flat_map(|n| n.to_le_bytes()).collect();
        for (descr, data) in [
            ("<f4", bytes_of(&expected)),
            ("<f8", doubles),
            (">f4", swapped),
            ("<f2", halves),
        ] {
            let map = map(descr, data);
            assert_eq!(
                (map.width(), map.height(), map.scores()),
                (3, 2, &expected[..]),
                "{descr}"
            );
        }
        let columns = bytes_of(&[0.0, 2.0, 0.25, 0.5, -1.5, 1.0]);
        let columns = decode_npy(&file(&header("<f4", "True", "(2, 3)"), &columns)).unwrap();
        assert_eq!(columns.scores(), expected);
    }

    #[test]
    fn half_precision_is_exact() {
        let value = |bits: u16| {
            let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
            let magnitude = match exponent {
                0 => fraction * 2f32.powi(-24),
                _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
            };
            if bits >> 15 == 1 {
                -magnitude
            } else {
                magnitude
            }
        };
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            assert_eq!(f32_from_half(bits), value(bits), "{bits:#06x}");
        }
        assert_eq!(f32_from_half(0x7c00), f32::INFINITY);
        assert_eq!(f32_from_half(0xfc00), f32::NEG_INFINITY);
        assert!(f32_from_half(0x7c01).is_nan());
    }

    #[test]
    fn whatever_is_no_map_of_numbers_is_refused_with_the_reason() {
        let good = header("<f4", "False", "(1, 2)");
        check_refused(b"\x89PNG", "does not begin with");
        check_refused(&file(&good, &[0; 8])[..40], "ends within its header");
        check_refused(&file(&good, &[0; 9]), "8 bytes of data and 9 follow");
        check_refused(&file(&header("<i4", "False", "(1, 2)"), &[0; 8]), "`<i4`");
        check_refused(
            &file(&header("<f4", "False", "(2,)"), &[0; 8]),
            "(2,), not (height, width)",
        );
        check_refused(
            &file(&header("<f4", "False", "(1, 1, 2)"), &[0; 8]),
            "not (height, width)",
        );
        check_refused(
            &file(&header("<f4", "maybe", "(1, 2)"), &[0; 8]),
            "neither C nor Fortran",
        );
        check_refused(
            &file(&header("<f4", "False", "(65536, 65536)"), &[]),
            "more than",
        );
        check_refused(&file("{'descr': '<f4'}", &[]), "no 'shape'");
        check_refused(&file(&good, &bytes_of(&[1.0, f32::NAN])), "x=1, y=0 is NaN");
    }
}
