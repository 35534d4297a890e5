//! Swin transformers.

use std::collections::BTreeMap;

use burn::{
    module::Module,
    store::ModuleSnapshot,
    tensor::{Device, Tensor},
};
use pass_model::{
    Error,
    backbone::{Backbone, BackboneConfig, Swin, SwinBlock, SwinConfig},
    export::export_module,
    import::{
        import_backbone, import_pretrain_net, import_segmentation_net, keys_of_backbone, pass_key,
    },
    norm::NormMode,
    pretrain_net::{NetworkConfig, PretrainNetConfig},
    segmentation_net::{HeadDraw, SegmentationNetConfig},
};
use safetensors::{Dtype, tensor::TensorView};

use crate::{
    hashed::values,
    oracle::{check_keys, check_spellings, filled, picture, row, spelling},
};

#[test]
fn keys_are_the_published_ones() {
    let published = [
        ("swin_t", "torchvision", "9654b22aeda28450"),
        ("swin_s", "torchvision", "d4417a53cec50595"),
        ("swin_b", "torchvision", "581da04048932317"),
        ("swin_t", "timm", "84b97df645b9a915"),
        ("swin_s", "timm", "a532855c54c1ac57"),
        ("swin_b", "timm", "4e28a98d42548b47"),
    ];
    for (name, of, hash) in published {
        let (entries, elements) = match name {
            "swin_t" => (173, 28_288_354),
            "swin_s" => (329, 49_606_258),
            _ => (329, 87_768_224),
        };
        check_keys(name, of, (entries, hash, elements));
    }
}

/// The authors halve a map at the end of a stage.
#[test]
fn the_keys_of_the_authors_are_as_many_and_recognised() {
    let net = BackboneConfig::named("swin_t").unwrap();
    let net = net.init(0, &Device::default());
    let keys = keys_of_backbone(&net, spelling(&net, "authors"));
    assert_eq!(keys["layers.0.downsample.reduction.weight"], [192, 384]);
    assert_eq!(keys["layers.2.blocks.5.mlp.fc1.weight"], [1536, 384]);
    assert_eq!(keys["head.weight"], [1000, 768]);
    assert_eq!(keys.len(), 173);
    assert_eq!(BackboneConfig::recognise(&keys), ["swin_t"]);
}

#[test]
fn swin_t_agrees() {
    let mut net = filled(SwinConfig::swin_t(), "torchvision");
    let maps = net.forward(picture(64, 80), NormMode::Moving);
    let net = inside(net);
    let mut x = net.patches(picture(64, 80));
    row(
        "features.0",
        &[16, 20, 96],
        [0.009058952901, 0.8010737476, -0.4248737418, 0.01883306353],
    )
    .check(x.clone());
    let rows = [
        row(
            "features.1",
            &[16, 20, 96],
            [-0.03443405709, 1.246968827, -0.5448925483, 2.600362823],
        ),
        row(
            "features.3",
            &[8, 10, 192],
            [-0.05412524006, 1.367014572, -0.5727781305, -0.9707792769],
        ),
        row(
            "features.5",
            &[4, 5, 384],
            [-0.1109777704, 1.795131612, -1.547467842, 0.465795359],
        ),
        row(
            "features.7",
            &[2, 3, 768],
            [0.01856495895, 1.163027253, -1.772848185, 0.6881226711],
        ),
    ];
    for (stage, row) in net.layers.iter().zip(rows) {
        let map = stage.forward(x);
        row.check(map.clone());
        x = match &stage.downsample {
            Some(downsample) => downsample.forward(map),
            None => map,
        };
    }
    row(
        "norm",
        &[2, 3, 768],
        [-0.002306861984, 0.7898682838, -1.918688196, 0.1976534884],
    )
    .check(maps.stage(4).permute([0, 2, 3, 1]));
}

fn inside(net: Backbone) -> Swin {
    match net {
        Backbone::Swin(net) => net,
        _ => panic!("a Swin transformer"),
    }
}

fn reduced() -> SwinConfig {
    SwinConfig {
        depths: [2, 1, 1, 1],
        width: 8,
        head_width: 4,
        window: 3,
    }
}

