//! Matching: which class a generated cluster stands for.
//!
//! An unsupervised method numbers its clusters freely. The paper (§3.2.1) pairs clusters and classes
//! one to one such that they occur together in as many pictures as possible: the table is
//! [`CoOccurrence`], the pairing [`Matching`]. [`MatchingRule`] has the other rules; how far the
//! result is a matter of chance say [`crate::Ties`].

pub(crate) mod assignment;
pub(crate) mod co_occurrence;
mod exchanges;
mod overlap;
mod rule;
mod ties;

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use self::assignment::{Assignment, Costs};
use crate::{
    Error, ImageCounts, LabelMask, MaskView, OTHER, OutOfRange, Protocol, protocol::STRAY,
};

pub use co_occurrence::CoOccurrence;
pub use overlap::Overlap;
pub use rule::MatchingRule;
pub use ties::{MiouRange, Ties};

/// The class that each generated cluster stands for; "other" stays "other".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedMatching")]
pub struct Matching {
    /// Index = cluster; the first entry is "other".
    class_of: Vec<u16>,
    total: Option<u64>,
    rule: Option<MatchingRule>,
}

impl Matching {
    /// The matching that is best under `rule`; fitted to one set of pictures it may be applied to
    /// another.
    ///
    /// One to one, with more clusters than classes the clusters that stay alone become "other".
    /// Several matchings can be equally good; the one returned depends on the tables only (it is
    /// reached by adding the smaller side one by one along shortest augmenting paths), and without
    /// any overlap it is the identity. Keep it beside the scores.
    ///
    /// # Errors
    ///
    /// [`Error::NoImages`] for empty tables, [`Error::CountTooLarge`] beyond about 10¹⁵ pixels or
    /// pictures, [`Error::TableTooLarge`] beyond 2²⁸ pairs.
    pub fn fit(rule: MatchingRule, overlap: &Overlap) -> Result<Self, Error> {
        check_images(overlap.images())?;
        if rule == MatchingRule::ManyToOne {
            return Ok(Self::many_to_one(overlap));
        }
        let costs = rule.costs(overlap)?;
        Ok(Self::one_to_one(rule, &costs, &costs.solve()))
    }

    /// The matching that is best under `rule`, and those that are as good, from one solution.
    pub(crate) fn fit_with_ties(
        rule: MatchingRule,
        overlap: &Overlap,
    ) -> Result<(Self, Ties), Error> {
        check_images(overlap.images())?;
        if rule == MatchingRule::ManyToOne {
            return Ok((Self::many_to_one(overlap), Ties::many_to_one(overlap)));
        }
        let costs = rule.costs(overlap)?;
        let best = costs.solve();
        let matching = Self::one_to_one(rule, &costs, &best);
        Ok((matching, Ties::one_to_one(overlap, costs, &best)))
    }

    /// The one-to-one matching under which cluster and class occur together in most pictures
    /// (Hungarian matching on the negated counts): [`MatchingRule::ImageLevel`] of a table alone.
    ///
    /// # Errors
    ///
    /// As [`Matching::fit`].
    pub fn image_level(table: &CoOccurrence) -> Result<Self, Error> {
        check_images(table.images())?;
        let costs = Costs::of_pairs(table.clusters(), table.classes(), |visit| {
            let pairs = table.pairs().iter();
            pairs.for_each(|(cluster, class, images)| visit(cluster, class, images));
        })?;
        let rule = MatchingRule::ImageLevel;
        Ok(Self::one_to_one(rule, &costs, &costs.solve()))
    }

    /// The best one-to-one matching of clusters (rows) and classes (columns).
    fn one_to_one(rule: MatchingRule, costs: &Costs, best: &Assignment) -> Self {
        let (column_of, total) = costs.partners(best);
        let class_of = |column: Option<usize>| column.map_or(OTHER, |c| c as u16 + 1);
        let matched = column_of.into_iter().map(class_of);
        Self {
            class_of: std::iter::once(OTHER).chain(matched).collect(),
            total: Some(total),
            rule: Some(rule),
        }
    }

