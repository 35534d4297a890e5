//! Weights of PyTorch programs: torchvision's ResNets and the published checkpoints of PASS.
//!
//! Reads `.pth`, `.pth.tar`, `.pt` and `.bin` (the zip format and the older one), `.safetensors`, and a
//! `.whl` or `.zip` that holds one of them. What
//! programs wrap around a network (`state_dict`, `module.`, `encoder_q.` and others) is taken off, see
//! `wrapper`. Loading is strict: a key that is missing, unexpected or of another shape or type is an
//! error, and all of them are listed, as are numbers that no weight may be. Only keys known to be of no
//! use are passed over, and they are returned.

mod file;
mod wrapper;

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    store::{
        FloatCastAdapter, ModuleAdapter, PyTorchToBurnAdapter, burn_pack::Tensor as StoredTensor,
    },
    tensor::{DType, Device},
};

use crate::{
    backbone::{Backbone, BackboneConfig, KeyOf, KeyShapes, Spelling},
    checkpoint::{apply, check_shape, parameters_of, refuse},
    error::{Error, KeyMismatch},
    pretrain_net::PretrainNet,
    segmentation_net::SegmentationNet,
    values::check_read,
};
use file::read_weights;
use wrapper::{Unwrapped, nested, unwrap};

/// Classes of ImageNet-1k, which the classifiers of published weights have.
pub const CLASSES: usize = 1000;

/// How the keys of heads begin that programs of pre-training put on a backbone.
///
/// | program | heads |
/// |---|---|
/// | PASS, SwAV | `projection_head`, `predictor_head`, `prototypes.`, `fbg.`, `last_layer.` |
/// | MoCo, AdCo, PCL, SimSiam, MoCo v3 with a ResNet | layers of `fc.` |
/// | MoCo v3 with a ViT | layers of `head.` |
const HEADS: [&str; 5] = [
    "projection_head",
    "predictor_head",
    "prototypes.",
    "fbg.",
    "last_layer.",
];

/// Modules of several layers, numbered from 0, where a classifier has one.
const HEADS_OF_LAYERS: [&str; 2] = ["fc.", "head."];

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Number of tensors taken over.
    pub loaded: usize,
    /// Keys of the file that the module has no use for.
    pub ignored: Vec<String>,
    /// What preceded all of these keys in the file, as `state_dict.module.`; empty for nothing.
    pub wrapper: String,
    /// Tensors of the file that do not lie in the wrapper: those of an optimiser, of another encoder.
    pub outside: usize,
}

/// Loads a backbone from a file in one of its spellings, or from any checkpoint of PASS.
///
/// Ignored are the classifier, which must fit the backbone, the heads of programs of pre-training, counters of batches and
/// what the [`Spelling`] names.
pub fn import_backbone(backbone: &mut Backbone, path: &Path) -> Result<Imported, Error> {
    let (spelling, wanted, found) = read_for(backbone, path)?;
    let misshaped = check_classifier(&found.stored, spelling.classifier, backbone.channels());
    let of_classifier = ["weight", "bias"].map(|last| format!("{}.{last}", spelling.classifier));
    let is_extra = |key: &str| {
        of_classifier.iter().any(|known| known == key)
            || is_head(key)
            || is_counter(key)
            || (spelling.extra)(key)
    };
    let imported = load(backbone, path, found, wanted, &is_extra, misshaped)?;
    backbone.imported();
    Ok(imported)
}

/// The settings of a backbone as a file of its weights has them, such as its register tokens.
///
/// # Errors
///
/// [`Error::UnknownFormat`], [`Error::Read`].
///
/// # Panics
///
/// As [`BackboneConfig::init`].
pub fn settings_for_file(mut config: BackboneConfig, path: &Path) -> Result<BackboneConfig, Error> {
    let stored = read_weights(path)?;
    let backbone = config.init(0, &Device::default()); // lazy: no weight is drawn
    let (_, wanted) = spelling_of(backbone.spellings(), &stored, &|key| {
        keys_of(&backbone, key)
    });
    let found = unwrap(stored, &wanted).stored.into_iter();
    config.fit(&found.map(|(key, it)| (key, it.shape.to_vec())).collect());
    Ok(config)
}

/// The tensors of a file, in the spelling that fits a backbone best, and the keys that this one needs.
fn read_for(
    backbone: &Backbone,
    path: &Path,
) -> Result<(&'static Spelling, Vec<String>, Unwrapped), Error> {
    read_spelled(backbone.spellings(), path, &|key| keys_of(backbone, key))
}

