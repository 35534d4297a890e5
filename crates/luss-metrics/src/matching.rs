//! Image-level matching: which class a generated cluster stands for.
//!
//! An unsupervised method numbers its clusters freely. The paper (§3.2.1) pairs clusters and classes
//! one to one such that they occur together in as many pictures as possible: the table is
//! [`CoOccurrence`], the pairing [`Matching`].

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::{CoOccurrence, Error, IGNORE, LabelMask, OTHER, assignment::assign_largest_total};

/// The class that each generated cluster stands for; "other" stays "other".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matching {
    /// Index = cluster; the first entry is "other".
    class_of: Vec<u16>,
    total: Option<u64>,
}

impl Matching {
    /// The one-to-one matching under which cluster and class occur together in most pictures
    /// (Hungarian matching on the negated counts).
    ///
    /// With more clusters than classes the clusters that stay alone become "other". Several
    /// matchings can have the same total; the one returned depends on the table only, and a table
    /// of zeros gives the identity. Keep the matching beside the scores.
    ///
    /// # Errors
    ///
    /// [`Error::NoImages`] for an empty table, [`Error::CountTooLarge`] beyond about 10¹² pictures.
    pub fn image_level(table: &CoOccurrence) -> Result<Self, Error> {
        if table.images() == 0 {
            return Err(Error::NoImages);
        }
        let (rows, columns) = (usize::from(table.clusters()), usize::from(table.classes()));
        let (column_of, total) = assign_largest_total(table.counts(), rows, columns)?;
        let class_of = |column: Option<usize>| column.map_or(OTHER, |c| c as u16 + 1);
        let class_of = std::iter::once(OTHER)
            .chain(column_of.into_iter().map(class_of))
            .collect();
        Ok(Self {
            class_of,
            total: Some(total),
        })
    }

    /// Every cluster is the class of its own number: for predictions that hold class ids already.
    pub fn identity(classes: u16) -> Self {
        Self {
            class_of: (0..=classes).collect(),
            total: None,
        }
    }

    /// Number of clusters.
    pub fn clusters(&self) -> u16 {
        (self.class_of.len() - 1) as u16
    }

    /// The class of `cluster`; 0 for 0 and for a cluster that stayed alone.
    ///
    /// # Panics
    ///
    /// If `cluster` is above [`Matching::clusters`].
    pub fn class_of(&self, cluster: u16) -> u16 {
        assert!(
            cluster <= self.clusters(),
            "cluster {cluster} of {}",
            self.clusters()
        );
        self.class_of[usize::from(cluster)]
    }

    /// Sum over clusters of the pictures that hold the cluster and its class; `None` for a
    /// matching that was not computed from a table ([`Matching::identity`],
    /// [`Matching::from_json`]).
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The mask with each cluster replaced by its class.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCluster`] for an id that the matching does not know.
    pub fn apply(&self, mask: &LabelMask) -> Result<LabelMask, Error> {
        let clusters = self.clusters();
        if let Some(index) = mask.labels().iter().position(|&id| id > clusters) {
            let (x, y) = mask.position(index);
            return Err(Error::UnknownCluster {
                cluster: mask.labels()[index],
                x,
                y,
                clusters,
            });
        }
        let mut matched = mask.clone();
        let relabel = |label: &mut u16| *label = self.class_of[usize::from(*label)];
        matched.labels_mut().iter_mut().for_each(relabel);
        Ok(matched)
    }

    /// The published `match.json`: `{"1": class, "2": class, …, "0": 0}`.
    pub fn to_json(&self) -> String {
        let mut text = String::from("{");
        for (cluster, class) in self.class_of.iter().enumerate().skip(1) {
            write!(text, "\"{cluster}\": {class}, ").expect("a String takes any text");
        }
        text + "\"0\": 0}"
    }

    /// Reads a published `match.json`, as [`Matching::to_json`] writes it.
    ///
    /// # Errors
    ///
    /// [`Error::MatchFile`] for anything but a map from every cluster 1, 2, … to a class below
    /// 1000 in which 0, if given, stays 0.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let map: BTreeMap<u16, u16> =
            serde_json::from_str(text).map_err(|error| match_file(error.to_string()))?;
        let others = map.get(&OTHER).copied().unwrap_or(OTHER);
        let class_of: Vec<u16> = std::iter::once(others)
            .chain(map.range(1..).map(|(_, class)| *class))
            .collect();
        check_match(&map, &class_of)?;
        Ok(Self {
            class_of,
            total: None,
        })
    }
}

fn check_match(map: &BTreeMap<u16, u16>, class_of: &[u16]) -> Result<(), Error> {
    if class_of.len() < 2 {
        return Err(match_file("it names no cluster".into()));
    }
    if class_of[0] != OTHER {
        return Err(match_file(format!(
            "0 (other) becomes {}, not 0",
            class_of[0]
        )));
    }
    if let Some(missing) = (1..class_of.len() as u16).find(|cluster| !map.contains_key(cluster)) {
        return Err(match_file(format!("cluster {missing} has no class")));
    }
    match map.iter().find(|(_, class)| **class >= IGNORE) {
        Some((cluster, class)) => Err(match_file(format!("cluster {cluster} becomes {class}"))),
        None => Ok(()),
    }
}

fn match_file(reason: String) -> Error {
    Error::MatchFile { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(labels: &[u16]) -> LabelMask {
        LabelMask::new(3, labels.len() / 3, labels.to_vec()).unwrap()
    }

    #[test]
    fn clusters_that_stay_alone_become_other() {
        let mut table = CoOccurrence::new(3, 2);
        table.add(&mask(&[3, 3, 3]), &mask(&[1, 1, 1])).unwrap();
        table.add(&mask(&[2, 2, 2]), &mask(&[2, 2, 2])).unwrap();
        let matching = Matching::image_level(&table).unwrap();
        assert_eq!(
            [1, 2, 3].map(|cluster| matching.class_of(cluster)),
            [0, 2, 1]
        );
        assert_eq!(matching.total(), Some(2));
        assert_eq!(matching.apply(&mask(&[0, 1, 2])).unwrap(), mask(&[0, 0, 2]));
    }

    #[test]
    fn nothing_cannot_be_matched() {
        assert_eq!(
            Matching::image_level(&CoOccurrence::new(3, 2)),
            Err(Error::NoImages)
        );
    }

    #[test]
    fn an_unknown_cluster_is_named_with_its_place() {
        let error = Matching::identity(5)
            .apply(&mask(&[0, 1, 2, 0, 6, 0]))
            .unwrap_err();
        assert_eq!(
            error,
            Error::UnknownCluster {
                cluster: 6,
                x: 1,
                y: 1,
                clusters: 5
            }
        );
    }

    #[test]
    fn a_match_file_reads_as_it_was_written() {
        let text = r#"{"1": 3, "2": 1, "3": 2, "0": 0}"#;
        assert_eq!(Matching::from_json(text).unwrap().to_json(), text);
    }

    #[test]
    fn a_damaged_match_file_is_refused_with_the_reason() {
        for (text, reason) in [
            (r#"{"1": 3, "3": 2, "0": 0}"#, "cluster 2 has no class"),
            (r#"{"1": 1, "0": 4}"#, "0 (other) becomes 4"),
            (r#"{"1": 1000, "0": 0}"#, "cluster 1 becomes 1000"),
            (r#"{"0": 0}"#, "names no cluster"),
            (r#"{"1": 2.5}"#, "2.5"),
            ("[]", "map"),
        ] {
            let message = Matching::from_json(text).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