    fn many_to_one(overlap: &Overlap) -> Self {
        let mut best = vec![(OTHER, 0); usize::from(overlap.clusters()) + 1];
        MatchingRule::ManyToOne.for_each_weight(overlap, |cluster, class, pixels| {
            let best = &mut best[usize::from(cluster)];
            if pixels > best.1 {
                *best = (class, pixels);
            }
        });
        Self {
            class_of: best.iter().map(|(class, _)| *class).collect(),
            total: Some(best.iter().map(|(_, pixels)| pixels).sum()),
            rule: Some(MatchingRule::ManyToOne),
        }
    }

    /// Every cluster is the class of its own number: for predictions that hold class ids already.
    pub fn identity(classes: u16) -> Self {
        Self {
            class_of: (0..=classes).collect(),
            total: None,
            rule: None,
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

    /// What the rule made as large as possible, in its [units](MatchingRule::unit): for the
    /// image-level one the sum over clusters of the pictures that hold the cluster and its class.
    /// `None` for a matching that was not fitted ([`Matching::identity`], [`Matching::from_json`]).
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The rule it was fitted by; `None` if it was not fitted.
    pub fn rule(&self) -> Option<MatchingRule> {
        self.rule
    }

    /// The mask with each cluster replaced by its class.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCluster`] for an id that the matching does not know.
    ///
    /// ```
    /// use luss_metrics::{LabelMask, Matching};
    ///
    /// let matching = Matching::from_json(r#"{"1": 24, "2": 23, "0": 0}"#)?;
    /// let named = matching.apply(&LabelMask::new(3, 1, vec![0, 1, 2])?)?;
    /// assert_eq!(named.labels(), [0, 24, 23]);
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn apply<'a>(&self, mask: impl Into<MaskView<'a>>) -> Result<LabelMask, Error> {
        let (mask, clusters) = (mask.into(), self.clusters());
        if let Some(index) = mask.labels().iter().position(|&id| id > clusters) {
            let (x, y) = mask.position(index);
            return Err(Error::UnknownCluster {
                cluster: mask.labels()[index],
                x,
                y,
                clusters,
            });
        }
        let matched = mask
            .labels()
            .iter()
            .map(|&id| self.class_of[usize::from(id)]);
        LabelMask::new(mask.width(), mask.height(), matched.collect())
    }

    /// As [`Matching::apply`], but where the protocol drops ids out of range, an id that the
    /// matching does not know stays out of range instead of being an error.
    ///
    /// # Errors
    ///
    /// As [`Matching::apply`], where such ids are errors.
    pub fn apply_under<'a>(
        &self,
        mask: impl Into<MaskView<'a>>,
        protocol: &Protocol,
    ) -> Result<LabelMask, Error> {
        let mask = mask.into();
        if protocol.out_of_range == OutOfRange::Error {
            return self.apply(mask);
        }
        let labels = mask.labels().iter();
        let matched = labels.map(|&id| self.class_or_stray(id));
        LabelMask::new(mask.width(), mask.height(), matched.collect())
    }

    /// Refuses to be used for `clusters` clusters and `classes` classes when it does not fit them.
    pub(crate) fn check_covers(&self, clusters: u16, classes: u16) -> Result<(), Error> {
        if clusters > self.clusters() {
            return Err(Error::ClusterWithoutClass {
                cluster: clusters,
                clusters: self.clusters(),
            });
        }
        match self.class_of.iter().find(|class| **class > classes) {
            Some(&id) => Err(Error::LabelOutOfRange { id, classes }),
            None => Ok(()),
        }
    }

