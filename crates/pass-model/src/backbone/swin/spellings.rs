//! How programs name the tensors of a Swin transformer.

use std::collections::BTreeMap;

use burn::{store::burn_pack::Tensor as StoredTensor, tensor::TensorData};

use super::window::{mask_values, relative_rows};
use crate::backbone::Spelling;

/// Keys of the patches' weights.
pub(super) const PATCHES: [&str; 2] = ["patch_embed.proj.weight", "features.0.0.weight"];

/// Keys of a file of which one is there if the third stage has this block.
pub(super) fn keys_of_third_stage(block: usize) -> [String; 2] {
    ["layers.2.blocks", "features.5"]
        .map(|stage| format!("{stage}.{block}.attn.relative_position_bias_table"))
}

const AUTHORS: Spelling = Spelling {
    extra: |key| is_index(key) || is_mask(key),
    check,
    ..Spelling::new("the authors", str::to_owned, "head")
};

pub(super) const SPELLINGS: [Spelling; 3] = [
    Spelling {
        of: "timm",
        key: timm_key,
        classifier: "head.fc",
        ..AUTHORS
    },
    AUTHORS,
    Spelling {
        of: "torchvision",
        key: torchvision_key,
        ..AUTHORS
    },
];

fn is_index(key: &str) -> bool {
    key.ends_with(".relative_position_index")
}

fn is_mask(key: &str) -> bool {
    key.ends_with(".attn_mask")
}

/// timm halves a map where a stage begins, the authors where the one before ends.
fn timm_key(parameter: &str) -> String {
    match parameter.split('.').collect::<Vec<_>>()[..] {
        ["layers", stage, "downsample", part, last] => {
            format!("layers.{}.downsample.{part}.{last}", number(stage) + 1)
        }
        _ => parameter.to_owned(),
    }
}

fn torchvision_key(parameter: &str) -> String {
    let key = match parameter.split('.').collect::<Vec<_>>()[..] {
        ["patch_embed", "proj", last] => format!("features.0.0.{last}"),
        ["patch_embed", "norm", last] => format!("features.0.2.{last}"),
        ["layers", stage, "downsample", part, last] => {
            format!("features.{}.{part}.{last}", 2 * number(stage) + 2)
        }
        ["layers", stage, "blocks", ref rest @ ..] => {
            format!("features.{}.{}", 2 * number(stage) + 1, rest.join("."))
        }
        _ => parameter.to_owned(),
    };
    key.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")
}

fn number(stage: &str) -> usize {
    stage.parse().expect("the number of a stage")
}

/// Compares what files keep of the places of windows with what is computed here.
fn check(stored: &BTreeMap<String, StoredTensor>) -> Result<(), String> {
    for (key, tensor) in stored {
        let expected = match key {
            key if is_index(key) => index_of(tensor),
            key if is_mask(key) => mask_of(tensor),
            _ => continue,
        };
        let found = numbers(tensor).map_err(|reason| format!("{key}: {reason}"))?;
        if expected.as_ref() != Some(&found) {
            let shape = tensor.shape.as_slice();
            return Err(format!(
                "{key}, {shape:?}, is not what the places of its windows give"
            ));
        }
    }
    Ok(())
}

fn numbers(tensor: &StoredTensor) -> Result<Vec<f32>, String> {
    let bytes = tensor.to_bytes().map_err(|error| error.to_string())?;
    let data = TensorData::from_bytes(bytes, tensor.shape.clone(), tensor.dtype);
    Ok(data.iter::<f32>().collect())
}

/// `[window², window²]`, or in one row.
fn index_of(tensor: &StoredTensor) -> Option<Vec<f32>> {
    let places = root(tensor.shape.iter().product())?;
    let rows = relative_rows(root(places)?).into_iter();
    Some(rows.map(|row| row as f32).collect())
}

/// `[windows, window², window²]` of a square map whose windows are moved by half their side.
fn mask_of(tensor: &StoredTensor) -> Option<Vec<f32>> {
    let [windows, places, _] = *tensor.shape.as_slice() else {
        return None;
    };
    let window = root(places)?;
    let side = window * root(windows)?;
    Some(mask_values([side; 2], window, [window / 2; 2]))
}

/// The root of a square number that is not 0.
fn root(square: usize) -> Option<usize> {
    let root = square.isqrt();
    (root > 0 && root * root == square).then_some(root)
}
