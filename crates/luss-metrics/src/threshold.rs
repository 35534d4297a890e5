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

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AbsentClass, ClassAreas, CoOccurrence, Error, IGNORE, LabelMask, Matching, OTHER,
    counts::add_each,
    iou::{all_labels, mean_iou},
    mask::check_pair,
    protocol::check_classes,
};

/// Number of thresholds: 0, 0.01, … 0.8.
const THRESHOLDS: usize = 81;

/// Counts by cluster and class.
type PairTable = BTreeMap<(u16, u16), u64>;

/// The score at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdPoint {
    /// Pixels with an attention below this are "other".
    pub threshold: f32,
    /// Matched mean IoU over C + 1 labels, in `0..=1`; absent classes count 0.
    pub miou: f64,
    /// The image-level matching of the thresholded predictions.
    pub matching: Matching,
}

/// Collects pictures and gives the matched mIoU at each threshold, as a separate evaluation at
/// each would.
///
/// Predictions hold as many clusters as there are classes, each picture's attention is one `f32`
/// for each pixel, and the comparison is made in `f32`.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdCurve {
    classes: u16,
    images: u64,
    /// True pixels by label.
    truth: Vec<u64>,
    /// By the number of thresholds that keep a pixel: pixels by (cluster, label).
    pixels: Vec<PairTable>,
    /// By the number of thresholds at which a cluster occurs in a picture: pictures by (cluster,
    /// class).
    images_with: Vec<PairTable>,
}

impl ThresholdCurve {
    /// An empty curve for clusters and classes 1 to `classes`.
    ///
    /// # Panics
    ///
    /// If `classes` is not in `1..=999`.
    pub fn new(classes: u16) -> Self {
        check_classes(classes).unwrap_or_else(|error| panic!("{error}"));
        Self {
            classes,
            images: 0,
            truth: vec![0; usize::from(classes) + 1],
            pixels: vec![PairTable::new(); THRESHOLDS + 1],
            images_with: vec![PairTable::new(); THRESHOLDS + 1],
        }
    }

    /// Adds a picture: its cluster `ids` before any threshold, its `attention` (row-major, one
    /// value for each pixel) and its truth.
    ///
    /// # Errors
    ///
    /// As [`crate::Evaluator::add`], and [`Error::AttentionCount`] or
    /// [`Error::AttentionNotANumber`]; the curve is then unchanged.
    pub fn add(
        &mut self,
        ids: &LabelMask,
        attention: &[f32],
        truth: &LabelMask,
    ) -> Result<(), Error> {
        check_pair(ids, truth, self.classes)?;
        check_attention(ids, attention)?;
        self.images += 1;
        self.add_truth(truth);
        let pixels = sorted_pixels(ids, attention, truth);
        self.add_pixels(&pixels);
        self.add_presence(&pixels, truth);
        Ok(())
    }

    fn add_truth(&mut self, truth: &LabelMask) {
        let counted = truth.labels().iter().filter(|label| **label != IGNORE);
        counted.for_each(|&label| self.truth[usize::from(label)] += 1);
    }

    fn add_pixels(&mut self, sorted: &[Pixel]) {
        for equal in sorted.chunk_by(|a, b| a == b) {
            let Pixel {
                kept,
                cluster,
                label,
            } = equal[0];
            *self.pixels[usize::from(kept)]
                .entry((cluster, label))
                .or_default() += equal.len() as u64;
        }
    }

    fn add_presence(&mut self, sorted: &[Pixel], truth: &LabelMask) {
        let mut last_kept = BTreeMap::new(); // ascending bins: the highest one stays
        for pixel in sorted {
            last_kept.insert(pixel.cluster, pixel.kept);
        }
        let mut classes: Vec<u16> = truth.labels().to_vec();
        classes.sort_unstable();
        classes.dedup();
        for (cluster, kept) in last_kept {
            for &class in classes
                .iter()
                .filter(|class| !matches!(**class, OTHER | IGNORE))
            {
                *self.images_with[usize::from(kept)]
                    .entry((cluster, class))
                    .or_default() += 1;
            }
        }
    }

    /// Adds the pictures of another curve.
    ///
    /// # Errors
    ///
    /// [`Error::Unmergeable`] when the curves differ in their class count.
    pub fn merge(&mut self, other: &ThresholdCurve) -> Result<(), Error> {
        if self.classes != other.classes {
            let (ours, theirs) = (self.classes.to_string(), other.classes.to_string());
            return Err(Error::Unmergeable {
                what: "threshold curves",
                ours,
                theirs,
            });
        }
        self.images += other.images;
        add_each(&mut self.truth, &other.truth);
        merge_tables(&mut self.pixels, &other.pixels);
        merge_tables(&mut self.images_with, &other.images_with);
        Ok(())
    }