    /// The published `match.json`: `{"1": class, "2": class, …, "0": 0}`.
    ///
    /// ```
    /// use luss_metrics::Matching;
    ///
    /// assert_eq!(Matching::identity(2).to_json(), r#"{"1": 1, "2": 2, "0": 0}"#);
    /// ```
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
    /// [`Error::MatchFile`] for anything but a map from every cluster 1, 2, … to a class in which 0,
    /// if given, stays 0. An evaluator refuses classes above its own.
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
            rule: None,
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
    match (1..=u16::MAX)
        .zip(map.range(1..))
        .find(|(cluster, entry)| cluster != entry.0)
    {
        Some((missing, _)) => Err(match_file(format!("cluster {missing} has no class"))),
        None => Ok(()),
    }
}

fn check_images(images: u64) -> Result<(), Error> {
    match images {
        0 => Err(Error::NoImages),
        _ => Ok(()),
    }
}

fn match_file(reason: String) -> Error {
    Error::MatchFile { reason }
}

impl ImageCounts {
    /// The same picture with each cluster replaced by its class; `None` when the matching joins two
    /// labels of the picture. Then the boundary between them vanishes, which only the masks can
    /// tell: apply the matching to the mask and count again. One to one, with at most as many
    /// clusters as classes, that never happens.
    ///
    /// An id that the matching does not know stays out of range where the protocol drops such ids.
    ///
    /// # Errors
    ///
    /// [`Error::ClusterWithoutClass`] for such an id elsewhere.
    pub fn matched(&self, matching: &Matching, protocol: &Protocol) -> Result<Option<Self>, Error> {
        let counts = self.matched_with_seams(matching, protocol)?;
        let joined = self.is_joined_by(|id| matching.class_or_stray(id));
        Ok((!joined).then_some(counts))
    }

    /// As [`ImageCounts::matched`], but where two labels are joined the boundary between them stays.
    /// Exact for all but the boundary scores.
    ///
    /// # Errors
    ///
    /// As [`ImageCounts::matched`].
    pub fn matched_with_seams(
        &self,
        matching: &Matching,
        protocol: &Protocol,
    ) -> Result<Self, Error> {
        let clusters = matching.clusters();
        let strict = protocol.out_of_range == OutOfRange::Error;
        let mut cells = self.cells().iter();
        match cells.find(|cell| strict && cell.prediction > clusters) {
            Some(cell) => Err(Error::ClusterWithoutClass {
                cluster: cell.prediction,
                clusters,
            }),
            None => Ok(self.relabelled(|id| matching.class_or_stray(id))),
        }
    }
}

impl Matching {
    /// Whether two labels have one class; "other" is its own.
    pub(crate) fn joins_clusters(&self) -> bool {
        let mut classes = self.class_of.clone();
        classes.sort_unstable();
        classes.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// The class of a cluster; [`STRAY`] for an id that the matching does not know.
    pub(crate) fn class_or_stray(&self, id: u16) -> u16 {
        self.class_of.get(usize::from(id)).copied().unwrap_or(STRAY)
    }
}

/// The stored form of a matching, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedMatching {
    class_of: Vec<u16>,
    total: Option<u64>,
    #[serde(default)]
    rule: Option<MatchingRule>,
}

impl TryFrom<UncheckedMatching> for Matching {
    type Error = Error;

    fn try_from(stored: UncheckedMatching) -> Result<Self, Error> {
        let UncheckedMatching {
            class_of,
            total,
            rule,
        } = stored;
        let entries = class_of.len();
        if class_of.first() != Some(&OTHER) || !(2..=65_536).contains(&entries) {
            return Err(match_file(format!(
                "{entries} entries, or 0 (other) becomes a class"
            )));
        }
        Ok(Self {
            class_of,
            total,
            rule,
        })
    }
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
            (r#"{"1": 65536, "0": 0}"#, "65536"),
            (r#"{"-1": 1}"#, "-1"),
            (r#"{"0": 0}"#, "names no cluster"),
            (r#"{"1": 2.5}"#, "2.5"),
            ("[]", "map"),
        ] {
            let message = Matching::from_json(text).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
