//! Co-occurrence of clusters and classes in pictures: the matching matrix S of the paper (§3.2.1).

use serde::{Deserialize, Serialize};

use crate::{
    Error, IGNORE, LabelMask, OTHER,
    counts::{add_each, check_entries},
    protocol::check_classes,
};

/// In how many pictures each cluster and each class occur together.
///
/// One pixel makes a label occur; "other" is neither a cluster nor a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedCoOccurrence")]
pub struct CoOccurrence {
    clusters: u16,
    classes: u16,
    images: u64,
    counts: Vec<u64>,
}

impl CoOccurrence {
    /// An empty table for predictions with ids 1 to `clusters` and truths with 1 to `classes`.
    ///
    /// # Panics
    ///
    /// If either is not in `1..=999`.
    pub fn new(clusters: u16, classes: u16) -> Self {
        for ids in [clusters, classes] {
            check_classes(ids).unwrap_or_else(|error| panic!("{error}"));
        }
        let counts = vec![0; usize::from(clusters) * usize::from(classes)];
        Self {
            clusters,
            classes,
            images: 0,
            counts,
        }
    }

    /// Adds a picture, looking at the pixels only that the truth does not ignore.
    ///
    /// # Errors
    ///
    /// [`Error::SizeMismatch`], [`Error::PredictionOutOfRange`] (an id above `clusters`) or
    /// [`Error::TruthOutOfRange`]; the table is then unchanged.
    pub fn add(&mut self, prediction: &LabelMask, truth: &LabelMask) -> Result<(), Error> {
        self.add_pixels(prediction, truth, |true_label| true_label != IGNORE)
    }

    /// As [`CoOccurrence::add`], but a prediction inside an ignored region counts as presence.
    ///
    /// The published `inference.py` writes its match file this way, the published evaluators
    /// match as [`CoOccurrence::add`] does.
    ///
    /// # Errors
    ///
    /// As [`CoOccurrence::add`].
    pub fn add_with_ignored(
        &mut self,
        prediction: &LabelMask,
        truth: &LabelMask,
    ) -> Result<(), Error> {
        self.add_pixels(prediction, truth, |_| true)
    }

    fn add_pixels(
        &mut self,
        prediction: &LabelMask,
        truth: &LabelMask,
        counts: impl Fn(u16) -> bool,
    ) -> Result<(), Error> {
        prediction.check_same_size(truth)?;
        prediction.check_prediction(self.clusters)?;
        truth.check_truth(self.classes)?;
        let pixels = || {
            prediction
                .labels()
                .iter()
                .zip(truth.labels())
                .filter(|(_, t)| counts(**t))
        };
        let clusters = present_ids(pixels().map(|(p, _)| *p));
        let classes = present_ids(pixels().map(|(_, t)| *t));
        self.images += 1;
        for &cluster in &clusters {
            classes
                .iter()
                .for_each(|&class| self.add_count(cluster, class, 1));
        }
        Ok(())
    }

    /// Adds `images` pictures in which both occur, without counting them as pictures.
    pub(crate) fn add_count(&mut self, cluster: u16, class: u16, images: u64) {
        let index = self.index(cluster, class);
        self.counts[index] += images;
    }

    /// Sets the number of pictures behind the counts.
    pub(crate) fn set_images(&mut self, images: u64) {
        self.images = images;
    }

    /// Adds the pictures of another table.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when the tables differ in clusters or classes.
    pub fn merge(&mut self, other: &CoOccurrence) -> Result<(), Error> {
        if (self.clusters, self.classes) != (other.clusters, other.classes) {
            let size = |table: &Self| format!("{}x{}", table.clusters, table.classes);
            let (ours, theirs) = (size(self), size(other));
            return Err(Error::Unmergeable {
                what: "co-occurrence tables",
                ours,
                theirs,
            });
        }
        self.images += other.images;
        add_each(&mut self.counts, &other.counts);
        Ok(())
    }

