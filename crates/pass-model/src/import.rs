//! Weights of PyTorch programs: torchvision's ResNets and the published checkpoints of PASS.
//!
//! Reads `.pth`, `.pth.tar` and `.pt` (the zip format and the older one) and `.safetensors`. What
//! programs wrap around a network (`state_dict`, `module.`, `encoder_q.` and others) is taken off, see
//! `wrapper`. Loading is strict: a key that is missing, unexpected or of another shape or type is an
//! error, and all of them are listed, as are numbers that no weight may be. Only keys known to be of no
//! use are passed over, and they are returned.

mod wrapper;

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::Module,
    store::{
        FloatCastAdapter, ModuleAdapter, ModuleStore, PyTorchToBurnAdapter, PytorchStore,
        burn_pack::Tensor as StoredTensor,
    },
    tensor::DType,
};

use crate::{
    backbone::{Backbone, resnet_key},
    checkpoint::{apply, check_shape, parameters_of, read_safetensors, refuse},
    error::{Error, KeyMismatch},
    pretrain_net::PretrainNet,
    segmentation_net::SegmentationNet,
    values::check_read,
};
use wrapper::{Unwrapped, unwrap};

/// Keys of the heads that PASS puts on its backbone.
const PASS_HEADS: [&str; 5] = [
    "projection_head",
    "predictor_head",
    "prototypes.",
    "fbg.",
    "last_layer.",
];

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

/// Loads a backbone from a file of torchvision or from any checkpoint of PASS.
///
/// Ignored are torchvision's classifier (`fc`), the heads of PASS and counters of batches.
pub fn import_backbone(backbone: &mut Backbone, path: &Path) -> Result<Imported, Error> {
    let is_head = |key: &str| PASS_HEADS.iter().any(|head| key.starts_with(head));
    let is_extra = |key: &str| key.starts_with("fc.") || is_head(key) || is_counter(key);
    let of = backbone.clone();
    let key_of = move |parameter: &str| of.torch_key(parameter);
    import_module(backbone, path, &key_of, &is_extra)
}

/// Loads the network of step 1 from a pre-training checkpoint of PASS.
pub fn import_pretrain_net(net: &mut PretrainNet, path: &Path) -> Result<Imported, Error> {
    let stages: Vec<_> = net.shallow.iter().map(|head| head.stage).collect();
    import_module(
        net,
        path,
        &|parameter| pass_key(parameter, &stages),
        &is_counter,
    )
}

/// Loads the network of step 3 from a fine-tuning checkpoint of PASS.
pub fn import_segmentation_net(net: &mut SegmentationNet, path: &Path) -> Result<Imported, Error> {
    import_module(
        net,
        path,
        &|parameter| pass_key(parameter, &[]),
        &is_counter,
    )
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
    let parameters = parameters_of(module);
    let wanted: Vec<String> = parameters.iter().map(|it| key_of(&it.torch_path)).collect();
    let Unwrapped {
        mut stored,
        wrapper,
        outside,
        unknown,
    } = unwrap(read_weights(path)?, &wanted);
    let mut mismatch = KeyMismatch {
        wrapper: unknown,
        ..KeyMismatch::default()
    };
    let mut tensors = Vec::new();
    for (parameter, key) in parameters.into_iter().zip(&wanted) {
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
/// `parameter` is its path in [`PretrainNet`] or [`SegmentationNet`] with PyTorch's last word, and
/// `shallow` the stages of the shallow heads in their order. Other paths are returned as they are.
pub fn pass_key(parameter: &str, shallow: &[usize]) -> String {
    let words: Vec<_> = parameter.split('.').collect();
    match words.as_slice() {
        ["backbone", ..] => resnet_key(&parameter["backbone.".len()..]),
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

/// Counters of batches, which PyTorch keeps in each norm.
fn is_counter(key: &str) -> bool {
    key.ends_with("num_batches_tracked")
}

fn read_weights(path: &Path) -> Result<BTreeMap<String, StoredTensor>, Error> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => read_safetensors(path),
        Some("pth" | "pt" | "tar") => read_pytorch(path),
        _ => Err(Error::UnknownFormat {
            path: path.to_owned(),
        }),
    }
}

fn read_pytorch(path: &Path) -> Result<BTreeMap<String, StoredTensor>, Error> {
    // By default burn numbers the layers of a `Sequential` anew, without gaps.
    let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
    store
        .get_all_tensors()
        .cloned()
        .map_err(|error| Error::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::ResNetConfig;
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
            assert_eq!(pass_key(parameter, &[3, 2]), key);
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
