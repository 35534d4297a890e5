//! Attention maps from arrays of floating-point numbers.

use std::path::Path;

use super::{
    super::{FileError, reader::read_file},
    Array, npy,
};

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
    let mut bytes = Vec::new();
    read_file(path, &mut bytes)?;
    decode_npy(&bytes)
}

/// As [`read_npy`], from the bytes of a file.
///
/// # Errors
///
/// [`FileError`] with the cause and the remedy.
pub fn decode_npy(file: &[u8]) -> Result<ScoreMap, FileError> {
    let array = Array::read(file)?;
    let (width, height) = (array.width, array.height);
    let scores: Vec<f32> = match array.kind {
        "f2" => array
            .elements()?
            .map(|bytes| f32_from_half(u16::from_le_bytes(bytes)))
            .collect(),
        "f4" => array.elements()?.map(f32::from_le_bytes).collect(),
        "f8" => array
            .elements()?
            .map(|bytes| f64::from_le_bytes(bytes) as f32)
            .collect(),
        kind => return Err(wrong_kind(kind)),
    };
    let scores = array.in_rows(scores);
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

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{file, header},
        *,
    };

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
        check_refused(&file(&header("<i4", "False", "(1, 2)"), &[0; 8]), "`i4`");
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
