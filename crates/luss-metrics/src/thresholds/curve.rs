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
    Error, MaskView, Matching, MatchingRule, OTHER, Overlap, Protocol,
    counts::{
        checked::{add_all, check_entries, check_limit, check_same, sum, sum_each},
        image_counts::{check_prediction, check_truth},
        pair_hash::PairMap,
        pair_table::PairTable,
        runs::{Runs, for_each_overlap},
    },
    protocol::{STRAY, known_id},
    thresholds::attention_bins::{BINS, BinTable, Bins, add_bins, kept},
};

/// Number of thresholds: 0, 0.01, … 0.8.
pub(crate) const THRESHOLDS: usize = 81;

/// The score at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdPoint {
    /// Pixels with an attention below this are "other".
    pub threshold: f32,
    /// Matched mean IoU under the protocol, in `0..=1`; `None` when none of its labels occurs.
    pub miou: Option<f64>,
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
    protocol: Protocol,
    images: u64,
    /// True pixels by label.
    truth: Vec<u64>,
    /// Pixels by (cluster, label), each by the number of thresholds that keep it. The cluster of dropped
    /// ids is [`STRAY`].
    pixels: BinTable,
    /// Pictures by (cluster, class), each by the number of thresholds at which the cluster occurs.
    images_with: BinTable,
}

impl ThresholdCurve {
    /// An empty curve for as many clusters as the protocol has classes.
    ///
    /// # Panics
    ///
    /// If the protocol fails [`Protocol::check`]; call that first on one that comes from a file.
    pub fn new(protocol: Protocol) -> Self {
        protocol.check().unwrap_or_else(|error| panic!("{error}"));
        Self {
            protocol,
            images: 0,
            truth: vec![0; usize::from(protocol.classes) + 1],
            pixels: BinTable::default(),
            images_with: BinTable::default(),
        }
    }

    /// The settings.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
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
        let Protocol {
            classes, ignore, ..
        } = self.protocol;
        check_prediction(&id_runs, self.protocol.largest_id(classes))?;
        check_truth(&truth_runs, classes, ignore)?;
        check_attention(&ids, attention)?;
        let picture = Picture::new(&id_runs, &truth_runs, attention, &self.protocol);
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
    /// [`Error::Unmergeable`] when the protocols differ, [`Error::CountOverflow`] when a state was
    /// tampered with; the curve is then unchanged.
    pub fn merge(&mut self, other: &ThresholdCurve) -> Result<(), Error> {
        let settings = |curve: &Self| format!("{:?}", curve.protocol);
        check_same("threshold curves", settings(self), settings(other))?;
        *self = Self {
            protocol: self.protocol,
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
    /// use luss_metrics::{LabelMask, Protocol, ThresholdCurve};
    ///
    /// let mut curve = ThresholdCurve::new(Protocol::new(1));
    /// curve.add(&LabelMask::new(2, 1, vec![1, 1])?, &[0.0, 0.5], &LabelMask::new(2, 1, vec![0, 1])?)?;
    /// let points = curve.points()?;
    /// assert_eq!((points.len(), points[80].threshold), (81, 0.8));
    /// assert_eq!((points[0].miou, points[50].miou), (Some(0.25), Some(1.0)));
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn points(&self) -> Result<Vec<ThresholdPoint>, Error> {
        let mut kept = self.with_nothing_kept();
        let mut points = Vec::with_capacity(THRESHOLDS);
        for index in (0..THRESHOLDS).rev() {
            self.lower_to(index, &mut kept);
            let matching = Matching::fit(MatchingRule::ImageLevel, &kept)?;
            points.push(ThresholdPoint {
                threshold: threshold(index),
                miou: kept.miou(&matching)?,
                matching,
            });
        }
        points.reverse();
        Ok(points)
    }

    /// The tables above all thresholds, where everything is "other".
    fn with_nothing_kept(&self) -> Overlap {
        let labels = (0..).zip(&self.truth).filter(|(_, pixels)| **pixels > 0);
        let other: PairTable = labels.map(|(l, &pixels)| ((OTHER, l), pixels)).collect();
        let mut kept = Overlap::new(self.protocol.classes, self.protocol);
        kept.set_counts(self.images, PairTable::default(), other);
        kept
    }

    /// Takes `kept`, the tables at the threshold above, to that of `index`.
    fn lower_to(&self, index: usize, kept: &mut Overlap) {
        for (cluster, label, pixels) in self.pixels.of_bin(index + 1) {
            kept.take_from_other(cluster, label, pixels);
        }
        for (cluster, class, images) in self.images_with.of_bin(index + 1) {
            kept.add_pictures(cluster, class, images);
        }
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
    fn new(ids: &Runs, truth: &Runs, attention: &[f32], protocol: &Protocol) -> Self {
        let (width, height) = truth.size();
        let mut picture = Self {
            truth: HashMap::new(),
            pixels: PairMap::default(),
        };
        for (y, row) in (0..height).zip(attention.chunks_exact(width)) {
            for_each_overlap(ids.row(y), truth.row(y), |columns, cluster, label| {
                if label != protocol.ignore {
                    *picture.truth.entry(label).or_default() += columns.len() as u64;
                    if cluster != OTHER {
                        let cluster = known_id(cluster, protocol.classes);
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
        for (&(cluster, _), bins) in self.pixels.iter().filter(|(pair, _)| pair.0 != STRAY) {
            let highest = bins.iter().rposition(|n| *n > 0).unwrap_or(0);
            let seen = last.entry(cluster).or_default();
            *seen = highest.max(*seen);
        }
        last
    }
}

/// The stored form of a curve, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedCurve {
    protocol: Protocol,
    images: u64,
    truth: Vec<u64>,
    pixels: BinTable,
    images_with: BinTable,
}

impl TryFrom<UncheckedCurve> for ThresholdCurve {
    type Error = Error;

    fn try_from(stored: UncheckedCurve) -> Result<Self, Error> {
        let UncheckedCurve {
            protocol,
            images,
            truth,
            pixels,
            images_with,
        } = stored;
        protocol.check()?;
        let classes = protocol.classes;
        check_limit(images)?;
        check_entries("threshold curve", truth.len(), usize::from(classes) + 1)?;
        check_limit(add_all(&truth)?)?;
        let is_cluster = |id| (1..=classes).contains(&id);
        let is_dropped = |id| id == STRAY && id <= protocol.largest_id(classes);
        let is_id = |id| is_cluster(id) || is_dropped(id);
        pixels.check(|id, label| is_id(id) && label <= classes)?;
        images_with.check(|cluster, class| is_cluster(cluster) && is_cluster(class))?;
        pixels.check_parts_of(&truth)?;
        Ok(Self {
            protocol,
            images,
            truth,
            pixels,
            images_with,
        })
    }
}

#[cfg(test)]
mod tests;
