//! How clusters and classes overlap: the tables that any matching is fitted to.

use serde::{Deserialize, Serialize};

use crate::{
    ClassAreas, CoOccurrence, Error, ImageCounts, MaskView, Matching, OTHER, Protocol,
    counts::pair_table::PairTable, scores::iou::mean_iou,
};

/// Pictures and pixels by cluster and class, from one pass over the data.
///
/// Holds what every [`crate::MatchingRule`] needs, and the exact mIoU of any matching. Merges and
/// stores as an [`crate::Evaluator`] does. Memory: about 40 bytes for each pair that occurs.
///
/// ```
/// use luss_metrics::{LabelMask, Overlap};
///
/// let mut overlap = Overlap::new(2, 1, 1000);
/// overlap.add(&LabelMask::new(4, 1, vec![2, 2, 2, 1])?, &LabelMask::new(4, 1, vec![1, 1, 0, 1])?)?;
/// assert_eq!((overlap.pixels(2, 1), overlap.pixels(2, 0)), (2, 1));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedOverlap")]
pub struct Overlap {
    pictures: CoOccurrence,
    /// By (predicted id, true label), both from 0 on.
    pixels: PairTable,
}

impl Overlap {
    /// Empty tables for predictions with ids 1 to `clusters` and truths with 1 to `classes`, in
    /// which `ignore` counts nowhere.
    ///
    /// # Panics
    ///
    /// As [`CoOccurrence::with_ignore`].
    pub fn new(clusters: u16, classes: u16, ignore: u16) -> Self {
        Self {
            pictures: CoOccurrence::with_ignore(clusters, classes, ignore),
            pixels: PairTable::default(),
        }
    }

    /// Tables of the same pictures.
    pub(crate) fn from_tables(pictures: CoOccurrence, pixels: PairTable) -> Self {
        Self { pictures, pixels }
    }

    /// Adds a picture.
    ///
    /// # Errors
    ///
    /// As [`ImageCounts::new`]; the tables are then unchanged.
    pub fn add<'a, 'b>(
        &mut self,
        prediction: impl Into<MaskView<'a>>,
        truth: impl Into<MaskView<'b>>,
    ) -> Result<(), Error> {
        let protocol = Protocol {
            ignore: self.pictures.ignore(),
            ..Protocol::new(self.classes())
        };
        let (prediction, truth) = (prediction.into(), truth.into());
        let image = ImageCounts::of_areas(prediction, truth, self.clusters(), &protocol)?;
        self.add_counts(&image)
    }

    /// Adds a picture that was counted before.
    ///
    /// # Errors
    ///
    /// [`Error::LabelOutOfRange`] for a predicted id above the clusters or a true one above the
    /// classes; the tables are then unchanged.
    pub fn add_counts(&mut self, image: &ImageCounts) -> Result<(), Error> {
        self.pictures.add_counts(image)?;
        for cell in image.cells() {
            self.pixels
                .add(cell.prediction, cell.truth, cell.pixels.into());
        }
        Ok(())
    }

    /// Adds the pictures of other tables.
    ///
    /// # Errors
    ///
    /// As [`CoOccurrence::merge`].
    pub fn merge(&mut self, other: &Overlap) -> Result<(), Error> {
        let pixels = self.pixels.sum(&other.pixels)?;
        self.pictures.merge(&other.pictures)?;
        self.pixels = pixels;
        Ok(())
    }

    /// In how many pictures clusters and classes occur together.
    pub fn co_occurrence(&self) -> &CoOccurrence {
        &self.pictures
    }

    /// Number of clusters.
    pub fn clusters(&self) -> u16 {
        self.pictures.clusters()
    }

    /// Number of classes.
    pub fn classes(&self) -> u16 {
        self.pictures.classes()
    }

    /// Pictures added.
    pub fn images(&self) -> u64 {
        self.pictures.images()
    }

    /// Pixels with this predicted id and this true label, where 0 is "other".
    pub fn pixels(&self, cluster: u16, label: u16) -> u64 {
        self.pixels.get(cluster, label)
    }

    /// The pixel counts that are not 0, by (predicted id, true label).
    pub(crate) fn pixel_pairs(&self) -> &PairTable {
        &self.pixels
    }

    /// Pixels by predicted id, from 0 on.
    pub(crate) fn cluster_areas(&self) -> Vec<u64> {
        let mut areas = vec![0; usize::from(self.clusters()) + 1];
        let pairs = self.pixels.iter();
        pairs.for_each(|(cluster, _, n)| areas[usize::from(cluster)] += n);
        areas
    }

    /// Pixels by true label, from 0 on.
    pub(crate) fn label_areas(&self) -> Vec<u64> {
        let mut areas = vec![0; usize::from(self.classes()) + 1];
        let pairs = self.pixels.iter();
        pairs.for_each(|(_, label, n)| areas[usize::from(label)] += n);
        areas
    }

    /// Mean IoU under a matching, in `0..=1`, as an evaluator would give it; `None` when no label
    /// occurs. Only the protocol's policies for the mean matter.
    ///
    /// # Errors
    ///
    /// [`Error::ClusterWithoutClass`] when the matching knows fewer clusters,
    /// [`Error::LabelOutOfRange`] when it leads to a class above C.
    ///
    /// ```
    /// use luss_metrics::{LabelMask, Matching, Overlap, Protocol};
    ///
    /// let mut overlap = Overlap::new(2, 1, 1000);
    /// overlap.add(&LabelMask::new(4, 1, vec![0, 2, 2, 1])?, &LabelMask::new(4, 1, vec![0, 1, 1, 0])?)?;
    /// let matching = Matching::from_json(r#"{"1": 0, "2": 1}"#)?;
    /// assert_eq!(overlap.miou(&matching, &Protocol::new(1))?, Some(1.0));
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn miou(&self, matching: &Matching, protocol: &Protocol) -> Result<Option<f64>, Error> {
        matching.check_covers(self.clusters(), self.classes())?;
        Ok(self.miou_under(|cluster| matching.class_of(cluster), protocol))
    }

    /// The same for a map from clusters to labels up to C.
    pub(crate) fn miou_under(
        &self,
        class_of: impl Fn(u16) -> u16,
        protocol: &Protocol,
    ) -> Option<f64> {
        let mut areas = ClassAreas::new(self.classes());
        for (cluster, label, pixels) in self.pixels.iter() {
            let class = if cluster == OTHER {
                OTHER
            } else {
                class_of(cluster)
            };
            areas.add_truth(label, pixels);
            areas.add_prediction(class, pixels);
            if class == label {
                areas.add_intersection(label, pixels);
            }
        }
        mean_iou(&areas, protocol.labels(), protocol.absent_class)
    }
}

/// The stored form, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedOverlap {
    pictures: CoOccurrence,
    pixels: PairTable,
}

impl TryFrom<UncheckedOverlap> for Overlap {
    type Error = Error;

    fn try_from(UncheckedOverlap { pictures, pixels }: UncheckedOverlap) -> Result<Self, Error> {
        let (clusters, classes) = (pictures.clusters(), pictures.classes());
        pixels.check("table of pixels", |i, j| i <= clusters && j <= classes)?;
        Ok(Self { pictures, pixels })
    }
}
