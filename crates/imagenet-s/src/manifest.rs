//! The manifest: where the data comes from, what it should look like, and under which terms.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use crate::{dataset::samples::Dataset, error::Error, layout::Split, subset::Subset};

const EMBEDDED: &str = include_str!("../../../datasets.toml");

/// The content of `datasets.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Publishers of data by a short name.
    #[serde(rename = "source")]
    pub sources: BTreeMap<String, Source>,
    /// The subsets of ImageNet-S.
    #[serde(rename = "subset")]
    pub subsets: BTreeMap<Subset, SubsetEntry>,
}

/// Somebody who publishes data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What is published.
    pub title: String,
    /// Address of the publisher.
    pub homepage: String,
    /// Terms of use, in a sentence.
    pub licence: String,
    /// What a user should know besides.
    #[serde(default)]
    pub note: String,
    /// The files.
    #[serde(rename = "archive")]
    pub archives: Vec<Archive>,
}

/// A file to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// File name.
    pub file: String,
    /// Address, where it can be fetched without an account.
    pub url: Option<String>,
    /// MD5 sum of the file, 32 lower-case hexadecimal digits.
    pub md5: Md5,
    /// What is in it.
    pub holds: String,
}

/// An MD5 sum in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Md5(String);

impl Md5 {
    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Md5 {
    type Error = String;

    fn try_from(digits: String) -> Result<Self, String> {
        let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() == 32 && digits.bytes().all(is_digit) {
            return Ok(Self(digits));
        }
        Err(format!(
            "{digits:?} is no MD5 sum: write 32 digits 0-9 and a-f"
        ))
    }
}

/// What a subset should look like.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubsetEntry {
    /// File name of the archive with its masks.
    pub masks: String,
    /// Pictures in each split.
    pub pictures: PictureCounts,
    /// What a user should know.
    #[serde(default)]
    pub note: String,
}

/// Pictures in each split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PictureCounts {
    /// Pictures in [`Split::Train`].
    pub train: u64,
    /// Pictures in [`Split::TrainSemi`].
    pub train_semi: u64,
    /// Pictures in [`Split::Validation`].
    pub validation: u64,
    /// Pictures in [`Split::Test`].
    pub test: u64,
}

impl PictureCounts {
    /// Pictures in one split.
    pub fn of(&self, split: Split) -> u64 {
        match split {
            Split::Train => self.train,
            Split::TrainSemi => self.train_semi,
            Split::Validation => self.validation,
            Split::Test => self.test,
        }
    }
}

/// A split with another number of pictures than the manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountDifference {
    /// The split.
    pub split: Split,
    /// Pictures according to the manifest.
    pub expected: u64,
    /// Pictures on disk.
    pub found: u64,
}

impl Manifest {
    /// The manifest of this version of the program, `datasets.toml`.
    pub fn embedded() -> Self {
        toml::from_str(EMBEDDED).expect("the tests parse the embedded manifest")
    }

    /// Reads a manifest of the user's own.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and [`Error::Manifest`] for a mistyped or unknown field.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        toml::from_str(&text).map_err(|source| Error::Manifest {
            path: path.to_owned(),
            source,
        })
    }

    /// The archive with this file name, in whichever source.
    pub fn archive(&self, file: &str) -> Option<&Archive> {
        let mut archives = self.sources.values().flat_map(|source| &source.archives);
        archives.find(|archive| archive.file == file)
    }
}

impl SubsetEntry {
    /// The splits of `dataset` whose number of pictures differs; none for a complete one.
    pub fn differences(&self, dataset: &Dataset) -> Vec<CountDifference> {
        let counted = Split::ALL.map(|split| CountDifference {
            split,
            expected: self.pictures.of(split),
            found: dataset.samples(split).len() as u64,
        });
        counted
            .into_iter()
            .filter(|count| count.expected != count.found)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_manifest_knows_every_subset_and_its_masks() {
        let manifest = Manifest::embedded();
        for subset in Subset::ALL {
            let masks = manifest.archive(&manifest.subsets[&subset].masks).unwrap();
            assert!(masks.url.as_ref().unwrap().ends_with(&masks.file));
            assert!(
                masks.file.contains(masks.md5.as_str()),
                "the name carries the sum"
            );
        }
    }

    #[test]
    fn train_semi_has_ten_pictures_a_class() {
        for (subset, entry) in Manifest::embedded().subsets {
            assert_eq!(entry.pictures.train_semi, 10 * u64::from(subset.classes()));
        }
    }

    #[test]
    fn every_source_states_its_terms() {
        for source in Manifest::embedded().sources.values() {
            assert!(
                !source.licence.is_empty() && !source.archives.is_empty(),
                "{}",
                source.title
            );
        }
    }

    #[track_caller]
    fn check_is_refused(from: &str, to: &str, mentioned: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("datasets.toml");
        fs::write(&path, EMBEDDED.replacen(from, to, 1)).unwrap();
        let error = Manifest::read(&path).unwrap_err();
        let Error::Manifest { source, .. } = &error else {
            panic!("{error}")
        };
        assert!(source.to_string().contains(mentioned), "{source}");
    }

    #[test]
    fn a_typo_in_a_manifest_is_refused() {
        check_is_refused("licence", "license", "license");
        check_is_refused("validation = 752", "valdiation = 752", "valdiation");
        check_is_refused("[subset.300]", "[subset.301]", "301");
    }

    #[test]
    fn a_sum_with_a_digit_too_few_is_refused() {
        check_is_refused("\"1d675", "\"1d67", "no MD5 sum");
    }

    #[test]
    fn an_incomplete_tree_differs_by_the_splits_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let class = Split::Train.pictures(folder.path()).join("lemon");
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join("1.JPEG"), "").unwrap();
        let dataset = Dataset::open(folder.path()).unwrap();
        let pictures = PictureCounts {
            train: 1,
            train_semi: 0,
            validation: 7,
            test: 0,
        };
        let entry = SubsetEntry {
            masks: String::new(),
            pictures,
            note: String::new(),
        };
        let lacking = CountDifference {
            split: Split::Validation,
            expected: 7,
            found: 0,
        };
        assert_eq!(entry.differences(&dataset), [lacking]);
    }
}