#[test]
fn every_spelling_brings_the_same_weights() {
    check_spellings(reduced());
}

/// The backbone in a file of step 1 or 3 may have the keys of any program.
#[test]
fn networks_of_the_steps_are_read_in_every_spelling() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let device = Device::default();
    let pretrain = PretrainNetConfig {
        network: NetworkConfig {
            backbone: reduced().into(),
            hidden: 5,
            feature_dim: 3,
            prototypes: 7,
        },
        shallow: vec![3],
        ..Default::default()
    };
    let segmentation = SegmentationNetConfig {
        backbone: reduced().into(),
        classes: 4,
        head: HeadDraw::He,
    };
    for spelling in pretrain.init(1, &device).backbone.spellings() {
        let key = |path: &str| pass_key(spelling.key, path, &[3]);
        let [net, mut other] = [1, 2].map(|seed| pretrain.init(seed, &device));
        let written = export_module(&net, &path, &key).unwrap();
        let imported = import_pretrain_net(&mut other, &path).unwrap();
        assert_eq!(imported.loaded, written, "{}", spelling.of);
        assert_eq!(all_of(&net), all_of(&other), "{}", spelling.of);

        let [net, mut other] = [1, 2].map(|seed| segmentation.init(seed, &device));
        export_module(&net, &path, &key).unwrap();
        import_segmentation_net(&mut other, &path).unwrap();
        assert_eq!(all_of(&net), all_of(&other), "{}", spelling.of);
    }
}

/// All tensors by name.
fn all_of(module: &impl Module) -> BTreeMap<String, Vec<u8>> {
    let tensors = module.collect(None, None, true).into_iter();
    tensors
        .map(|it| (it.name.clone(), it.to_bytes().unwrap().to_vec()))
        .collect()
}

/// Stages round up behind the patches, and a picture that is too small still has a place.
#[test]
fn pictures_of_any_size_go_through() {
    let mut net = filled(reduced(), "timm");
    let mut sizes = |height, width| {
        let maps = net.forward(picture(height, width), NormMode::Moving);
        assert_eq!(maps.strides, [4, 8, 16, 32]);
        [1, 2, 3, 4].map(|stage| {
            let [_, _, height, width] = maps.stage(stage).dims();
            [height, width]
        })
    };
    assert_eq!(sizes(256, 341), [[64, 85], [32, 43], [16, 22], [8, 11]]);
    assert_eq!(sizes(3, 14), [[1, 3], [1, 2], [1, 1], [1, 1]]);
}

