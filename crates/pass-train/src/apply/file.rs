//! A model as one file: `.safetensors` with the network's weights below `network.`, and all else that decides
//! labels as JSON in the metadata.

use std::{collections::HashMap, fs, path::Path};

use safetensors::{SafeTensors, serialize, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Error,
    apply::model::{About, finished_run, hex},
};

/// The key of the metadata.
const KEY: &str = "luss_model";

/// Of the layout of the file.
const VERSION: u32 = 2;

/// What the keys of the network begin with.
pub(super) const NETWORK: &str = "network";

/// The metadata.
#[derive(Serialize, Deserialize)]
pub(super) struct Packed {
    version: u32,
    pub(super) about: About,
    /// [`tensors_sum`] of all tensors of the file.
    sha256: String,
    /// SHA-256 of the text of all of this, without these digits.
    about_sha256: String,
}

impl Packed {
    fn of(about: About, tensors: &[(String, TensorView)]) -> Self {
        let named = tensors
            .iter()
            .map(|(key, view)| (key.as_str(), view.clone()));
        let mut packed = Self {
            version: VERSION,
            sha256: tensors_sum(named),
            about,
            about_sha256: String::new(),
        };
        packed.about_sha256 = hex(Sha256::digest(packed.text()));
        packed
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }

    /// Whether `text` is what it was read from, and what was written.
    fn is_unchanged(&self, text: &str) -> bool {
        let without = text.replacen(&self.about_sha256, "", 1);
        hex(Sha256::digest(without)) == self.about_sha256
    }
}

/// Writes all of a finished run that labels depend on as one `.safetensors` file, whole or not at all.
///
/// # Errors
///
/// As [`Model::of_run`](super::Model::of_run); a file that cannot be written.
pub fn export_model(root: &Path, path: &Path) -> Result<About, Error> {
    let (run, kind) = finished_run(root)?;
    let (step, field) = kind.weights();
    let weights = run.unchanged_weights(step)?;
    let bytes = fs::read(&weights).map_err(Error::io(&weights, "read"))?;
    let about = About::of_run(&run, &bytes)?;
    let damaged = |cause: safetensors::SafeTensorError| Error::Damaged {
        path: weights.clone(),
        cause: cause.to_string(),
    };
    let network = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let mut tensors: Vec<(String, TensorView)> = network
        .iter()
        .filter_map(|(key, tensor)| Some((packed_key(key, field)?, tensor)))
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let packed = Packed::of(about, &tensors);
    // One key: the order of several is another in each process.
    let metadata = HashMap::from([(KEY.to_owned(), packed.text())]);
    let file = serialize(tensors, Some(metadata)).map_err(damaged)?;
    whole_file::write_bytes(path, &file).map_err(Error::io(path, "write"))?;
    Ok(packed.about)
}

/// The key of a tensor of the network; of others, as the heads of step 1, none.
fn packed_key(key: &str, field: Option<&str>) -> Option<String> {
    let of_network = match field {
        None => key,
        Some(field) => key.strip_prefix(field)?.strip_prefix('.')?,
    };
    Some(format!("{NETWORK}.{of_network}"))
}

/// What a file says of its model, once that and its tensors are what it was written with.
///
/// # Errors
///
/// [`Error::Io`], [`Error::ModelFile`].
pub(super) fn read_packed(path: &Path) -> Result<Packed, Error> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    packed_in(&bytes).map_err(|cause| Error::ModelFile {
        path: path.into(),
        cause,
    })
}

fn packed_in(bytes: &[u8]) -> Result<Packed, String> {
    let torn = |cause| format!("this is no whole .safetensors file ({cause})");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(torn)?;
    let text = metadata.metadata().as_ref().and_then(|all| all.get(KEY));
    let text =
        text.ok_or("this is no file of `luss model export`: it says nothing of its model")?;
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|cause| format!("its metadata are damaged: {cause}"))?;
    let version = value["version"].as_u64();
    if version != Some(VERSION.into()) {
        let version = version.map_or("unknown".to_owned(), |version| version.to_string());
        return Err(format!(
            "its layout has the version {version}, and this program reads version {VERSION}"
        ));
    }
    let packed: Packed = serde_json::from_value(value)
        .map_err(|cause| format!("its metadata are damaged: {cause}"))?;
    if !packed.is_unchanged(text) {
        return Err("its metadata are not those that it was written with".to_owned());
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(torn)?;
    match tensors_sum(tensors.iter()) == packed.sha256 {
        true => Ok(packed),
        false => Err("its weights are not those that it was written with".to_owned()),
    }
}

/// SHA-256 of names, shapes and bytes, in the order of the names.
pub(super) fn tensors_sum<'a>(tensors: impl Iterator<Item = (&'a str, TensorView<'a>)>) -> String {
    let mut all: Vec<_> = tensors.collect();
    all.sort_by(|a, b| a.0.cmp(b.0));
    let mut sum = Sha256::new();
    for (key, tensor) in all {
        sum.update(format!("{key} {:?} {:?}\n", tensor.dtype(), tensor.shape()));
        sum.update(tensor.data());
    }
    hex(sum.finalize())
}