/// The same for a module around a backbone, whose keys depend on those of the backbone.
fn read_spelled(
    spellings: &'static [Spelling],
    path: &Path,
    keys_of: &dyn Fn(KeyOf) -> Vec<String>,
) -> Result<(&'static Spelling, Vec<String>, Unwrapped), Error> {
    let stored = read_weights(path)?;
    let (spelling, wanted) = spelling_of(spellings, &stored, keys_of);
    let mut found = unwrap(stored, &wanted);
    let checked = (spelling.check)(&found.stored);
    checked.map_err(|reason| Error::OtherConstant {
        path: path.to_owned(),
        reason,
    })?;
    (spelling.convert)(&mut found.stored);
    Ok((spelling, wanted, found))
}

/// The linear classifier in the file of a backbone, for what [`Backbone::pooled`] gives.
///
/// # Errors
///
/// As [`import_backbone`]; [`Error::Mismatch`] where the file has no classifier.
pub fn read_classifier(path: &Path, backbone: &Backbone) -> Result<Linear, Error> {
    let (spelling, _, found) = read_for(backbone, path)?;
    let channels = backbone.channels();
    let shapes = classifier_shapes(spelling.classifier, channels);
    let wanted = shapes.map(|(key, _)| key);
    let classes = found.stored.get(&wanted[0]);
    let classes = classes.and_then(|weight| weight.shape.first().copied());
    let config = LinearConfig::new(channels, classes.unwrap_or(CLASSES).max(1));
    let mut classifier = config.init(&backbone.devices()[0]);
    let (wanted, misshaped) = (wanted.to_vec(), KeyMismatch::default());
    load(&mut classifier, path, found, wanted, &|_| true, misshaped)?;
    Ok(classifier)
}

/// The names of the backbones whose weights a file may hold: none where the keys are of no known network,
/// several where they do not tell.
///
/// # Errors
///
/// [`Error::Read`] and [`Error::UnknownFormat`].
pub fn recognise_backbone(path: &Path) -> Result<Vec<&'static str>, Error> {
    let stored = read_weights(path)?;
    let shapes = |wrapper: String| -> KeyShapes {
        let bare = |(key, tensor): (&String, &StoredTensor)| {
            Some((
                key.strip_prefix(&wrapper)?.to_owned(),
                tensor.shape.to_vec(),
            ))
        };
        stored.iter().filter_map(bare).collect()
    };
    let names = |wrapper| BackboneConfig::recognise(&shapes(wrapper));
    let found = nested(&stored).into_iter().map(names);
    Ok(found
        .into_iter()
        .find(|names| !names.is_empty())
        .unwrap_or_default())
}

/// Keys and shapes of a backbone's file in a spelling, with the classifier of [`CLASSES`] and without
/// counters of batches.
pub fn keys_of_backbone(backbone: &Backbone, spelling: &Spelling) -> KeyShapes {
    let shapes = parameters_of(backbone).into_iter();
    let shapes = shapes.map(|it| {
        let key = (spelling.key)(&it.torch_path);
        let shape = (spelling.shape)(&key, it.torch_shape);
        (key, shape)
    });
    shapes
        .chain(classifier_shapes(spelling.classifier, backbone.channels()))
        .collect()
}

/// The spelling with most of the keys in a file, and all keys in it.
fn spelling_of<T>(
    spellings: &'static [Spelling],
    stored: &BTreeMap<String, T>,
    keys_of: &dyn Fn(KeyOf) -> Vec<String>,
) -> (&'static Spelling, Vec<String>) {
    let found = |wanted: &[String]| {
        let keys = stored.keys().map(|key| (key.clone(), ())).collect();
        let unwrapped = unwrap::<()>(keys, wanted).stored;
        wanted
            .iter()
            .filter(|key| unwrapped.contains_key(*key))
            .count()
    };
    // Of several the first: `max_by_key` would take the last.
    let all = spellings.iter().rev();
    all.map(|spelling| (spelling, keys_of(spelling.key)))
        .max_by_key(|(_, wanted)| found(wanted))
        .expect("a network has a spelling")
}

fn keys_of<M: Module>(module: &M, key_of: impl Fn(&str) -> String) -> Vec<String> {
    let parameters = parameters_of(module).into_iter();
    parameters.map(|it| key_of(&it.torch_path)).collect()
}

fn classifier_shapes(classifier: &str, channels: usize) -> [(String, Vec<usize>); 2] {
    [
        (format!("{classifier}.weight"), vec![CLASSES, channels]),
        (format!("{classifier}.bias"), vec![CLASSES]),
    ]
}

