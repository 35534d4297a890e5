//! ConvNeXt, with one dilation and with several.

use burn::tensor::{Device, Tensor};
use pass_model::{
    backbone::{Backbone, BackboneConfig, ConvNext, ConvNextConfig, DepthwiseConv, Dilations},
    import::{import_backbone, keys_of_backbone},
    norm::NormMode,
};
use safetensors::{Dtype, tensor::TensorView};

use crate::{
    hashed::values,
    oracle::{check_keys, check_spellings, filled, filled_from, picture, row, spelling},
};

#[test]
fn keys_are_the_published_ones() {
    check_keys(
        "convnext_t",
        "torchvision",
        (182, "928f21a5fe891d8e", 28_589_128),
    );
    check_keys("convnext_t", "timm", (182, "cee0d41232fffcdb", 28_589_128));
}

#[test]
fn the_keys_of_the_authors_are_as_many_and_recognised() {
    let config = BackboneConfig::named("convnext_t").unwrap();
    let backbone = config.init(0, &Device::default());
    let keys = keys_of_backbone(&backbone, spelling(&backbone, "authors"));
    for key in [
        "downsample_layers.0.1.bias",
        "downsample_layers.3.0.weight",
        "downsample_layers.3.1.weight",
        "stages.2.8.dwconv.weight",
        "stages.0.0.pwconv1.bias",
        "stages.0.0.pwconv2.weight",
        "stages.3.2.gamma",
        "norm.weight",
        "head.bias",
    ] {
        assert!(keys.contains_key(key), "{key}");
    }
    assert_eq!(keys.len(), 182);
    assert_eq!(BackboneConfig::recognise(&keys), ["convnext_t"]);
}

#[test]
fn convnext_t_agrees() {
    let mut net = filled(ConvNextConfig::convnext_t(), "torchvision");
    let maps = net.forward(picture(64, 80), NormMode::Moving);
    let Backbone::ConvNext(inside) = net else {
        panic!("a ConvNeXt");
    };
    row(
        "features.0",
        &[96, 16, 20],
        [-0.02021993986, 0.8243748869, 1.385794708, -1.048237425],
    )
    .check(inside.stem(picture(64, 80)));
    row(
        "features.1",
        &[96, 16, 20],
        [-0.03979934904, 1.334210989, 2.126054422, 0.7057529245],
    )
    .check(maps.stage(1));
    row(
        "features.3",
        &[192, 8, 10],
        [-0.08452153409, 1.260304356, -0.8747812148, 1.079671584],
    )
    .check(maps.stage(2));
    row(
        "features.5",
        &[384, 4, 5],
        [-0.1347276811, 1.961117926, -0.6882033914, -0.9244107426],
    )
    .check(maps.stage(3));
    row(
        "features.7",
        &[768, 2, 2],
        [0.05100375867, 1.314995933, 5.957460545, 0.324398513],
    )
    .check(maps.stage(4));
}

fn reduced(receptive_fields: bool) -> ConvNextConfig {
    ConvNextConfig {
        depths: [1, 2, 1, 1],
        width: 4,
        receptive_fields,
        ..ConvNextConfig::convnext_t()
    }
}

#[test]
fn every_spelling_brings_the_same_weights() {
    check_spellings(reduced(false));
    check_spellings(reduced(true));
}

#[test]
fn without_its_scale_a_block_changes_nothing() {
    let mut net = match filled(reduced(false), "timm") {
        Backbone::ConvNext(net) => net,
        _ => panic!("a ConvNeXt"),
    };
    for block in net.stages.iter_mut().flat_map(|stage| &mut stage.blocks) {
        block.gamma = block.gamma.clone().map(|gamma| gamma.zeros_like());
    }
    let stem = net.stem(picture(64, 80));
    let stage1 = Backbone::ConvNext(net).forward(picture(64, 80), NormMode::Moving);
    assert_same(stage1.stage(1), stem);
}

#[track_caller]
fn assert_same(actual: Tensor<4>, expected: Tensor<4>) {
    assert_eq!(actual.dims(), expected.dims());
    let largest = (actual - expected).abs().max().into_scalar::<f32>();
    assert!(largest < 1e-6, "{largest}");
}

/// Stages round down, and a picture that is too small still has a place.
#[test]
fn pictures_of_any_size_go_through() {
    let mut net = filled(reduced(false), "timm");
    let mut sizes = |height, width| {
        let maps = net.forward(picture(height, width), NormMode::Moving);
        [1, 4].map(|stage| {
            let [_, _, height, width] = maps.stage(stage).dims();
            [height, width]
        })
    };
    assert_eq!(sizes(256, 341), [[64, 85], [8, 10]]);
    assert_eq!(sizes(3, 40), [[1, 10], [1, 1]]);
}

