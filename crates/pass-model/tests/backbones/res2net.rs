//! Res2Nets.

use pass_model::{
    backbone::{Backbone, Res2NetConfig},
    norm::NormMode,
};

use crate::oracle::{check_keys, filled, picture, row};

#[test]
fn keys_are_the_published_ones() {
    let published = [
        ("res2net50", (427, "9525903c40ec063f", 25_758_612)),
        ("res2net101", (852, "724f371cfad73d93", 45_325_748)),
        ("res2net50d", (437, "806aca17dad14536", 25_777_972)),
    ];
    for (name, keys) in published {
        check_keys(name, "timm", keys);
    }
}

#[test]
fn res2net50_agrees() {
    let mut net = filled(Res2NetConfig::res2net50(), "timm");
    let maps = net.forward(picture(64, 80), NormMode::Moving);
    row(
        "layer1",
        &[256, 16, 20],
        [0.983935764, 0.983935764, 0.358606701, 0.0],
    )
    .check(maps.stage(1));
    row(
        "layer2",
        &[512, 8, 10],
        [1.642023562, 1.642023562, 1.866080607, 1.444256975],
    )
    .check(maps.stage(2));
    row(
        "layer4",
        &[2048, 2, 3],
        [3.644822652, 3.644822652, 0.6945104953, 0.0],
    )
    .check(maps.stage(4));
}

#[test]
fn res2net50d_agrees() {
    let mut net = filled(Res2NetConfig::res2net50d(), "timm");
    let maps = net.forward(picture(64, 80), NormMode::Moving);
    let Backbone::Res2Net(mut net) = net else {
        panic!("a Res2Net");
    };
    let stem = net.stem(picture(64, 80), NormMode::Moving);
    row(
        "stem+pool",
        &[64, 16, 20],
        [0.5337765488, 0.5337765488, 0.1494717619, 0.3836449454],
    )
    .check(stem);
    row(
        "layer1",
        &[256, 16, 20],
        [0.5612726321, 0.5612726321, 0.0, 0.0],
    )
    .check(maps.stage(1));
    row(
        "layer2",
        &[512, 8, 10],
        [0.976701385, 0.976701385, 0.871999447, 0.0],
    )
    .check(maps.stage(2));
    row(
        "layer4",
        &[2048, 2, 3],
        [2.509547385, 2.509547385, 1.347911804, 0.2902842643],
    )
    .check(maps.stage(4));
}
