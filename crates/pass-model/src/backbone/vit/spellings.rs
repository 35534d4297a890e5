//! How programs name the tensors of a vision transformer.

use std::collections::BTreeMap;

use burn::{store::burn_pack::Tensor as StoredTensor, tensor::Bytes};

use crate::backbone::Spelling;

/// Keys of the patches' weights.
pub(super) const PATCHES: [&str; 2] = ["patch_embed.proj.weight", "conv_proj.weight"];
/// Keys of the positions.
pub(super) const POSITIONS: [&str; 2] = ["pos_embed", "encoder.pos_embedding"];
/// Keys of the register tokens.
pub(super) const REGISTERS: [&str; 2] = ["register_tokens", "reg_token"];
/// Keys of the first scale.
pub(super) const LAYER_SCALES: [&str; 2] = ["blocks.0.ls1.gamma", "blocks.0.gamma_1"];

/// Keys that a file has if it has a block.
pub(super) fn first_of_block(index: usize) -> [String; 2] {
    [
        format!("blocks.{index}.norm1.weight"),
        format!("encoder.layers.encoder_layer_{index}.ln_1.weight"),
    ]
}

/// The spelling that most programs share, whose keys are the paths in the network.
const COMMON: Spelling = Spelling {
    extra: is_extra,
    convert: take_fc_norm,
    ..Spelling::new(
        "timm, DINO, DINOv2, MAE, SERE, iBOT or MoCo v3",
        str::to_owned,
        "head",
    )
};

/// Without register tokens.
pub(super) const PLAIN: [Spelling; 3] = [
    COMMON,
    Spelling::new("torchvision", torchvision_key, "heads.head"),
    Spelling {
        key: scaled_key,
        of: "iBOT or SERE with scaled branches",
        ..COMMON
    },
];

/// With register tokens.
pub(super) const WITH_REGISTERS: [Spelling; 2] = [
    Spelling {
        of: "DINOv2",
        ..COMMON
    },
    Spelling {
        of: "timm",
        key: timm_key,
        convert: add_class_row,
        shape: without_class_row,
        ..COMMON
    },
];

fn torchvision_key(parameter: &str) -> String {
    let key = match parameter.split_once('.') {
        Some(("blocks", rest)) => format!("encoder.layers.encoder_layer_{rest}"),
        Some(("norm", rest)) => format!("encoder.ln.{rest}"),
        _ => parameter.to_owned(),
    };
    key.replace("cls_token", "class_token")
        .replace("pos_embed", "encoder.pos_embedding")
        .replace("patch_embed.proj", "conv_proj")
        .replace(".norm", ".ln_")
        .replace("attn.qkv.", "self_attention.in_proj_")
        .replace("attn.proj", "self_attention.out_proj")
        .replace("mlp.fc1", "mlp.0")
        .replace("mlp.fc2", "mlp.3")
}

fn scaled_key(parameter: &str) -> String {
    parameter
        .replace("ls1.gamma", "gamma_1")
        .replace("ls2.gamma", "gamma_2")
}

fn timm_key(parameter: &str) -> String {
    parameter.replace("register_tokens", "reg_token")
}

/// Masks, decoders and heads that a training had beside the network.
fn is_extra(key: &str) -> bool {
    const WORDS: [&str; 2] = ["mask_token", "masked_embed"];
    const PREFIXES: [&str; 6] = [
        "decoder.",
        "decoder_",
        "channel_sere.",
        "pixel_sere.",
        "head.",
        "fc_norm.",
    ];
    WORDS.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Networks that were fine-tuned with the mean of all places have `fc_norm` in place of `norm`.
fn take_fc_norm(stored: &mut BTreeMap<String, StoredTensor>) {
    if stored.contains_key("norm.weight") {
        return;
    }
    for last in ["weight", "bias"] {
        if let Some(tensor) = stored.remove(&format!("fc_norm.{last}")) {
            stored.insert(format!("norm.{last}"), tensor);
        }
    }
}

/// timm adds the class token's position to that token and keeps none: here it is zero.
fn add_class_row(stored: &mut BTreeMap<String, StoredTensor>) {
    take_fc_norm(stored);
    let Some(places) = stored.get("pos_embed").cloned() else {
        return;
    };
    let [1, rows, width] = *places.shape.as_slice() else {
        return;
    };
    let added = places.byte_len() / rows.max(1);
    let with_row = StoredTensor::deferred(
        places.name.clone(),
        places.dtype,
        [1, rows + 1, width],
        places.param_id,
        places.byte_len() + added,
        move || {
            let mut bytes = vec![0; added];
            bytes.extend_from_slice(&places.to_bytes()?);
            Ok(Bytes::from_bytes_vec(bytes))
        },
    );
    stored.insert("pos_embed".to_owned(), with_row);
}

fn without_class_row(key: &str, mut shape: Vec<usize>) -> Vec<usize> {
    if key == "pos_embed" {
        shape[1] -= 1;
    }
    shape
}