/// A classifier that a file has must fit the backbone; it may know any number of classes.
fn check_classifier(
    stored: &BTreeMap<String, StoredTensor>,
    classifier: &str,
    channels: usize,
) -> KeyMismatch {
    let mut mismatch = KeyMismatch::default();
    for (key, mut shape) in classifier_shapes(classifier, channels) {
        if let Some(found) = stored.get(&key) {
            shape[0] = found.shape.first().copied().unwrap_or(CLASSES);
            check_shape(&mut mismatch, &key, found, &shape);
        }
    }
    mismatch
}

/// Loads the network of step 1 from a pre-training checkpoint of PASS.
pub fn import_pretrain_net(net: &mut PretrainNet, path: &Path) -> Result<Imported, Error> {
    let stages: Vec<_> = net.shallow.iter().map(|head| head.stage).collect();
    let spellings = net.backbone.spellings();
    import_net(net, spellings, path, &|key, parameter| {
        pass_key(key, parameter, &stages)
    })
}

/// Loads the network of step 3 from a fine-tuning checkpoint of PASS.
pub fn import_segmentation_net(net: &mut SegmentationNet, path: &Path) -> Result<Imported, Error> {
    let spellings = net.backbone.spellings();
    import_net(net, spellings, path, &|key, parameter| {
        pass_key(key, parameter, &[])
    })
}

/// Loads a network from a PyTorch file, its backbone in that of these spellings that fits the file best.
///
/// `key_of`: the file's key of a parameter, given that of the backbone's.
fn import_net<M: Module>(
    net: &mut M,
    spellings: &'static [Spelling],
    path: &Path,
    key_of: &dyn Fn(KeyOf, &str) -> String,
) -> Result<Imported, Error> {
    let keys = |of_backbone: KeyOf| keys_of(net, |parameter| key_of(of_backbone, parameter));
    let (spelling, wanted, found) = read_spelled(spellings, path, &keys)?;
    let is_extra = |key: &str| is_counter(key) || (spelling.extra)(key);
    load(net, path, found, wanted, &is_extra, KeyMismatch::default())
}

/// Loads any module from a PyTorch file.
///
/// - `key_of`: the file's key, without a wrapper, of a parameter of the module, given its path with
///   PyTorch's last word (`weight`, `bias`, `running_mean`, `running_var`)
/// - `is_extra`: whether a key of the file may be passed over
///
/// On an error the module stays as it was. Values become 32-bit floats, linear weights are
/// transposed.
pub fn import_module<M: Module>(
    module: &mut M,
    path: &Path,
    key_of: &dyn Fn(&str) -> String,
    is_extra: &dyn Fn(&str) -> bool,
) -> Result<Imported, Error> {
    let wanted = keys_of(module, key_of);
    let found = unwrap(read_weights(path)?, &wanted);
    load(
        module,
        path,
        found,
        wanted,
        is_extra,
        KeyMismatch::default(),
    )
}

/// Puts the tensors of a file into a module, unless anything is wrong with them or with what
/// `mismatch` holds already.
///
/// - `wanted`: keys of the module's parameters, in their order
fn load<M: Module>(
    module: &mut M,
    path: &Path,
    found: Unwrapped,
    wanted: Vec<String>,
    is_extra: &dyn Fn(&str) -> bool,
    mut mismatch: KeyMismatch,
) -> Result<Imported, Error> {
    let Unwrapped {
        mut stored,
        wrapper,
        outside,
        unknown,
    } = found;
    mismatch.wrapper = unknown;
    let mut tensors = Vec::new();
    for (parameter, key) in parameters_of(module).into_iter().zip(&wanted) {
        let Some(mut found) = stored.remove(key) else {
            mismatch.missing.push(key.clone());
            continue;
        };
        check_shape(&mut mismatch, key, &found, &parameter.torch_shape);
        found.name = parameter.path;
        tensors.push(found);
    }
    let (ignored, unexpected) = stored.into_keys().partition(|key| is_extra(key));
    mismatch.unexpected = unexpected;
    refuse(mismatch, path)?;
    check_read(wanted.iter().map(String::as_str).zip(&tensors), path)?;
    let loaded = tensors.len();
    let adapter = PyTorchToBurnAdapter.chain(FloatCastAdapter::to(DType::F32));
    apply(module, tensors, Box::new(adapter), path)?;
    Ok(Imported {
        loaded,
        ignored,
        wrapper,
        outside,
    })
}

