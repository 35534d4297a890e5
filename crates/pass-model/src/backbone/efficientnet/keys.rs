//! How three programs name the tensors of an EfficientNet.

use crate::backbone::Spelling;

/// Blocks of each stage of EfficientNet-B3.
pub(super) const B3_DEPTHS: [usize; 7] = [2, 3, 3, 5, 5, 6, 2];
/// Blocks of each stage of EfficientNet-Lite0.
pub(super) const LITE0_DEPTHS: [usize; 7] = [1, 2, 2, 3, 3, 4, 1];

const TORCHVISION: Spelling = Spelling::new("torchvision", torchvision_key, "classifier.1");
const TIMM: Spelling = Spelling::new("timm", timm_key, "classifier");
/// <https://pypi.org/project/efficientnet-pytorch>, and `efficientnet-lite-pytorch` with the same names.
const B3_IN_A_ROW: Spelling = Spelling::new(
    "efficientnet-pytorch",
    |path| key_in_a_row(path, &B3_DEPTHS),
    "_fc",
);
const LITE0_IN_A_ROW: Spelling = Spelling::new(
    "efficientnet-lite-pytorch",
    |path| key_in_a_row(path, &LITE0_DEPTHS),
    "_fc",
);

/// Of the programs that have such a network.
pub(super) fn spellings(lite: bool, tensorflow: bool, depths: &[usize]) -> &'static [Spelling] {
    match (lite, tensorflow) {
        (false, false) => &const { [TORCHVISION, TIMM] },
        (false, true) if depths == B3_DEPTHS => &const { [TIMM, B3_IN_A_ROW] },
        (true, true) if depths == LITE0_DEPTHS => &const { [TIMM, LITE0_IN_A_ROW] },
        _ => &const { [TIMM] },
    }
}

/// The layers of a block in their order; the first stage has no `expand`.
const LAYERS: [&str; 4] = ["expand", "depthwise", "squeeze", "project"];

fn torchvision_key(parameter: &str) -> String {
    let words: Vec<_> = parameter.split('.').collect();
    match *words {
        ["stem", part, last] => format!("features.0.{}.{last}", torchvision_part(part)),
        ["head", part, last] => format!("features.8.{}.{last}", torchvision_part(part)),
        ["stages", stage, block, layer, part, last] => {
            let stage = number(stage) + 1;
            let place = LAYERS.iter().position(|known| *known == layer);
            let place = place.expect("a layer of a block") - usize::from(stage == 1);
            let part = torchvision_part(part);
            format!("features.{stage}.{block}.block.{place}.{part}.{last}")
        }
        _ => parameter.to_owned(),
    }
}

fn torchvision_part(part: &str) -> &str {
    match part {
        "conv" => "0",
        "bn" => "1",
        "reduce" => "fc1",
        "expand" => "fc2",
        other => other,
    }
}

fn timm_key(parameter: &str) -> String {
    let words: Vec<_> = parameter.split('.').collect();
    match *words {
        ["stem", "conv", last] => format!("conv_stem.{last}"),
        ["stem", "bn", last] => format!("bn1.{last}"),
        ["head", "conv", last] => format!("conv_head.{last}"),
        ["head", "bn", last] => format!("bn2.{last}"),
        ["stages", stage, block, "squeeze", part, last] => {
            format!("blocks.{stage}.{block}.se.conv_{part}.{last}")
        }
        ["stages", stage, block, layer, part, last] => {
            let is_first = stage == "0";
            let (conv, norm) = match layer {
                "expand" => ("conv_pw", 1),
                "depthwise" => ("conv_dw", if is_first { 1 } else { 2 }),
                _ if is_first => ("conv_pw", 2),
                _ => ("conv_pwl", 3),
            };
            let layer = if part == "bn" {
                format!("bn{norm}")
            } else {
                conv.into()
            };
            format!("blocks.{stage}.{block}.{layer}.{last}")
        }
        _ => parameter.to_owned(),
    }
}

/// The blocks of all stages have numbers in a row.
fn key_in_a_row(parameter: &str, depths: &[usize; 7]) -> String {
    let words: Vec<_> = parameter.split('.').collect();
    match *words {
        ["stem", "conv", last] => format!("_conv_stem.{last}"),
        ["stem", "bn", last] => format!("_bn0.{last}"),
        ["head", "conv", last] => format!("_conv_head.{last}"),
        ["head", "bn", last] => format!("_bn1.{last}"),
        ["stages", stage, block, layer, part, last] => {
            let before: usize = depths[..number(stage)].iter().sum();
            let block = before + number(block);
            let layer = match (layer, part) {
                ("squeeze", part) => format!("_se_{part}"),
                ("expand", "bn") => "_bn0".into(),
                ("depthwise", "bn") => "_bn1".into(),
                ("project", "bn") => "_bn2".into(),
                (layer, _) => format!("_{layer}_conv"),
            };
            format!("_blocks.{block}.{layer}.{last}")
        }
        _ => parameter.to_owned(),
    }
}

fn number(word: &str) -> usize {
    word.parse().expect("a place in a list")
}
