//! Weights for PyTorch programs, as `.safetensors` with the keys and layouts that they expect.
//!
//! A backbone gets torchvision's keys or timm's; a ResNet those that both use, from which the converters of
//! detectron2 and mmsegmentation start; the networks of steps 1 and 3 get those of the published
//! checkpoints of PASS. Linear weights are `[out, in]`. There is no `fc`, and there are no counters
//! of batches: PyTorch's norms start theirs at 0 when a file has none.
//! [`crate::import`] reads all of these files back.

use std::path::Path;

use burn::{
    module::Module,
    store::{BurnToPyTorchAdapter, ModuleSnapshot},
    tensor::DType,
};
use safetensors::{Dtype, serialize, tensor::TensorView};

use crate::{
    backbone::Backbone,
    error::Error,
    import::pass_key,
    pretrain_net::PretrainNet,
    segmentation_net::SegmentationNet,
    values::{bad_tensor, refuse_to_write},
};

/// Writes a backbone with torchvision's or timm's keys (`layer1.0.conv1.weight`), see [`Backbone::key`].
///
/// # Errors
///
/// As [`export_module`].
pub fn export_backbone(backbone: &Backbone, path: &Path) -> Result<usize, Error> {
    export_module(backbone, path, &backbone.key())
}

/// Writes the network of step 1 with the keys of a pre-training checkpoint of PASS.
///
/// # Errors
///
/// As [`export_module`].
pub fn export_pretrain_net(net: &PretrainNet, path: &Path) -> Result<usize, Error> {
    let stages: Vec<_> = net.shallow.iter().map(|head| head.stage).collect();
    export_module(net, path, &|parameter| {
        pass_key(net.backbone.key(), parameter, &stages)
    })
}

/// Writes the network of step 3 with the keys of a fine-tuning checkpoint of PASS.
///
/// # Errors
///
/// As [`export_module`].
pub fn export_segmentation_net(net: &SegmentationNet, path: &Path) -> Result<usize, Error> {
    export_module(net, path, &|parameter| {
        pass_key(net.backbone.key(), parameter, &[])
    })
}

/// Writes the parameters and buffers of any module as 32-bit floats; returns their number.
///
/// `key_of` gives the key of a parameter from its path with PyTorch's last word (`weight`, `bias`,
/// `running_mean`, `running_var`). The file appears whole or not at all; equal weights give equal
/// files.
///
/// # Errors
///
/// [`Error::UnknownFormat`] for an extension other than `safetensors`, [`Error::Diverged`] for NaN,
/// infinity or a negative variance, [`Error::Write`] if the file cannot be written.
///
/// # Panics
///
/// If a parameter has no 32-bit floats.
pub fn export_module<M: Module>(
    module: &M,
    path: &Path,
    key_of: &dyn Fn(&str) -> String,
) -> Result<usize, Error> {
    if path.extension().is_none_or(|it| it != "safetensors") {
        let path = path.to_owned();
        return Err(Error::UnknownFormat { path });
    }
    let failed = |reason: String| Error::Write {
        path: path.to_owned(),
        reason,
    };
    let tensors = module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let mut views = Vec::with_capacity(tensors.len());
    let mut bad = Vec::new();
    for tensor in &tensors {
        assert_eq!(tensor.dtype, DType::F32, "{}", tensor.name);
        let bytes = tensor
            .to_bytes()
            .map_err(|error| failed(error.to_string()))?;
        bad.extend(bad_tensor(&tensor.name, tensor.dtype, &bytes));
        views.push((key_of(&tensor.name), tensor.shape.to_vec(), bytes));
    }
    refuse_to_write(bad, path)?;
    let views = views.iter().map(|(key, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (key, view.expect("a tensor has as many bytes as its shape"))
    });
    let file = serialize(views, None).map_err(|error| failed(error.to_string()))?;
    whole_file::write_bytes(path, &file).map_err(|error| failed(error.to_string()))?;
    Ok(tensors.len())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        backbone::{BackboneConfig, ResNetConfig},
        import::{import_backbone, import_pretrain_net, import_segmentation_net},
        pretrain_net::{NetworkConfig, PretrainNetConfig},
        segmentation_net::{HeadDraw, SegmentationNetConfig},
    };
    use burn::tensor::Device;

    fn backbone() -> BackboneConfig {
        let config = ResNetConfig {
            width: 2,
            ..ResNetConfig::small()
        };
        config.into()
    }

    /// All values of a module in the order of their names.
    fn values(module: &impl Module) -> Vec<(String, Vec<u8>)> {
        let mut all: Vec<_> = module
            .collect(None, None, true)
            .iter()
            .map(|tensor| (tensor.name.clone(), tensor.to_bytes().unwrap().to_vec()))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn an_exported_network_is_imported_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let device = Device::default();
        let config = PretrainNetConfig {
            network: NetworkConfig {
                backbone: backbone(),
                hidden: 5,
                feature_dim: 3,
                prototypes: 7,
            },
            shallow: vec![3, 1],
            ..Default::default()
        };
        let (net, mut other) = (config.init(1, &device), config.init(2, &device));
        let path = folder.path().join("pretrain.safetensors");
        let written = export_pretrain_net(&net, &path).unwrap();
        let read = import_pretrain_net(&mut other, &path).unwrap();
        assert_eq!((read.loaded, read.ignored.len()), (written, 0));
        assert_eq!(values(&net), values(&other));

        let config = SegmentationNetConfig {
            backbone: backbone(),
            classes: 4,
            head: HeadDraw::He,
        };
        let (net, mut other) = (config.init(1, &device), config.init(2, &device));
        let path = folder.path().join("segmentation.safetensors");
        export_segmentation_net(&net, &path).unwrap();
        import_segmentation_net(&mut other, &path).unwrap();
        assert_eq!(values(&net), values(&other));
    }

    #[test]
    fn a_backbone_has_the_keys_of_torchvision() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backbone.safetensors");
        let net = backbone().init(1, &Device::default());
        export_backbone(&net, &path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for key in [
            "conv1.weight",
            "bn1.running_var",
            "layer2.0.downsample.0.weight",
            "layer4.0.bn2.bias",
        ] {
            assert!(file.names().contains(&key), "{key}");
        }
        let mut other = backbone().init(2, &Device::default());
        import_backbone(&mut other, &path).unwrap();
        assert_eq!(values(&net), values(&other));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_and_another_format_are_errors() {
        let net = backbone().init(1, &Device::default());
        let none = Path::new("Cargo.toml/net.safetensors");
        assert!(matches!(
            export_backbone(&net, none),
            Err(Error::Write { .. })
        ));
        let error = export_backbone(&net, Path::new("net.pth")).unwrap_err();
        assert!(matches!(error, Error::UnknownFormat { .. }), "{error}");
    }
}
