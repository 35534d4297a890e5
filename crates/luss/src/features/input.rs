//! Anybody's features: an array, a key for each picture, and perhaps the attention.

use std::{
    collections::HashSet,
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use pixel_attention::{
    row_file::{RowFile, shards_of},
    rows::Rows,
};

use super::recipe::keys_path;

/// The features of some pictures.
pub struct FeatureSet {
    features: RowFile,
    attention: Option<RowFile>,
    keys: Vec<String>,
    /// Height and width of the maps; 1 x 1 for embeddings without attention.
    size: [usize; 2],
    dense: bool,
}

impl FeatureSet {
    /// Opens the features `[pictures, channels]` or `[pictures, height, width, channels]`, their
    /// keys, and the attention `[pictures, height, width]` if there is one. Arrays are `.npy` or
    /// `.safetensors`; `FILE#NAME` names one tensor of several. Without a file of keys they are those that
    /// an extraction left beside the features, or beside each shard of them.
    ///
    /// # Errors
    ///
    /// Files that cannot be read; sizes that contradict each other; keys that are no names of files.
    pub fn open(
        features: &str,
        keys: Option<&Path>,
        attention: Option<&str>,
    ) -> anyhow::Result<Self> {
        let (path, features) = (features, open_array(features)?);
        let (pictures, dense, mut size) = match *features.shape() {
            [pictures, _] => (pictures, false, [1, 1]),
            [pictures, height, width, _] => (pictures, true, [height, width]),
            ref other => bail!(
                "{path}: its shape is {other:?}, but features have the shape [pictures, channels] \
                 or [pictures, height, width, channels]"
            ),
        };
        ensure!(features.count() > 0, "{path}: it holds no features");
        let (listed, source) = match keys {
            Some(keys) => (read_keys(keys)?, keys.to_owned()),
            None => keys_beside(array_file(path))?,
        };
        ensure!(
            listed.len() == pictures,
            "{}: {} keys for the {pictures} pictures of {path}; give one key for each row, in order",
            source.display(),
            listed.len()
        );
        let attention = match attention {
            None => None,
            Some(path) => {
                let attention = open_array(path)?;
                match *attention.shape() {
                    [n, height, width] if n == pictures && (!dense || size == [height, width]) => {
                        size = [height, width];
                    }
                    ref other => bail!(
                        "{path}: its shape is {other:?}, but the features need [{pictures}, {}]",
                        if dense {
                            format!("{}, {}", size[0], size[1])
                        } else {
                            "height, width".into()
                        }
                    ),
                }
                Some(attention)
            }
        };
        Ok(Self {
            features,
            attention,
            keys: listed,
            size,
            dense,
        })
    }

    /// The keys, one a picture.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The file of the features.
    pub fn name(&self) -> std::path::Display<'_> {
        self.features.path().display()
    }

    /// Channels of a feature.
    pub fn channels(&self) -> usize {
        self.features.columns()
    }

    /// Height and width of the labels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Whether every pixel has a feature of its own.
    pub fn is_dense(&self) -> bool {
        self.dense
    }

    /// Whether there is an attention.
    pub fn has_attention(&self) -> bool {
        self.attention.is_some()
    }

    /// Features of one picture: 1 or `height * width`.
    pub fn rows_each(&self) -> usize {
        if self.dense { self.pixels() } else { 1 }
    }

    fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The features of a picture, `[rows_each, channels]` flattened.
    ///
    /// # Errors
    ///
    /// A failed read; a feature that is not finite, with the picture's key.
    pub fn features(&self, picture: usize) -> anyhow::Result<Vec<f32>> {
        let rows = self.rows_each();
        let mut values = vec![0.0; rows * self.channels()];
        self.features.read(picture * rows, &mut values)?;
        if let Some(bad) = values.iter().position(|value| !value.is_finite()) {
            let (row, key) = (bad / self.channels(), &self.keys[picture]);
            bail!(
                "{}: feature {row} of picture {picture} ({key}) is {}, in channel {}",
                self.features.path().display(),
                values[bad],
                bad % self.channels()
            );
        }
        Ok(values)
    }

    /// The attention of a picture, `[height, width]` flattened; 1 everywhere without one.
    ///
    /// # Errors
    ///
    /// A failed read; an attention outside 0 to 1, with the picture's key.
    pub fn attention(&self, picture: usize) -> anyhow::Result<Vec<f32>> {
        let Some(file) = &self.attention else {
            return Ok(vec![1.0; self.pixels()]);
        };
        let mut values = vec![0.0; self.pixels()];
        file.read(picture * self.size[0], &mut values)?;
        match values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            Some(bad) => bail!(
                "{}: the attention of picture {picture} ({}) holds {bad}; scale it to 0..=1",
                file.path().display(),
                self.keys[picture]
            ),
            None => Ok(values),
        }
    }
}

fn open_array(name: &str) -> anyhow::Result<RowFile> {
    Ok(match name.split_once('#') {
        Some((path, tensor)) => RowFile::open_dense_tensor(Path::new(path), tensor)?,
        None => RowFile::open_dense(Path::new(name))?,
    })
}

/// The file of `FILE#NAME`.
pub fn array_file(name: &str) -> &Path {
    Path::new(name.split_once('#').map_or(name, |(file, _)| file))
}

/// The keys beside an array or its shards, and where they lie.
fn keys_beside(array: &Path) -> anyhow::Result<(Vec<String>, PathBuf)> {
    let files = match shards_of(array)? {
        Some(shards) => shards.iter().map(|shard| keys_path(shard)).collect(),
        None => vec![keys_path(array)],
    };
    let mut keys = Vec::new();
    for file in &files {
        ensure!(
            file.exists(),
            "{}: its keys are not in {}; name their file with --keys or --eval-keys",
            array.display(),
            file.display()
        );
        keys.extend(read_keys(file)?);
    }
    Ok((keys, files.into_iter().next().expect("a file of keys")))
}

/// One key a line, or a JSON list of strings in a file called `*.json`.
fn read_keys(path: &Path) -> anyhow::Result<Vec<String>> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the keys {shown}"))?;
    let keys: Vec<String> = match path.extension() {
        Some(extension) if extension == "json" => serde_json::from_str(&text)
            .with_context(|| format!("{shown}: no JSON list of strings"))?,
        _ => text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect(),
    };
    let mut seen = HashSet::new();
    for (row, key) in keys.iter().enumerate() {
        let parts = Path::new(key).components();
        let named = !key.is_empty() && parts.clone().all(|p| matches!(p, Component::Normal(_)));
        ensure!(
            named,
            "{shown}: key {row} is {key:?}, but keys are names of files below a folder, such as \
             dog/n1 for dog/n1.png"
        );
        ensure!(
            seen.insert(key),
            "{shown}: the key {key} occurs twice; rename one picture"
        );
    }
    Ok(keys)
}
