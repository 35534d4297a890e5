//! How an array of features was made: `NAME.json` beside it. What was begun goes on with the same recipe
//! only.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use pass_model::backbone::Preprocessing;
use pixel_attention::row_file::Element;
use serde::{Deserialize, Serialize};

/// All that the numbers of an extraction depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The name of the network.
    pub backbone: String,
    /// The sum of the file of its weights.
    pub weights_sha256: String,
    /// The layer, or `pooled`.
    pub layer: String,
    /// How pictures are made.
    pub preprocessing: Preprocessing,
    /// Sides of the square that pictures are brought to without keeping the aspect, if they are.
    pub size: Option<usize>,
    /// Sizes of the picture whose features are averaged, as shares.
    pub scales: Vec<f64>,
    /// Whether those of the mirrored picture are averaged in.
    pub flip: bool,
    /// How numbers are stored.
    pub dtype: Element,
}

/// What helps against features that were made otherwise.
const ADVICE: &str = "name another file with --out, or move this one away";

/// What is there of an array.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or a part that goes on.
    Begun,
    /// All of it.
    Whole,
}

/// The file that names the keys of an array: `NAME.keys.json`.
pub fn keys_path(array: &Path) -> PathBuf {
    array.with_extension("keys.json")
}

impl Recipe {
    /// Writes the recipe and the keys of `array`, unless another process has made the same, or part of it.
    ///
    /// # Errors
    ///
    /// An array that was made otherwise; a failed read or write.
    pub fn begin(&self, array: &Path, keys: &[String]) -> anyhow::Result<Found> {
        let path = array.with_extension("json");
        let partial = array.with_added_extension("partial");
        let there = [array, &partial].into_iter().find(|path| path.exists());
        if let Some(there) = there {
            self.check_made(&path, there)?;
            check_keys(array, there, keys)?;
        }
        write_json(&path, self)?;
        write_json(&keys_path(array), &keys)?;
        Ok(match array.exists() {
            true => Found::Whole,
            false => Found::Begun,
        })
    }

    /// Refuses features of another recipe.
    fn check_made(&self, path: &Path, there: &Path) -> anyhow::Result<()> {
        let (shown, there) = (path.display(), there.display());
        if !path.exists() {
            bail!("{there} is there, and no {shown} tells how it was made; {ADVICE}");
        }
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let made: Self = serde_json::from_str(&text)
            .with_context(|| format!("{shown} does not tell how {there} was made; {ADVICE}"))?;
        let differing = self.differences(&made);
        if !differing.is_empty() {
            bail!(
                "{there} was made otherwise: {}; {ADVICE}",
                differing.join(", ")
            );
        }
        Ok(())
    }

    /// The fields that differ, with the values of `other`.
    fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |recipe: &Self| serde_json::to_value(recipe).expect("plain values");
        let (own, other) = (fields(self), fields(other));
        let fields = own.as_object().expect("a structure");
        let differing = fields
            .iter()
            .filter(|(name, value)| other[*name] != **value);
        differing
            .map(|(name, value)| format!("{name} {} instead of {value}", other[name]))
            .collect()
    }
}

/// Refuses features of other pictures.
fn check_keys(array: &Path, there: &Path, keys: &[String]) -> anyhow::Result<()> {
    let path = keys_path(array);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let made: Vec<String> = serde_json::from_str(&text)?;
    ensure!(
        made == keys,
        "{} is of {} other pictures, {} names them; {ADVICE}",
        there.display(),
        made.len(),
        path.display()
    );
    Ok(())
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    whole_file::write_bytes(path, text.as_bytes()).with_context(|| format!("{}", path.display()))
}
