//! ResNets.

use pass_model::{backbone::ResNetConfig, norm::NormMode};

use crate::oracle::{check_keys, filled, picture, row};

#[test]
fn keys_are_the_published_ones() {
    check_keys(
        "resnet18",
        "torchvision",
        (102, "09ce7e9e01846250", 11_699_112),
    );
    check_keys(
        "resnet50",
        "torchvision",
        (267, "c67ecaef75aaf0f7", 25_610_152),
    );
}

#[test]
fn resnet18_agrees() {
    let mut net = filled(ResNetConfig::resnet18(), "torchvision");
    let maps = net.forward(picture(64, 80), NormMode::Moving);
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
