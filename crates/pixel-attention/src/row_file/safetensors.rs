//! The header of a `.safetensors` file.

use std::path::Path;

use safetensors::{Dtype, tensor::Metadata, tensor::TensorInfo};

use super::{Element, RowFile, open_file, rows_and_columns, unreadable};
use crate::{error::Result, read_at::read_at};

/// Length of the header, before it.
const LENGTH_BYTES: u64 = 8;

/// What the format allows.
const MOST_HEADER_BYTES: u64 = 100_000_000;

pub(super) fn open(path: &Path, name: Option<&str>) -> Result<RowFile> {
    let (file, length) = open_file(path)?;
    let mut prefix = [0; LENGTH_BYTES as usize];
    if length < LENGTH_BYTES {
        return Err(unreadable(path, format!("it has only {length} bytes")));
    }
    read_at(&file, path, 0, &mut prefix)?;
    let header_bytes = u64::from_le_bytes(prefix);
    if header_bytes > MOST_HEADER_BYTES.min(length - LENGTH_BYTES) {
        let reason = format!(
            "it claims a header of {header_bytes} bytes among its {length}; it is no safetensors \
             file or was cut short"
        );
        return Err(unreadable(path, reason));
    }
    let mut header = vec![0; header_bytes as usize];
    read_at(&file, path, LENGTH_BYTES, &mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|e| unreadable(path, format!("no safetensors header: {e}")))?;
    let data = LENGTH_BYTES + header_bytes;
    check_length(path, length, data + metadata.data_len() as u64)?;
    let info = choose(path, &metadata, name)?;
    rows_and_columns(path, &info.shape)?;
    let start = data + info.data_offsets.0 as u64;
    let element = element_of(path, info.dtype)?;
    Ok(RowFile::of_one(
        path,
        file,
        start,
        element,
        info.shape.clone(),
    ))
}

fn check_length(path: &Path, length: u64, expected: u64) -> Result<()> {
    match length == expected {
        true => Ok(()),
        false => Err(unreadable(
            path,
            format!("its tensors end at byte {expected}, but it has {length}; it was cut short"),
        )),
    }
}

/// The tensor of this name, or the only one with two dimensions or more.
fn choose<'a>(path: &Path, metadata: &'a Metadata, name: Option<&str>) -> Result<&'a TensorInfo> {
    let all = metadata.offset_keys();
    let candidates: Vec<&TensorInfo> = all
        .iter()
        .filter(|key| name.is_none_or(|name| name == **key))
        .filter_map(|key| metadata.info(key))
        .filter(|info| name.is_some() || info.shape.len() >= 2)
        .collect();
    match (&candidates[..], name) {
        (&[only], _) => Ok(only),
        (_, Some(name)) => Err(unreadable(
            path,
            format!("it holds no tensor {name}, only {}", all.join(", ")),
        )),
        _ => Err(unreadable(
            path,
            format!(
                "{} of its tensors have two dimensions or more; name one of {}",
                candidates.len(),
                all.join(", ")
            ),
        )),
    }
}

fn element_of(path: &Path, dtype: Dtype) -> Result<Element> {
    match dtype {
        Dtype::F32 => Ok(Element::Float32),
        Dtype::F16 => Ok(Element::Float16),
        Dtype::BF16 => Ok(Element::Bfloat16),
        other => Err(unreadable(
            path,
            format!("its numbers are {other:?}, but rows are F32, F16 or BF16"),
        )),
    }
}
