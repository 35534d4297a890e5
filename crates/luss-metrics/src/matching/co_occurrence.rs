//! Co-occurrence of clusters and classes in pictures: the matching matrix S of the paper (§3.2.1).

use serde::{Deserialize, Serialize};

use crate::{
    Error, IGNORE, ImageCounts, MaskView,
    counts::{
        checked::{check_limit, check_same, sum},
        image_counts::{check_labels, check_prediction, check_truth},
        label_set::LabelSet,
        pair_table::PairTable,
        runs::{Runs, for_each_overlap},
    },
    protocol::{check_classes, check_clusters},
};

/// In how many pictures each cluster and each class occur together.
///
/// One pixel makes a label occur; "other" is neither a cluster nor a class.
///
/// ```
/// use luss_metrics::{CoOccurrence, LabelMask};
///
/// let mut table = CoOccurrence::new(4, 3); // clusters, classes
/// table.add(&LabelMask::new(3, 1, vec![4, 4, 0])?, &LabelMask::new(3, 1, vec![2, 1, 1])?)?;
/// assert_eq!((table.count(4, 2), table.count(4, 1), table.count(1, 1)), (1, 1, 0));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedCoOccurrence")]
pub struct CoOccurrence {
    clusters: u16,
    classes: u16,
    ignore: u16,
    images: u64,
    counts: PairTable,
}

impl CoOccurrence {
    /// An empty table for predictions with ids 1 to `clusters` and truths with 1 to `classes`, in
    /// which 1000 is ignore.
    ///
    /// # Panics
    ///
    /// If `clusters` is 0 or `classes` not in `1..=999`.
    pub fn new(clusters: u16, classes: u16) -> Self {
        Self::with_ignore(clusters, classes, IGNORE)
    }

    /// As [`CoOccurrence::new`], with the id that the truths ignore. Predictions know no ignored
    /// pixels, so there the id is a cluster like any other.
    ///
    /// # Panics
    ///
    /// If `clusters` or `classes` is 0, or `ignore` not above `classes`.
    pub fn with_ignore(clusters: u16, classes: u16, ignore: u16) -> Self {
        let checked = check_clusters(clusters).and(check_classes(classes, ignore));
        checked.unwrap_or_else(|error| panic!("{error}"));
        Self {
            clusters,
            classes,
            ignore,
            images: 0,
            counts: PairTable::default(),
        }
    }

    /// Adds a picture, looking at the pixels only that the truth does not ignore.
    ///
    /// # Errors
    ///
    /// [`Error::SizeMismatch`], [`Error::PredictionOutOfRange`] (an id above `clusters`) or
    /// [`Error::TruthOutOfRange`]; the table is then unchanged.
    pub fn add<'a, 'b>(
        &mut self,
        prediction: impl Into<MaskView<'a>>,
        truth: impl Into<MaskView<'b>>,
    ) -> Result<(), Error> {
        self.add_pixels(prediction.into(), truth.into(), |t, ignore| t != ignore)
    }

    /// As [`CoOccurrence::add`], but a prediction inside an ignored region counts as presence.
    ///
    /// The published `inference.py` writes its match file this way, the published evaluators
    /// match as [`CoOccurrence::add`] does.
    ///
    /// # Errors
    ///
    /// As [`CoOccurrence::add`].
    pub fn add_with_ignored<'a, 'b>(
        &mut self,
        prediction: impl Into<MaskView<'a>>,
        truth: impl Into<MaskView<'b>>,
    ) -> Result<(), Error> {
        self.add_pixels(prediction.into(), truth.into(), |_, _| true)
    }

    fn add_pixels(
        &mut self,
        prediction: MaskView,
        truth: MaskView,
        counts: impl Fn(u16, u16) -> bool,
    ) -> Result<(), Error> {
        prediction.check_same_size(&truth)?;
        let (predicted, true_runs) = (Runs::new(&prediction), Runs::new(&truth));
        check_prediction(&predicted, self.clusters)?;
        check_truth(&true_runs, self.classes, self.ignore)?;
        let (mut clusters, mut classes) = (LabelSet::default(), LabelSet::default());
        for y in (0..truth.height()).filter(|&y| !(predicted.repeats(y) && true_runs.repeats(y))) {
            for_each_overlap(predicted.row(y), true_runs.row(y), |_, p, t| {
                if counts(t, self.ignore) {
                    clusters.insert(p);
                    classes.insert(t);
                }
            });
        }
        self.add_sets(&clusters, &classes);
        Ok(())
    }

