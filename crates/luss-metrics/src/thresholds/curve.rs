//! The threshold sweep: matched mIoU at 81 attention thresholds from one pass over the pictures.
//!
//! Label generation turns a pixel into "other" where its attention is below a threshold t. The
//! published search tries t = 0, 0.01, … 0.8 and, for each, reads all pictures, matches clusters
//! to classes and scores; it keeps the t of the best mIoU.
//!
//! # Algorithm
//!
//! Raising t only removes pixels. So each pixel goes into one of 82 bins, by the number of
//! thresholds that keep it, as a (cluster, class) pair; and each picture notes for each of its
//! clusters the bin of its highest attention, which is the last threshold at which the cluster
//! still occurs there. From the highest threshold down, a running sum over the bins then gives
//! the exact joint pixel table and the exact co-occurrence table of each threshold.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    AbsentClass, ClassAreas, CoOccurrence, Error, IGNORE, MaskView, Matching, OTHER,
    counts::{
        checked::{add_all, check_entries, check_limit, sum, sum_each},
        image_counts::{check_prediction, check_truth},
        pair_hash::PairMap,
        pair_table::PairTable,
        runs::{Runs, for_each_overlap},
    },
    protocol::check_classes,
    scores::iou::{all_labels, mean_iou},
    thresholds::attention_bins::{BINS, BinTable, Bins, add_bins, kept},
};

/// Number of thresholds: 0, 0.01, … 0.8.
pub(crate) const THRESHOLDS: usize = 81;

/// The score at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdPoint {
    /// Pixels with an attention below this are "other".
    pub threshold: f32,
    /// Matched mean IoU over C + 1 labels, in `0..=1`; absent classes count 0, and so does a set
    /// without a counted pixel.
    pub miou: f64,
    /// The image-level matching of the thresholded predictions.
    pub matching: Matching,
}

/// Collects pictures and gives the matched mIoU at each threshold, as a separate evaluation at
/// each would.
///
/// Predictions hold as many clusters as there are classes, each picture's attention is one `f32`
/// for each pixel, and the comparison is made in `f32`.
///
/// # Memory
///
/// 656 bytes for each pair of cluster and label that shares pixels, and for each that shares
/// pictures; nothing for each picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedCurve")]
pub struct ThresholdCurve {
    classes: u16,
    ignore: u16,
    images: u64,
    /// True pixels by label.
    truth: Vec<u64>,
    /// Pixels by (cluster, label), each by the number of thresholds that keep it.
    pixels: BinTable,
    /// Pictures by (cluster, class), each by the number of thresholds at which the cluster occurs.
    images_with: BinTable,
}

impl ThresholdCurve {
    /// An empty curve for clusters and classes 1 to `classes`; 1000 is ignored.
    ///
    /// # Panics
    ///
    /// If `classes` is not in `1..=999`.
    pub fn new(classes: u16) -> Self {
        Self::with_ignore(classes, IGNORE)
    }

    /// As [`ThresholdCurve::new`], with the id that the truths ignore.
    ///
    /// # Panics
    ///
    /// If `classes` is 0 or `ignore` not above it.
    pub fn with_ignore(classes: u16, ignore: u16) -> Self {
        check_classes(classes, ignore).unwrap_or_else(|error| panic!("{error}"));
        Self {
            classes,
            ignore,
            images: 0,
            truth: vec![0; usize::from(classes) + 1],
            pixels: BinTable::default(),
            images_with: BinTable::default(),
        }
    }

    /// Adds a picture: its cluster `ids` before any threshold, its `attention` (row-major, one
    /// value for each pixel) and its truth.
    ///
    /// # Errors
    ///
    /// As [`crate::Evaluator::add`], and [`Error::AttentionCount`] or
    /// [`Error::AttentionNotANumber`]; the curve is then unchanged.
    pub fn add<'a, 'b>(
        &mut self,
        ids: impl Into<MaskView<'a>>,
        attention: &[f32],
        truth: impl Into<MaskView<'b>>,
    ) -> Result<(), Error> {
        let (ids, truth) = (ids.into(), truth.into());
        ids.check_same_size(&truth)?;
        let (id_runs, truth_runs) = (Runs::new(&ids), Runs::new(&truth));
        check_prediction(&id_runs, self.classes)?;
        check_truth(&truth_runs, self.classes, self.ignore)?;
        check_attention(&ids, attention)?;
        let picture = Picture::new(&id_runs, &truth_runs, attention, self.ignore);
        self.add_picture(&picture);
        Ok(())
    }