/// Attention of each place to the places of its moved window that the move did not bring from the other
/// end, written out.
fn by_places(block: &SwinBlock, map: Tensor<4>, [height, width]: [usize; 2]) -> Vec<f64> {
    let (window, shift, heads, dims, channels) = (3, 1, 2, 4, 8);
    let packed = block.attn.qkv.forward(map.clone());
    let packed: Vec<f32> = packed.into_data().try_to_vec().unwrap();
    let table = block.attn.relative_position_bias_table.val().into_data();
    let table: Vec<f32> = table.try_to_vec().unwrap();
    let at = |place: usize, column: usize| f64::from(packed[place * 3 * channels + column]);
    let moved = |place: usize, side: usize| (place + side - shift) % side;
    let sees = |a: usize, b: usize, side: usize| {
        moved(a, side) / window == moved(b, side) / window && (a < shift) == (b < shift)
    };
    let mut result = vec![0.0; height * width * channels];
    let place = |row: usize, column: usize| row * width + column;
    for head in 0..heads {
        for (r, c) in (0..height * width).map(|it| (it / width, it % width)) {
            let seen = (0..height * width).map(|it| (it / width, it % width));
            let seen: Vec<_> = seen
                .filter(|&(y, x)| sees(r, y, height) && sees(c, x, width))
                .collect();
            let score = |y: usize, x: usize| {
                let down = moved(r, height) + window - 1 - moved(y, height);
                let right = moved(c, width) + window - 1 - moved(x, width);
                let bias = table[(down * (2 * window - 1) + right) * heads + head];
                let columns = head * dims..(head + 1) * dims;
                let q_k = columns.map(|it| at(place(r, c), it) * at(place(y, x), channels + it));
                q_k.sum::<f64>() / 2.0 + f64::from(bias)
            };
            let weights: Vec<f64> = seen.iter().map(|&(y, x)| score(y, x).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for (&(y, x), weight) in seen.iter().zip(&weights) {
                for column in head * dims..(head + 1) * dims {
                    result[place(r, c) * channels + column] +=
                        weight / sum * at(place(y, x), 2 * channels + column);
                }
            }
        }
    }
    result
}

#[test]
fn moved_windows_attend_to_what_was_there_before_the_move() {
    let net = inside(filled(reduced(), "timm"));
    let block = &net.layers[0].blocks[1];
    let size = [6, 9];
    let map = picture(6, 9 * 8).reshape([1, 3, 6, 9, 8]).narrow(1, 0, 1);
    let map: Tensor<4> = map.reshape([1, 6, 9, 8]);
    let expected = by_places(block, map.clone(), size);
    let expected: Vec<f32> = expected.into_iter().map(|value| value as f32).collect();
    let expected = Tensor::<1>::from_floats(expected.as_slice(), &Device::default());
    let expected = block.attn.proj.forward(expected.reshape([1, 6, 9, 8]));
    let actual = block.attn.forward(map);
    let largest = (actual - expected).abs().max().into_scalar::<f32>();
    assert!(largest < 1e-5, "{largest}");
}

/// Writes the weights of torchvision's or the authors' keys with these constants beside them.
fn file_with(constants: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Result<usize, Error> {
    let config = BackboneConfig::from(SwinConfig {
        window: 2,
        ..reduced()
    });
    let mut net = config.init(0, &Device::default());
    let keys = keys_of_backbone(&net, spelling(&net, "authors"));
    let mut tensors: Vec<_> = keys
        .iter()
        .map(|(key, shape)| {
            let values = values(0, key, shape).into_iter();
            let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
            (key.as_str(), Dtype::F32, shape.clone(), bytes)
        })
        .collect();
    tensors.extend(constants.iter().cloned());
    let views = tensors.iter().map(|(key, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
        (*key, view)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swin.safetensors");
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    import_backbone(&mut net, &path).map(|imported| imported.ignored.len())
}

const INDEX: &str = "layers.0.blocks.0.attn.relative_position_index";
const MASK: &str = "layers.0.blocks.1.attn_mask";

#[test]
fn the_constants_of_a_file_are_compared() {
    let index = |first: i64, shape: Vec<usize>| {
        let rows = [first, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4];
        let bytes = rows.into_iter().flat_map(i64::to_le_bytes).collect();
        (INDEX, Dtype::I64, shape, bytes)
    };
    // Of a 4×4 map in windows of 2 moved by 1: the last row and column came from the other end.
    let mask = |unseen: f32| {
        let far = |place: usize| [place / 4 == 3, place % 4 == 3];
        let of = |window: usize, place: usize| {
            far((window / 2 * 2 + place / 2) * 4 + window % 2 * 2 + place % 2)
        };
        let values = (0..64).map(|it| (it / 16, it / 4 % 4, it % 4));
        let values = values.map(|(window, a, b)| {
            if of(window, a) == of(window, b) {
                0.0
            } else {
                unseen
            }
        });
        let bytes = values.flat_map(f32::to_le_bytes).collect();
        (MASK, Dtype::F32, vec![4, 4, 4], bytes)
    };
    assert_eq!(file_with(&[index(4, vec![4, 4]), mask(-100.0)]).unwrap(), 4);
    assert_eq!(file_with(&[index(4, vec![16])]).unwrap(), 3);
    for wrong in [
        index(3, vec![4, 4]),
        mask(-10.0),
        (MASK, Dtype::F32, vec![3, 4, 4], vec![0; 4 * 48]),
    ] {
        let said = file_with(std::slice::from_ref(&wrong)).map_err(|error| error.to_string());
        let said = said.unwrap_err();
        assert!(
            said.contains("another network") && said.contains(wrong.0),
            "{said}"
        );
    }
}
