//! Weights of a module as a `.safetensors` file, exact to the bit.
//!
//! Keys are the paths of the parameters in the module (`backbone.layer1.0.conv1.weight`), values
//! are as they lie in memory, and the moving statistics of the norms are among them. Loading is
//! strict. For weights of other programs see [`crate::import`].

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    store::{
        FloatCastAdapter, ModuleAdapter, ModuleSnapshot, ModuleStore, SafetensorsStore,
        burn_pack::Tensor as StoredTensor,
    },
    tensor::{DType, Tensor},
};

use safetensors::{Dtype, serialize, tensor::TensorView};

use crate::{
    error::{Error, KeyMismatch, MisshapedKey},
    init::is_variant,
    values::{bad_tensor, check_read, refuse_to_write},
};

/// The key of [`save_described`] in a file's metadata.
const DESCRIPTION: &str = "luss";

/// Writes all parameters and buffers of a module, replacing the file in one step.
///
/// # Errors
///
/// [`Error::Diverged`] with every tensor that holds NaN, infinity or a negative variance;
/// [`Error::Write`]. An earlier file then stays as it was.
pub fn save_module<M: Module>(module: &M, path: &Path) -> Result<(), Error> {
    write(module, path, None)
}

/// [`save_module`] with words on what the weights are, under the key `luss` of the file's metadata.
///
/// # Errors
///
/// As [`save_module`].
pub fn save_described<M: Module>(module: &M, path: &Path, words: &str) -> Result<(), Error> {
    // One key: the order of several would differ from file to file.
    let metadata = HashMap::from([(DESCRIPTION.to_owned(), words.to_owned())]);
    write(module, path, Some(metadata))
}

fn write<M: Module>(
    module: &M,
    path: &Path,
    metadata: Option<HashMap<String, String>>,
) -> Result<(), Error> {
    let failed = |reason: String| Error::Write {
        path: path.to_owned(),
        reason,
    };
    let mut bad = Vec::new();
    let mut stored = Vec::new();
    for tensor in module.collect(None, None, true) {
        let bytes = tensor
            .to_bytes()
            .map_err(|error| failed(error.to_string()))?;
        bad.extend(bad_tensor(&tensor.name, tensor.dtype, &bytes));
        stored.push((tensor, bytes));
    }
    refuse_to_write(bad, path)?;
    let views = stored.iter().map(|(tensor, bytes)| {
        let view = TensorView::new(number_of(tensor.dtype), tensor.shape.to_vec(), bytes);
        (
            &tensor.name,
            view.expect("a tensor has as many bytes as its shape"),
        )
    });
    let file = serialize(views, metadata).map_err(|error| failed(error.to_string()))?;
    whole_file::write_bytes(path, &file).map_err(|error| failed(error.to_string()))
}

/// The name of a float type in a file.
fn number_of(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        other => panic!("weights are floats, not {other:?}"),
    }
}

/// Reads all parameters and buffers of a module.
///
/// The file must hold exactly the module's tensors, and no NaN, infinity or negative variance;
/// otherwise the error lists every difference and the module stays as it was. Identities of the
/// parameters and whether they train are kept.
pub fn load_module<M: Module>(module: &mut M, path: &Path) -> Result<(), Error> {
    load_tensors(module, read_safetensors(path)?, path)
}

/// [`load_module`] of one field of the module that the file holds; its other tensors are not read.
///
/// Returns whether the file has that field at all.
pub fn load_field<M: Module>(module: &mut M, field: &str, path: &Path) -> Result<bool, Error> {
    let prefix = format!("{field}.");
    let stored = read_safetensors(path)?.into_iter();
    let stored: BTreeMap<_, _> = stored
        .filter_map(|(key, mut tensor)| {
            tensor.name = key.strip_prefix(&prefix)?.to_owned();
            Some((tensor.name.clone(), tensor))
        })
        .collect();
    if stored.is_empty() {
        return Ok(false);
    }
    load_tensors(module, stored, path).map(|()| true)
}

fn load_tensors<M: Module>(
    module: &mut M,
    stored: BTreeMap<String, StoredTensor>,
    path: &Path,
) -> Result<(), Error> {
    let expected = parameters_of(module);
    let mut mismatch = KeyMismatch::default();
    for parameter in &expected {
        match stored.get(&parameter.path) {
            None => mismatch.missing.push(parameter.path.clone()),
            Some(found) => check_shape(&mut mismatch, &parameter.path, found, &parameter.shape),
        }
    }
    let known = |key: &&String| expected.iter().any(|parameter| parameter.path == **key);
    mismatch.unexpected = stored.keys().filter(|key| !known(key)).cloned().collect();
    refuse(mismatch, path)?;
    check_read(
        stored.iter().map(|(key, tensor)| (key.as_str(), tensor)),
        path,
    )?;
    let cast = FloatCastAdapter::to(DType::F32);
    apply(module, stored.into_values().collect(), Box::new(cast), path)
}

