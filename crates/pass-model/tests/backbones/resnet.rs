//! ResNets and ResNeXts.

use pass_model::{
    backbone::{Backbone, Features, ResNetConfig},
    import::keys_of_backbone,
    norm::NormMode,
};

use crate::oracle::{check_keys, digest, filled, picture, row, spelling};

#[test]
fn keys_are_the_published_ones() {
    let published = [
        ("resnet18", (102, "09ce7e9e01846250", 11_699_112)),
        ("resnet34", (182, "bc79fc43acd9f853", 21_814_696)),
        ("resnet50", (267, "c67ecaef75aaf0f7", 25_610_152)),
        ("resnet101", (522, "8ab21a42b16f2c7e", 44_654_504)),
        ("resnext50", (267, "c39a86001560e3a7", 25_097_128)),
        ("resnext101", (522, "37ab4df3b9b6df6c", 88_994_216)),
    ];
    for (name, keys) in published {
        check_keys(name, "torchvision", keys);
    }
}

/// 64 groups of 4 channels, timm's `resnext101_64x4d`.
#[test]
fn other_groups_are_a_setting() {
    let config = ResNetConfig {
        groups: 64,
        bottleneck_width: 4,
        ..ResNetConfig::resnet101()
    };
    let net = config.init(0, &Default::default());
    let keys = keys_of_backbone(&net, spelling(&net, "timm"));
    let published = (522, "2aec40f7440430e3".to_owned(), 83_658_152);
    assert_eq!(digest(&keys), published);
}

fn maps_of(net: &mut Backbone) -> Features {
    net.forward(picture(64, 80), NormMode::Moving)
}

#[test]
fn resnet18_agrees() {
    let maps = maps_of(&mut filled(ResNetConfig::resnet18(), "torchvision"));
    row(
        "layer1",
        &[64, 16, 20],
        [1.307361542, 1.307361542, 0.0, 1.938885706],
    )
    .check(maps.stage(1));
    row(
        "layer2",
        &[128, 8, 10],
        [1.405259837, 1.405259837, 4.0319043, 0.0],
    )
    .check(maps.stage(2));
    row(
        "layer4",
        &[512, 2, 3],
        [1.129269947, 1.129269947, 1.081124322, 0.0],
    )
    .check(maps.stage(4));
}

#[test]
fn resnet50_agrees() {
    let mut net = filled(ResNetConfig::resnet50(), "torchvision");
    let resnet = net.as_resnet_mut().unwrap();
    let stem = resnet.stem(picture(64, 80), NormMode::Moving);
    row(
        "stem+pool",
        &[64, 16, 20],
        [0.8917776616, 0.8917776616, 0.5120073075, 2.029397144],
    )
    .check(stem);
    let maps = maps_of(&mut net);
    row(
        "layer1",
        &[256, 16, 20],
        [0.780434474, 0.780434474, 1.386047722, 0.3657108103],
    )
    .check(maps.stage(1));
    row(
        "layer2",
        &[512, 8, 10],
        [0.8724417937, 0.8724417937, 0.6446774185, 1.72571907],
    )
    .check(maps.stage(2));
    row(
        "layer3",
        &[1024, 4, 5],
        [1.350660241, 1.350660241, 1.756901869, 1.981459728],
    )
    .check(maps.stage(3));
    row(
        "layer4",
        &[2048, 2, 3],
        [1.281418883, 1.281418883, 0.4624241499, 0.0],
    )
    .check(maps.stage(4));
}

#[test]
fn resnet50_agrees_with_dilated_stages() {
    let dilated = |dilated_stages| {
        let config = ResNetConfig {
            dilated_stages,
            ..ResNetConfig::resnet50()
        };
        maps_of(&mut filled(config, "torchvision"))
    };
    let maps = dilated(1);
    assert_eq!(maps.strides, [4, 8, 16, 16]);
    row(
        "layer4",
        &[2048, 4, 5],
        [1.337104619, 1.337104619, 0.4624241499, 0.0],
    )
    .check(maps.stage(4));
    let maps = dilated(2);
    assert_eq!(maps.strides, [4, 8, 8, 8]);
    row(
        "layer3",
        &[1024, 8, 10],
        [1.371233498, 1.371233498, 1.756901869, 1.091121155],
    )
    .check(maps.stage(3));
    row(
        "layer4",
        &[2048, 8, 10],
        [1.358144361, 1.358144361, 0.4624241499, 0.0],
    )
    .check(maps.stage(4));
}

#[test]
fn resnet101_agrees() {
    let maps = maps_of(&mut filled(ResNetConfig::resnet101(), "torchvision"));
    row(
        "layer3",
        &[1024, 4, 5],
        [10.46743802, 10.46743802, 4.341903347, 0.0],
    )
    .check(maps.stage(3));
    row(
        "layer4",
        &[2048, 2, 3],
        [8.502379037, 8.502379037, 13.82213752, 8.2807014],
    )
    .check(maps.stage(4));
}

#[test]
fn resnext50_agrees() {
    let maps = maps_of(&mut filled(ResNetConfig::resnext50(), "torchvision"));
    row(
        "layer1",
        &[256, 16, 20],
        [0.8001141121, 0.8001141121, 1.448056301, 0.499403289],
    )
    .check(maps.stage(1));
    row(
        "layer4",
        &[2048, 2, 3],
        [1.484697694, 1.484697694, 4.585227297, 0.0],
    )
    .check(maps.stage(4));
}