/// The key of a parameter in the checkpoints of PASS.
///
/// - `backbone`: the keys of the backbone, [`Backbone::key`]
/// - `parameter`: its path in [`PretrainNet`] or [`SegmentationNet`] with PyTorch's last word; other
///   paths are returned as they are
/// - `shallow`: the stages of the shallow heads in their order
pub fn pass_key(backbone: KeyOf, parameter: &str, shallow: &[usize]) -> String {
    let words: Vec<_> = parameter.split('.').collect();
    match words.as_slice() {
        ["backbone", ..] => backbone(&parameter["backbone.".len()..]),
        ["projection", layer, last] => format!("projection_head.{}.{last}", index_of(layer)),
        ["pixel", "projection", layer, last] => {
            format!("projection_head_pixel.{}.{last}", index_of(layer))
        }
        ["pixel", "predictor", layer, last] => {
            format!("predictor_head_pixel.{}.{last}", index_of(layer))
        }
        ["shallow", index, part, layer, last] => {
            let stage = shallow_stage(shallow, index);
            let (list, entry) = match *part {
                "pixel_mlp" => ("projection_head_pixel_shallow", "projection_head_pixel"),
                _ => ("projection_head_shallow", "projection_head_shallow"),
            };
            format!("{list}.{entry}{stage}.{}.{last}", index_of(layer))
        }
        ["head", last] => format!("last_layer.{last}"),
        _ => parameter.to_owned(),
    }
}

/// Place of a layer of a head in PyTorch's `Sequential`, where each ReLU takes a number too.
fn index_of(layer: &str) -> &str {
    match layer {
        "linear1" | "conv1" => "0",
        "bn1" => "1",
        "linear2" | "conv2" => "3",
        "bn2" => "4",
        "conv3" => "6",
        "bn3" => "7",
        other => other,
    }
}

fn shallow_stage(shallow: &[usize], index: &str) -> usize {
    let stage = index
        .parse::<usize>()
        .ok()
        .and_then(|index| shallow.get(index).copied());
    stage.unwrap_or_else(|| panic!("no shallow head {index} among stages {shallow:?}"))
}

/// What a program of pre-training put on its backbone.
fn is_head(key: &str) -> bool {
    let is_layer = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    let of_layers = |head: &&str| key.strip_prefix(*head).is_some_and(is_layer);
    HEADS.iter().any(|head| key.starts_with(head)) || HEADS_OF_LAYERS.iter().any(of_layers)
}

/// Counters of batches, which PyTorch keeps in each norm.
fn is_counter(key: &str) -> bool {
    key.ends_with("num_batches_tracked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{ResNetConfig, resnet_key};
    use burn::tensor::Device;

    #[test]
    fn parameters_have_the_key_names_of_the_published_checkpoints() {
        let keys = [
            (
                "backbone.layer2.0.downsample.bn.running_var",
                "layer2.0.downsample.1.running_var",
            ),
            ("backbone.layer4.2.conv3.weight", "layer4.2.conv3.weight"),
            ("projection.linear2.bias", "projection_head.3.bias"),
            (
                "projection.bn2.running_mean",
                "projection_head.4.running_mean",
            ),
            ("prototypes.weight", "prototypes.weight"),
            (
                "pixel.projection.bn3.running_mean",
                "projection_head_pixel.7.running_mean",
            ),
            ("pixel.predictor.conv2.bias", "predictor_head_pixel.3.bias"),
            (
                "shallow.1.pixel_mlp.conv3.weight",
                "projection_head_pixel_shallow.projection_head_pixel2.6.weight",
            ),
            (
                "shallow.0.projection.linear1.weight",
                "projection_head_shallow.projection_head_shallow3.0.weight",
            ),
            ("head.weight", "last_layer.weight"),
        ];
        for (parameter, key) in keys {
            assert_eq!(pass_key(resnet_key, parameter, &[3, 2]), key);
        }
    }

    #[test]
    fn an_unknown_extension_is_named() {
        let config = ResNetConfig {
            width: 1,
            ..ResNetConfig::small()
        };
        let mut net = config.init(0, &Device::default());
        let error = import_backbone(&mut net, Path::new("weights.onnx")).unwrap_err();
        assert!(matches!(&error, Error::UnknownFormat { .. }), "{error}");
    }

    #[test]
    fn a_missing_file_is_an_error_and_no_panic() {
        let config = ResNetConfig {
            width: 1,
            ..ResNetConfig::small()
        };
        let mut net = config.init(0, &Device::default());
        for name in ["/none/w.pth", "/none/w.pth.tar", "/none/w.safetensors"] {
            let error = import_backbone(&mut net, Path::new(name)).unwrap_err();
            assert!(matches!(&error, Error::Read { .. }), "{error}");
        }
    }
}