    fn add_picture(&mut self, picture: &Picture) {
        self.images += 1;
        for (label, pixels) in &picture.truth {
            self.truth[usize::from(*label)] += pixels;
        }
        for (&(cluster, label), bins) in &picture.pixels {
            add_bins(self.pixels.bins(cluster, label), bins);
        }
        let classes = || picture.truth.keys().filter(|class| **class != OTHER);
        for (cluster, last) in picture.last_bins() {
            for &class in classes() {
                self.images_with.bins(cluster, class)[last] += 1;
            }
        }
    }

    /// Adds the pictures of another curve.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when the curves differ in their class count or ignore,
    /// [`Error::CountOverflow`] when a state was tampered with; the curve is then unchanged.
    pub fn merge(&mut self, other: &ThresholdCurve) -> Result<(), Error> {
        let size = |curve: &Self| format!("{} classes, ignoring {}", curve.classes, curve.ignore);
        if size(self) != size(other) {
            return Err(Error::Unmergeable {
                what: "threshold curves",
                ours: size(self),
                theirs: size(other),
            });
        }
        *self = Self {
            classes: self.classes,
            ignore: self.ignore,
            images: sum(self.images, other.images)?,
            truth: sum_each(&self.truth, &other.truth)?,
            pixels: self.pixels.sum(&other.pixels)?,
            images_with: self.images_with.sum(&other.images_with)?,
        };
        Ok(())
    }

    /// The scores at thresholds i/100 for i = 0 to 80, in this order.
    ///
    /// # Errors
    ///
    /// [`Error::NoImages`] when nothing was added.
    ///
    /// ```
    /// use luss_metrics::{LabelMask, ThresholdCurve};
    ///
    /// let mut curve = ThresholdCurve::new(1);
    /// curve.add(&LabelMask::new(2, 1, vec![1, 1])?, &[0.0, 0.5], &LabelMask::new(2, 1, vec![0, 1])?)?;
    /// let points = curve.points()?;
    /// assert_eq!((points.len(), points[80].threshold), (81, 0.8));
    /// assert_eq!((points[0].miou, points[50].miou), (0.25, 1.0));
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn points(&self) -> Result<Vec<ThresholdPoint>, Error> {
        let mut kept = Kept::new(self);
        let mut points = Vec::with_capacity(THRESHOLDS);
        for index in (0..THRESHOLDS).rev() {
            kept.add_bin(&self.pixels, &self.images_with, index + 1);
            kept.occurrence.set_images(self.images);
            let matching = Matching::image_level(&kept.occurrence)?;
            let miou = kept.miou(&self.truth, &matching);
            points.push(ThresholdPoint {
                threshold: threshold(index),
                miou,
                matching,
            });
        }
        points.reverse();
        Ok(points)
    }

    /// The point of the highest mIoU; of equal ones the lowest threshold.
    ///
    /// # Errors
    ///
    /// [`Error::NoImages`] when nothing was added.
    pub fn best(&self) -> Result<ThresholdPoint, Error> {
        let better = |best: ThresholdPoint, next: ThresholdPoint| {
            if next.miou > best.miou { next } else { best }
        };
        self.points()?
            .into_iter()
            .reduce(better)
            .ok_or(Error::NoImages)
    }
}

/// The threshold i/100, rounded to the nearest `f32`.
pub(crate) const fn threshold(index: usize) -> f32 {
    (index as f64 / 100.0) as f32
}

fn check_attention(ids: &MaskView, attention: &[f32]) -> Result<(), Error> {
    let (values, pixels) = (attention.len(), ids.labels().len());
    if values != pixels {
        return Err(Error::AttentionCount { values, pixels });
    }
    let Some(index) = attention.iter().position(|value| value.is_nan()) else {
        return Ok(());
    };
    let (x, y) = ids.position(index);
    Err(Error::AttentionNotANumber { x, y })
}

/// What one picture adds.
struct Picture {
    /// Pixels by true label, without the ignored ones.
    truth: HashMap<u16, u64>,
    /// Foreground pixels by (cluster, label) and by how many thresholds keep them.
    pixels: PairMap<Bins>,
}