/// All tensors of a `.safetensors` file by key, not yet read.
pub(crate) fn read_safetensors(path: &Path) -> Result<BTreeMap<String, StoredTensor>, Error> {
    let mut store = SafetensorsStore::from_file(path);
    store
        .get_all_tensors()
        .cloned()
        .map_err(|error| Error::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

/// A float parameter of a module, without its values: those may not even be drawn yet.
pub(crate) struct Parameter {
    /// Names of the fields that lead to it, with dots between them.
    pub(crate) path: String,
    /// The same with PyTorch's name for the last field.
    pub(crate) torch_path: String,
    pub(crate) shape: Vec<usize>,
    /// The shape in PyTorch's layout.
    pub(crate) torch_shape: Vec<usize>,
}

/// All float parameters of a module in the order of its fields.
pub(crate) fn parameters_of<M: Module>(module: &M) -> Vec<Parameter> {
    let mut list = ParameterList::default();
    module.visit(&mut list);
    list.parameters
}

#[derive(Default)]
struct ParameterList {
    /// Name of each field on the way, and the type that declares it.
    way: Vec<(String, String)>,
    parameters: Vec<Parameter>,
}

impl ModuleVisitor for ParameterList {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        if !is_variant(container_type) {
            self.way.push((name.to_owned(), container_type.to_owned()));
        }
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        if !is_variant(container_type) {
            self.way.pop();
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.lazy_shape().to_vec();
        let mut names: Vec<_> = self.way.iter().map(|(name, _)| name.as_str()).collect();
        let path = names.join(".");
        let mut torch_shape = shape.clone();
        if let Some((name, container)) = self.way.last() {
            let last = names.len() - 1;
            match (container.as_str(), name.as_str()) {
                ("Struct:BatchNorm" | "Struct:LayerNorm", "gamma") => names[last] = "weight",
                ("Struct:BatchNorm" | "Struct:LayerNorm", "beta") => names[last] = "bias",
                ("Struct:Linear", "weight") => torch_shape.reverse(),
                _ => {}
            }
        }
        let torch_path = names.join(".");
        self.parameters.push(Parameter {
            path,
            torch_path,
            shape,
            torch_shape,
        });
    }
}

/// Notes a tensor that has not the shape `expected`, or no float type.
pub(crate) fn check_shape(
    mismatch: &mut KeyMismatch,
    key: &str,
    found: &StoredTensor,
    expected: &[usize],
) {
    if found.shape.as_slice() != expected || !found.dtype.is_float() {
        mismatch.misshaped.push(MisshapedKey {
            key: key.to_owned(),
            found: found.shape.to_vec(),
            expected: expected.to_vec(),
            number: (!found.dtype.is_float()).then(|| format!("{:?}", found.dtype)),
        });
    }
}

/// An error unless nothing is wrong.
pub(crate) fn refuse(mismatch: KeyMismatch, path: &Path) -> Result<(), Error> {
    if mismatch.is_empty() {
        return Ok(());
    }
    Err(Error::Mismatch {
        path: path.to_owned(),
        mismatch: Box::new(mismatch),
    })
}

/// Replaces the parameters named by `tensors`, all or none.
pub(crate) fn apply<M: Module>(
    module: &mut M,
    tensors: Vec<StoredTensor>,
    adapter: Box<dyn ModuleAdapter>,
    path: &Path,
) -> Result<(), Error> {
    let mut loaded = module.clone();
    let result = loaded.apply(tensors, None, Some(adapter), true);
    if let Some(error) = result.errors.first() {
        return Err(Error::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        });
    }
    *module = loaded;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backbone::{ResNet, ResNetConfig},
        norm::NormMode,
        pretrain_net::{NetworkConfig, PretrainNet, PretrainNetConfig},
    };
    use burn::tensor::{Device, Distribution, Tensor};

    fn config() -> PretrainNetConfig {
        PretrainNetConfig {
            network: NetworkConfig {
                backbone: ResNetConfig {
                    width: 2,
                    ..ResNetConfig::small()
                }
                .into(),
                hidden: 5,
                feature_dim: 3,
                prototypes: 7,
            },
            ..Default::default()
        }
    }

    fn resnet(net: &PretrainNet) -> &ResNet {
        net.backbone.as_resnet().unwrap()
    }

    fn ids(module: &impl Module) -> Vec<u64> {
        module
            .collect(None, None, true)
            .iter()
            .map(|t| t.param_id.unwrap())
            .collect()
    }

    #[test]
    fn a_loaded_module_is_the_saved_one_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (
            folder.path().join("a.safetensors"),
            folder.path().join("b.safetensors"),
        );
        let device = Device::default().autodiff();
        let mut net = config().init(1, &device);
        let pictures = Tensor::random([4, 3, 32, 32], Distribution::Default, &device);
        net.forward(vec![pictures], None, NormMode::Batch); // moves the buffers
        save_module(&net, &first).unwrap();

        let mut other = config().init(2, &device);
        load_module(&mut other, &first).unwrap();
        save_module(&other, &second).unwrap();
        assert!(std::fs::read(first).unwrap() == std::fs::read(second).unwrap());
        let buffer = |net: &PretrainNet| resnet(net).bn1.running_var.val();
        assert_eq!(buffer(&net).into_data(), buffer(&other).into_data());
        assert_ne!(
            buffer(&net).into_data(),
            buffer(&config().init(2, &device)).into_data()
        );
    }

    #[test]
    fn a_field_is_loaded_from_the_file_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let device = Device::default();
        let (net, mut other) = (config().init(1, &device), config().init(2, &device));
        save_module(&net, &path).unwrap();
        assert!(load_field(&mut other.backbone, "backbone", &path).unwrap());
        assert!(!load_field(&mut other.prototypes, "prototype", &path).unwrap());
        let weights = |net: &PretrainNet| {
            let [conv, prototypes] = [
                &resnet(net).conv1.weight.val().into_data(),
                &net.prototypes.weights().into_data(),
            ]
            .map(Clone::clone);
            (conv, prototypes)
        };
        assert_eq!(weights(&net).0, weights(&other).0);
        assert_ne!(weights(&net).1, weights(&other).1);
        let refused = load_field(&mut other.projection, "backbone", &path);
        assert!(matches!(refused, Err(Error::Mismatch { .. })));
    }

    #[test]
    fn loading_keeps_identities_and_what_trains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let plain = config().init(1, &Device::default());
        save_module(&plain, &path).unwrap();
        let mut net = config().init(2, &Device::default().autodiff());
        net.prototypes = net.prototypes.no_grad();
        load_module(&mut net, &path).unwrap();
        assert_eq!(ids(&net), ids(&plain));
        assert!(resnet(&net).conv1.weight.is_require_grad());
        assert!(!net.prototypes.weight.is_require_grad());
        assert!(!resnet(&net).bn1.running_mean.is_require_grad());
    }

    #[test]
    fn identities_differ_within_a_network() {
        let mut ids = ids(&config().init(1, &Device::default()));
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn weights_that_are_not_finite_are_neither_written_nor_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let mut net = config().init(1, &Device::default());
        save_module(&net, &path).unwrap();
        let sound = std::fs::read(&path).unwrap();

        let (mut file, mut other) = (sound.clone(), config().init(2, &Device::default()));
        let last = file.len() - 4;
        file[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&path, &file).unwrap();
        let before = resnet(&other).conv1.weight.val().into_data();
        let said = load_module(&mut other, &path).unwrap_err().to_string();
        assert!(
            said.contains("1 tensor holds NaN") && said.contains("the first NaN at"),
            "{said}"
        );
        assert_eq!(before, resnet(&other).conv1.weight.val().into_data());

        std::fs::write(&path, &sound).unwrap();
        let variance = &mut net.backbone.as_resnet_mut().unwrap().bn1.running_var;
        *variance = variance.clone().map(|values| values * -1.0);
        let said = save_module(&net, &path).unwrap_err().to_string();
        assert!(said.contains("backbone.bn1.running_var"), "{said}");
        assert_eq!(std::fs::read(&path).unwrap(), sound);
    }

    #[test]
    fn a_described_file_says_what_it_is_and_loads_as_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let device = Device::default();
        save_described(&config().init(1, &device), &path, "of a test").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().as_ref().unwrap();
        assert_eq!(metadata["luss"], "of a test");
        load_module(&mut config().init(2, &device), &path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_weights_may_be_read_by_whom_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let data = std::fs::metadata(folder.path().join(name)).unwrap();
            data.permissions().mode()
        };
        let net = config().init(1, &Device::default());
        save_module(&net, &folder.path().join("net.safetensors")).unwrap();
        std::fs::write(folder.path().join("plain"), "").unwrap();
        assert_eq!(mode("net.safetensors"), mode("plain"));
    }

    #[test]
    fn another_network_s_file_is_refused_with_every_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let device = Device::default();
        save_module(&config().init(1, &device), &path).unwrap();
        let other = PretrainNetConfig {
            network: NetworkConfig {
                prototypes: 8,
                ..config().network
            },
            p2p: false,
            shallow: vec![2],
            ..config()
        };
        let mut net = other.init(3, &device);
        let before = resnet(&net).conv1.weight.val().into_data();
        let Err(Error::Mismatch { mismatch, .. }) = load_module(&mut net, &path) else {
            panic!("a file of another network was accepted");
        };
        assert!(
            mismatch
                .unexpected
                .contains(&"pixel.predictor.conv2.bias".to_owned())
        );
        assert!(
            mismatch
                .misshaped
                .iter()
                .any(|m| m.key == "prototypes.weight"
                    && (m.found.as_slice(), m.expected.as_slice()) == (&[7, 3], &[8, 3]))
        );
        assert_eq!(before, resnet(&net).conv1.weight.val().into_data());
    }

    #[test]
    fn a_missing_file_and_a_missing_folder_are_errors() {
        let mut net = config().init(1, &Device::default());
        let path = Path::new("Cargo.toml/net.safetensors");
        assert!(matches!(
            load_module(&mut net, path),
            Err(Error::Read { .. })
        ));
        assert!(matches!(save_module(&net, path), Err(Error::Write { .. })));
    }
}