    /// Adds a picture that was counted before; ignored pixels do not count.
    ///
    /// # Errors
    ///
    /// [`Error::LabelOutOfRange`] for a predicted id above the clusters or a true one above the
    /// classes; the table is then unchanged.
    pub fn add_counts(&mut self, image: &ImageCounts) -> Result<(), Error> {
        check_labels(image, self.clusters, self.classes)?;
        self.add_labels_of(image);
        Ok(())
    }

    /// Adds a picture that was counted before, whatever its labels.
    pub(crate) fn add_labels_of(&mut self, image: &ImageCounts) {
        let cells = || image.cells().iter();
        let clusters = LabelSet::of(cells().map(|cell| cell.prediction));
        self.add_sets(&clusters, &LabelSet::of(cells().map(|cell| cell.truth)));
    }

    /// Adds a picture in which these labels occur. What is no cluster or no class counts nowhere.
    fn add_sets(&mut self, clusters: &LabelSet, classes: &LabelSet) {
        let known = |ids: &LabelSet, most: u16| -> Vec<u16> {
            ids.ids().filter(|id| (1..=most).contains(id)).collect()
        };
        let classes = known(classes, self.classes);
        for cluster in known(clusters, self.clusters) {
            let counts = &mut self.counts;
            classes
                .iter()
                .for_each(|&class| counts.add(cluster, class, 1));
        }
        self.images += 1;
    }

    /// Adds `images` pictures in which both occur, without counting them as pictures.
    pub(crate) fn add_count(&mut self, cluster: u16, class: u16, images: u64) {
        self.check_ids(cluster, class);
        self.counts.add(cluster, class, images);
    }

    /// Replaces everything that was counted.
    pub(crate) fn set_counts(&mut self, images: u64, counts: PairTable) {
        (self.images, self.counts) = (images, counts);
    }

    /// Adds the pictures of another table.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when the tables differ in clusters, classes or ignore,
    /// [`Error::CountOverflow`] when a state was tampered with; the table is then unchanged.
    pub fn merge(&mut self, other: &CoOccurrence) -> Result<(), Error> {
        let size = |table: &Self| {
            let (clusters, classes) = (table.clusters, table.classes);
            format!("{clusters}x{classes}, ignoring {}", table.ignore)
        };
        check_same("co-occurrence tables", size(self), size(other))?;
        let counts = self.counts.sum(&other.counts)?;
        self.images = sum(self.images, other.images)?;
        self.counts = counts;
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
        self.check_ids(cluster, class);
        self.counts.get(cluster, class)
    }

    /// The counts that are not 0.
    pub(crate) fn pairs(&self) -> &PairTable {
        &self.counts
    }

    fn check_ids(&self, cluster: u16, class: u16) {
        let (clusters, classes) = (self.clusters, self.classes);
        assert!(
            (1..=clusters).contains(&cluster),
            "cluster {cluster} of {clusters}"
        );
        assert!((1..=classes).contains(&class), "class {class} of {classes}");
    }
}

/// The stored form of a table, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedCoOccurrence {
    clusters: u16,
    classes: u16,
    ignore: u16,
    images: u64,
    counts: PairTable,
}

impl TryFrom<UncheckedCoOccurrence> for CoOccurrence {
    type Error = Error;

    fn try_from(stored: UncheckedCoOccurrence) -> Result<Self, Error> {
        let UncheckedCoOccurrence {
            clusters,
            classes,
            ignore,
            images,
            counts,
        } = stored;
        check_clusters(clusters)?;
        check_classes(classes, ignore)?;
        check_limit(images)?;
        let possible = |i, j| (1..=clusters).contains(&i) && (1..=classes).contains(&j);
        counts.check("co-occurrence table", possible)?;
        Ok(Self {
            clusters,
            classes,
            ignore,
            images,
            counts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelMask;

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
        assert_eq!(
            (
                table.pairs().iter().map(|pair| pair.2).sum::<u64>(),
                table.images()
            ),
            (4, 2)
        );
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
        for (counts, reason) in [
            ("[[3, 1, 1]]", "pair (3, 1)"),
            ("[[1, 0, 1]]", "pair (1, 0)"),
            ("[[1, 1, 0]]", "count of 0"),
            ("[[1, 2, 1], [1, 2, 1]]", "pair twice"),
            ("[[1, 2, 18446744073709551615]]", "2^62"),
        ] {
            let head = r#"{"clusters": 2, "classes": 3, "ignore": 9, "images": 1, "counts": "#;
            let text = format!("{head}{counts}}}");
            let error = serde_json::from_str::<CoOccurrence>(&text).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