impl Picture {
    fn new(ids: &Runs, truth: &Runs, attention: &[f32], ignore: u16) -> Self {
        let (width, height) = truth.size();
        let mut picture = Self {
            truth: HashMap::new(),
            pixels: PairMap::default(),
        };
        for (y, row) in (0..height).zip(attention.chunks_exact(width)) {
            for_each_overlap(ids.row(y), truth.row(y), |columns, cluster, label| {
                if label != ignore {
                    *picture.truth.entry(label).or_default() += columns.len() as u64;
                    if cluster != OTHER {
                        let bins = picture.pixels.entry((cluster, label)).or_insert([0; BINS]);
                        row[columns]
                            .iter()
                            .for_each(|&value| bins[kept(value)] += 1);
                    }
                }
            });
        }
        picture
    }

    /// For each cluster the number of thresholds at which it occurs.
    fn last_bins(&self) -> HashMap<u16, usize> {
        let mut last = HashMap::new();
        for (&(cluster, _), bins) in &self.pixels {
            let highest = bins.iter().rposition(|n| *n > 0).unwrap_or(0);
            let seen = last.entry(cluster).or_default();
            *seen = highest.max(*seen);
        }
        last
    }
}

/// What is left at one threshold.
struct Kept {
    /// Pixels by (cluster, label).
    pixels: PairTable,
    /// Pixels by cluster.
    area: Vec<u64>,
    /// Pixels of any cluster that are truly "other".
    on_other: u64,
    occurrence: CoOccurrence,
}

impl Kept {
    fn new(curve: &ThresholdCurve) -> Self {
        let ThresholdCurve {
            classes, ignore, ..
        } = *curve;
        Self {
            pixels: PairTable::default(),
            area: vec![0; usize::from(classes) + 1],
            on_other: 0,
            occurrence: CoOccurrence::with_ignore(classes, classes, ignore),
        }
    }

    /// Lowers the threshold by one step.
    fn add_bin(&mut self, pixels: &BinTable, images_with: &BinTable, bin: usize) {
        for (cluster, label, n) in pixels.of_bin(bin) {
            self.pixels.add(cluster, label, n);
            self.area[usize::from(cluster)] += n;
            self.on_other += if label == OTHER { n } else { 0 };
        }
        for (cluster, class, n) in images_with.of_bin(bin) {
            self.occurrence.add_count(cluster, class, n);
        }
    }

    /// Mean IoU once each cluster has become its class and everything else "other".
    fn miou(&self, truth: &[u64], matching: &Matching) -> f64 {
        let classes = self.occurrence.classes();
        let mut areas = ClassAreas::new(classes);
        let labels = (0..).zip(truth);
        labels.for_each(|(label, &pixels)| areas.add_truth(label, pixels));
        let background = truth.iter().sum::<u64>() - self.area.iter().sum::<u64>();
        areas.add_prediction(OTHER, background);
        areas.add_intersection(OTHER, truth[0] - self.on_other);
        for cluster in 1..=classes {
            let class = matching.class_of(cluster);
            areas.add_prediction(class, self.area[usize::from(cluster)]);
            areas.add_intersection(class, self.pixels.get(cluster, class));
        }
        mean_iou(&areas, all_labels(classes), AbsentClass::Zero).unwrap_or_default()
    }
}

/// The stored form of a curve, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedCurve {
    classes: u16,
    ignore: u16,
    images: u64,
    truth: Vec<u64>,
    pixels: BinTable,
    images_with: BinTable,
}

impl TryFrom<UncheckedCurve> for ThresholdCurve {
    type Error = Error;

    fn try_from(stored: UncheckedCurve) -> Result<Self, Error> {
        let UncheckedCurve {
            classes,
            ignore,
            images,
            truth,
            pixels,
            images_with,
        } = stored;
        check_classes(classes, ignore)?;
        check_limit(images)?;
        check_entries("threshold curve", truth.len(), usize::from(classes) + 1)?;
        check_limit(add_all(&truth)?)?;
        let is_cluster = |id| (1..=classes).contains(&id);
        pixels.check(|cluster, label| is_cluster(cluster) && label <= classes)?;
        images_with.check(|cluster, class| is_cluster(cluster) && is_cluster(class))?;
        pixels.check_parts_of(&truth)?;
        Ok(Self {
            classes,
            ignore,
            images,
            truth,
            pixels,
            images_with,
        })
    }
}

#[cfg(test)]
mod tests;