    /// Number of clusters.
    pub fn clusters(&self) -> u16 {
        self.clusters
    }

    /// Number of classes.
    pub fn classes(&self) -> u16 {
        self.classes
    }

    /// Pictures added.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Pictures that hold both `cluster` and `class`, both counted from 1.
    ///
    /// # Panics
    ///
    /// If either id is 0 or too large.
    pub fn count(&self, cluster: u16, class: u16) -> u64 {
        self.counts[self.index(cluster, class)]
    }

    /// All counts, one row for each cluster.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    fn index(&self, cluster: u16, class: u16) -> usize {
        assert!(
            (1..=self.clusters).contains(&cluster),
            "cluster {cluster} of {}",
            self.clusters
        );
        assert!(
            (1..=self.classes).contains(&class),
            "class {class} of {}",
            self.classes
        );
        usize::from(cluster - 1) * usize::from(self.classes) + usize::from(class - 1)
    }
}

/// The ids that occur, without "other" and ignore.
fn present_ids(labels: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut present = [false; IGNORE as usize + 1];
    labels.for_each(|label| present[usize::from(label)] = true);
    (OTHER + 1..IGNORE)
        .filter(|&id| present[usize::from(id)])
        .collect()
}

/// The stored form of a table, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedCoOccurrence {
    clusters: u16,
    classes: u16,
    images: u64,
    counts: Vec<u64>,
}

impl TryFrom<UncheckedCoOccurrence> for CoOccurrence {
    type Error = Error;

    fn try_from(stored: UncheckedCoOccurrence) -> Result<Self, Error> {
        let UncheckedCoOccurrence {
            clusters,
            classes,
            images,
            counts,
        } = stored;
        check_classes(clusters)?;
        check_classes(classes)?;
        let expected = usize::from(clusters) * usize::from(classes);
        check_entries("co-occurrence table", counts.len(), expected)?;
        Ok(Self {
            clusters,
            classes,
            images,
            counts,
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
    fn one_pixel_makes_a_label_occur_and_other_never_does() {
        let mut table = CoOccurrence::new(4, 3);
        table
            .add(&mask(&[0, 4, 4, 2, 0, 0]), &mask(&[0, 3, 3, 3, 3, 3]))
            .unwrap();
        table.add(&mask(&[0, 0, 2]), &mask(&[3, 0, 1])).unwrap();
        assert_eq!(
            (table.count(4, 3), table.count(2, 3), table.count(2, 1)),
            (1, 2, 1)
        );
        assert_eq!((table.counts.iter().sum::<u64>(), table.images()), (4, 2));
    }

    #[test]
    fn a_prediction_in_an_ignored_region_counts_on_request_only() {
        let (prediction, truth) = (mask(&[2, 1, 1]), mask(&[IGNORE, 3, 0]));
        let mut table = CoOccurrence::new(3, 3);
        table.add(&prediction, &truth).unwrap();
        assert_eq!((table.count(1, 3), table.count(2, 3)), (1, 0));
        table.add_with_ignored(&prediction, &truth).unwrap();
        assert_eq!((table.count(1, 3), table.count(2, 3)), (2, 1));
    }

    #[test]
    fn a_refused_picture_leaves_the_table_unchanged() {
        let mut table = CoOccurrence::new(4, 3);
        let before = table.clone();
        assert!(table.add(&mask(&[5, 0, 0]), &mask(&[1, 0, 0])).is_err());
        assert!(table.add(&mask(&[4, 0, 0]), &mask(&[4, 0, 0])).is_err());
        assert!(table.merge(&CoOccurrence::new(3, 4)).is_err());
        assert_eq!(table, before);
    }

    #[test]
    fn a_damaged_table_is_refused() {
        let text = r#"{"clusters": 2, "classes": 3, "images": 1, "counts": [0, 0, 0]}"#;
        let error = serde_json::from_str::<CoOccurrence>(text).unwrap_err();
        assert!(
            error.to_string().contains("3 entries where 6 belong"),
            "{error}"
        );
    }
}
