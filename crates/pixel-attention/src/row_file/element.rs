//! How a number is stored.

use half::{bf16, f16, slice::HalfFloatSliceExt};
use serde::{Deserialize, Serialize};

/// How the numbers of a file of rows are stored, little-endian.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// IEEE single precision.
    #[default]
    Float32,
    /// IEEE half precision: 11 significant bits, at most 65504. Halves the file; unit rows are
    /// stored to within 2⁻¹² of each value.
    Float16,
    /// The upper half of a float32; no `.npy` file holds it.
    Bfloat16,
}

impl Element {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Float16 | Self::Bfloat16 => 2,
        }
    }

    /// Exact: every number of each kind is a float32.
    pub(crate) fn decode(self, bytes: &[u8], into: &mut [f32]) {
        match self {
            Self::Float32 => {
                for (value, &four) in into.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f32::from_le_bytes(four);
                }
            }
            Self::Float16 => {
                let pairs = bytes.as_chunks().0.iter();
                let halves: Vec<f16> = pairs.map(|&pair| f16::from_le_bytes(pair)).collect();
                halves.convert_to_f32_slice(into);
            }
            Self::Bfloat16 => {
                for (value, &pair) in into.iter_mut().zip(bytes.as_chunks().0) {
                    *value = bf16::from_le_bytes(pair).to_f32();
                }
            }
        }
    }

    /// Rounds to the nearest number of this kind, ties to even; beyond the largest is infinite.
    pub(crate) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) {
        match self {
            Self::Float32 => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Float16 => {
                let mut halves = vec![f16::ZERO; values.len()];
                halves.convert_from_f32_slice(values);
                bytes.extend(halves.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::Bfloat16 => {
                let halves = values.iter().map(|&value| bf16::from_f32(value));
                bytes.extend(halves.flat_map(bf16::to_le_bytes));
            }
        }
    }

    /// Whether the number is finite and stays so when it is stored.
    pub(crate) fn holds(self, value: f32) -> bool {
        match self {
            Self::Float32 => value.is_finite(),
            Self::Float16 => f16::from_f32(value).is_finite(),
            Self::Bfloat16 => bf16::from_f32(value).is_finite(),
        }
    }
}
