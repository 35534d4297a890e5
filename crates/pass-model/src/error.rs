//! What can be wrong with a weights file, a configuration or a device.

use std::path::PathBuf;

use crate::values::BadTensors;

/// Why weights could not be read or written, or a network not be built or trained.
///
/// Shape errors inside a forward pass are a caller's bug and panic; this enum is about files,
/// configurations and devices.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened or read as the format its name promises.
    #[error(
        "cannot read weights from {path}: {reason}; expected a PyTorch `.pth`, `.pth.tar`, `.pt` or `.bin` file, `.safetensors`, or a `.whl` or `.zip` with one of them"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The reader's own words.
        reason: String,
    },

    /// The file's extension names no format that can be read.
    #[error(
        "{path}: unknown weights format; rename the file to `.pth`, `.pth.tar`, `.pt`, `.bin`, `.safetensors`, `.whl` or `.zip` according to its content"
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
    #[error("{path} does not fit the module: {mismatch}; {}", mismatch.remedy())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The keys at fault.
        mismatch: Box<KeyMismatch>,
    },

    /// A constant that the file keeps beside its weights is not what the network computes with.
    #[error("{path} holds weights of another network: {reason}")]
    OtherConstant {
        /// The file.
        path: PathBuf,
        /// The constant, and how it differs.
        reason: String,
    },

    /// The file holds weights that are none. The module was left unchanged.
    #[error(
        "{path}: {tensors}; the file is damaged, or the training that it comes from had diverged: take \
         an earlier checkpoint of it, or fetch the file again"
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensors at fault.
        tensors: BadTensors,
    },

    /// A network has weights that are none, and was not written.
    #[error(
        "{path} is not written: {tensors}; the training has diverged: lower `optim.base_lr` of this \
         step, or warm up for longer"
    )]
    Diverged {
        /// The file that is not there.
        path: PathBuf,
        /// The tensors at fault.
        tensors: BadTensors,
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
    /// What precedes the module's keys in the file, where that is nothing that is known.
    pub wrapper: Option<String>,
}

/// One tensor that does not have the shape or the type that the module needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MisshapedKey {
    /// The key, as the file spells it.
    pub key: String,
    /// Shape in the file.
    pub found: Vec<usize>,
    /// Shape in the module, in the file's layout.
    pub expected: Vec<usize>,
    /// The type in the file, where it is none of floats.
    pub number: Option<String>,
}

impl std::fmt::Display for MisshapedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            key,
            found,
            expected,
            number,
        } = self;
        match number {
            Some(number) => write!(f, "{key} holds {number} instead of floats"),
            None => write!(f, "{key} is {found:?} instead of {expected:?}"),
        }
    }
}

impl KeyMismatch {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshaped.is_empty()
    }

    /// What is the likely cause, and what to do.
    fn remedy(&self) -> String {
        let number = self.misshaped.iter().find_map(|key| key.number.as_deref());
        match (&self.wrapper, number) {
            (Some(wrapper), _) => format!(
                "its weights lie under `{wrapper}`, which is not known here: save them without it, in \
                 Python as {{key.removeprefix({wrapper:?}): value for key, value in weights.items()}}"
            ),
            (None, Some(number)) => format!(
                "weights are read as float32, float16, bfloat16 or float64: give the weights from which \
                 those of type {number} were made"
            ),
            _ => "use the configuration that the weights were trained with".to_owned(),
        }
    }
}

impl std::fmt::Display for KeyMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_type = |key: &&MisshapedKey| key.number.is_some();
        let words = |keys: Vec<&MisshapedKey>| keys.iter().map(|key| key.to_string()).collect();
        let (types, shapes): (Vec<_>, Vec<_>) = self.misshaped.iter().partition(is_type);
        let lists: [(&str, Vec<String>); 4] = [
            ("missing", self.missing.clone()),
            ("unexpected", self.unexpected.clone()),
            ("of another shape", words(shapes)),
            ("of another type", words(types)),
        ];
        let parts: Vec<_> = lists
            .iter()
            .filter(|(_, keys)| !keys.is_empty())
            .map(|(name, keys)| format!("{} {name} [{}]", keys.len(), shown(keys)))
            .collect();
        f.write_str(&parts.join("; "))
    }
}

/// The first ten, and how many more there are.
pub(crate) fn shown(all: &[String]) -> String {
    const SHOWN: usize = 10;
    let first = all[..all.len().min(SHOWN)].join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(mismatch: KeyMismatch) -> String {
        let path = "w.pth".into();
        let mismatch = Box::new(mismatch);
        Error::Mismatch { path, mismatch }.to_string()
    }

    #[test]
    fn a_type_that_is_no_float_is_named_and_no_equal_shapes_are_compared() {
        let key = |index: usize| MisshapedKey {
            key: format!("conv{index}.weight"),
            found: vec![64, 3],
            expected: vec![64, 3],
            number: Some("I8".into()),
        };
        let said = error(KeyMismatch {
            misshaped: (0..13).map(key).collect(),
            ..KeyMismatch::default()
        });
        assert!(
            said.contains("13 of another type [conv0.weight holds I8"),
            "{said}"
        );
        assert!(
            said.contains("and 3 more]") && !said.contains("[64, 3]"),
            "{said}"
        );
        assert!(
            said.contains("those of type I8") && !said.contains("configuration"),
            "{said}"
        );
    }

    #[test]
    fn an_unknown_wrapper_is_named_with_the_way_to_unwrap_it() {
        let said = error(KeyMismatch {
            missing: vec!["conv1.weight".into()],
            wrapper: Some("trunk.".into()),
            ..KeyMismatch::default()
        });
        assert!(
            said.contains("under `trunk.`") && said.contains("removeprefix"),
            "{said}"
        );
    }
}