    /// The scores at thresholds i/100 for i = 0 to 80, in this order.
    ///
    /// # Errors
    ///
    /// [`Error::NoImages`] when nothing was added.
    pub fn points(&self) -> Result<Vec<ThresholdPoint>, Error> {
        let mut kept = Kept::new(self.classes);
        let mut points = Vec::with_capacity(THRESHOLDS);
        for index in (0..THRESHOLDS).rev() {
            kept.add_bin(&self.pixels[index + 1], &self.images_with[index + 1]);
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
fn threshold(index: usize) -> f32 {
    (index as f64 / 100.0) as f32
}

fn check_attention(ids: &LabelMask, attention: &[f32]) -> Result<(), Error> {
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

/// A foreground pixel; ordered by `kept` first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pixel {
    /// Number of thresholds that keep it.
    kept: u8,
    cluster: u16,
    /// Its true label.
    label: u16,
}

/// The pixels that have a cluster and are not ignored, in order. Sorting keeps the memory at
/// O(pixels), whatever the number of clusters and classes.
fn sorted_pixels(ids: &LabelMask, attention: &[f32], truth: &LabelMask) -> Vec<Pixel> {
    let thresholds: [f32; THRESHOLDS] = std::array::from_fn(threshold);
    let kept = |value: f32| thresholds.partition_point(|t| value >= *t) as u8;
    let labels = ids.labels().iter().zip(truth.labels());
    let mut pixels: Vec<Pixel> = labels
        .zip(attention)
        .filter(|((cluster, label), _)| **cluster != OTHER && **label != IGNORE)
        .map(|((&cluster, &label), &value)| Pixel {
            kept: kept(value),
            cluster,
            label,
        })
        .collect();
    pixels.sort_unstable();
    pixels
}

fn merge_tables(sums: &mut [PairTable], other: &[PairTable]) {
    for (sum, table) in sums.iter_mut().zip(other) {
        table
            .iter()
            .for_each(|(pair, n)| *sum.entry(*pair).or_default() += n);
    }
}

/// What is left at one threshold.
struct Kept {
    classes: u16,
    /// Pixels by (cluster, label).
    pixels: Vec<u64>,
    /// Pixels by cluster.
    area: Vec<u64>,
    occurrence: CoOccurrence,
}

impl Kept {
    fn new(classes: u16) -> Self {
        let labels = usize::from(classes) + 1;
        let occurrence = CoOccurrence::new(classes, classes);
        Self {
            classes,
            pixels: vec![0; labels * labels],
            area: vec![0; labels],
            occurrence,
        }
    }

    /// Lowers the threshold by one step.
    fn add_bin(&mut self, pixels: &PairTable, images_with: &PairTable) {
        for (&(cluster, label), &n) in pixels {
            let index = self.index(cluster, label);
            self.pixels[index] += n;
            self.area[usize::from(cluster)] += n;
        }
        for (&(cluster, class), &n) in images_with {
            self.occurrence.add_count(cluster, class, n);
        }
    }

    fn index(&self, cluster: u16, label: u16) -> usize {
        usize::from(cluster) * self.area.len() + usize::from(label)
    }

    /// Mean IoU once each cluster has become its class and everything else "other".
    fn miou(&self, truth: &[u64], matching: &Matching) -> f64 {
        let mut areas = ClassAreas::new(self.classes);
        (0..)
            .zip(truth)
            .for_each(|(label, &pixels)| areas.add_truth(label, pixels));
        let clusters = || 1..=self.classes;
        let kept_of_other: u64 = clusters().map(|c| self.pixels[self.index(c, OTHER)]).sum();
        areas.add_intersection(OTHER, truth[0] - kept_of_other);
        areas.add_prediction(
            OTHER,
            truth.iter().sum::<u64>() - self.area.iter().sum::<u64>(),
        );
        for cluster in clusters() {
            let class = matching.class_of(cluster);
            areas.add_prediction(class, self.area[usize::from(cluster)]);
            areas.add_intersection(class, self.pixels[self.index(cluster, class)]);
        }
        mean_iou(&areas, all_labels(self.classes), AbsentClass::Zero)
    }
}

#[cfg(test)]
mod tests;
