//! Vision transformers.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use pass_model::{
    Error,
    backbone::{Backbone, BackboneConfig, KeyShapes, PositionRule, Remainder, Vit, VitConfig},
    import::{import_backbone, keys_of_backbone, settings_for_file},
    norm::NormMode,
};

use crate::oracle::{
    Fingerprint, check_keys, check_spellings, digest, filled, filled_from, picture, row, spelling,
    write_weights,
};

const WITHOUT_HEAD: fn(&str) -> bool = |key| key.starts_with("head.");

#[test]
fn keys_are_the_published_ones() {
    check_keys(
        "vit_b16",
        "torchvision",
        (152, "d8e5d51552d7e45b", 86_567_656),
    );
    check_keys("vit_b16", "timm", (152, "8a2f8bb76b4fbb20", 86_567_656));
    check_keys("vit_s16", "timm", (152, "fbeb36389015540e", 22_050_664));
}

fn keys(config: VitConfig, of: &str) -> KeyShapes {
    let backbone = BackboneConfig::from(config).init(0, &Device::default());
    keys_of_backbone(&backbone, spelling(&backbone, of))
}

fn with_registers() -> VitConfig {
    VitConfig {
        registers: 4,
        positions: PositionRule::Antialias,
        ..VitConfig::dinov2_s14()
    }
}

/// Those of DINOv2 have no head.
#[test]
fn keys_of_dinov2_are_the_published_ones() {
    for (config, expected) in [
        (
            VitConfig::dinov2_s14(),
            (174, "ec0df6cf1a1de780", 22_056_192),
        ),
        (with_registers(), (175, "49d8db48869c5549", 22_057_344)),
    ] {
        let mut keys = keys(config, "timm");
        keys.retain(|key, _| !WITHOUT_HEAD(key));
        let (entries, hash, elements) = digest(&keys);
        assert_eq!((entries, hash.as_str(), elements), expected);
        assert_eq!(BackboneConfig::recognise(&keys), ["dinov2_s14"]);
    }
}

/// A network for pictures of 4 × 4 patches with the weights of timm's keys, without classifier.
fn small(config: VitConfig) -> Vit {
    let config = VitConfig { grid: 4, ..config };
    let keys = keys(config.clone(), "timm");
    match filled_from(config.into(), keys, WITHOUT_HEAD) {
        Backbone::Vit(net) => net,
        _ => panic!("a vision transformer"),
    }
}

