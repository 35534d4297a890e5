//! What can be wrong with a weights file, a configuration or a device.

use std::path::PathBuf;

/// Why weights could not be read or written, or a network not be built or trained.
///
/// Shape errors inside a forward pass are a caller's bug and panic; this enum is about files,
/// configurations and devices.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened or read as the format its name promises.
    #[error(
        "cannot read weights from {path}: {reason}; expected a PyTorch `.pth`, `.pth.tar` or `.pt` file, or `.safetensors`"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The reader's own words.
        reason: String,
    },

    /// The file's extension names no format that can be read.
    #[error(
        "{path}: unknown weights format; rename the file to `.pth`, `.pth.tar`, `.pt` or `.safetensors` according to its content"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// The file could not be written.
    #[error(
        "cannot write weights to {path}: {reason}; check that the folder exists and has free space"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The writer's own words.
        reason: String,
    },

    /// The file's tensors are not the ones the module needs. The module was left unchanged.
    #[error(
        "{path} does not fit the module: {mismatch}; use the configuration that the weights were trained with"
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The keys at fault.
        mismatch: KeyMismatch,
    },

    /// The device cannot compute in this precision.
    #[error(
        "{device} cannot train in {precision}: {found}; set `precision` in the run file to \"{other}\" or \
         \"float32\""
    )]
    Precision {
        /// The device.
        device: String,
        /// What was asked for.
        precision: &'static str,
        /// What is missing, or the figure that was seen.
        found: String,
        /// The other type of 16 bits.
        other: &'static str,
    },

    /// The list of stages for deep-to-shallow supervision makes no sense.
    #[error("shallow stage {stage} of {stages:?}: name each of the stages 1, 2 and 3 at most once")]
    ShallowStage {
        /// The stage at fault.
        stage: usize,
        /// The whole list.
        stages: Vec<usize>,
    },
}

/// Every key that kept a weights file from being loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyMismatch {
    /// Tensors that the module has and the file lacks.
    pub missing: Vec<String>,
    /// Tensors that the file has and the module lacks.
    pub unexpected: Vec<String>,
    /// Tensors of both, of different shape or of no float type.
    pub misshaped: Vec<MisshapedKey>,
}

/// One tensor that does not have the shape the module needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MisshapedKey {
    /// The key, as the file spells it.
    pub key: String,
    /// Shape in the file.
    pub found: Vec<usize>,
    /// Shape in the module, in the file's layout.
    pub expected: Vec<usize>,
}

impl KeyMismatch {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshaped.is_empty()
    }
}

impl std::fmt::Display for KeyMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shapes: Vec<_> = self
            .misshaped
            .iter()
            .map(|m| format!("{} is {:?} instead of {:?}", m.key, m.found, m.expected))
            .collect();
        let lists = [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("misshaped", &shapes),
        ];
        let parts: Vec<_> = lists
            .iter()
            .filter(|(_, keys)| !keys.is_empty())
            .map(|(name, keys)| format!("{} {name} [{}]", keys.len(), keys.join(", ")))
            .collect();
        f.write_str(&parts.join("; "))
    }
}
