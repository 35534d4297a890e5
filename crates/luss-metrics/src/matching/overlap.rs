//! How clusters and classes overlap: the tables that any matching is fitted to.

use serde::{Deserialize, Serialize};

use crate::{
    ClassAreas, CoOccurrence, Error, ImageCounts, MaskView, Matching, OTHER, Protocol,
    counts::{checked::check_same, image_counts::check_labels, pair_table::PairTable},
    protocol::{STRAY, known_id},
    scores::iou::mean_iou,
};

/// Pictures and pixels by cluster and class, from one pass over the data.
///
/// Holds what every [`crate::MatchingRule`] needs, and the exact mIoU of any matching. Merges and
/// stores as an [`crate::Evaluator`] does. Memory: about 40 bytes for each pair that occurs.
///
/// ```
/// use luss_metrics::{LabelMask, Overlap, Protocol};
///
/// let mut overlap = Overlap::new(2, Protocol::new(1)); // clusters, classes
/// overlap.add(&LabelMask::new(4, 1, vec![2, 2, 2, 1])?, &LabelMask::new(4, 1, vec![1, 1, 0, 1])?)?;
/// assert_eq!((overlap.pixels(2, 1), overlap.pixels(2, 0)), (2, 1));
/// # Ok::<(), luss_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedOverlap")]
pub struct Overlap {
    protocol: Protocol,
    pictures: CoOccurrence,
    /// By (predicted id, true label), both from 0 on. Dropped ids are [`STRAY`].
    pixels: PairTable,
}

impl Overlap {
    /// Empty tables for predictions with ids 1 to `clusters`.
    ///
    /// # Panics
    ///
    /// If `clusters` is 0 or the protocol fails [`Protocol::check`].
    pub fn new(clusters: u16, protocol: Protocol) -> Self {
        protocol.check().unwrap_or_else(|error| panic!("{error}"));
        let Protocol {
            classes, ignore, ..
        } = protocol;
        Self {
            protocol,
            pictures: CoOccurrence::with_ignore(clusters, classes, ignore),
            pixels: PairTable::default(),
        }
    }

    /// Replaces everything that was counted; dropped ids are [`STRAY`].
    pub(crate) fn set_counts(&mut self, images: u64, pictures: PairTable, pixels: PairTable) {
        self.pictures.set_counts(images, pictures);
        self.pixels = pixels;
    }

    /// Adds `images` pictures in which both occur, without counting them as pictures.
    pub(crate) fn add_pictures(&mut self, cluster: u16, class: u16, images: u64) {
        self.pictures.add_count(cluster, class, images);
    }

    /// Gives a cluster pixels that were "other".
    pub(crate) fn take_from_other(&mut self, cluster: u16, label: u16, pixels: u64) {
        self.pixels.take(OTHER, label, pixels);
        self.pixels.add(cluster, label, pixels);
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
        let (prediction, truth) = (prediction.into(), truth.into());
        let image = ImageCounts::of_areas(prediction, truth, self.clusters(), &self.protocol)?;
        self.add_counts(&image)
    }

    /// Adds a picture that was counted before.
    ///
    /// # Errors
    ///
    /// [`Error::LabelOutOfRange`] for a predicted id above the clusters (unless the protocol drops it) or
    /// a true one above the classes; the tables are then unchanged.
    pub fn add_counts(&mut self, image: &ImageCounts) -> Result<(), Error> {
        self.check_counts(image)?;
        self.pictures.add_labels_of(image);
        for cell in image.cells() {
            let id = self.known_id(cell.prediction);
            self.pixels.add(id, cell.truth, cell.pixels.into());
        }
        Ok(())
    }

    pub(crate) fn check_counts(&self, image: &ImageCounts) -> Result<(), Error> {
        let largest = self.protocol.largest_id(self.clusters());
        check_labels(image, largest, self.classes())
    }

    /// The predicted id that pixels are counted by.
    pub(crate) fn known_id(&self, id: u16) -> u16 {
        known_id(id, self.clusters())
    }

