//! Weights that depend on the keys of a network alone, and what a test does with them.
//!
//! The keys in the order of their bytes have the numbers `t = 0, 1, 2, …`; value `i` of tensor `t`
//! comes from a hash of both.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use pass_model::{
    backbone::{Backbone, BackboneConfig, KeyShapes, Spelling},
    export::export_module,
    import::{import_backbone, keys_of_backbone},
};
use safetensors::{Dtype, tensor::TensorView};
use sha2::{Digest, Sha256};

use crate::hashed::{uniform, values};

/// The number of the pictures, behind those of all tensors.
const PICTURES: u64 = 1 << 20;

/// One picture, `[1, 3, height, width]`.
pub(crate) fn picture(height: usize, width: usize) -> Tensor<4> {
    let values = (0..3 * height * width).map(|i| (2.0 * uniform(PICTURES, i as u64) - 1.0) as f32);
    let data = TensorData::new(values.collect(), [1, 3, height, width]);
    Tensor::from_data(data, &Device::default())
}

/// The spelling of a program.
pub(crate) fn spelling(backbone: &Backbone, of: &str) -> &'static Spelling {
    let mut all = backbone.spellings().iter();
    all.find(|spelling| spelling.of.contains(of)).unwrap()
}

/// Writes weights under these keys.
pub(crate) fn write_weights(path: &Path, keys: &KeyShapes) {
    let tensors = keys.iter().enumerate().map(|(number, (key, shape))| {
        let values = values(number as u64, key, shape).into_iter();
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        (key, shape.clone(), bytes)
    });
    let tensors: Vec<_> = tensors.collect();
    let views = tensors.iter().map(|(key, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (*key, view)
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A backbone whose weights came through a file of these keys, all of them but what `without` names.
pub(crate) fn filled_from(
    config: BackboneConfig,
    mut keys: KeyShapes,
    without: fn(&str) -> bool,
) -> Backbone {
    keys.retain(|key, _| !without(key));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    write_weights(&path, &keys);
    let mut backbone = config.init(0, &Device::default());
    import_backbone(&mut backbone, &path).unwrap();
    backbone
}

/// A backbone with the keys of a program, the classifier's among them.
pub(crate) fn filled(config: impl Into<BackboneConfig>, of: &str) -> Backbone {
    let config = config.into();
    let backbone = config.init(0, &Device::default());
    let keys = keys_of_backbone(&backbone, spelling(&backbone, of));
    filled_from(config, keys, |_| false)
}

/// What every program whose files have the network's own shapes calls its tensors brings them all back.
#[track_caller]
pub(crate) fn check_spellings(config: impl Into<BackboneConfig>) {
    let config = config.into();
    let mut net = config.init(1, &Device::default());
    let expected = net.pooled(picture(40, 56));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    for spelling in net.spellings() {
        let tensors = export_module(&net, &path, &spelling.key).unwrap();
        let mut other = config.init(2, &Device::default());
        let imported = import_backbone(&mut other, &path).unwrap();
        assert_eq!(imported.loaded, tensors, "{}", spelling.of);
        let found = other.pooled(picture(40, 56));
        assert_eq!(found.into_data(), expected.to_data(), "{}", spelling.of);
    }
}

/// Number of keys, digest and number of values of a list of keys.
pub(crate) fn digest(keys: &KeyShapes) -> (usize, String, usize) {
    let mut hash = Sha256::new();
    for (key, shape) in keys {
        let shape: Vec<_> = shape.iter().map(ToString::to_string).collect();
        hash.update(format!("{key} {}\n", shape.join(",")));
    }
    let hash = format!("{:x}", hash.finalize());
    let elements = keys.values().map(|shape| shape.iter().product::<usize>());
    (keys.len(), hash[..16].to_owned(), elements.sum())
}

/// Checks keys against a published list: entries, digest and values.
#[track_caller]
pub(crate) fn check_keys(name: &str, of: &str, published: (usize, &str, usize)) {
    let config = BackboneConfig::named(name).unwrap();
    let backbone = config.init(0, &Device::default());
    let keys = keys_of_backbone(&backbone, spelling(&backbone, of));
    let (entries, hash, elements) = digest(&keys);
    assert_eq!(
        (entries, hash.as_str(), elements),
        published,
        "{name} of {of}"
    );
    assert!(
        BackboneConfig::recognise(&keys).contains(&name),
        "{name} of {of}"
    );
}

/// What PyTorch computed: shape without the batch, mean, mean of the magnitudes, first and last value.
pub(crate) struct Fingerprint<'a> {
    pub(crate) tensor: &'a str,
    pub(crate) shape: &'a [usize],
    pub(crate) figures: [f64; 4],
}

/// A row of the table of fingerprints.
pub(crate) fn row<'a>(tensor: &'a str, shape: &'a [usize], figures: [f64; 4]) -> Fingerprint<'a> {
    Fingerprint {
        tensor,
        shape,
        figures,
    }
}

impl Fingerprint<'_> {
    /// Within 1e-4 of the mean magnitude, which float32 reaches.
    #[track_caller]
    pub(crate) fn check<const D: usize>(&self, actual: Tensor<D>) {
        assert_eq!(actual.dims()[1..], *self.shape, "{}", self.tensor);
        let values = actual.into_data().try_to_vec::<f32>().unwrap();
        let count = values.len() as f64;
        let sum = |of: fn(f64) -> f64| {
            values
                .iter()
                .map(|&value| of(f64::from(value)))
                .sum::<f64>()
        };
        let found = [
            sum(|value| value) / count,
            sum(f64::abs) / count,
            f64::from(values[0]),
            f64::from(values[values.len() - 1]),
        ];
        for (found, expected) in found.into_iter().zip(self.figures) {
            let close = (found - expected).abs() <= 1e-4 * self.figures[1];
            assert!(close, "{}: {found}, not {expected}", self.tensor);
        }
    }
}

#[test]
fn the_generator_gives_the_figures_of_its_specification() {
    let figures = [(0, 0, 0.88331081), (0, 1, 0.56656158), (0, 2, 0.59118973)];
    for (tensor, index, expected) in [(5, 0, 0.71169897), (5, 1, 0.44151646)]
        .into_iter()
        .chain(figures)
    {
        assert!((uniform(tensor, index) - expected).abs() < 1e-8);
    }
}
