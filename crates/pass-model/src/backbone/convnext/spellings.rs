//! How programs name the tensors of a ConvNeXt.

use std::collections::BTreeMap;

use burn::{
    store::burn_pack::{Error, Tensor as StoredTensor},
    tensor::{Bytes, DType, TensorData},
};

use super::rf_conv::{FIRST_STATE, KERNEL};
use crate::backbone::Spelling;

const AUTHORS: Spelling = Spelling::new("the authors", authors_key, "head");
const TIMM: Spelling = Spelling::new("timm", timm_key, "head.fc");
const TORCHVISION: Spelling = Spelling {
    convert: flatten_scales,
    shape: of_scale,
    ..Spelling::new("torchvision", torchvision_key, "classifier.2")
};

/// With one dilation.
pub(super) const PLAIN: [Spelling; 3] = [TIMM, AUTHORS, TORCHVISION];

/// With several: the authors of RF-Next have timm's keys. A search begins with plain weights in any of
/// the spellings.
pub(super) const SEARCHED: [Spelling; 3] = [
    Spelling {
        of: "RF-Next or timm",
        convert: add_state,
        ..TIMM
    },
    Spelling {
        convert: add_state,
        ..AUTHORS
    },
    Spelling {
        convert: |stored| {
            flatten_scales(stored);
            add_state(stored);
        },
        ..TORCHVISION
    },
];

/// The kernel of several dilations has the keys of one.
fn without_searched(parameter: &str) -> String {
    parameter.replace("conv_dw.conv.", "conv_dw.")
}

fn timm_key(parameter: &str) -> String {
    let parameter = &without_searched(parameter);
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
    let parameter = &without_searched(parameter);
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
    let parameter = &without_searched(parameter);
    let words: Vec<_> = parameter.split('.').collect();
    let twice = |stage: &str| 2 * stage.parse::<usize>().expect("the number of a stage");
    match words[..] {
        ["stem", part, last] => format!("features.0.{}.{last}", stem_index(part)),
        ["stages", stage, "downsample", part, last] => {
            format!("features.{}.{}.{last}", twice(stage), shrinking_index(part))
        }
        ["stages", stage, "blocks", block, ref part @ ..] => {
            let part = torchvision_part(&part.join("."));
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

/// The state of the searches as floats, that of their begin where a file has none at all.
fn add_state(stored: &mut BTreeMap<String, StoredTensor>) {
    const WHOLE: [&str; 4] = ["rates", "num_rates", "counter", "current_search_step"];
    let is_state = |key: &str| {
        key.rsplit('.')
            .next()
            .is_some_and(|last| WHOLE.contains(&last))
    };
    if !stored.keys().any(|key| is_state(key)) {
        let kernels = stored.iter().filter(|(_, tensor)| is_kernel(tensor));
        let keys: Vec<_> = kernels.map(|(key, _)| key.clone()).collect();
        stored.extend(keys.iter().flat_map(|key| first_state(key)));
    }
    let state = stored.iter_mut().filter(|(key, _)| is_state(key));
    for (_, tensor) in state.filter(|(_, tensor)| !tensor.dtype.is_float()) {
        *tensor = floats(tensor.clone());
    }
}

/// Whether a tensor is the weight of a depth-wise convolution.
fn is_kernel(tensor: &StoredTensor) -> bool {
    matches!(*tensor.shape.as_slice(), [_, 1, KERNEL, KERNEL])
}

/// The state beside the weight of a convolution.
fn first_state(weight: &str) -> Vec<(String, StoredTensor)> {
    let before = weight.strip_suffix("weight").unwrap_or(weight);
    let state = FIRST_STATE.iter().map(|(last, shape, values)| {
        let bytes: Vec<u8> = values.iter().copied().flat_map(f32::to_le_bytes).collect();
        let bytes = Bytes::from_bytes_vec(bytes);
        let key = format!("{before}{last}");
        let tensor = StoredTensor::new(key.clone(), DType::F32, shape.to_vec(), None, bytes);
        (key, tensor)
    });
    state.collect()
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
