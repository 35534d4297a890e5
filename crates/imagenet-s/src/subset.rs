//! The three subsets of ImageNet-S: 50, 300 and 919 classes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A subset of ImageNet-S, named by its number of classes. The class sets are nested; the class
/// *ids* are not: goldfish is 1 of 50 but 2 of 300.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subset {
    /// ImageNet-S50.
    #[serde(rename = "50")]
    S50,
    /// ImageNet-S300.
    #[serde(rename = "300")]
    S300,
    /// ImageNet-S, 919 classes.
    #[serde(rename = "919")]
    S919,
}

impl Subset {
    /// All subsets, smallest first.
    pub const ALL: [Subset; 3] = [Subset::S50, Subset::S300, Subset::S919];

    /// Number of classes.
    pub fn classes(self) -> u16 {
        match self {
            Subset::S50 => 50,
            Subset::S300 => 300,
            Subset::S919 => 919,
        }
    }
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.classes())
    }
}

/// A number of classes that no subset of ImageNet-S has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no subset of ImageNet-S; write 50, 300 or 919")]
pub struct UnknownSubset(String);

impl FromStr for Subset {
    type Err = UnknownSubset;

    fn from_str(text: &str) -> Result<Self, UnknownSubset> {
        let named = Subset::ALL
            .into_iter()
            .find(|subset| subset.to_string() == text);
        named.ok_or_else(|| UnknownSubset(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_is_written_as_its_number_of_classes() {
        for subset in Subset::ALL {
            assert_eq!(subset.to_string().parse(), Ok(subset));
            assert_eq!(serde_json::to_value(subset).unwrap(), subset.to_string());
        }
    }

    #[test]
    fn another_number_is_refused_with_the_three_that_exist() {
        let message = "100".parse::<Subset>().unwrap_err().to_string();
        assert!(message.contains("50, 300 or 919"), "{message}");
    }
}