    /// Adds the pictures of other tables.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when the tables differ in clusters or protocol, [`Error::CountOverflow`]
    /// when a state was tampered with; the tables are then unchanged.
    pub fn merge(&mut self, other: &Overlap) -> Result<(), Error> {
        let settings = |it: &Self| format!("{:?}, {} clusters", it.protocol, it.clusters());
        check_same("tables of overlap", settings(self), settings(other))?;
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

    /// Pixels with this predicted id and this true label, where 0 is "other"; ids out of range have none.
    pub fn pixels(&self, cluster: u16, label: u16) -> u64 {
        let known = cluster <= self.clusters();
        if known {
            self.pixels.get(cluster, label)
        } else {
            0
        }
    }

    /// The settings.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Shared pixels of clusters and classes, both from 1 on.
    pub(crate) fn class_pairs(&self) -> impl Iterator<Item = (u16, u16, u64)> {
        let clusters = self.clusters();
        let pairs = self.pixels.iter();
        pairs.filter(move |(cluster, class, _)| (1..=clusters).contains(cluster) && *class > 0)
    }

    /// Pixels by predicted id, from 0 on.
    pub(crate) fn cluster_areas(&self) -> Vec<u64> {
        let mut areas = vec![0; usize::from(self.clusters()) + 1];
        for (cluster, _, n) in self.pixels.iter() {
            if let Some(area) = areas.get_mut(usize::from(cluster)) {
                *area += n;
            }
        }
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
    /// occurs.
    ///
    /// # Errors
    ///
    /// [`Error::ClusterWithoutClass`] when the matching knows fewer clusters,
    /// [`Error::LabelOutOfRange`] when it leads to a class above C.
    ///
    /// ```
    /// use luss_metrics::{LabelMask, Matching, Overlap, Protocol};
    ///
    /// let mut overlap = Overlap::new(2, Protocol::new(1));
    /// overlap.add(&LabelMask::new(4, 1, vec![0, 2, 2, 1])?, &LabelMask::new(4, 1, vec![0, 1, 1, 0])?)?;
    /// let matching = Matching::from_json(r#"{"1": 0, "2": 1}"#)?;
    /// assert_eq!(overlap.miou(&matching)?, Some(1.0));
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn miou(&self, matching: &Matching) -> Result<Option<f64>, Error> {
        matching.check_covers(self.clusters(), self.classes())?;
        Ok(self.miou_under(|cluster| matching.class_of(cluster)))
    }

    /// The same for a map from clusters to labels up to C.
    pub(crate) fn miou_under(&self, class_of: impl Fn(u16) -> u16) -> Option<f64> {
        let mut areas = ClassAreas::new(self.classes());
        for (cluster, label, pixels) in self.pixels.iter() {
            let class = match cluster {
                OTHER => OTHER,
                cluster if cluster > self.clusters() => STRAY,
                cluster => class_of(cluster),
            };
            areas.add_truth(label, pixels);
            areas.add_prediction(class, pixels);
            if class == label {
                areas.add_intersection(label, pixels);
            }
        }
        mean_iou(&areas, self.protocol.labels(), self.protocol.absent_class)
    }
}

/// The stored form, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedOverlap {
    protocol: Protocol,
    pictures: CoOccurrence,
    pixels: PairTable,
}

impl TryFrom<UncheckedOverlap> for Overlap {
    type Error = Error;

    fn try_from(stored: UncheckedOverlap) -> Result<Self, Error> {
        let UncheckedOverlap {
            protocol,
            pictures,
            pixels,
        } = stored;
        protocol.check()?;
        let mut overlap = Self::new(pictures.clusters(), protocol);
        overlap.pictures.merge(&pictures)?; // refuses other classes and another ignore
        let (largest, classes) = (protocol.largest_id(overlap.clusters()), protocol.classes);
        let is_id = |id| id <= largest && overlap.known_id(id) == id;
        pixels.check("table of pixels", |id, label| is_id(id) && label <= classes)?;
        overlap.pixels = pixels;
        Ok(overlap)
    }
}