/// A file as RF-Next writes it: plain weights, and for each convolution these dilations.
fn rf_net(rates: &[i32], dilations: Dilations) -> ConvNext {
    let config = ConvNextConfig {
        dilations,
        ..reduced(true)
    };
    let mut net = BackboneConfig::from(config).init(0, &Device::default());
    let keys = keys_of_backbone(&net, spelling(&net, "RF-Next"));
    assert!(keys.contains_key("stages.1.blocks.1.conv_dw.sample_weights"));
    let mut padded: Vec<i32> = rates.iter().flat_map(|&rate| [rate, rate]).collect();
    padded.resize(6, 0);
    let plain = keys.iter().filter(|(key, _)| !key.contains(".conv_dw."));
    let plain: Vec<_> = plain.map(|(key, _)| key.clone()).collect();
    let tensors = keys.iter().map(|(key, shape)| {
        let last = key.rsplit('.').next().unwrap();
        let whole = match last {
            "rates" => Some(padded.clone()),
            "num_rates" => Some(vec![rates.len() as i32]),
            "counter" | "current_search_step" => Some(vec![0]),
            _ => None,
        };
        let (dtype, bytes): (_, Vec<u8>) = match whole {
            Some(whole) => (
                Dtype::I32,
                whole.into_iter().flat_map(i32::to_le_bytes).collect(),
            ),
            None => {
                // Numbers that do not depend on which state there is.
                let number = plain.iter().position(|other| other == key).unwrap_or(99);
                let values = values(number as u64, key, shape).into_iter();
                (Dtype::F32, values.flat_map(f32::to_le_bytes).collect())
            }
        };
        (key, dtype, shape.clone(), bytes)
    });
    let tensors: Vec<_> = tensors.collect();
    let views = tensors.iter().map(|(key, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
        (*key, view)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rf.safetensors");
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    import_backbone(&mut net, &path).unwrap();
    match net {
        Backbone::ConvNext(net) => net,
        _ => panic!("a ConvNeXt"),
    }
}

#[test]
fn dilations_come_from_the_file() {
    let rates = |rates: &[i32], dilations| {
        let mut net = rf_net(rates, dilations);
        assert_eq!(net.searched().count(), 5);
        let all: Vec<_> = net.searched().map(|conv| conv.rates()).collect();
        assert!(all.iter().all(|rates| *rates == all[0]), "{all:?}");
        all[0].clone()
    };
    assert_eq!(rates(&[2, 5, 8], Dilations::Kept), [2, 5, 8]);
    assert_eq!(rates(&[6], Dilations::One), [6]);
    assert_eq!(rates(&[6], Dilations::Several), [3, 6, 9]);
    let mean = rates(&[4, 4, 4], Dilations::One);
    assert_eq!(mean, [4]);
}

/// Plain weights in any spelling, and what the authors begin with: dilations 1 and 2.
#[test]
fn a_search_begins_with_plain_weights() {
    for of in ["torchvision", "timm", "authors"] {
        let plain = BackboneConfig::from(reduced(false)).init(0, &Device::default());
        let keys = keys_of_backbone(&plain, spelling(&plain, of));
        let mut net = match filled_from(reduced(true).into(), keys, |_| false) {
            Backbone::ConvNext(net) => net,
            _ => panic!("a ConvNeXt"),
        };
        assert!(net.searched().all(|conv| conv.rates() == [1, 2]), "{of}");
    }
}

/// One dilation of 1 is the plain network.
#[test]
fn one_dilation_of_one_is_the_plain_network() {
    let rf = rf_net(&[1], Dilations::Kept);
    let mut plain = filled(reduced(false), "timm");
    let Backbone::ConvNext(inside) = &mut plain else {
        panic!("a ConvNeXt");
    };
    let mut rf_parts = rf.clone();
    let blocks = |net: &mut ConvNext| net.stages[1].blocks.remove(1);
    let [mut a, mut b] = [blocks(&mut rf_parts), blocks(inside)];
    // The same weights in both: those of the plain one.
    let (DepthwiseConv::Searched(rf), DepthwiseConv::Plain(conv)) =
        (&mut a.conv_dw, &mut b.conv_dw)
    else {
        panic!("one of each kind");
    };
    rf.conv = conv.clone();
    (a.norm, a.mlp, a.gamma) = (b.norm.clone(), b.mlp.clone(), b.gamma.clone());
    let x = picture(20, 24).repeat_dim(1, 3).narrow(1, 0, 8);
    let x: [Tensor<4>; 2] = [
        a.forward(x.clone(), NormMode::Moving, 0),
        b.forward(x, NormMode::Moving, 0),
    ];
    let [rf, plain] = x;
    assert_same(rf, plain);
}
