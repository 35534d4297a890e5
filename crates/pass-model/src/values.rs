//! The numbers that no weight may be: NaN, infinity, and a negative running variance.
//!
//! Whatever writes or reads weights looks at each number once. One NaN would become a NaN in every
//! output, and a comparison of NaNs has an answer all the same.

use std::{fmt, path::Path};

use burn::{
    store::burn_pack::Tensor as StoredTensor,
    tensor::{Bytes, DType, TensorData},
};

use crate::error::{Error, shown};

/// A tensor with numbers that no weight may be.
#[derive(Debug, Clone, PartialEq)]
pub struct BadTensor {
    /// Its key.
    pub key: String,
    /// Position of the first such number, row-major.
    pub first: usize,
    /// That number.
    pub value: f32,
    /// How many there are.
    pub count: usize,
    /// Numbers of the tensor.
    pub of: usize,
}

impl fmt::Display for BadTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            first,
            value,
            count,
            of,
        } = self;
        write!(
            f,
            "{key} ({count} of {of} numbers, the first {value} at {first})"
        )
    }
}

/// All such tensors of a network; there is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct BadTensors(pub Vec<BadTensor>);

impl fmt::Display for BadTensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(BadTensor::to_string).collect();
        let tensors = if names.len() == 1 {
            "tensor holds"
        } else {
            "tensors hold"
        };
        write!(
            f,
            "{} {tensors} NaN, infinity or a negative variance: {}",
            names.len(),
            shown(&names)
        )
    }
}

/// Looks at the tensors of a file under their keys there.
///
/// # Errors
///
/// [`Error::NotFinite`] with every tensor at fault; a tensor that cannot be read.
pub(crate) fn check_read<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a StoredTensor)>,
    path: &Path,
) -> Result<(), Error> {
    let mut bad = Vec::new();
    for (key, tensor) in tensors {
        let bytes = tensor.to_bytes().map_err(|error| Error::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        bad.extend(bad_tensor(key, tensor.dtype, &bytes));
    }
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Error::NotFinite {
            path: path.to_owned(),
            tensors: BadTensors(bad),
        }),
    }
}

/// An error unless nothing is wrong with the tensors that are to be written.
pub(crate) fn refuse_to_write(bad: Vec<BadTensor>, path: &Path) -> Result<(), Error> {
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Error::Diverged {
            path: path.to_owned(),
            tensors: BadTensors(bad),
        }),
    }
}

/// What is wrong with the numbers of a tensor.
pub(crate) fn bad_tensor(key: &str, dtype: DType, bytes: &[u8]) -> Option<BadTensor> {
    let least = match key.ends_with("running_var") {
        true => 0.0,
        false => f32::MIN,
    };
    let is_bad = |value: &f32| !(*value >= least && *value <= f32::MAX);
    match dtype {
        DType::F32 => {
            let (fours, _) = bytes.as_chunks();
            found(
                key,
                fours.iter().map(|&four| f32::from_ne_bytes(four)),
                is_bad,
            )
        }
        _ => {
            let shape = [bytes.len() / dtype.size()];
            let data = TensorData::from_bytes(Bytes::from_bytes_vec(bytes.to_vec()), shape, dtype);
            found(key, data.iter::<f32>(), is_bad)
        }
    }
}

fn found(
    key: &str,
    values: impl Iterator<Item = f32>,
    is_bad: impl Fn(&f32) -> bool,
) -> Option<BadTensor> {
    let (mut first, mut count, mut of) = (None, 0, 0);
    for value in values {
        if is_bad(&value) {
            first.get_or_insert((of, value));
            count += 1;
        }
        of += 1;
    }
    first.map(|(first, value)| BadTensor {
        key: key.to_owned(),
        first,
        value,
        count,
        of,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    #[test]
    fn the_first_bad_number_is_named_and_all_are_counted() {
        let values = bytes(&[1.0, -2.0, f32::INFINITY, f32::NAN, 0.0]);
        let bad = bad_tensor("conv1.weight", DType::F32, &values).unwrap();
        assert_eq!((bad.first, bad.count, bad.of), (2, 2, 5));
        assert_eq!(
            bad.to_string(),
            "conv1.weight (2 of 5 numbers, the first inf at 2)"
        );
    }

    #[test]
    fn only_a_variance_must_not_be_negative() {
        let values = bytes(&[0.5, -1e-9]);
        assert_eq!(bad_tensor("bn1.running_mean", DType::F32, &values), None);
        assert!(bad_tensor("bn1.running_var", DType::F32, &values).is_some());
        assert_eq!(
            bad_tensor("bn1.running_var", DType::F32, &bytes(&[0.0])),
            None
        );
    }

    #[test]
    fn numbers_of_other_kinds_are_seen_as_the_floats_that_they_become() {
        let double: Vec<u8> = [1.0, 1e300f64]
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect();
        let bad = bad_tensor("fc.weight", DType::F64, &double).unwrap();
        assert_eq!((bad.first, bad.value), (1, f32::INFINITY));
        let half = [0x3c00u16, 0x7e00].map(u16::to_ne_bytes).concat(); // 1, NaN
        assert!(
            bad_tensor("fc.weight", DType::F16, &half)
                .unwrap()
                .value
                .is_nan()
        );
    }
}