/// Patches, tokens, the tokens behind the first and the last block, and those behind the norm.
#[track_caller]
fn check(net: &Vit, side: usize, rows: [Fingerprint<'_>; 5]) {
    let [patches, tokens, first, last, norm] = rows;
    patches.check(net.patches(picture(side, side)));
    let x = net.tokens(picture(side, side));
    tokens.check(x.clone());
    let x = net.blocks[0].forward(x);
    first.check(x.clone());
    let rest = net.blocks[1..].iter();
    let x = rest.fold(x, |x, block| block.forward(x));
    last.check(x.clone());
    norm.check(net.norm.forward(x));
}

#[test]
fn vit_s16_agrees() {
    let figures = |tensor, tokens, figures| row(tensor, tokens, figures);
    check(
        &small(VitConfig::vit_s16()),
        64,
        [
            figures(
                "patch_embed",
                &[16, 384],
                [-0.00077962544, 0.4714943779, -0.4139346792, 1.081824747],
            ),
            figures(
                "tokens+pos",
                &[17, 384],
                [-0.001662750528, 0.4612727236, -0.1402616648, 1.194632569],
            ),
            figures(
                "blocks.0",
                &[17, 384],
                [-0.002236520921, 0.8138744227, -2.254589962, 0.6468941594],
            ),
            figures(
                "blocks.11",
                &[17, 384],
                [-0.04261831484, 3.207122527, 2.418808139, -0.1453885768],
            ),
            figures(
                "norm",
                &[17, 384],
                [-0.009264240977, 0.8076029154, 0.4865905894, 0.06551784897],
            ),
        ],
    );
}

#[test]
fn dinov2_s14_agrees() {
    check(
        &small(VitConfig::dinov2_s14()),
        56,
        [
            row(
                "patch_embed",
                &[16, 384],
                [0.01275618611, 0.4729277549, -0.1248892483, 1.753425733],
            ),
            row(
                "tokens+pos",
                &[17, 384],
                [0.01253515695, 0.4609686607, -0.1118150253, 1.678629216],
            ),
            row(
                "blocks.0",
                &[17, 384],
                [-0.008329354398, 0.8228815905, 0.947341113, 1.561977751],
            ),
            row(
                "blocks.11",
                &[17, 384],
                [0.2184296311, 3.338501991, 4.151762776, 0.8835353988],
            ),
            row(
                "norm",
                &[17, 384],
                [0.0268968338, 0.8184287385, 0.9234846455, 0.02054218585],
            ),
        ],
    );
}

#[test]
fn dinov2_s14_with_registers_agrees() {
    check(
        &small(with_registers()),
        56,
        [
            row(
                "patch_embed",
                &[16, 384],
                [0.01275618611, 0.4729277549, -0.1248892483, 1.753425733],
            ),
            row(
                "tokens+pos",
                &[21, 384],
                [0.009740758551, 0.3902932777, -0.1352463104, 1.734554581],
            ),
            row(
                "blocks.0",
                &[21, 384],
                [-0.01395808081, 0.7729974169, 0.4020807829, 1.699043903],
            ),
            row(
                "blocks.11",
                &[21, 384],
                [0.2378678285, 3.35741114, 5.608410662, 1.347302784],
            ),
            row(
                "norm",
                &[21, 384],
                [0.02269790743, 0.8189150994, 1.301988973, 0.1227140604],
            ),
        ],
    );
}

/// A network of two blocks for quick tests.
fn reduced() -> VitConfig {
    VitConfig {
        width: 12,
        heads: 3,
        depth: 2,
        patch: 4,
        grid: 3,
        ..VitConfig::vit_s16()
    }
}

#[test]
fn stages_are_the_tokens_of_places_and_the_last_is_behind_the_norm() {
    let mut net = filled(reduced(), "timm");
    let maps = net.forward(picture(12, 20), NormMode::Moving);
    assert_eq!(maps.strides, [4; 4]);
    let Backbone::Vit(inside) = net.clone() else {
        panic!("a vision transformer");
    };
    let x = inside.blocks[0].forward(inside.tokens(picture(12, 20)));
    let first = x.clone().narrow(1, 1, 15).swap_dims(1, 2);
    assert_same(maps.stage(1), first.reshape([1, 12, 3, 5]));
    let x = inside.norm.forward(inside.blocks[1].forward(x));
    let places = x.clone().narrow(1, 1, 15).swap_dims(1, 2);
    assert_same(maps.stage(4), places.reshape([1, 12, 3, 5]));
    let class = x.narrow(1, 0, 1).reshape([1, 12]);
    assert_same(net.pooled(picture(12, 20)), class.clone());
    assert_same(
        net.layer(picture(12, 20), "class"),
        class.reshape([1, 12, 1, 1]),
    );
}

#[track_caller]
fn assert_same<const D: usize>(actual: Tensor<D>, expected: Tensor<D>) {
    assert_eq!(actual.dims(), expected.dims());
    let largest = (actual - expected).abs().max().into_scalar::<f32>();
    assert!(largest < 1e-5, "{largest}");
}

/// The softmax of the class token's query with the keys, written out.
#[test]
fn attention_is_the_class_token_s_part_of_each_place_by_head() {
    let mut net = filled(reduced(), "timm");
    let Backbone::Vit(inside) = net.clone() else {
        panic!("a vision transformer");
    };
    let [heads, dims, tokens] = [3, 4, 16];
    let x = inside.blocks[0].forward(inside.tokens(picture(12, 20)));
    let last = &inside.blocks[1];
    let packed = last.attn.qkv.forward(last.norm1.forward(x));
    let packed: Vec<f32> = packed.into_data().try_to_vec().unwrap();
    let value = |token: usize, column: usize| f64::from(packed[token * 36 + column]);
    let score = |head: usize, token: usize| -> f64 {
        let columns = head * dims..(head + 1) * dims;
        let products = columns.map(|it| value(0, it) * value(token, 12 + it));
        products.sum::<f64>() / 2.0
    };
    let attention = net.layer(picture(12, 20), "attention");
    assert_eq!(attention.dims(), [1, heads, 3, 5]);
    let found: Vec<f32> = attention.into_data().try_to_vec().unwrap();
    for head in 0..heads {
        let sum: f64 = (0..tokens).map(|token| score(head, token).exp()).sum();
        for place in 0..15 {
            let expected = score(head, 1 + place).exp() / sum;
            let off = f64::from(found[head * 15 + place]) - expected;
            assert!(off.abs() < 1e-5, "head {head}, place {place}: {off}");
        }
    }
    for (index, name) in ["queries", "keys", "values"].into_iter().enumerate() {
        let map: Vec<f32> = net
            .layer(picture(12, 20), name)
            .into_data()
            .try_to_vec()
            .unwrap();
        let expected = value(1 + 7, 12 * index + 5) as f32; // channel 5 of place 7
        assert!((map[5 * 15 + 7] - expected).abs() < 1e-5, "{name}");
    }
}

#[test]
fn every_spelling_brings_the_same_weights() {
    check_spellings(reduced());
    check_spellings(VitConfig {
        layer_scale: true,
        ..reduced()
    });
}

/// What a run meets: views of any size.
#[test]
fn pictures_of_any_size_go_through() {
    let sizes = |remainder, height, width| {
        let config = VitConfig {
            remainder,
            ..reduced()
        };
        let mut net = BackboneConfig::from(config).init(0, &Device::default());
        let maps = net.forward(picture(height, width), NormMode::Batch);
        assert_eq!(net.layer(picture(height, width), "attention").dims()[1], 3);
        let [_, _, height, width] = maps.stage(4).dims();
        [height, width]
    };
    assert_eq!(sizes(Remainder::Cut, 13, 19), [3, 4]);
    assert_eq!(sizes(Remainder::Pad, 13, 19), [4, 5]);
    assert_eq!(sizes(Remainder::Cut, 3, 9), [1, 2]);
    assert_eq!(sizes(Remainder::Pad, 1, 9), [1, 3]);
}

/// Zeros at the right and at the bottom are what padding adds.
#[test]
fn padding_is_zeros_at_the_right_and_at_the_bottom() {
    let config = VitConfig {
        remainder: Remainder::Pad,
        ..reduced()
    };
    let mut net = filled(config, "timm");
    let small = picture(10, 14);
    let large = Tensor::zeros([1, 3, 12, 16], &Device::default());
    let large = large.slice_assign([0..1, 0..3, 0..10, 0..14], small.clone());
    let [small, large] = [small, large].map(|it| net.forward(it, NormMode::Moving).stage(4));
    assert_same(small, large);
}

/// A picture of the table's grid takes the table itself only where it is square.
#[test]
fn dino_s_rule_moves_positions_of_pictures_that_are_not_square() {
    let net = filled(reduced(), "timm");
    let Backbone::Vit(net) = net else {
        panic!("a vision transformer");
    };
    let moved = |height, width| {
        let patches = net.patches(picture(height, width));
        let places = net.tokens(picture(height, width)).narrow(1, 1, 9) - patches;
        let table = net.pos_embed.val().narrow(1, 1, 9);
        (places - table).abs().max().into_scalar::<f32>()
    };
    assert!(moved(12, 12) < 1e-6);
    assert!(moved(12, 14) > 1e-3);
}

/// Files of fine-tuned and self-supervised programs, which have more beside the network.
#[test]
fn what_programs_have_beside_the_network_is_passed_over() {
    let extras = [
        ("mask_token", vec![1, 12]),
        ("masked_embed", vec![1, 12]),
        ("decoder_blocks.0.norm1.weight", vec![5]),
        ("decoder_pos_embed", vec![1, 10, 5]),
        ("channel_sere.0.weight", vec![5, 12]),
        ("pixel_sere.0.weight", vec![5, 12]),
        ("head.weight", vec![7, 12]),
        ("head.bias", vec![7]),
        ("head.mlp.0.weight", vec![5, 12]),
    ];
    let mut all = keys(reduced(), "timm");
    all.extend(extras.map(|(key, shape)| (key.to_owned(), shape)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    write_weights(&path, &all);
    let mut net = BackboneConfig::from(reduced()).init(0, &Device::default());
    let imported = import_backbone(&mut net, &path).unwrap();
    assert_eq!(imported.ignored.len(), 9);
    all.insert("blocks.2.norm1.weight".to_owned(), vec![12]);
    write_weights(&path, &all);
    let refused = import_backbone(&mut net, &path);
    assert!(matches!(refused, Err(Error::Mismatch { .. })));
}

/// What files of one name differ in: registers, scales, the grid of positions, the pool.
#[test]
fn settings_follow_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let fitted = |keys: &KeyShapes| {
        write_weights(&path, keys);
        let config = settings_for_file(reduced().into(), &path).unwrap();
        let mut net = config.init(0, &Device::default());
        import_backbone(&mut net, &path).unwrap();
        config
    };
    let mut wanted = VitConfig {
        registers: 2,
        layer_scale: true,
        grid: 5,
        positions: PositionRule::Antialias,
        ..reduced()
    };
    for of in ["timm", "DINOv2"] {
        assert_eq!(fitted(&keys(wanted.clone(), of)), wanted.clone().into());
    }
    wanted.registers = 0;
    wanted.positions = PositionRule::Offset;
    for of in ["timm", "scaled branches"] {
        assert_eq!(fitted(&keys(wanted.clone(), of)), wanted.clone().into());
    }
    let renamed = keys(reduced(), "timm").into_iter();
    let renamed: BTreeMap<_, _> = renamed
        .map(|(key, shape)| match key.strip_prefix("norm.") {
            Some(last) => (format!("fc_norm.{last}"), shape),
            None => (key, shape),
        })
        .collect();
    let fine_tuned = fitted(&renamed);
    assert_ne!(fine_tuned, reduced().into());
    let mut net = filled_from(fine_tuned, renamed, |_| false);
    let maps = net.forward(picture(12, 12), NormMode::Moving);
    assert_ne!(maps.stage(4).dims()[2], 1);
    assert_eq!(net.pooled(picture(12, 12)).dims(), [1, 12]);
}
