//! Masks from arrays of whole numbers.

use super::{Array, npy};
use crate::{LabelMask, folder::FileError};

/// The mask of an array of booleans or whole numbers of any width, and the largest value that its
/// numbers can have as an id.
pub(crate) fn mask(file: &[u8]) -> Result<(LabelMask, u16), FileError> {
    let array = Array::read(file)?;
    let (labels, largest) = match array.kind {
        "b1" => (array.ids(|[byte]: [u8; 1]| byte)?, 1),
        "u1" => (array.ids(u8::from_le_bytes)?, u8::MAX.into()),
        "i1" => (array.ids(i8::from_le_bytes)?, i8::MAX as u16),
        "u2" => (array.ids(u16::from_le_bytes)?, u16::MAX),
        "i2" => (array.ids(i16::from_le_bytes)?, i16::MAX as u16),
        "u4" => (array.ids(u32::from_le_bytes)?, u8::MAX.into()),
        "i4" => (array.ids(i32::from_le_bytes)?, u8::MAX.into()),
        "u8" => (array.ids(u64::from_le_bytes)?, u8::MAX.into()),
        "i8" => (array.ids(i64::from_le_bytes)?, u8::MAX.into()),
        kind => return Err(wrong_kind(kind)),
    };
    let mask = LabelMask::new(array.width, array.height, labels);
    Ok((mask.expect("a label for each pixel of the shape"), largest))
}

impl Array<'_> {
    fn ids<const N: usize, T>(&self, number: impl Fn([u8; N]) -> T) -> Result<Vec<u16>, FileError>
    where
        T: TryInto<u16> + Into<i128> + Copy,
    {
        let mut ids = Vec::with_capacity(self.width * self.height);
        for (at, bytes) in self.elements()?.enumerate() {
            let number = number(bytes);
            ids.push(number.try_into().map_err(|_| {
                let (x, y) = self.place(at);
                let value = number.into();
                FileError::NoId { x, y, value }
            })?);
        }
        Ok(self.in_rows(ids))
    }
}

fn wrong_kind(kind: &str) -> FileError {
    npy(format!(
        "its numbers are `{kind}`, and masks are booleans or whole numbers (b1, u1, u2, i4, i8, …)"
    ))
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{file, header},
        *,
    };

    #[track_caller]
    fn check(descr: &str, fortran: &str, data: &[u8], expected: &[u16]) {
        let (mask, _) = mask(&file(&header(descr, fortran, "(2, 3)"), data)).unwrap();
        assert_eq!((mask.size(), mask.labels()), ((3, 2), expected), "{descr}");
    }

    #[test]
    fn whole_numbers_of_every_width_order_and_layout_are_ids() {
        let ids: [u16; 6] = [0, 1, 2, 3, 100, 127];
        let wide = |bytes: fn(u16) -> Vec<u8>| ids.into_iter().flat_map(bytes).collect::<Vec<u8>>();
        check("|u1", "False", &wide(|id| vec![id as u8]), &ids);
        check("|i1", "False", &wide(|id| vec![id as u8]), &ids);
        check("<u2", "False", &wide(|id| id.to_le_bytes().to_vec()), &ids);
        check(">u2", "False", &wide(|id| id.to_be_bytes().to_vec()), &ids);
        check("<i2", "False", &wide(|id| id.to_le_bytes().to_vec()), &ids);
        check(
            "<i4",
            "False",
            &wide(|id| i32::from(id).to_le_bytes().to_vec()),
            &ids,
        );
        check(
            ">u4",
            "False",
            &wide(|id| u32::from(id).to_be_bytes().to_vec()),
            &ids,
        );
        check(
            "<i8",
            "False",
            &wide(|id| i64::from(id).to_le_bytes().to_vec()),
            &ids,
        );
        check(
            "<u8",
            "False",
            &wide(|id| u64::from(id).to_le_bytes().to_vec()),
            &ids,
        );
        check("|b1", "False", &[0, 1, 1, 0, 0, 1], &[0, 1, 1, 0, 0, 1]);
        check("|u1", "True", &[0, 3, 1, 100, 2, 127], &ids);
    }

    #[test]
    fn what_is_no_id_is_refused_with_its_place() {
        let refused = |descr: &str, fortran: &str, data: &[u8], part: &str| {
            let message = mask(&file(&header(descr, fortran, "(1, 2)"), data));
            let message = message.unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        };
        refused("|i1", "False", &[0, 255], "holds -1 at x=1, y=0");
        let large: Vec<u8> = [7u64, 65_536]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        refused("<u8", "True", &large, "holds 65536 at x=1, y=0");
        refused("<f4", "False", &[0; 8], "`f4`, and masks are booleans");
        refused("|u1", "False", &[0; 3], "2 bytes of data and 3 follow");
    }
}
