//! NumPy's `.npy` files, versions 1 to 3
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>): their header.

use super::{FileError, MAX_PIXELS};

mod mask;
mod scores;
#[cfg(test)]
mod testing;

pub(crate) use mask::mask;
pub use scores::{ScoreMap, decode_npy, read_npy};

/// How such a file begins.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// An array of height x width numbers whose data are as long as they have to be, or not yet looked at.
struct Array<'a> {
    width: usize,
    height: usize,
    columns_first: bool,
    big_endian: bool,
    /// Letter and bytes of the numbers, such as `f4`.
    kind: &'a str,
    data: &'a [u8],
}

impl<'a> Array<'a> {
    fn read(file: &'a [u8]) -> Result<Self, FileError> {
        let (header, data) = split(file)?;
        let (big_endian, kind) = kind_of(entry(header, "descr")?)?;
        let (height, width) = shape_of(entry(header, "shape")?)?;
        Ok(Self {
            width,
            height,
            columns_first: flag(entry(header, "fortran_order")?)?,
            big_endian,
            kind,
            data,
        })
    }

    /// The numbers of `N` bytes, little-endian, in the order of the file.
    fn elements<const N: usize>(&self) -> Result<impl Iterator<Item = [u8; N]>, FileError> {
        let (bytes, found) = (self.width * self.height * N, self.data.len());
        if bytes != found {
            let reason = format!("its shape asks for {bytes} bytes of data and {found} follow");
            return Err(npy(reason));
        }
        let (numbers, big_endian) = (self.data.as_chunks::<N>().0, self.big_endian);
        Ok(numbers.iter().map(move |bytes| {
            let mut bytes = *bytes;
            if big_endian {
                bytes.reverse();
            }
            bytes
        }))
    }

    /// Row by row, from the order of the file.
    fn in_rows<T: Copy>(&self, numbers: Vec<T>) -> Vec<T> {
        if !self.columns_first {
            return numbers;
        }
        let rows = (0..self.height).flat_map(|y| numbers.iter().skip(y).step_by(self.height));
        rows.copied().collect()
    }

    /// Column and row of a number, by its place in the file.
    fn place(&self, at: usize) -> (usize, usize) {
        match self.columns_first {
            true => (at / self.height, at % self.height),
            false => (at % self.width, at / self.width),
        }
    }
}

/// Header text and data.
fn split(file: &[u8]) -> Result<(&str, &[u8]), FileError> {
    let Some(rest) = file.strip_prefix(MAGIC) else {
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

/// Byte order, letter and bytes, from a quoted `descr`.
fn kind_of(descr: &str) -> Result<(bool, &str), FileError> {
    let name = descr.get(1..).unwrap_or_default();
    let name = name.split(['\'', '"']).next().unwrap_or_default();
    match name.split_at_checked(1) {
        Some(("<" | "=" | "|", kind)) => Ok((false, kind)),
        Some((">", kind)) => Ok((true, kind)),
        _ => Err(npy(format!("its numbers are `{name}`, of no known kind"))),
    }
}

/// Height and width of `(height, width)`, and of no other number of dimensions.
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

fn npy(reason: impl Into<String>) -> FileError {
    FileError::Npy {
        reason: reason.into(),
    }
}
