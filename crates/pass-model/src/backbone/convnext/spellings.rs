//! How programs name the tensors of a ConvNeXt.

use std::collections::BTreeMap;

use burn::{
    store::burn_pack::{Error, Tensor as StoredTensor},
    tensor::{Bytes, DType, TensorData},
};

use crate::backbone::Spelling;

const AUTHORS: Spelling = Spelling::new("the authors", authors_key, "head");
const TIMM: Spelling = Spelling::new("timm", timm_key, "head.fc");
const TORCHVISION: Spelling = Spelling {
    convert: flatten_scales,
    shape: of_scale,
    ..Spelling::new("torchvision", torchvision_key, "classifier.2")
};

/// With one dilation.
pub(super) const PLAIN: [Spelling; 3] = [AUTHORS, TIMM, TORCHVISION];

/// With several: the authors of RF-Next have timm's keys.
pub(super) const SEARCHED: [Spelling; 1] = [Spelling {
    of: "RF-Next",
    convert: floats_of_state,
    ..TIMM
}];

fn timm_key(parameter: &str) -> String {
    let key = match parameter.split_once('.') {
        Some(("norm", last)) => format!("head.norm.{last}"),
        _ => parameter.to_owned(),
    };
    key.replace("stem.conv.", "stem.0.")
        .replace("stem.norm.", "stem.1.")
        .replace("downsample.norm.", "downsample.0.")
        .replace("downsample.conv.", "downsample.1.")
}

fn authors_key(parameter: &str) -> String {
    let key = match parameter.split('.').collect::<Vec<_>>()[..] {
        ["stem", part, last] => format!("downsample_layers.0.{}.{last}", stem_index(part)),
        ["stages", stage, "downsample", part, last] => {
            format!("downsample_layers.{stage}.{}.{last}", shrinking_index(part))
        }
        _ => parameter.to_owned(),
    };
    key.replace(".blocks.", ".")
        .replace("conv_dw", "dwconv")
        .replace("mlp.fc", "pwconv")
}

fn torchvision_key(parameter: &str) -> String {
    let words: Vec<_> = parameter.split('.').collect();
    let twice = |stage: &str| 2 * stage.parse::<usize>().expect("the number of a stage");
    match words[..] {
        ["stem", part, last] => format!("features.0.{}.{last}", stem_index(part)),
        ["stages", stage, "downsample", part, last] => {
            format!("features.{}.{}.{last}", twice(stage), shrinking_index(part))
        }
        ["stages", stage, "blocks", block, ..] => {
            let part = torchvision_part(&words[4..].join("."));
            format!("features.{}.{block}.{part}", twice(stage) + 1)
        }
        ["norm", last] => format!("classifier.0.{last}"),
        _ => parameter.to_owned(),
    }
}

fn torchvision_part(part: &str) -> String {
    part.replace("conv_dw", "block.0")
        .replace("norm", "block.2")
        .replace("mlp.fc1", "block.3")
        .replace("mlp.fc2", "block.5")
        .replace("gamma", "layer_scale")
}

/// The norm follows the convolution.
fn stem_index(part: &str) -> usize {
    usize::from(part == "norm")
}

/// The convolution follows the norm.
fn shrinking_index(part: &str) -> usize {
    usize::from(part == "conv")
}

fn is_scale(key: &str) -> bool {
    key.ends_with(".layer_scale")
}

/// torchvision's scales are `[channels, 1, 1]`.
fn of_scale(key: &str, mut shape: Vec<usize>) -> Vec<usize> {
    if is_scale(key) {
        shape.extend([1, 1]);
    }
    shape
}

fn flatten_scales(stored: &mut BTreeMap<String, StoredTensor>) {
    let scales = stored.iter_mut().filter(|(key, _)| is_scale(key));
    for (_, tensor) in scales {
        if let [channels, 1, 1] = *tensor.shape.as_slice() {
            tensor.shape = [channels].into();
        }
    }
}

/// Whole numbers of the search's state as floats.
fn floats_of_state(stored: &mut BTreeMap<String, StoredTensor>) {
    const STATE: [&str; 4] = ["rates", "num_rates", "counter", "current_search_step"];
    let is_state = |key: &str| {
        let last = key.rsplit_once(".conv_dw.");
        last.is_some_and(|(_, last)| STATE.contains(&last))
    };
    let state = stored.iter_mut().filter(|(key, _)| is_state(key));
    for (_, tensor) in state.filter(|(_, tensor)| !tensor.dtype.is_float()) {
        *tensor = floats(tensor.clone());
    }
}

fn floats(whole: StoredTensor) -> StoredTensor {
    let count: usize = whole.shape.iter().product();
    let (name, shape, id) = (whole.name.clone(), whole.shape.clone(), whole.param_id);
    StoredTensor::deferred(name, DType::F32, shape, id, 4 * count, move || {
        let data = TensorData::from_bytes(whole.to_bytes()?, whole.shape.clone(), whole.dtype);
        let values: Vec<u8> = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
        Ok::<_, Error>(Bytes::from_bytes_vec(values))
    })
}
